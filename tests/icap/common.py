"""What every case of this suite expects of a reply."""

import html
import json
import re
import threading

from icap import head_fields, without_via
from report import await_true, check, equal

CLIENT_FIELDS = ("X-Client-IP: 192.0.2.7", "X-Client-Username: alice")
ID = re.compile(r"[0-9A-Za-z._-]{8,31}")


class Load:
    """Clients on kept connections, each in a thread, until the end of the block or the first fault. What they do is transact(); what
    goes wrong in it is in faults, and self.seconds has how long each took."""

    CONNECTIONS = 8

    def __init__(self, stack, timeout):
        self.stack, self.timeout = stack, timeout
        self.stop, self.faults, self.seconds = threading.Event(), [], []
        self.threads = [threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(self.CONNECTIONS)]

    def transact(self, client, connection, n):
        """The n-th of this connection; returns the reply, which has been checked, or None if the client is to end."""
        raise NotImplementedError

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, kind, value, trace):
        self.stop.set()
        self.join()

    def join(self):
        for t in self.threads:
            t.join(self.timeout)

    def _run(self, connection):
        n = 0
        try:
            with self.stack.client(timeout=self.timeout) as client:
                while not self.stop.is_set() and not self.faults:
                    n += 1
                    reply = self.transact(client, connection, n)
                    if reply is None:
                        return
                    self.seconds.append(reply.seconds)
        except Exception as fault:
            self.faults.append("%s: %s" % (type(fault).__name__, fault))

    def await_more(self, n):
        want = len(self.seconds) + n
        await_true(lambda: self.faults or len(self.seconds) >= want, 120, "%d more transactions" % n)
        equal(self.faults, [], "transactions that failed")


def expect_clean(reply, head, body, may_204):
    """The object as it came: 204 where that is allowed, else the same head and the same bytes."""
    if reply.status == 204:
        check(may_204, "204 where only 200 is allowed")
        return
    equal(reply.status, 200, "ICAP status")
    equal(reply.get("X-Block-Reason"), None, "X-Block-Reason of a clean object")
    equal(without_via(reply.head), head, "head of a clean object")
    if body is None:
        equal(reply.body, None, "body where there was none")
    else:
        expect_same(reply.body, body)


def expect_same(got, want):
    if got == want:
        return
    check(got is not None, "no body, want %d bytes", len(want))
    at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
    check(False, "body differs at byte %d (got %d bytes, want %d)", at, len(got), len(want))


def expect_block(reply, outcome, rule=None, page="html"):
    """A refusal: ICAP 200 with an HTTP 403 page inside, and the headers that say why. Returns the transaction's id."""
    equal(reply.status, 200, "ICAP status of a refusal")
    equal(reply.http_status, 403, "HTTP status of the page")
    ident = reply.get("X-Sallyport-Id")
    check(ident and ID.fullmatch(ident), "X-Sallyport-Id is %r", ident)
    reason = reply.get("X-Block-Reason")
    check(reason and re.match(r"%s\b" % re.escape(outcome), reason), "X-Block-Reason is %r, want outcome %s", reason, outcome)
    if rule:
        check(re.search(r"(?<![\w-])%s(?![\w-])" % re.escape(rule), reason), "X-Block-Reason is %r, want rule %s", reason, rule)
    check("no-store" in (reply.http_get("Cache-Control") or ""), "the page may be cached: %r", head_fields(reply.head))
    expect_page(reply, ident, outcome, page)
    expect_infection_fields(reply, outcome == "infected")
    return ident


def expect_page(reply, ident, outcome, page):
    check(reply.body, "the page is empty")
    kind = reply.http_get("Content-Type") or ""
    if page == "json":
        check(kind.startswith("application/json"), "Content-Type of the page: %r", kind)
        check(ident in json.dumps(json.loads(reply.body)), "the JSON has no id: %r", reply.body[:300])
        check(outcome in reply.body.decode(), "the JSON has no outcome: %r", reply.body[:300])
        return
    check(kind.lower().replace(" ", "") == "text/html;charset=utf-8", "Content-Type of the page: %r", kind)
    text = reply.body.decode("utf-8")
    check("<html" in text.lower() and "</html>" in text.lower(), "the page is no HTML: %r", text[:200])
    check(ident in html.unescape(text), "the page does not show the id %s", ident)
    check("{{" not in text, "the page has a variable left: %r", text[max(0, text.find("{{")):][:40])


def expect_infection_fields(reply, is_infected):
    """De facto headers: X-Infection-Found, X-Virus-ID, and X-Violations-Found: a count, then four folded lines each."""
    found, violations, virus = (reply.get(n) for n in ("X-Infection-Found", "X-Violations-Found", "X-Virus-ID"))
    if not is_infected:
        equal((found, violations, virus), (None, None, None), "infection headers of another outcome")
        return
    match = re.fullmatch(r"Type=0; Resolution=2; Threat=([^;\s]+);", found or "")
    check(match, "X-Infection-Found is %r", found)
    equal(virus, match.group(1), "X-Virus-ID")
    lines = [line.strip() for line in (violations or "").split("\r\n")]
    check(len(lines) == 5 and lines[0] == "1" and lines[2] == match.group(1), "X-Violations-Found is %r", violations)
    check(lines[3].isdigit() and lines[4].isdigit(), "X-Violations-Found is %r", violations)


def is_eicar(name):
    return bool(name) and "eicar" in name.lower()


def expect_log(stack, ident, **want):
    """The decision log has exactly one line of that id, and it says what is wanted. Returns it."""
    row = stack.await_log(id=ident)
    for key, value in want.items():
        got = row.get(key)
        check(value(got) if callable(value) else got == value, "log line of %s: %s is %r, want %r in %r", ident, key, got, value, row)
    rows = [r for r in stack.log_lines() if r.get("id") == ident]
    equal(len(rows), 1, "log lines with the id %s" % ident)
    return row
