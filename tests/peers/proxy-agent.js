"use strict";
// Loaded before wstunnel (node -r). Its option -p copies the proxy's URL with Object.assign, which finds no fields in the URL
// of today's Node, so the agent that it makes knows no proxy. This gives it one that does. What it sends stays its own.

const name = require.resolve("https-proxy-agent", { paths: [process.env.PEERS_MODULES] });
const makeAgent = require(name);

require.cache[name].exports = class {
  constructor() {
    return makeAgent(process.env.PEERS_PROXY);
  }
};
