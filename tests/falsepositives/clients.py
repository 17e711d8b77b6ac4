"""Real programs at their daily work against local servers, through Squid that decrypts and the whole service: nothing refused, and
the program itself content. A program that is not installed is skipped and says so."""

import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import zipfile

import origin
import samples
from report import check
from squid import Squid
from stack import PrivateDir, Stack

HOST = "origin.test"
SECONDS = 60


def have(name):
    return shutil.which(name) is not None


def system_python():
    """A Python with pip; Debian's own before any other."""
    for python in ("/usr/bin/python3", shutil.which("python3")):
        if python and subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0:
            return python
    return None


class World:
    """Servers, the service and Squid. home is where the programs may write."""

    def __init__(self):
        self.dir = PrivateDir("clients")
        self.home = self.dir.mkdir("home")
        os.chmod(self.dir.path, 0o755)
        self.ca = origin.make_ca(self.dir.path, "servers", "Sallyport test servers")
        certificate = origin.make_certificate(self.dir.path, self.ca, [HOST])
        self.http, self.https = origin.Origin(name=HOST), origin.Origin(tls=certificate, name=HOST)
        self.stack = self.squid = None

    def __enter__(self):
        hosts = self.dir.write("hosts", "127.0.0.1 %s\n" % HOST)
        self.stack = Stack(name="clients").__enter__()
        self.squid = Squid(icap_port=self.stack.port, tls="bump", origin_ca=self.ca, extra=["hosts_file %s" % hosts], name="clients-squid").__enter__()
        return self

    def __exit__(self, kind, value, trace):
        try:
            if self.squid:
                self.squid.__exit__(kind, value, trace)
        finally:
            if self.stack:
                self.stack.__exit__(kind, value, trace)
            for server in (self.http, self.https):
                server.stop()
            self.dir.remove()

    def add(self, path, body, kind="application/octet-stream", **how):
        for server in (self.http, self.https):
            server.add(path, body, fields=["Content-Type: " + kind], **how)

    def add_tree(self, top, prefix):
        for root, _, files in os.walk(top):
            for name in files:
                file = os.path.join(root, name)
                with open(file, "rb") as f:
                    self.add(prefix + os.path.relpath(file, top), f.read())

    def environment(self, **more):
        proxy = "http://127.0.0.1:%d" % self.squid.port
        env = {"PATH": os.environ["PATH"], "HOME": self.home, "LC_ALL": "C.UTF-8", "http_proxy": proxy, "https_proxy": proxy, "HTTPS_PROXY": proxy,
               "GIT_SSL_CAINFO": self.squid.ca.cert, "CURL_CA_BUNDLE": self.squid.ca.cert, "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1"}
        env.update(more)
        return env

    def go(self, *argv, **more):
        """Runs a program; what it needs of the network goes through Squid. At the end nothing may have been refused."""
        before = len(self.stack.log_lines())
        run = subprocess.run([str(a) for a in argv], capture_output=True, text=True, errors="replace", timeout=SECONDS, env=self.environment(**more), cwd=self.home)
        rows = self.stack.log_lines()[before:]
        refused = [row for row in rows if row.get("action") == "block"]
        check(not refused, "refused: %s", refused[:2])
        check(run.returncode == 0, "%s ended with %d: %s", argv[0], run.returncode, (run.stdout + run.stderr)[-800:])
        check(rows, "%s did not come through the gate: %s", argv[0], (run.stdout + run.stderr)[-800:])
        return run.stdout


def use_curl(world):
    world.add("/page", b"<!DOCTYPE html><title>x</title>" + samples.text(3000), "text/html")
    world.add("/form", b"{}", "application/json")
    for server in (world.http, world.https):
        url = server.url("/page")
        world.go("curl", "-sSf", url)
        world.go("curl", "-sSf", "-I", url)
        world.go("curl", "-sSf", "--compressed", "-r", "0-99", "-b", "a=1; b=2", "-A", "Mozilla/5.0 (X11; Linux x86_64; rv:126.0) Gecko/20100101 Firefox/126.0", url)
        world.go("curl", "-sSf", "-d", "user=bob&u=https://www.example.com/&b=4", server.url("/form"))
        world.go("curl", "-sSf", "--json", '{"a":1}', "-H", "Authorization: Bearer a.b.c", server.url("/form"))
        world.go("curl", "-sSf", "-T", world.squid.ca.cert, server.url("/form"))
        world.go("curl", "-sSf", "-F", "file=@" + world.squid.ca.cert, server.url("/form"))
        world.go("curl", "-sSf", "--http1.0", url)
    world.go("curl", "-sSf", "-A", "", world.https.url("/page"))


