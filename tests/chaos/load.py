"""Traffic while things break: bodies of many kinds on a few connections at once, every answer checked. An answer is right, or
refused (no verdict was to be had: an outcome that a case may allow), or lost (the connection died), or wrong. Wrong is never
allowed: something infected passed, something clean was refused as infected or came back changed, a reply broke the protocol."""

import base64
import json
import random
import re
import select
import socket
import threading
import time

import codings
import icap
import samples
from report import await_true, check

CONNECTIONS = 8
MARKER = b"Sallyport chaos marker"
SIGNATURE = "Sallyport.Test.Chaos:0:*:" + MARKER.hex() + "\n"  # its finding shows that databases are in use, not only the built-in name
SSTP = icap.request_head("CONNECT", "vpn.example.test:443", ["SSTPVERSION: 1.0"], host="vpn.example.test:443")
NO_VERDICT = ("error", "overload", "limit")
BOUNDARY = "chaos-boundary-7"


class Kind:
    """make(number) returns (head, body); want is what the answer must be: clean or an outcome."""

    def __init__(self, name, want, make, is_request=False):
        self.name, self.want, self.make, self.is_request = name, want, make, is_request


def _reply(content_type, body_of, *fields):
    def make(number):
        body = body_of(number)
        return icap.response_head(fields=list(fields), length=len(body), content_type=content_type), body
    return make


def _post(content_type, body_of):
    def make(number):
        body = body_of(number)
        head = icap.request_head("POST", "http://up.example.test/form", ["Content-Type: " + content_type], len(body), "up.example.test")
        return head, body
    return make


def _unique(number, body):
    """Not seen before, so that no memory of verdicts answers."""
    return b"object %d\n" % number + body


def _multipart(payload):
    def make(number):
        rows = [b"--" + BOUNDARY.encode(), b'Content-Disposition: form-data; name="note"', b"", b"upload %d" % number,
                b"--" + BOUNDARY.encode(), b'Content-Disposition: form-data; name="file"; filename="a.bin"',
                b"Content-Type: application/octet-stream", b"", payload, b"--" + BOUNDARY.encode() + b"--", b""]
        return b"\r\n".join(rows)
    return make


def _json(payload):
    return lambda number: json.dumps({"number": number, "content": base64.b64encode(payload).decode()}).encode()


SMALL, PAGE, LARGE = samples.text(1000, 3), samples.text(35000, 4), samples.noise(300000, 5)
EICAR = samples.eicar()
FORM = "multipart/form-data; boundary=" + BOUNDARY

KINDS = [
    Kind("small text", "clean", _reply("text/plain", lambda n: _unique(n, SMALL))),
    Kind("page of 35 KB", "clean", _reply("text/html", lambda n: _unique(n, PAGE))),
    Kind("page of 35 KB, seen before", "clean", _reply("text/html", lambda n: PAGE)),
    Kind("gzip", "clean", _reply("text/html", lambda n: samples.gzip_(_unique(n, PAGE)), "Content-Encoding: gzip")),
    Kind("brotli", "clean", _reply("text/html", lambda n: codings.brotli(_unique(n, PAGE)), "Content-Encoding: br")),
    Kind("300 KB", "clean", _reply("application/octet-stream", lambda n: _unique(n, LARGE))),
    Kind("zip", "clean", _reply("application/zip", lambda n: samples.zipped([("%d.txt" % n, PAGE)], True))),
    Kind("EICAR", "infected", _reply("application/octet-stream", lambda n: EICAR)),
    Kind("EICAR in gzip", "infected", _reply("text/plain", lambda n: samples.gzip_(EICAR + b" " * (n % 40)), "Content-Encoding: gzip")),
    Kind("EICAR in zstd", "infected", _reply("text/plain", lambda n: codings.zstd(EICAR + b"\n" * (n % 40)), "Content-Encoding: zstd")),
    Kind("EICAR in zip", "infected", _reply("application/zip", lambda n: samples.zipped([("%d.txt" % n, SMALL), ("a.com", EICAR)], True))),
    Kind("EICAR in zip in brotli", "infected", _reply(
        "application/zip", lambda n: codings.brotli(samples.zipped([("%d" % n, SMALL), ("a.com", EICAR)])), "Content-Encoding: br")),
    Kind("EICAR behind 300 KB", "infected", _reply("application/zip", lambda n: samples.infected(300000 + n % 1000))),
    Kind("signature of the database", "infected", _reply("application/octet-stream", lambda n: _unique(n, MARKER))),
    Kind("upload", "clean", _post(FORM, _multipart(PAGE)), True),
    Kind("EICAR uploaded", "infected", _post(FORM, _multipart(EICAR)), True),
    Kind("EICAR in JSON", "infected", _post("application/json", _json(EICAR)), True),
    Kind("JSON", "clean", _post("application/json", _json(SMALL)), True),
    Kind("GET", "clean", lambda n: (icap.request_head("GET", "http://site.example.test/%d" % n, host="site.example.test"), None), True),
    Kind("SSTP", "rule", lambda n: (SSTP, None), True),
]


