"""Nodes, each with c-icap and scand of its own on ports of its own, and the load that goes through Squid to them."""

import json
import os
import re
import shlex
import signal
import subprocess
import tempfile
import time

import proc
import stack
from report import Failure, check

TOP = stack.SRCDIR
BENCH = os.path.join(TOP, "tests", "bench")
SERVERS = {"ThreadsPerChild": 64, "MinSpareThreads": 8, "MaxSpareThreads": 200, "StartServers": 1, "MaxServers": 2}


class Programs:
    """The benchmark's origin server and browser, built once."""

    def __init__(self):
        self.dir = tempfile.TemporaryDirectory(prefix="sallyport-capacity.")
        open(os.path.join(self.dir.name, "config.h"), "w", encoding="utf-8").close()
        for name, sources, libraries in (("origin", ["origin.c", "bodies.c", "mixture.c", "common.c"], ["-lz"]), ("browse", ["browse.c", "common.c"], [])):
            command = shlex.split(os.environ.get("CC") or "cc") + ["-std=gnu11", "-O1", "-D_GNU_SOURCE", "-I" + self.dir.name, "-o", self.path(name)]
            done = subprocess.run(command + [os.path.join(BENCH, s) for s in sources] + libraries, capture_output=True, text=True, check=False)
            check(done.returncode == 0, "%s does not build: %s", name, done.stderr[-500:])

    def path(self, name):
        return os.path.join(self.dir.name, name)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.dir.cleanup()


class Node(stack.Stack):
    def __init__(self, number):
        super().__init__({"scan.workers": 1, "scan.max_workers": 3, "log.decisions": "all"}, directives=SERVERS, name="node%d" % number)

    def kill(self):
        """All of c-icap at once, as when the machine loses its power."""
        process, self.cicap.process = self.cicap.process, None
        os.killpg(process.pid, signal.SIGKILL)
        process.popen.wait(10)
        proc.unwatch(process)

    def handled(self):
        """Replies that it has decided about."""
        return sum(1 for row in self.log_lines() if row.get("outcome") == "clean")


class Load:
    """Browsers on a proxy. with Load(...) as load: do things; load.result afterwards."""

    def __init__(self, programs, port, size, seed, seconds, connections=8, pause_us=1000):
        self.origin = subprocess.Popen([programs.path("origin"), "text", str(size), "unseen"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.browser = subprocess.Popen(
            [programs.path("browse"), "-p", str(port), "-o", self.origin.stdout.readline().strip(), "-b", str(size), "-c", str(connections),
             "-t", str(seconds), "-S", str(seed), "-g", str(pause_us)], stdout=subprocess.PIPE, text=True)
        self.result = None

    def __enter__(self):
        time.sleep(0.7)
        return self

    def __exit__(self, kind, value, trace):
        try:
            if kind is not None:
                self.browser.kill()
            out = self.browser.communicate(timeout=60)[0]
            self.result = json.loads(out) if out.startswith("{") else None
        finally:
            self.browser.kill()
            self.origin.stdin.close()
            self.origin.stdout.close()
            self.origin.wait(10)

    def check_none_failed(self, what, least=30):
        got = self.result
        check(got is not None, "%s: the browser did not report", what)
        check(got["failed"] == 0, "%s: %d of %d transactions failed: %s", what, got["failed"], got["all"], got["reasons"])
        check(got["all"] >= least, "%s: only %d transactions", what, got["all"])
        print("# %s: %d transactions, none failed" % (what, got["all"]))


def shipped(name):
    with open(os.path.join(TOP, "etc", "squid", name), encoding="utf-8") as f:
        return f.read()


def at_nodes(text, ports):
    """etc/squid/nodes.conf for three nodes on this machine."""
    for i, port in enumerate(ports):
        text = text.replace("icap://192.0.2.%d:1344/" % (11 + i), "icap://127.0.0.1:%d/" % port)
    check("192.0.2." not in text, "nodes.conf names a node that the test does not know")
    return text


def without_service(text):
    """etc/squid/sallyport.conf for use behind nodes.conf, as the comment there says, and without the page's absolute path."""
    return "\n".join(line for line in text.splitlines() if not re.match(r"icap_service |adaptation_access |deny_info ", line)) + "\n"


def haproxy_conf(port, admin, ports):
    """The configuration in docs/capacity.md for nodes on this machine."""
    with open(os.path.join(TOP, "docs", "capacity.md"), encoding="utf-8") as f:
        found = re.search(r"^```haproxy\n(.*?)^```", f.read(), re.M | re.S)
    if not found:
        raise Failure("docs/capacity.md has no block ```haproxy")
    text = found.group(1).replace("bind 127.0.0.1:1344", "bind 127.0.0.1:%d" % port)
    text = text.replace("/run/haproxy/admin.sock", admin)
    for i, node in enumerate(ports):
        text = text.replace("192.0.2.%d:1344" % (11 + i), "127.0.0.1:%d" % node)
    text = text.replace("maxconn 4096", "maxconn 400")  # two files each, and a test may have few
    check("192.0.2." not in text, "docs/capacity.md: haproxy.cfg names a node that the test does not know")
    return text