def use_wget(world):
    world.add("/site/index.html", b'<html><a href="vpn.html">About VPNs</a><img src="a.png"></html>', "text/html")
    world.add("/site/vpn.html", b"<html>What a tunnel is</html>", "text/html")
    world.add("/site/a.png", b"\x89PNG\r\n\x1a\n" + samples.noise(500), "image/png")
    world.add("/robots.txt", b"User-agent: *\n", "text/plain")
    for server in (world.http, world.https):
        world.go("wget", "-q", "-r", "-l", "2", "-P", "wget", "--ca-certificate=" + world.squid.ca.cert, server.url("/site/index.html"))


def use_apt(world):
    control = b"Package: hello-gate\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@example.com>\nDescription: x\n"
    deb = _ar([("debian-binary", b"2.0\n"), ("control.tar.gz", _tar([("./control", control)])), ("data.tar.gz", _tar([]))])
    packages = control + b"Filename: ./hello-gate_1.0_all.deb\nSize: %d\nSHA256: %s\n\n" % (len(deb), hashlib.sha256(deb).hexdigest().encode())
    world.add("/apt/./Packages", packages, "text/plain")
    world.add("/apt/./hello-gate_1.0_all.deb", deb, "application/vnd.debian.binary-package")
    base = os.path.join(world.home, "apt")
    for sub in ("lists/partial", "cache/archives/partial", "etc", "parts"):
        os.makedirs(os.path.join(base, sub), exist_ok=True)
    open(os.path.join(base, "status"), "w").close()
    proxy = "http://127.0.0.1:%d" % world.squid.port
    for server in (world.http, world.https):
        with open(os.path.join(base, "sources.list"), "w") as f:
            f.write("deb [trusted=yes] %s ./\n" % server.url("/apt"))
        config = os.path.join(base, "apt.conf")
        with open(config, "w") as f:
            f.write('Dir::State "%(b)s"; Dir::State::status "%(b)s/status"; Dir::State::lists "%(b)s/lists"; Dir::Cache "%(b)s/cache"; Dir::Etc "%(b)s/etc";\n'
                    'Dir::Etc::sourcelist "%(b)s/sources.list"; Dir::Etc::sourceparts "%(b)s/parts"; Dir::Etc::parts "%(b)s/parts"; APT::Sandbox::User "root";\n'
                    'Acquire::http::Proxy "%(p)s"; Acquire::https::Proxy "%(p)s"; Acquire::https::CAInfo "%(c)s"; Acquire::Languages "none"; Acquire::Retries "0";\n'
                    % {"b": base, "p": proxy, "c": world.squid.ca.cert})
        world.go("apt-get", "update", APT_CONFIG=config)
        said = world.go("apt-get", "download", "hello-gate", APT_CONFIG=config)
        check(os.path.exists(os.path.join(world.home, "hello-gate_1.0_all.deb")), "apt-get brought nothing: %s", said)
        os.unlink(os.path.join(world.home, "hello-gate_1.0_all.deb"))


def use_git(world):
    work = os.path.join(world.home, "work")

    def git(*args):
        subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@example.com"] + list(args), check=True, capture_output=True, env=world.environment(), cwd=work)
    os.makedirs(work)
    git("init", "-q", "-b", "main")
    for i in range(5):
        with open(os.path.join(work, "file%d" % i), "wb") as f:
            f.write(samples.text(2000, i))
        git("add", ".")
        git("commit", "-q", "-m", "change %d" % i)
    git("update-server-info")
    world.add_tree(os.path.join(work, ".git"), "/work.git/")
    for name, server in (("http", world.http), ("https", world.https)):
        world.go("git", "clone", "-q", server.url("/work.git"), "clone-" + name)
        check(os.path.exists(os.path.join(world.home, "clone-" + name, "file4")), "git cloned nothing")
    world.go("git", "ls-remote", world.https.url("/work.git"))


