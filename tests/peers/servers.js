"use strict";
// Anonymous web proxies behind TLS, each as its own documentation sets it up: node-unblocker; and Ultraviolet's files with a
// Bare and a Wisp server, its two ways out. All names resolve to 127.0.0.1 for them, so they can reach nothing else.
//
// node servers.js MODULES CERT KEY: prints {"unblocker": PORT, "uv": PORT} when all listen.

const fs = require("fs");
const http = require("http");
const https = require("https");
const path = require("path");

const [modules, cert, key] = process.argv.slice(2);
const load = (name) => require(require.resolve(name, { paths: [modules] }));
const tls = { cert: fs.readFileSync(cert), key: fs.readFileSync(key) };

function lookup(name, options, done) {
  const all = typeof options === "object" && options.all;
  if (all) done(null, [{ address: "127.0.0.1", family: 4 }]);
  else done(null, "127.0.0.1", 4);
}

function listen(server) {
  return new Promise((done) => server.listen(0, "127.0.0.1", () => done(server.address().port)));
}

function unblocker() {
  const express = load("express");
  const Unblocker = load("unblocker");
  const proxy = new Unblocker({ prefix: "/proxy/", httpAgent: new http.Agent({ lookup }), httpsAgent: new https.Agent({ lookup }) });
  const app = express();
  app.use(proxy);
  app.get("/", (request, response) => response.send("<title>a proxy</title>"));
  const server = https.createServer(tls, app);
  server.on("upgrade", proxy.onUpgrade);
  return listen(server);
}

function ultraviolet() {
  const express = load("express");
  const wisp = load("@mercuryworkshop/wisp-js/server").server;
  const bare = load("@tomphttp/bare-server-node").createBareServer("/bare/", { blockLocal: false });
  const files = path.join(modules, "node_modules", "@titaniumnetwork-dev", "ultraviolet", "dist");
  const app = express();
  app.use("/uv/", express.static(files));
  // What a site does that wants to hide it.
  app.get("/assets/app.js", (request, response) => response.type("js").send(fs.readFileSync(path.join(files, "uv.config.js"))));
  const server = https.createServer(tls);
  server.on("request", (request, response) => (bare.shouldRoute(request) ? bare.routeRequest(request, response) : app(request, response)));
  server.on("upgrade", (request, socket, head) =>
    bare.shouldRoute(request) ? bare.routeUpgrade(request, socket, head) : wisp.routeRequest(request, socket, head));
  return listen(server);
}

Promise.all([unblocker(), ultraviolet()]).then(([a, b]) => console.log(JSON.stringify({ unblocker: a, uv: b })));