def judge(kind, head, body, reply, may_204):
    """None: right. Else the outcome that says that there was no verdict. Wrong answers are Failures."""
    reason = reply.get("X-Block-Reason")
    if reason is not None:
        outcome = re.match(r"[a-z]*", reason).group()
        check(reply.status == 200 and reply.http_status == 403 and reply.body, "%s: a refusal (%s) without its page", kind.name, reason)
        if outcome == kind.want:
            return None
        check(outcome in NO_VERDICT, "%s was refused: %s", kind.name, reason)
        return outcome
    check(kind.want == "clean", "%s passed", kind.name)
    if reply.status == 204:
        check(may_204, "%s: 204 where only 200 is allowed", kind.name)
        return None
    check(reply.status == 200 and icap.without_via(reply.head) == head, "%s: ICAP %d, head %r", kind.name, reply.status, reply.head)
    check(reply.body == body, "%s came back changed: %s bytes of %s", kind.name, reply.body and len(reply.body), body and len(body))
    return None


class Phase:
    def __init__(self, name):
        self.name, self.began, self.ended = name, time.monotonic(), None
        self.times, self.refused, self.lost = [], [], []

    @property
    def failed(self):
        return len(self.refused) + len(self.lost)

    def percentile(self, share):
        times = sorted(self.times)
        return 1000 * times[min(len(times) - 1, int(len(times) * share))] if times else 0.0

    def __str__(self):
        seconds = (self.ended or time.monotonic()) - self.began
        return "%s: %d transactions in %.1f s, %d failed%s, p50 %.1f ms, p99 %.1f ms, longest %.0f ms" % (
            self.name, len(self.times) + self.failed, seconds, self.failed, self._why(), self.percentile(0.5), self.percentile(0.99),
            self.percentile(1))

    def _why(self):
        counts = {}
        for text in self.refused + self.lost:
            counts[text] = counts.get(text, 0) + 1
        return " (%s)" % ", ".join("%d %s" % (n, text) for text, n in sorted(counts.items())) if counts else ""


def _leave_if_closed(client):
    """A server may close an idle connection, by its death for instance. A proxy sees it and takes another one."""
    if client.sock is not None and select.select([client.sock], [], [], 0)[0]:
        try:
            if client.sock.recv(1, socket.MSG_PEEK):
                return  # bytes that nobody asked for: the client will say so
        except OSError:
            pass
        client.close()