def use_pip(world):
    record = "hello_gate.py,,\nhello_gate-1.0.dist-info/METADATA,,\nhello_gate-1.0.dist-info/WHEEL,,\nhello_gate-1.0.dist-info/RECORD,,\n"
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("hello_gate.py", "x = 1\n")
        archive.writestr("hello_gate-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: hello-gate\nVersion: 1.0\n")
        archive.writestr("hello_gate-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("hello_gate-1.0.dist-info/RECORD", record)
    name = "hello_gate-1.0-py3-none-any.whl"
    world.add("/simple/hello-gate/", b'<!DOCTYPE html><html><body><a href="/files/%s">%s</a></body></html>' % (name.encode(), name.encode()), "text/html")
    world.add("/files/" + name, wheel.getvalue(), "application/zip")
    for server in (world.http, world.https):
        world.go(system_python(), "-m", "pip", "download", "--no-cache-dir", "--disable-pip-version-check", "--no-deps", "-d", "wheels", "--trusted-host", HOST,
                 "--proxy", "http://127.0.0.1:%d" % world.squid.port, "--cert", world.squid.ca.cert, "--index-url", server.url("/simple/"), "hello-gate")


def use_npm(world):
    package = json.dumps({"name": "hello-gate", "version": "1.0.0"})
    tarball = _tar([("package/package.json", package.encode()), ("package/index.js", b"module.exports = 1\n")])
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(tarball).digest()).decode()
    for server in (world.http, world.https):
        about = {"name": "hello-gate", "dist-tags": {"latest": "1.0.0"},
                 "versions": {"1.0.0": {"name": "hello-gate", "version": "1.0.0", "dist": {"tarball": server.url("/npm/hello-gate-1.0.0.tgz"), "integrity": integrity}}}}
        server.add("/npm/hello-gate", json.dumps(about).encode(), fields=["Content-Type: application/json"])
        server.add("/npm/hello-gate-1.0.0.tgz", tarball, fields=["Content-Type: application/octet-stream"])
        project = os.path.join(world.home, "npm-%d" % server.port)
        os.makedirs(project)
        world.go("npm", "install", "--prefix", project, "--no-audit", "--no-fund", "--no-update-notifier", "--fetch-retries=0", "--cache", project + "-cache",
                 "--registry", server.url("/npm/"), "hello-gate", NODE_EXTRA_CA_CERTS=world.squid.ca.cert)
        check(os.path.exists(os.path.join(project, "node_modules", "hello-gate", "index.js")), "npm installed nothing")


def use_chromium(world):
    """Its own calls to the network fail, since Squid finds no names; they pass the gate all the same."""
    world.add("/app", b'<!DOCTYPE html><title>x</title><link rel="stylesheet" href="/app.css"><p id="p">loaded</p><script src="/app.js"></script>', "text/html")
    world.add("/app.css", b"p { color: red }", "text/css")
    world.add("/app.js", b"fetch('/form', {method: 'POST', body: '{}'}); new WebSocket('wss://' + location.host + '/ws'); document.cookie = 'a=1'", "application/javascript")
    world.add("/form", b"{}", "application/json")
    for server in (world.http, world.https):
        said = world.go("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--ignore-certificate-errors", "--virtual-time-budget=2000",
                        "--user-data-dir=" + os.path.join(world.home, "chromium"), "--proxy-server=http://127.0.0.1:%d" % world.squid.port,
                        "--proxy-bypass-list=<-loopback>", "--dump-dom", server.url("/app"))
        check("loaded" in said, "the page is %s", said[-300:])


def _tar(members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _ar(members):
    out = b"!<arch>\n"
    for name, data in members:
        out += b"%-16s%-12d%-6d%-6d%-8s%-10d`\n" % (name.encode(), 0, 0, 0, b"100644", len(data)) + data + b"\n" * (len(data) % 2)
    return out


CLIENTS = (
    ("curl", use_curl, lambda: have("curl")), ("wget", use_wget, lambda: have("wget")), ("apt", use_apt, lambda: have("apt-get")),
    ("git", use_git, lambda: have("git")), ("pip", use_pip, system_python), ("npm", use_npm, lambda: have("npm")),
    ("chromium", use_chromium, lambda: have("chromium")),
)


def run(suite):
    names = ["client.%s" % name for name, _, _ in CLIENTS]
    if not suite.wants_any(names):
        for name in names:
            suite.run(name, lambda: None)
        return

    def cases():
        with World() as world:
            for name, function, is_there in CLIENTS:
                if not is_there():
                    suite.run("client.%s (skipped: not installed)" % name, lambda: None)
                    continue
                suite.run("client.%s" % name, function, world)
    suite.run_unnamed("clients", cases)
