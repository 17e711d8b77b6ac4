"""What all cases share: the gate behind a Squid that decrypts, host names, servers and clients.

Every case asks for names of its own, hN.refused.test or hN.excepted.test: all are 127.0.0.1, and the configuration has one
exception, for excepted.test. So the log tells cases apart that run at the same time, and the same client can be tried both ways.

Squid has the lines of etc/squid/sallyport.conf and bug5352.conf and decrypts as bump-example.conf does. One line is ours: it
lets WebSockets through, which Squid by default does not, as nothing of them would get far enough to be an exception otherwise."""

import itertools
import os
import shutil
import subprocess
import tempfile
import urllib.parse

import origin
import proc
from quickstart import curl
from report import Failure, await_true, check
from squid import Squid
import stack

REFUSED, EXCEPTED = "refused.test", "excepted.test"
# For a server whose port must be the well-known one: an address where nothing else listens.
OWN_ADDRESS = "127.83.65.76"
NAMES = 120
SECONDS = 20
PAGE = b"<!DOCTYPE html><html><head><title>x</title></head><body><a href=\"/more\">a plain page</a></body></html>"


class Run:
    """A finished client: exit status (None: it had to be ended) and what it said."""

    def __init__(self, status, said):
        self.status, self.said = status, said


def run(argv, seconds=SECONDS, stdin=b"", env=None):
    """A client in the foreground, ended with all it started after the given time."""
    with tempfile.TemporaryDirectory(prefix="sallyport-peer.") as tmp:
        with open(os.path.join(tmp, "in"), "wb") as f:
            f.write(stdin)
        with open(os.path.join(tmp, "in"), "rb") as source, open(os.path.join(tmp, "said"), "wb") as sink:
            popen = subprocess.Popen(argv, stdin=source, stdout=sink, stderr=subprocess.STDOUT, cwd=tmp, start_new_session=True,
                                     env=dict(os.environ, LC_ALL="C", **(env or {})))
            try:
                status = popen.wait(seconds)
            except subprocess.TimeoutExpired:
                status = None
            try:
                os.killpg(popen.pid, 9)
            except ProcessLookupError:
                pass
            popen.wait(5)
        with open(os.path.join(tmp, "said"), encoding="utf-8", errors="replace") as f:
            return Run(status, f.read())


def listens(port):
    """Does someone listen on that TCP port? Found out without a connection, which some programs would pass on."""
    with open("/proc/net/tcp", encoding="ascii") as f:
        rows = [line.split() for line in f.read().splitlines()[1:]]
    return any(row[1].endswith(":%04X" % port) and row[3] == "0A" for row in rows)


