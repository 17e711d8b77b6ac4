"""Sends the rows of the table and looks at the reply and at the decision log."""

import itertools
import json
import os
import shutil
import tempfile
import threading
import urllib.parse

import icap
import samples
import table
from report import Failure, await_true, check, equal

OPTIONS = {"max_object_size": table.MAX_OBJECT, "scan.workers": 2}
THREADS = 4
TEST_FILE = "/usr/share/clamav-testfiles/clam.exe"
BLOCKS = {"infected", "limit", "undecodable", "error", "overload"}  # by default
TWO_WAYS = [{}, {"preview": 1024, "allow204": True}]
# What a row is tried in besides: one of these, another for each row.
WAYS = [{"preview": 0, "allow204": True}, {"allow204": True}, {"preview": 30}, {"preview": 4096, "allow204": True}, {"preview": 1}]


def _test_file():
    with open(TEST_FILE, "rb") as f:
        return f.read()


def payloads():
    """name -> (is infected, bytes). The harmless twin of each differs in a few bytes."""
    eicar, clam = samples.eicar(), _test_file()
    return {
        "eicar": (True, eicar), "clam": (True, clam),
        "eicar-clean": (False, eicar.replace(b"STANDARD", b"STANDART")), "clam-clean": (False, clam.replace(b"[CLAMAV]", b"[NOBODY]")),
    }


class Database:
    """A directory with a signature of the whole ClamAV test file. EICAR is built in."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="sallyport-matrix-db.")
        os.chmod(self.path, 0o755)
        with open(os.path.join(self.path, "test.ndb"), "w") as f:
            f.write("Sallyport.Test.Clam:0:0:%s\n" % _test_file().hex())
        return self

    def __exit__(self, kind, value, trace):
        shutil.rmtree(self.path, ignore_errors=True)


class LogReader:
    """The decision log by URL, read as it grows."""

    def __init__(self, path):
        self.path, self.offset, self.rows, self.lock = path, 0, {}, threading.Lock()

    def _read_on(self):
        try:
            with open(self.path, "rb") as f:
                f.seek(self.offset)
                data = f.read()
        except FileNotFoundError:
            return
        data = data[:data.rfind(b"\n") + 1]
        self.offset += len(data)
        for line in data.splitlines():
            row = json.loads(line)
            self.rows.setdefault(row.get("url"), []).append(row)

    def find(self, url):
        with self.lock:
            if url not in self.rows:
                self._read_on()
            return self.rows.get(url)


class Driver:
    """Connections, one for each thread, that stay open from row to row."""

    def __init__(self, stack, mode):
        self.stack, self.mode = stack, mode
        self.log = LogReader(stack.log_path)
        self.local = threading.local()
        self.clients = []

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for client in self.clients:
            client.close()

    def client(self):
        if not hasattr(self.local, "client"):
            self.local.client = self.stack.client(timeout=30)
            self.clients.append(self.local.client)
        return self.local.client

    def send(self, message, direction, url, how):
        body, how = message.body, dict(how)
        if message.cut:
            ends = [0] + list(message.cut) + [len(body)]
            body = [message.body[a:b] for a, b in itertools.pairwise(ends) if a < b]
            how.pop("preview", None)
        if body is None and how.get("preview"):
            how["preview"] = 0
        length = message.length
        if length is True:
            length = len(message.body)
        elif length is False:
            length = None
        fields = message.fields
        if direction == "REQMOD":
            if message.content_type is not None:
                fields = ["Content-Type: " + message.content_type] + fields
            head = icap.request_head(message.method or "POST", url, fields, length)
            return head, self.client().reqmod(head, body, **how)
        head = icap.response_head(message.status, fields, length, message.content_type)
        return head, self.client().respmod(head, body, icap.request_head(message.method or "GET", url), **how)

    def judge(self, message, payload, head, reply, row, expected, how):
        """expected: set of outcomes."""
        outcome, action = row["outcome"], row["action"]
        check(outcome in expected, "outcome %s (%s), want %s", outcome, row.get("reason"), " or ".join(sorted(expected)))
        equal(action, self.action(outcome), "action of %s" % outcome)
        if action == "block":
            equal((reply.status, reply.http_status), (200, 403), "ICAP and HTTP status of a refusal")
            reason = reply.get("X-Block-Reason") or ""
            check(reason.startswith(outcome), "X-Block-Reason is %r, want %s", reason, outcome)
            equal(bool(reply.get("X-Virus-ID")), outcome == "infected", "has X-Virus-ID")
            check(payload not in (reply.body or b""), "the page holds the payload")
            return
        if reply.status == 204:
            check(how.get("allow204") or "preview" in how or message.body is None, "204 where only 200 is allowed")
            return
        equal(reply.status, 200, "ICAP status")
        equal(icap.without_via(reply.head), head, "head")
        if message.body is None:
            equal(reply.body, None, "body")
        elif reply.body != message.body:
            got = reply.body or b""
            at = next((i for i, (a, b) in enumerate(zip(got, message.body)) if a != b), min(len(got), len(message.body)))
            raise Failure("the body differs at byte %d (%d bytes came, %d were sent)" % (at, len(got), len(message.body)))

    def action(self, outcome):
        if self.mode == "passing" and outcome in ("undecodable", "limit"):
            return "report"
        if self.mode == "refusing" and outcome in ("oversize", "encrypted", "partial", "stream"):
            return "block"
        return "block" if outcome in BLOCKS else "allow"


def case(driver, row, number, payload_name, direction):
    is_infected, payload = payloads()[payload_name]
    message = row.wrapper(payload)
    expected = row.lenient if driver.mode == "passing" and is_infected else row.expected[is_infected]
    for i, how in enumerate(message.how or TWO_WAYS + [WAYS[number % len(WAYS)]]):
        url = "http://matrix.example.test/%s/%s/%s/%d" % (urllib.parse.quote(row.name, safe=""), payload_name, direction, i)
        try:
            head, reply = driver.send(message, direction, url, how)
            found = await_true(lambda url=url: driver.log.find(url), 5, "its line in the decision log")
            equal(len(found), 1, "lines in the decision log")
            driver.judge(message, payload, head, reply, found[0], set(expected.split("|")), how)
        except (Failure, icap.ProtocolError) as fault:
            raise Failure("%s: %s" % (how, fault)) from fault


def is_of_interest(row, mode):
    """Rows that are the same in another mode are driven once."""
    outcomes = {o for text in row.expected.values() for o in text.split("|")}
    if mode == "passing":
        return bool(outcomes & {"undecodable", "limit"})
    if mode == "refusing":
        return bool(outcomes & {"oversize", "encrypted", "partial", "stream"})
    return True


def cases(driver, mode):
    made = []
    for number, row in enumerate(table.ROWS):
        if not is_of_interest(row, mode):
            continue
        for direction in row.directions:
            for name in row.payloads:
                for payload_name in (name, name + "-clean"):
                    label = "matrix %s %s %s%s" % (row.name, payload_name, direction, "" if mode == "default" else ", %s" % mode)
                    made.append((label, case, driver, row, number, payload_name, direction))
    return made
