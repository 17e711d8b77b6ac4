"""Without a browser: what each address answers, who may ask, and that nothing can be held up, broken or read that should not be."""

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import time

import icap
import proc
import samples
import stack as stacks
from report import await_true, check, equal

TOKEN = "correct-horse-battery-staple"
TURN = "\u202e"
# What a client can put into a head, in every field that a decision keeps. As bytes of a head they are Latin-1.
NASTY = "<script>window.ran=1</script><img src=x onerror=window.ran=1>\"'`\\"


class Answer:
    def __init__(self, reply, body):
        self.status, self.body, self.fields = reply.status, body, {k.lower(): v for k, v in reply.getheaders()}

    def json(self):
        return json.loads(self.body.decode())


class Server:
    """`sallyport metrics --listen` of its own, on a free port."""

    def __init__(self, stack, *options, host="127.0.0.1", name="metrics", conf=None):
        self.stack, self.host, self.port = stack, host, stacks.free_port()
        listen = "[%s]:%d" % (host, self.port) if ":" in host else "%s:%d" % (host, self.port)
        self.process = proc.Process(name, [stack.cli_path, "metrics", "-c", conf or stack.conf_path, "--listen", listen] + list(options),
                                    stack.dir.path, env=stacks.sanitizer_env(False), user=stack.dir.user)
        await_true(self._is_ready, 20, "the server to listen")

    def _is_ready(self):
        check(self.process.is_running(), "the server ended: %s", self.process.output()[-800:])
        return "dashboard on http" in self.process.output()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        status = self.stop()
        if kind is None:
            equal(status, 0, "exit status of the server (%s)" % self.process.output()[-800:])

    def stop(self):
        status = self.process.stop()
        crash = self.process.crash_text()
        check(not crash, "%s", crash)
        return status

    def ask(self, path, method="GET", **fields):
        connection = http.client.HTTPConnection("127.0.0.1" if self.host == "0.0.0.0" else self.host, self.port, timeout=15)
        try:
            connection.request(method, path, headers={k.replace("_", "-"): v for k, v in fields.items()})
            reply = connection.getresponse()
            return Answer(reply, reply.read())
        finally:
            connection.close()

    def json(self, path, **fields):
        answer = self.ask(path, **fields)
        equal(answer.status, 200, "status of %s (%s)" % (path, answer.body[:200]))
        return answer.json()

    def raw(self, data, seconds=15):
        """All that comes back for these bytes until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), seconds) as s:
            s.sendall(data)
            got = b""
            try:
                while more := s.recv(65536):
                    got += more
            except ConnectionResetError:
                pass
            return got

    @property
    def url(self):
        return "http://%s:%d" % (self.host, self.port)


class Gate:
    """The stack with the traffic that all cases look at; sent once."""

    def __init__(self, stack):
        self.stack, self.is_sent, self.ids = stack, False, {}

    def connect(self, client, host, client_ip="192.0.2.7", user="alice"):
        head = icap.request_head("CONNECT", host + ":443", ["SSTPVERSION: 1.0"], host=host)
        reply = client.reqmod(head, allow204=True, fields=("X-Client-IP: " + client_ip, "X-Client-Username: " + user))
        return reply.get("X-Sallyport-Id")

    def traffic(self):
        """3 SSTP, 2 malware, 5 clean replies, 4 clean requests, and the attacks."""
        if self.is_sent:
            return self
        self.is_sent = True
        with self.stack.client() as client:
            for i in range(3):
                self.ids["sstp"] = self.connect(client, "vpn.example.test", "192.0.2.%d" % (7 + i % 2))
            for i in range(2):
                head = icap.response_head(length=len(samples.eicar()))
                request = icap.request_head(url="http://files.example.test/bad?n=%d" % i)
                self.ids["eicar"] = client.respmod(head, samples.eicar(), request).get("X-Sallyport-Id")
            for i in range(5):
                body = samples.text(500, i)
                client.respmod(icap.response_head(length=len(body), content_type="text/plain"), body, icap.request_head(), allow204=True)
            for i in range(4):
                client.reqmod(icap.request_head(url="http://www.example.test/page/%d" % i), allow204=True)
            self.ids["nasty"] = self.connect(client, NASTY.replace(" ", "%20") + ".example.test", "192.0.2.66", NASTY.replace(" ", "_"))
        self.expected = {"blocked": 6, "rule": 4, "infected": 2, "clean": 5}
        await_true(lambda: len(self.stack.log_lines()) >= 15, 10, "the decisions in the log")
        return self

    def server(self, *options, **how):
        self.traffic()
        return Server(self.stack, *options, **how)

    def token_file(self, text=TOKEN + "\n", mode=0o640):
        path = self.stack.dir.write("token", text)
        os.chmod(path, mode)
        return path


# --- what each address answers --------------------------------------------------------------------------------------------

def once(gate):
    gate.traffic()
    done = gate.stack.cli("metrics", "-c", gate.stack.conf_path)
    equal(done.returncode, 0, "exit status (%s)" % done.stderr)
    check(re.search(r"^# TYPE sallyport_\w+ counter$", done.stdout, re.M), "no counters in %s", done.stdout[:300])


def metrics(gate):
    with gate.server() as server:
        answer = server.ask("/metrics")
        equal(answer.status, 200, "status")
        check(answer.fields["content-type"].startswith("text/plain; version=0.0.4"), "Content-Type %s", answer.fields)
        check(b"sallyport_scanner_up 1" in answer.body, "no sallyport_scanner_up 1 in %s", answer.body[:500])


def status(gate):
    with gate.server() as server:
        got = server.json("/api/status")
        equal((got["scanner"]["answering"], got["scanner"]["state"], got["serving"]), (True, "serving", True), "the scanner")
        for name, n in gate.expected.items():
            equal(got["gate"]["totals"][name], n, "total of " + name)
        equal(got["scanner"]["signatures"], 1, "signatures")
        equal([p["what"] for p in got["problems"] if p["level"] == "bad"], [], "problems")
        equal(got["level"], "warn", "level with nothing but the built-in signature")
        equal(got["log"]["held"], len(gate.stack.log_lines()), "decisions held")


def series(gate):
    """The log tells of the time before the server, the counters of the time since."""
    with gate.server() as server:
        got = server.json("/api/series?range=hour")
        index = got["columns"].index
        equal(got["step"], 5, "step")
        check(len(got["rows"]) <= 720, "%d rows", len(got["rows"]))
        blocked = lambda rows: sum(row[index("blocked")] or 0 for row in rows)
        await_true(lambda: blocked(server.json("/api/series")["rows"]) == 6, 12, "all six refusals in complete steps")
        with gate.stack.client() as client:
            gate.connect(client, "late.example.test")
        gate.expected["blocked"] += 1
        gate.expected["rule"] += 1
        await_true(lambda: blocked(server.json("/api/series")["rows"]) == 7, 15, "the seventh refusal")
        rows = server.json("/api/series")["rows"]
        check(any(row[index("requests")] for row in rows), "no requests counted live")
        newest = server.json("/api/series")
        since = newest["start"] + 5 * (len(newest["rows"]) - 3)
        check(len(server.json("/api/series?since=%d" % since)["rows"]) <= 4, "since does not cut")
        equal(server.json("/api/series?range=day")["step"], 60, "step of a day")


def decisions(gate):
    with gate.server() as server:
        found = lambda query: server.json("/api/decisions?" + query)["decisions"]
        lines = gate.stack.log_lines()
        got = found("limit=500")
        equal([d.get("id") for d in got], [row["id"] for row in reversed(lines)], "ids, the newest first")
        for mine, row in zip(got, reversed(lines)):
            for key in ("client", "user", "url", "outcome", "action", "rule", "signature", "reason", "bytes"):
                equal(mine.get(key), row.get(key), key)
        equal({d["outcome"] for d in found("outcome=infected")}, {"infected"}, "outcome")
        equal(len(found("outcome=infected")), 2, "infected")
        equal(len(found("action=block")), gate.expected["blocked"], "blocked")
        equal({d["host"] for d in found("host=FILES.example")}, {"files.example.test"}, "host")
        equal(len(found("client=192.0.2.8")), 1, "client")
        equal({d["rule"] for d in found("rule=sstp-a")}, {"sstp-a-version"}, "rule")
        equal(len(found("rule=vpn")), gate.expected["rule"], "category")
        equal({d["signature"] for d in found("q=eicar")} != set(), True, "search")
        equal(len(found("q=bad%3Fn%3D1")), 1, "search in addresses")
        equal(found("outcome=infected&host=vpn"), [], "both")
        check("clean" not in {d["outcome"] for d in found("outcome=notable")}, "clean is notable")
        page, seen = server.json("/api/decisions?limit=4"), []
        while True:
            seen += [d["number"] for d in page["decisions"]]
            if not page.get("before"):
                break
            page = server.json("/api/decisions?limit=4&before=%d" % page["before"])
        equal(seen, [d["number"] for d in got], "page by page")


def decision(gate):
    with gate.server() as server:
        (one,) = server.json("/api/decision/" + gate.ids["eicar"])["decisions"]
        equal((one["outcome"], one["host"], one["action"]), ("infected", "files.example.test", "block"), "the decision")
        equal(server.ask("/api/decision/nobody-has-this").status, 404, "an id that is not there")
        for path in ("", "%22", "a%00b", "a%20b", "x" * 65, "..%2f..%2fetc%2fpasswd"):
            check(server.ask("/api/decision/" + path).status in (400, 404), "status of %s", path)


def top(gate):
    with gate.server() as server:
        got = server.json("/api/top?minutes=60")
        equal(got["rules"][0], {"name": "sstp-a-version", "n": gate.expected["rule"]}, "rules")
        equal(got["hosts"][0], {"name": "vpn.example.test", "n": 3}, "hosts")
        equal({c["name"]: c["n"] for c in got["clients"]}["192.0.2.8"], 1, "clients")
        equal(sum(s["n"] for s in got["signatures"]), 2, "signatures")
        equal(server.json("/api/top?minutes=1440")["rules"], got["rules"], "a day")


def healthz(gate):
    """Says what a load balancer needs to know, also of a scanner that dies."""
    with gate.server() as server:
        equal(server.ask("/healthz").status, 200, "while all is well")
        gate.stack.stop_scand()
        try:
            await_true(lambda: server.ask("/healthz").status == 503, 15, "503 without a scanner")
            got = server.json("/api/status")
            equal((got["level"], got["serving"]), ("bad", False), "level without a scanner")
        finally:
            gate.stack.start_scand()
        await_true(lambda: server.ask("/healthz").status == 200, 15, "200 again")


def before_traffic(gate):
    """Nothing has ever run here: the server starts and says so."""
    conf = gate.stack.dir.join("other.conf")
    empty = gate.stack.dir.mkdir("empty")
    text = open(gate.stack.conf_path, encoding="utf-8").read()
    text = text.replace(gate.stack.dir.join("run"), empty).replace(gate.stack.log_path, os.path.join(empty, "no.log"))
    gate.stack.dir.write("other.conf", text)
    with gate.server(conf=conf) as server:
        got = server.json("/api/status")
        equal((got["level"], got["scanner"], got["gate"]), ("bad", None, None), "status")
        equal(server.json("/api/decisions")["decisions"], [], "decisions")
        for path in ("/api/series", "/api/top", "/metrics", "/"):
            equal(server.ask(path).status, 200, path)
        equal(server.ask("/healthz").status, 503, "/healthz")


def rotation(gate):
    """A log that is renamed, cut, torn and full of rubbish is followed all the same."""
    conf, log = gate.stack.dir.join("rotate.conf"), gate.stack.dir.write("rotate.log", "")
    text = open(gate.stack.conf_path, encoding="utf-8").read()
    gate.stack.dir.write("rotate.conf", text.replace(gate.stack.log_path, log))
    line = lambda name: json.dumps({"time": "2026-11-22T10:00:00.000000Z", "id": name, "outcome": "rule", "action": "block"}) + "\n"

    def append(text):
        with open(log, "a", encoding="utf-8", errors="surrogateescape") as f:
            f.write(text)

    with gate.server(conf=conf) as server:
        ids = lambda: [d["id"] for d in reversed(server.json("/api/decisions")["decisions"])]
        append(line("one") + "no JSON\n" + "\udcff\udcfe\n" + "{\n" + "[" * 3000 + "\n" + "x" * 300000 + "\n" + line("two") + line("three")[:20])
        await_true(lambda: ids() == ["one", "two"], 10, "two decisions")
        append(line("three")[20:])
        await_true(lambda: ids() == ["one", "two", "three"], 10, "the rest of a torn line")
        os.rename(log, log + ".1")
        with open(log + ".1", "a", encoding="utf-8") as f:
            f.write(line("late"))
        append(line("four"))
        await_true(lambda: ids() == ["one", "two", "three", "late", "four"], 10, "both files")
        os.truncate(log, 0)
        append(line("5"))  # a cut that is filled again at once to the same length could not be seen
        await_true(lambda: ids()[-1] == "5", 10, "what came after the cut")
        os.unlink(log)
        time.sleep(1.2)
        equal(len(ids()), 6, "decisions while there is no file")
        append(line("six"))
        await_true(lambda: ids()[-1] == "six", 10, "a new file")


# --- who may ask -------------------------------------------------------------------------------------------------------------

def refused_start(gate, *args, why):
    done = subprocess.run([gate.stack.cli_path, "metrics", "-c", gate.stack.conf_path] + list(args), capture_output=True, text=True,
                          timeout=15, env=stacks.sanitizer_env(False))
    equal(done.returncode, 2, "exit status of %s" % (args,))
    check(why in done.stderr, "%s: %s", args, done.stderr)


def no_start(gate):
    port = stacks.free_port()
    for address in ("0.0.0.0:%d", "[::]:%d", "192.0.2.1:%d", "[2001:db8::1]:%d"):
        refused_start(gate, "--listen", address % port, why="--token-file")
    for address in ("", "x", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:99999999999999999999", "example.org:80",
                    "::1:80", "[::1", "[127.0.0.1]:80", ":9301", "127.0.0.1:80x", "1" * 5000):
        refused_start(gate, "--listen", address, why="ADDRESS:PORT")
    every = ["--listen", "127.0.0.1:%d" % port, "--token-file"]
    refused_start(gate, *every, gate.stack.dir.join("missing"), why="No such file")
    refused_start(gate, *every, gate.token_file(mode=0o644), why="chmod")
    refused_start(gate, *every, gate.token_file("short\n"), why="16")
    refused_start(gate, *every, gate.token_file("\n" + TOKEN), why="16")
    refused_start(gate, *every, gate.token_file("x" * 300), why="256")
    refused_start(gate, *every, gate.token_file("with blank in the middle"), why="ASCII")
    refused_start(gate, "--token-file", gate.token_file(), why="--listen")
    with gate.server() as server:
        refused_start(gate, "--listen", "127.0.0.1:%d" % server.port, why="cannot listen")


CLOSED = ("/", "/metrics", "/api/status", "/api/series", "/api/decisions", "/api/decision/x", "/api/top", "/nothing", "/etc/passwd")
OPEN = ("/healthz", "/login", "/login.js", "/dashboard.js", "/dashboard.css", "/charts.js", "/icon.svg")


def token(gate):
    with gate.server("--token-file", gate.token_file(), host="0.0.0.0") as server:
        for path in CLOSED:
            for fields in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer " + TOKEN + "x"}, {"Authorization": "Bearer " + TOKEN[:-1]},
                           {"Authorization": "Basic " + TOKEN}, {"Authorization": TOKEN}, {"Cookie": "sallyport=" + TOKEN}, {"Cookie": "sallyport="},
                           {"Cookie": "sallyport=" + "0" * 64}, {"Cookie": "xsallyport=" + "0" * 64}):
                answer = server.ask(path, **fields)
                equal(answer.status, 401, "%s with %s" % (path, fields))
                check("WWW-Authenticate" in str(answer.fields).replace("www-authenticate", "WWW-Authenticate"), "no WWW-Authenticate")
                check(b"vpn.example" not in answer.body and b"sstp" not in answer.body, "%s tells strangers: %s", path, answer.body[:300])
                check("set-cookie" not in answer.fields, "a cookie for a stranger")
        for path in OPEN:
            equal(server.ask(path).status, 200, path)
        equal(server.ask("/metrics", Authorization="Bearer " + TOKEN).status, 200, "with the token")
        equal(server.ask("/metrics", Authorization="bearer  " + TOKEN).status, 200, "with the token, scheme in another case")
        equal(server.ask("/api/status", Authorization="Bearer " + TOKEN, Host="proxy.example").status, 200, "by another name")


def cookie(gate):
    with gate.server("--token-file", gate.token_file()) as server:
        equal(server.ask("/login", Authorization="Bearer wrong-wrong-wrong-wrong").status, 401, "a wrong token")
        said = server.ask("/login", Authorization="Bearer " + TOKEN)
        equal(said.status, 204, "the token")
        by_address = server.ask("/?token=" + TOKEN)
        equal((by_address.status, by_address.fields["location"]), (303, "/"), "?token=")
        equal(server.ask("/?token=" + TOKEN[:-1] + "x").status, 401, "?token= that is wrong")
        equal(server.ask("/api/status?token=" + TOKEN).status, 401, "?token= elsewhere")
        for answer in (said, by_address):
            field = answer.fields["set-cookie"]
            for part in ("HttpOnly", "SameSite=Strict", "Path=/"):
                check(part in field, "%s lacks %s", field, part)
            check(TOKEN not in field, "the cookie holds the token")
            mine = field.split(";")[0]
            equal(server.ask("/api/status", Cookie="a=b; " + mine + "; c=d").status, 200, "with the cookie")
            equal(server.ask("/api/status", Cookie=mine[:-1]).status, 401, "with a part of the cookie")
            equal(server.ask("/", Cookie=mine).status, 200, "the page")
        equal(server.ask("/?token=" + TOKEN, Cookie=mine).status, 303, "?token= again")
    with gate.server("--token-file", gate.token_file()) as server:
        equal(server.ask("/api/status", Cookie=mine).status, 200, "after a restart")
    with gate.server("--token-file", gate.token_file("another-token-altogether\n")) as server:
        equal(server.ask("/api/status", Cookie=mine).status, 401, "after another token")


def rebinding(gate):
    with gate.server() as server:
        for host in ("evil.example", "127.0.0.1.evil.example", "evil.example:%d" % server.port, "localhost.evil.example", "[::2]", "128.0.0.1",
                     "127.0.0.1:80:80", "localhost:x", "127.1", "2130706433", "@127.0.0.1", "127.0.0.1@evil", "[::1", "::1", "\tevil"):
            equal(server.ask("/api/status", Host=host).status, 421, "Host: " + host)
            equal(server.ask("/", Host=host).status, 421, "the page with Host: " + host)
        for host in ("127.0.0.1", "127.0.0.1:1", "localhost:%d" % server.port, "LOCALHOST", "[::1]:80", "127.9.9.9"):
            equal(server.ask("/api/status", Host=host).status, 200, "Host: " + host)
        equal(server.ask("/api/status", Sec_Fetch_Site="cross-site").status, 403, "another site's page")
        equal(server.ask("/api/status", Sec_Fetch_Site="same-site").status, 403, "a neighbour's page")
        equal(server.ask("/api/status", Sec_Fetch_Site="same-origin").status, 200, "our page")
        equal(server.ask("/", Sec_Fetch_Site="cross-site").status, 200, "a link to the page")


def ipv6(gate):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        print("skipped web ipv6: there is no ::1 here", flush=True)
        return
    with gate.server(host="::1") as server:
        equal(server.ask("/healthz").status, 200, "/healthz")


# --- bounds --------------------------------------------------------------------------------------------------------------------

def fields(gate):
    with gate.server() as server:
        for path in ("/", "/api/status", "/nothing", "/healthz", "/login.js", "/metrics"):
            got = server.ask(path).fields
            check("default-src 'none'" in got["content-security-policy"] and "unsafe" not in got["content-security-policy"], "%s: %s", path, got)
            check("frame-ancestors 'none'" in got["content-security-policy"], "%s can be framed", path)
            for name, value in (("x-content-type-options", "nosniff"), ("x-frame-options", "DENY"), ("cache-control", "no-store"),
                                ("referrer-policy", "no-referrer"), ("cross-origin-resource-policy", "same-origin")):
                equal(got[name], value, "%s of %s" % (name, path))
            check("access-control-allow-origin" not in got, "%s: for every site", path)
        page = server.ask("/").body.decode()
        check("http://" not in page.replace("http://www.w3.org", "") and "https://" not in page, "the page has external resources")


def methods(gate):
    with gate.server() as server:
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "get", "X" * 300):
            answer = server.raw(b"%s /api/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % method.encode())
            check(b" 405 " in answer.split(b"\r\n")[0] and b"Allow: GET, HEAD" in answer, "%s: %s", method, answer[:200])
        head = server.ask("/api/status", method="HEAD")
        equal((head.status, head.body), (200, b""), "HEAD")
        check(int(head.fields["content-length"]) > 100, "HEAD without a length")
        for body in (b"Content-Length: 5\r\n\r\nhello", b"Content-Length: 99999999999\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"):
            answer = server.raw(b"GET /api/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + body)
            check(b" 413 " in answer.split(b"\r\n")[0], "a body: %s", answer[:200])
        equal(server.ask("/healthz").status, 200, "afterwards")


def paths(gate):
    with gate.server() as server:
        for path in ("/../etc/passwd", "/..%2f..%2fetc%2fpasswd", "//etc/passwd", "/dashboard.css/../../x", "/%2e%2e/%2e%2e/etc/passwd", "/api", "/api/",
                     "/api/statusx", "/API/STATUS", "/dashboard.html", "/.git/config", "/%00", "/\x7f", "/api/status/", "/metrics/x"):
            answer = server.raw(b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % path.encode())
            check(answer[9:12] in (b"404", b"400") or path == "/%00", "%s: %s", path, answer[:100])
            check(b"root:" not in answer, "%s reads files", path)
        for query in ("limit=0", "limit=501", "limit=-1", "limit=x", "limit=1&limit=2", "outcome=x", "action=none", "nobody=1", "before=x", "before=" + "9" * 30,
                      "q=" + "x" * 257, "host=%s" % ("x" * 257), "limit=1e3", "&".join("q%d=1" % i for i in range(20))):
            check(server.ask("/api/decisions?" + query).status in (400, 414), "decisions?%s", query[:50])
        for query in ("range=week", "since=x", "range=hour&x=1", "since=" + "9" * 19):
            equal(server.ask("/api/series?" + query).status, 400, "series?" + query)
        for query in ("minutes=0", "minutes=1441", "minutes=x", "minutes=1&minutes=2", "x=1"):
            equal(server.ask("/api/top?" + query).status, 400, "top?" + query)
        for query in ("q=", "q=%00", "q=%ff%fe", "q=%22%7d", "outcome=", "before=0", "q=" + "%41" * 256):
            check(server.ask("/api/decisions?" + query).status == 200, "decisions?%s", query)
        check(server.ask("/?" + "x" * 3000).status == 414, "a long address")
        check(server.ask("/" + "x" * 60000).status in (414, 431, 400), "a very long address")
        check(server.ask("/", X="y" * 60000).status in (431, 413), "a long field")
        check(server.ask("/", **{"X%d" % i: "y" * 100 for i in range(300)}).status in (431, 413), "many fields")


def garbage(gate):
    with gate.server() as server:
        for data in (b"\r\n\r\n", b"\x00" * 1000 + b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
                     b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n", b"GET / HTTP/1.1\r\n: x\r\n\r\n", samples.noise(5000) + b"\r\n\r\n",
                     b"GET /api/decisions?" + b"&" * 1500 + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                     b"GET /?" + b"%" * 1000 + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"):
            with contextlib.suppress(TimeoutError):
                server.raw(data, seconds=0.3)
        equal(server.ask("/healthz").status, 200, "afterwards")


def slow_clients(gate):
    """Those who hold connections without asking keep nobody else out for long, and end at last however they stretch it."""
    with gate.server(name="metrics-slow") as server:
        began = time.monotonic()
        held = [socket.create_connection(("127.0.0.1", server.port), 5) for _ in range(50)]
        for s in held:
            s.sendall(b"GET /api/status HTTP/1.1\r\nHost: localhost\r\n")
        for _ in range(3):
            equal(server.ask("/healthz").status, 200, "while 50 hang")
        more = []
        for _ in range(150):  # over the limit: some are closed at once
            with contextlib.suppress(OSError):
                more.append(socket.create_connection(("127.0.0.1", server.port), 5))
        for s in more:
            s.close()
        await_true(lambda: server.ask_quietly("/healthz"), 20, "an answer after the flood")
        dripping = held[0]
        dripping.settimeout(0.05)

        def is_ended():
            """A byte now and then keeps it from being idle."""
            try:
                dripping.sendall(b"X")
                return dripping.recv(1) == b""
            except TimeoutError:
                return False
            except OSError:
                return True

        await_true(is_ended, 45, "the end of a request that is sent byte by byte", pause=0.5)
        check(time.monotonic() - began > 10, "it ended at once")
        for s in held:
            s.close()


def ask_quietly(self, path):
    try:
        return self.ask(path).status == 200
    except (OSError, http.client.HTTPException):
        return False


Server.ask_quietly = ask_quietly


def unprivileged(gate):
    """Also when it is started as root, it becomes the owner of run_dir."""
    if os.geteuid() != 0:
        print("skipped web unprivileged: not root", flush=True)
        return
    gate.traffic()
    port, stack = stacks.free_port(), gate.stack
    process = proc.Process("metrics-root", [stack.cli_path, "metrics", "-c", stack.conf_path, "--listen", "127.0.0.1:%d" % port, "--token-file",
                                            gate.token_file(mode=0o600)], stack.dir.path, env=stacks.sanitizer_env(False))
    try:
        await_true(lambda: stacks.accepts(port), 15, "the server to listen")
        rows = dict(line.split(":\t", 1) for line in open("/proc/%d/status" % process.pid, encoding="utf-8").read().splitlines() if ":\t" in line)
        equal(set(rows["Uid"].split()), {str(stack.dir.user[0])}, "Uid")
        equal(set(rows["Gid"].split()), {str(stack.dir.user[1])}, "Gid")
        equal((rows["CapEff"].strip("0"), rows["NoNewPrivs"], rows["Groups"].strip()), ("", "1", ""), "what it could do")
    finally:
        equal(process.stop(), 0, "exit status")


def graceful(gate):
    """Ends at once, also with idle connections, and twice the same with Ctrl-C."""
    for number in (15, 2):
        with gate.server() as server:
            idle = socket.create_connection(("127.0.0.1", server.port), 5)
            equal(server.ask("/").status, 200, "the page")
            began = time.monotonic()
            os.kill(server.process.pid, number)
            equal(server.process.wait(10), 0, "exit status")
            check(time.monotonic() - began < 5, "it took %.1f s", time.monotonic() - began)
            idle.close()


def bounded_memory(gate):
    """A log of a million long lines is not loaded, and answers stay small."""
    conf, log = gate.stack.dir.join("large.conf"), gate.stack.dir.join("large.log")
    text = open(gate.stack.conf_path, encoding="utf-8").read()
    gate.stack.dir.write("large.conf", text.replace(gate.stack.log_path, log))
    row = {"time": "2026-11-22T10:00:00.000000Z", "id": "", "client": "10.0.0.1", "url": "http://%s.example/" + "\x01" * 8000, "outcome": "rule", "action": "block"}
    with open(log, "w", encoding="utf-8") as f:
        f.write(json.dumps(dict(row, id="the-first-of-all", url="http://a.example/")) + "\n")
        for i in range(1200):
            f.write(json.dumps(dict(row, id="%08d" % i, url=row["url"] % i)) + "\n")
    gate.stack.dir.own(log)
    check(os.path.getsize(log) > 50e6, "the log is too small for this")
    with gate.server(conf=conf) as server:
        body = server.ask("/api/decisions?limit=500").body
        check(len(body) < 3e6, "%d bytes", len(body))
        json.loads(body)
        equal(server.json("/api/decision/the-first-of-all")["decisions"][0]["host"], "a.example", "found in the file")
        equal(len(server.json("/api/decision/00001199")["decisions"][0]["url"]), 8000 + len("http://1199.example/"), "an address in full")
        rss = next(int(r.split()[1]) for r in open("/proc/%d/status" % server.process.pid, encoding="utf-8") if r.startswith("VmRSS"))
        check(rss < 100e3 or os.environ.get("SAN"), "%d kB resident", rss)
    os.unlink(log)


CASES = [(f.__name__.replace("_", " "), f) for f in (
    once, metrics, status, series, decisions, decision, top, healthz, before_traffic, rotation, no_start, token, cookie, rebinding, ipv6, fields,
    methods, paths, garbage, unprivileged, graceful, bounded_memory)]
