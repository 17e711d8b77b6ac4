"""What comes from npm: wstunnel, node-unblocker, Ultraviolet. Installed below the build directory, once for each version of
package-lock.json; the cases are skipped where npm or what it fetches is not to be had."""

import hashlib
import json
import os
import shutil
import subprocess

from report import await_true, check, equal
import stack
from stack import free_port
from tunnels import DENIED, front, ssh
from world import EXCEPTED, PAGE, REFUSED, run

HERE = os.path.dirname(os.path.abspath(__file__))
INSTALL_SECONDS = 100
WEBSOCKET = ["--http1.1", "-A", "Mozilla/5.0", "-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13",
             "-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]


class Missing(Exception):
    """Why there are no packages."""


def install():
    """The directory with node_modules. Called before the suite's clock starts."""
    with open(os.path.join(HERE, "package-lock.json"), "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()[:16]
    target = os.path.join(stack.builddir(), "peers-npm-" + digest)
    if os.path.exists(os.path.join(target, "complete")):
        return target
    if not shutil.which("npm") or not shutil.which("node"):
        subprocess.run([os.path.join(stack.TOP, "scripts", "packages"), "node"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       stdin=subprocess.DEVNULL, check=False)
    if not shutil.which("npm") or not shutil.which("node"):
        raise Missing("there is no npm (Debian: apt-get install npm)")
    shutil.rmtree(target, ignore_errors=True)
    os.makedirs(target)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(os.path.join(HERE, name), target)
    done = run(["npm", "ci", "--prefix", target, "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1", "--loglevel=error"],
               INSTALL_SECONDS)
    if done.status != 0:
        shutil.rmtree(target, ignore_errors=True)
        raise Missing("npm ci: %s" % (" | ".join(done.said.split("\n")[:3]) or "not done in %d s" % INSTALL_SECONDS))
    with open(os.path.join(target, "complete"), "w", encoding="ascii"):
        pass
    return target


# --- wstunnel ---------------------------------------------------------------------------------------------------------

class Wstunnel:
    """The server, with TLS in front and an SSH server behind."""

    def __init__(self, world, modules, sshd):
        self.modules = modules
        self.program = os.path.join(modules, "node_modules", "wstunnel", "bin", "wstt.js")
        plain = free_port()
        argv = ["node", self.program, "-s", "127.0.0.1:%d" % plain, "-t", "127.0.0.1:%d" % sshd.port]
        self.process = world.start("wstunnel", argv, plain)
        self.port = front(world, "wstunnel-tls", plain)

    def client(self, world, host, *options):
        """An SSH client that uses it: what ssh said."""
        port = free_port()
        env = {"PEERS_PROXY": world.proxy, "PEERS_MODULES": self.modules, "NODE_EXTRA_CA_CERTS": world.squid.ca.cert}
        process = world.start("wstunnel-" + host, ["node", "-r", os.path.join(HERE, "proxy-agent.js"), self.program, "-t", str(port), "-p",
                                                   world.proxy, *options, "wss://%s:%d" % (host, self.port)], port, env=env)
        said = ssh("127.0.0.1", port).said
        return said, process.output()


def wstunnel_refused(world, wstunnel, rule, *options):
    host = world.name(REFUSED)
    said, log = wstunnel.client(world, host, *options)
    world.refused(host, rule, "GET")
    check(DENIED not in said, "ssh got through: %s; %s", said, log)


def wstunnel_excepted(world, wstunnel):
    host = world.name(EXCEPTED)
    said, log = wstunnel.client(world, host)
    world.passed(host, "wstunnel-b-node")
    check(DENIED in said, "ssh did not get through: %s; %s; %s", said, log, world.brief(host))


# --- anonymous web proxies --------------------------------------------------------------------------------------------

class Proxies:
    def __init__(self, world, modules):
        process = world.start("web-proxies", ["node", os.path.join(HERE, "servers.js"), modules, world.certificate.cert,
                                              world.certificate.key])

        def ready():
            check(process.is_running(), "servers.js ended at once: %s", process.output()[-800:])
            with open(process.out_path, encoding="utf-8") as f:
                return next((line for line in f if line.startswith("{")), None)
        self.ports = json.loads(await_true(ready, 20, "the web proxies to listen"))
        self.away = "http://somewhere.test:%d/page" % world.http.port


def get(world, host, port, path, *options, seconds=10):
    return world.curl(*options, "https://%s:%d%s" % (host, port, path), seconds=seconds)


def unblocker_page(world, proxies):
    """The page that someone visits through it: seen in the request, refused in the reply."""
    host = world.name(REFUSED)
    reply = get(world, host, proxies.ports["unblocker"], "/proxy/" + proxies.away)
    equal((reply.exit_status, reply.status), (0, 403), "curl (%s); %s" % (reply.stderr, world.brief(host)))
    world.refused(host, "unblocker-b-body", "GET")
    check([r for r in world.rows(host) if r.get("rule") == "unblocker-b" and r["action"] == "report"], "the request was not reported; %s",
          world.brief(host))
    check(b"a plain page" not in reply.body, "the page came through")


def unblocker_local(world, proxies):
    """A page of the proxy's own machine, by number and by name."""
    host = world.name(REFUSED)
    for server in ("127.0.0.1", "localhost"):
        get(world, host, proxies.ports["unblocker"], "/proxy/http://%s:%d/page" % (server, world.http.port))
        check([r for r in world.rows(host) if r.get("rule") == "unblocker-b" and server in r["url"]], "%s: the request was not reported; %s",
              server, world.brief(host))


def unblocker_script(world, proxies):
    host = world.name(REFUSED)
    reply = get(world, host, proxies.ports["unblocker"], "/proxy/client/unblocker-client.js")
    equal((reply.exit_status, reply.status), (0, 403), "curl (%s)" % reply.stderr)
    world.refused(host, "unblocker-b-js", "GET")


def unblocker_excepted(world, proxies):
    host = world.name(EXCEPTED)
    page = get(world, host, proxies.ports["unblocker"], "/proxy/" + proxies.away)
    equal((page.exit_status, page.status), (0, 200), "curl (%s)" % page.stderr)
    check(b"a plain page" in page.body and b"unblocker-client.js" in page.body, "not the page: %s", page.body[:500])
    script = get(world, host, proxies.ports["unblocker"], "/proxy/client/unblocker-client.js")
    equal((script.exit_status, script.status), (0, 200), "curl (%s)" % script.stderr)
    world.passed(host, "unblocker-b")
    world.passed(host, "unblocker-b-js")


BARE = {
    "v1": (["X-Bare-Host: 127.0.0.1", "X-Bare-Port: PORT", "X-Bare-Protocol: http:", "X-Bare-Path: /page",
            "X-Bare-Headers: {\"host\":\"somewhere.test\"}", "X-Bare-Forward-Headers: []"], "bare-b-v1"),
    "v2": (["X-Bare-Host: 127.0.0.1", "X-Bare-Port: PORT", "X-Bare-Protocol: http:", "X-Bare-Path: /page",
            "X-Bare-Headers: {\"host\":\"somewhere.test\"}"], "bare-b-v1"),
    "v3": (["X-Bare-URL: http://127.0.0.1:PORT/page", "X-Bare-Headers: {\"host\":\"somewhere.test\"}"], "bare-b-url"),
}


def _bare(world, host, proxies, version):
    fields = []
    for field in BARE[version][0]:
        fields += ["-H", field.replace("PORT", str(world.http.port))]
    return get(world, host, proxies.ports["uv"], "/bare/%s/" % version, *fields)


def uv_file(world, proxies, name):
    host = world.name(REFUSED)
    reply = get(world, host, proxies.ports["uv"], "/uv/" + name)
    equal((reply.exit_status, reply.status), (0, 403), "curl (%s)" % reply.stderr)
    world.refused(host, "uv-b-files", "GET")


def uv_renamed(world, proxies):
    host = world.name(REFUSED)
    reply = get(world, host, proxies.ports["uv"], "/assets/app.js")
    equal((reply.exit_status, reply.status), (0, 200), "curl (%s)" % reply.stderr)
    world.reported(host, "uv-b-body")


def uv_excepted(world, proxies):
    host = world.name(EXCEPTED)
    for name in ("uv.config.js", "uv.sw.js", "uv.handler.js", "uv.bundle.js"):
        reply = get(world, host, proxies.ports["uv"], "/uv/" + name)
        equal((reply.exit_status, reply.status), (0, 200), "curl %s (%s)" % (name, reply.stderr))
    world.passed(host, "uv-b-files")
    check(len(reply.body) > 65536, "uv.bundle.js is %d bytes", len(reply.body))


def bare_refused(world, proxies, version):
    host = world.name(REFUSED)
    reply = _bare(world, host, proxies, version)
    equal((reply.exit_status, reply.status), (0, 403), "curl (%s)" % reply.stderr)
    world.refused(host, BARE[version][1], "GET")


def bare_excepted(world, proxies, version):
    host = world.name(EXCEPTED)
    reply = _bare(world, host, proxies, version)
    equal((reply.exit_status, reply.status), (0, 200), "curl (%s)" % reply.stderr)
    equal(reply.body, PAGE, "the page behind the Bare server")
    world.passed(host, BARE[version][1])
    world.passed(host, "bare-b-resp")


def websocket(world, proxies, kind, path, rule, *options):
    """A WebSocket as a page opens it. It is left open, so an accepted one ends by the clock."""
    host = world.name(kind)
    reply = get(world, host, proxies.ports["uv"], path, *WEBSOCKET, "-H", "Origin: https://" + host, *options, seconds=2)
    if kind == REFUSED:
        equal((reply.exit_status, reply.status), (0, 403), "curl (%s)" % reply.stderr)
        world.refused(host, rule, "GET")
    else:
        equal(reply.status, 101, "curl (%s)" % reply.stderr)
        world.passed(host, rule)


# --- all --------------------------------------------------------------------------------------------------------------

def wstunnel_cases(suite, world, modules, sshd):
    wstunnel = None if suite.list_only or not modules else Wstunnel(world, modules, sshd)
    yield "wstunnel refused", wstunnel_refused, world, wstunnel, "wstunnel-b-node"
    yield "wstunnel without WebSocket refused", wstunnel_refused, world, wstunnel, "wstunnel-b-node-http", "--http"
    yield "wstunnel excepted carries ssh", wstunnel_excepted, world, wstunnel


def proxy_cases(suite, world, modules):
    proxies = None if suite.list_only or not modules else Proxies(world, modules)
    yield "unblocker: page refused", unblocker_page, world, proxies
    yield "unblocker: address of its own machine reported", unblocker_local, world, proxies
    yield "unblocker: script refused", unblocker_script, world, proxies
    yield "unblocker excepted", unblocker_excepted, world, proxies
    for name in ("uv.config.js", "uv.sw.js", "uv.handler.js"):
        yield "ultraviolet: %s refused" % name, uv_file, world, proxies, name
    yield "ultraviolet: renamed script reported", uv_renamed, world, proxies
    yield "ultraviolet excepted", uv_excepted, world, proxies
    for version in BARE:
        yield "bare server %s refused" % version, bare_refused, world, proxies, version
        yield "bare server %s excepted" % version, bare_excepted, world, proxies, version
    bare = ("-H", "Sec-WebSocket-Protocol: bare, %7B%22remote%22%3A%7B%7D%7D")
    yield "bare server WebSocket refused", websocket, world, proxies, REFUSED, "/bare/v1/", "bare-b-ws", *bare
    for kind, word in ((REFUSED, "refused"), (EXCEPTED, "excepted")):
        yield "bare server 3 WebSocket %s" % word, websocket, world, proxies, kind, "/bare/v3/", "bare-b-ws-v3"
    yield "wisp refused", websocket, world, proxies, REFUSED, "/wisp/", "wisp-b"
    yield "wisp excepted", websocket, world, proxies, EXCEPTED, "/wisp/", "wisp-b"