class World:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="sallyport-peers.")
        os.chmod(self.dir, 0o755)
        self.processes = []
        self.numbers = itertools.count()
        self.squid = None
        self.ca = origin.make_ca(self.dir, "servers", "Sallyport test servers")
        self.certificate = origin.make_certificate(self.dir, self.ca, ["peers.test", "*." + REFUSED, "*." + EXCEPTED])
        self.write("hosts", "".join("127.0.0.1 h%d.%s\n%s own%d.%s\n" % (n, kind, OWN_ADDRESS, n, kind)
                                    for n in range(NAMES) for kind in (REFUSED, EXCEPTED)))
        self.tls = origin.Origin(tls=self.certificate)
        self.http = origin.Origin()
        for server in (self.tls, self.http):
            for path in ("/", "/page"):
                server.add(path, PAGE, fields=["Content-Type: text/html; charset=utf-8"])
        self.stack = stack.Stack(start=False, name="peers")
        with open(self.stack.conf_path, "a", encoding="utf-8") as f:
            f.write('exceptions = ( { host = "%s"; } );\n' % EXCEPTED)

    def __enter__(self):
        try:
            self.stack.start_scand()
            self.stack.start_cicap()
            squid = self._make_squid()
            squid.__enter__()
            self.squid = squid
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _make_squid(self):
        squid = Squid(origin_ca=self.ca, with_icap=False, name="peers-squid")
        with open(os.path.join(stack.SRCDIR, "etc", "squid", "sallyport.conf"), encoding="utf-8") as f:
            text = f.read()
        for old, new in (("127.0.0.1:1344", "127.0.0.1:%d" % self.stack.port), ("/etc/sallyport/squid", squid.dir.path)):
            check(old in text, "etc/squid/sallyport.conf has no %s any more", old)
            text = text.replace(old, new)
        with open(os.path.join(stack.SRCDIR, "etc", "squid", "bug5352.conf"), encoding="utf-8") as f:
            squid.include = squid.dir.write("sallyport.conf", text + f.read())
        shutil.copy(os.path.join(stack.SRCDIR, "etc", "squid", "ERR_SALLYPORT"), squid.dir.path)
        squid.extra = ["hosts_file %s" % self.path("hosts"), "http_upgrade_request_protocols websocket allow all",
                       "logformat heads %rm %ru %>Hs %>ha", "access_log stdio:%s heads" % squid.dir.join("heads.log")]
        return squid

    def __exit__(self, *why):
        problems = []
        stops = [p.stop for p in reversed(self.processes)] + [lambda: self.stack.__exit__(*why), self.tls.stop, self.http.stop]
        if self.squid:
            stops.insert(len(self.processes), lambda: self.squid.__exit__(None, None, None))
        for stop in stops:
            try:
                stop()
            except Failure as fault:
                problems.append(str(fault))
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)
        if problems:
            raise Failure("; ".join(problems))

    # --- names, servers, clients

    def name(self, kind, prefix="h"):
        """A host name that no other case uses."""
        return "%s%d.%s" % (prefix, next(self.numbers), kind)

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(self.path(name), 0o644)
        return self.path(name)

    def start(self, name, argv, port=None, env=None):
        """A program that runs until the end. With a port: returns when it listens there."""
        process = proc.Process(name, argv, self.dir, env=dict(os.environ, LC_ALL="C", **(env or {})))
        self.processes.append(process)
        if port:
            await_true(lambda: listens(port) or not process.is_running(), SECONDS, "%s to listen" % name)
            check(process.is_running(), "%s ended at once: %s", name, process.output()[-600:])
        return process

    @property
    def proxy(self):
        return "http://127.0.0.1:%d" % self.squid.port

    @property
    def proxy_address(self):
        return "127.0.0.1:%d" % self.squid.port

    def curl(self, *args, seconds=SECONDS):
        return curl(["-x", self.proxy, "--cacert", self.squid.ca.cert] + list(args), seconds)

    # --- what was seen

    def rows(self, host):
        """Lines of the decision log about a host, in order."""
        return [row for row in self.stack.log_lines() if _host_of(row.get("url", "")) == host]

    def heads(self, host):
        """What Squid answered: (method, url, status, head) for each request to a host."""
        try:
            with open(self.squid.dir.join("heads.log"), encoding="utf-8", errors="replace") as f:
                lines = [line.rstrip("\n").split(" ", 3) for line in f]
        except FileNotFoundError:
            return []
        return [(m, u, int(s), urllib.parse.unquote(h)) for m, u, s, h in lines if _host_of(u) == host]

    def brief(self, host):
        """For the text of a failure."""
        rows = ["%s %s %s %s" % (r.get("method"), r.get("url"), r.get("action"), r.get("rule")) for r in self.rows(host)]
        return "gate: %s; squid: %s" % (rows, [head[:3] for head in self.heads(host)])

    def refused(self, host, rule, method=None):
        """The request that was refused, and that the named rule did it. Nothing after it came through."""
        def look():
            return [r for r in self.rows(host) if r["action"] == "block"]
        blocked = _soon(look)
        check(blocked, "nothing was refused; %s", self.brief(host))
        names = [r.get("rule") for r in blocked]
        check(blocked[0].get("rule") == rule, "refused by %s, want %s; %s", names, rule, self.brief(host))
        check(blocked[0].get("outcome") == "rule" and blocked[0].get("category"), "the line does not tell: %s", blocked[0])
        check(method in (None, blocked[0]["method"]), "%s was refused, want %s", blocked[0]["method"], method)
        return blocked[0]

    def passed(self, host, excepted=None):
        """That the gate saw the host and refused nothing; with excepted: and that it says which rule the exception passed over."""
        rows = _soon(lambda: self.rows(host))
        check(rows, "the gate saw nothing; %s", self.brief(host))
        bad = [r for r in self.rows(host) if r["action"] == "block"]
        check(not bad, "refused: %s; %s", bad, self.brief(host))
        if excepted:
            told = _soon(lambda: [r for r in self.rows(host) if r.get("excepted") == excepted])
            check(told, "no line says that %s was passed over: %s", excepted, [r.get("excepted") for r in self.rows(host)])

    def reported(self, host, rule):
        self.passed(host)
        told = [r for r in self.rows(host) if r.get("rule") == rule and r["action"] == "report"]
        check(told, "not reported by %s; %s", rule, self.brief(host))

    def ordinary(self, host):
        """That nothing about the host was remarkable."""
        self.passed(host)
        check(not [r for r in self.rows(host) if r.get("rule")], "a rule matched; %s", self.brief(host))

    def stopped_in_squid(self, host, method, statuses):
        """That Squid itself gave one of these answers to the last request of that method."""
        seen = _soon(lambda: [h for h in self.heads(host) if h[0] == method])
        check(seen and seen[-1][2] in statuses, "%s was not answered with %s; %s", method, statuses, self.brief(host))


def _soon(question, seconds=3):
    """The first true answer of question(), or the last one."""
    try:
        return await_true(question, seconds, "")
    except Failure:
        return question()


def _host_of(url):
    """Of "https://host:1/path" and of CONNECT's "host:1"."""
    return url.split("://", 1)[-1].split("/", 1)[0].rsplit(":", 1)[0]