class Load:
    """with Load(stack) as load: ...; phases one after another by begin(name). The end of the block waits for what is under way,
    prints a line for each phase, and a wrong answer fails the case."""

    def __init__(self, stack, name, connections=CONNECTIONS, pause=0.0, kinds=KINDS, timeout=60.0):
        self.stack, self.kinds, self.pause, self.timeout = stack, kinds, pause, timeout
        self.lock, self.stop = threading.Lock(), threading.Event()
        self.wrong, self.number = [], 0
        self.under_way = set()
        self.phase = Phase(name)
        self.phases = [self.phase]
        self.threads = [threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(connections)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.stop.set()
        for thread in self.threads:
            thread.join(self.timeout + 5)
        self.phase.ended = time.monotonic()
        for phase in self.phases:
            print("# %s" % phase, flush=True)
        self._tell_reasons()
        if kind is None:
            self.check_answers()
            check(not any(t.is_alive() for t in self.threads), "a connection does not come to its end")
            check(self.done > 0, "there were no transactions")

    def _tell_reasons(self):
        counts = {}
        for row in self.stack.log_lines() if self.outcomes() else []:
            if row.get("outcome") in NO_VERDICT:  # a line that says how many were lost has none
                text = "%s: %s" % (row["outcome"], row.get("reason"))
                counts[text] = counts.get(text, 0) + 1
        for text, n in sorted(counts.items()):
            print("#   %d times %s" % (n, text), flush=True)

    @property
    def done(self):
        return sum(len(p.times) for p in self.phases)

    @property
    def failed(self):
        return sum(p.failed for p in self.phases)

    def outcomes(self):
        return [text for p in self.phases for text in p.refused]

    def begin(self, name):
        with self.lock:
            self.phase.ended = time.monotonic()
            self.phase = Phase(name)
            self.phases.append(self.phase)

    def check_answers(self):
        check(not self.wrong, "%d wrong answers: %s", len(self.wrong), "; ".join(self.wrong[:3]))

    def check_none_failed(self):
        check(self.failed == 0, "%d failed transactions", self.failed)

    def rest(self, seconds):
        """Sleeps, but not on when an answer was wrong."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.check_answers()
            time.sleep(min(0.1, max(0.0, end - time.monotonic())))

    def settle(self):
        """Waits until all that is under way now has been answered: what comes next does not hit the same transaction again. On a
        machine that is not overloaded this is a matter of milliseconds."""
        with self.lock:
            before = set(self.under_way)
        await_true(lambda: not before & self.under_way, self.timeout, "answers to what was under way", 0.005)

    def _run(self, seed):
        rng = random.Random(seed)
        client = self.stack.client(timeout=self.timeout)
        while not self.stop.is_set():
            with self.lock:
                self.number += 1
                number = self.number
                self.under_way.add(number)
            self._one(client, rng, number)
            with self.lock:
                self.under_way.discard(number)
            if self.pause:
                time.sleep(self.pause)
        client.close()

    def _one(self, client, rng, number):
        kind = rng.choice(self.kinds)
        head, body = kind.make(number)
        _leave_if_closed(client)
        how = {"preview": rng.choice((None, 0, 1024)) if body is not None else None, "allow204": rng.random() < 0.7}
        refusal = lost = wrong = None
        began = time.monotonic()
        try:
            reply = client.reqmod(head, body, **how) if kind.is_request else client.respmod(head, body, icap.request_head(), **how)
            refusal = judge(kind, head, body, reply, how["allow204"] or how["preview"] is not None)
        except (icap.Closed, OSError) as fault:
            client.close()
            lost = "%s" % (type(fault).__name__ if isinstance(fault, OSError) else fault)
        except Exception as fault:  # a thread that dies would be load that is missed
            client.close()
            wrong = "%s (%r)" % (fault, kind.name)
        self._note(time.monotonic() - began, refusal, lost, wrong)

    def _note(self, seconds, refusal, lost, wrong):
        with self.lock:
            if wrong:
                self.wrong.append(wrong)
            elif refusal:
                self.phase.refused.append(refusal)
            elif lost:
                self.phase.lost.append(lost)
            else:
                self.phase.times.append(seconds)
