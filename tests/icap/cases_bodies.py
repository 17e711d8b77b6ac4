"""Content codings, objects that are too large or never end, and heads and clients that behave oddly."""

import os
import socket
import struct

import icap
import samples
from common import expect_block, expect_clean, expect_log, expect_same
from icap import without_via
from report import await_true, check, equal

LIMIT = 128 * 1024  # max_object_size of the stacks for the oversize cases

CODINGS = {
    "gzip": ["gzip"], "x-gzip": ["gzip"], "GZip": ["gzip"], "deflate": ["deflate"], "Deflate": ["deflate_raw"], "br": ["brotli"],
    "zstd": ["zstd"], "gzip, deflate": ["gzip", "deflate"], "br , gzip": ["brotli", "gzip"], "identity": [], "identity, gzip": ["gzip"],
    "gzip, gzip, gzip, gzip": ["gzip"] * 4,
}
CODERS = {"gzip": samples.gzip_, "deflate": samples.deflate, "deflate_raw": samples.deflate_raw, "brotli": samples.brotli,
          "zstd": samples.zstd}


def encode(body, steps):
    for step in steps:
        body = CODERS[step](body)
    return body


def coded_head(method, coding, length):
    fields = ["Content-Encoding: " + coding] if isinstance(coding, str) else ["Content-Encoding: " + c for c in coding]
    if method == "REQMOD":
        return icap.request_head("POST", fields=fields, length=length)
    return icap.response_head(fields=fields, length=length)


def send(client, method, head, body, **how):
    if method == "REQMOD":
        return client.reqmod(head, body, **how)
    return client.respmod(head, body, icap.request_head(), **how)


# --- content codings -----------------------------------------------------------------------------------------------

def coding_infected(stack, coding):
    with stack.client() as client:
        for method in ("REQMOD", "RESPMOD"):
            for size in (68, 5000, 300000):
                body = encode(samples.infected(size), CODINGS[coding])
                for preview in (None, 30, 4096):
                    expect_block(send(client, method, coded_head(method, coding, len(body)), body, preview=preview), "infected")


def coding_clean(stack, coding):
    """What passes, passes as it came: still encoded."""
    with stack.client() as client:
        for method in ("REQMOD", "RESPMOD"):
            for size in (0, 1, 5000, 300000):
                body = encode(samples.text(size), CODINGS[coding])
                head = coded_head(method, coding, len(body))
                expect_clean(send(client, method, head, body, preview=30), head, body, True)
                expect_clean(send(client, method, head, body), head, body, False)


def coding_repeated(stack):
    """Two fields are one list."""
    body = samples.deflate(samples.gzip_(samples.eicar()))
    with stack.client() as client:
        expect_block(client.respmod(coded_head("RESPMOD", ["gzip", "deflate"], None), body), "infected")


def coding_byte_by_byte(stack):
    with stack.client() as client:
        for name in ("gzip", "deflate", "br", "zstd"):
            body = encode(samples.infected(2000), CODINGS[name])
            expect_block(client.respmod(coded_head("RESPMOD", name, None), body, chunk=1), "infected")


def undecodable(stack):
    good = samples.gzip_(samples.text(20000))
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 0x55
    with stack.client() as client:
        for what, coding, body in (
                ("cut short", "gzip", good[:-9]), ("cut in the head", "gzip", good[:5]), ("one bit wrong", "gzip", bytes(flipped)),
                ("checksum wrong", "gzip", good[:-8] + b"abcd" + good[-4:]), ("not gzip at all", "gzip", samples.text(3000)),
                ("garbage behind it", "gzip", good + b"garbage"), ("broken deflate", "deflate", samples.deflate(samples.text(9000))[:-20]),
                ("broken brotli", "br", samples.brotli(samples.noise(9000))[:-20]),
                ("broken zstd", "zstd", samples.zstd(samples.noise(9000))[:-20]), ("unknown coding", "x-secret", samples.text(3000)),
                ("unknown in a list", "gzip, x-secret", good), ("no name", "gzip;q=1", good)):
            for method in ("REQMOD", "RESPMOD"):
                for preview in (None, 1024):
                    reply = send(client, method, coded_head(method, coding, None), body, preview=preview)
                    try:
                        ident = expect_block(reply, "undecodable")
                    except Exception as fault:
                        raise AssertionError("%s (%s, preview %s): %s" % (what, method, preview, fault)) from fault
            expect_log(stack, ident, outcome="undecodable", action="block", encoding=coding, reason=lambda r: bool(r))


def too_many_layers(stack):
    """More codings than decode.max_layers."""
    body = encode(samples.text(100), ["gzip"] * 5)
    with stack.client() as client:
        expect_block(client.respmod(coded_head("RESPMOD", ", ".join(["gzip"] * 5), None), body), "limit")


def bomb(stack):
    """One gzip byte for a thousand plain ones and more, twice."""
    body = samples.gzip_(samples.gzip_(bytes(64 * 1024 * 1024)))
    with stack.client(timeout=60) as client:
        reply = client.respmod(coded_head("RESPMOD", "gzip, gzip", len(body)), body)
        check(reply.seconds < 30, "a bomb took %.1f s", reply.seconds)
        expect_block(reply, "limit")


# --- partial, streams, oversize ------------------------------------------------------------------------------------

def partial(stack):
    body = samples.text(4000)
    head = icap.response_head("206 Partial Content", ["Content-Range: bytes 100-4099/9000"], len(body))
    request = icap.request_head(fields=["Range: bytes=100-4099"])
    with stack.client() as client:
        for preview, allow204 in ((None, False), (1024, True), (30, False)):
            expect_clean(client.respmod(head, body, request, preview=preview, allow204=allow204), head, body, allow204)
        stack.await_log(outcome="partial", action="allow", status=206, bytes=len(body))
        infected = samples.infected(4000)
        expect_block(client.respmod(icap.response_head("206 Partial Content", ["Content-Range: bytes 0-3999/9000"]), infected), "infected")


def stream(stack, preview, allow204):
    """An event goes through before the next one is sent."""
    kind = "text/event-stream; charset=utf-8"
    url = "http://www.example.test/stream/%s/%s" % (preview, allow204)
    head = icap.response_head(content_type=kind)

    def seen(text):
        return lambda reply: reply.status == 204 or text in reply.body_so_far

    events = [b"data: %d\n\n" % i for i in range(5)]
    body = []
    for event in events:
        body += [event, seen(event)]
    with stack.client(timeout=6) as client:
        reply = client.respmod(head, body, icap.request_head(url=url), preview=preview, allow204=allow204)
        expect_clean(reply, head, b"".join(events), allow204 or preview is not None)
    stack.await_log(outcome="stream", action="allow", url=lambda u: u and url[7:] in u)


def oversize_announced(stack):
    """Content-Length over the limit: no waiting for the body."""
    rest = samples.noise(LIMIT + 5000)
    first = rest[:10000]
    body = [first, lambda reply: reply.status == 204 or len(reply.body_so_far) >= 5000, rest[10000:]]
    head = icap.response_head(length=len(rest))
    with stack.client(timeout=6) as client:
        for preview, allow204 in ((None, False), (None, True), (0, False), (0, True)):
            url = "http://www.example.test/large/%s/%s" % (preview, allow204)
            reply = client.respmod(head, body, icap.request_head(url=url), preview=preview, allow204=allow204)
            if reply.status == 200:
                equal(without_via(reply.head), head, "head")
                expect_same(reply.body, rest)
            stack.await_log(outcome="oversize", action="allow", url=lambda u, url=url: u and url[7:] in u)
        reply = client.reqmod(icap.request_head("POST", length=len(rest)), rest, preview=1024)
        equal(reply.status, 204, "an announced large upload, decided in the preview")


def oversize_found(stack):
    """Without Content-Length the limit shows when it is passed: everything is delivered all the same."""
    with stack.client() as client:
        for size in (LIMIT, LIMIT + 1, LIMIT + 65536, 3 * 1024 * 1024):
            body = samples.noise(size)
            for method in ("REQMOD", "RESPMOD"):
                for preview, allow204 in ((None, False), (1024, True), (4096, False)):
                    head = icap.request_head("POST") if method == "REQMOD" else icap.response_head()
                    reply = send(client, method, head, body, preview=preview, allow204=allow204)
                    if size > LIMIT:
                        equal(reply.status, 200, "bytes were received, so they must come back")
                    expect_clean(reply, head, body, allow204)
        stack.await_log(outcome="oversize", action="allow", direction="REQMOD")
        stack.await_log(outcome="oversize", action="allow", direction="RESPMOD")


def oversize_edges(stack):
    """Up to the limit everything is scanned."""
    with stack.client() as client:
        expect_block(client.respmod(icap.response_head(length=LIMIT), samples.infected(LIMIT)), "infected")
        expect_block(client.respmod(icap.response_head(), samples.infected(LIMIT)), "infected")
        head = icap.response_head()
        body = samples.infected(LIMIT + 1)
        expect_clean(client.respmod(head, body), head, body, False)


def oversize_blocked(stack):
    """outcomes.oversize = "block"."""
    body = samples.noise(LIMIT + 5000)
    with stack.client() as client:
        for length in (len(body), None):
            for preview, allow204 in ((None, False), (1024, True)):
                how = {"preview": preview, "allow204": allow204}
                ident = expect_block(client.respmod(icap.response_head(length=length), body, **how), "oversize")
                expect_log(stack, ident, outcome="oversize", action="block")
                expect_block(client.reqmod(icap.request_head("POST", length=length), body, **how), "oversize")
        head = icap.response_head(length=LIMIT)
        expect_clean(client.respmod(head, body[:LIMIT], preview=0), head, body[:LIMIT], True)


def length_lies(stack):
    """Content-Length is a claim; what is scanned is the body."""
    with stack.client() as client:
        for claim in (0, 5, 1 << 20):
            expect_block(client.respmod(icap.response_head(length=claim), samples.infected(3000)), "infected")
            expect_block(client.reqmod(icap.request_head("POST", length=claim), samples.infected(3000), preview=30), "infected")


# --- odd heads -----------------------------------------------------------------------------------------------------

def no_request_head(stack):
    with stack.client() as client:
        head = icap.response_head(length=500)
        body = samples.noise(500)
        for preview, allow204 in ((None, False), (None, True), (30, False)):
            expect_clean(client.respmod(head, body, preview=preview, allow204=allow204), head, body, allow204 or preview is not None)
            expect_block(client.respmod(icap.response_head(), samples.eicar(), preview=preview, allow204=allow204), "infected")
        head = icap.response_head("204 No Content", content_type=None)
        expect_clean(client.respmod(head), head, None, False)


def no_heads(stack):
    """A body alone is legal (RFC 3507 4.4.1) and is scanned. The connection may end afterwards; the body must not come back."""
    for method in ("REQMOD", "RESPMOD"):
        with stack.client() as client:
            try:
                reply = client.modify(method, [], samples.eicar())
            except icap.ProtocolError as fault:
                check(isinstance(fault, icap.Closed) or "answered with" in str(fault), "%s: %s", method, fault)
                continue
            check(reply.status != 204, "%s: an infected body without heads passed", method)
            check(samples.eicar() not in (reply.body or b""), "%s: an infected body without heads passed", method)


def bare_lf(stack):
    """Heads whose lines end with LF only: what is in them is still seen."""
    with stack.client() as client:
        head = icap.request_head("CONNECT", "h.example.test:443", ["SSTPVERSION: 1.0"]).replace(b"\r\n", b"\n", 2)
        expect_block(client.reqmod(head, allow204=True), "rule", "sstp-a-version")
    with stack.client() as client:
        head = icap.request_head("CONNECT", "h.example.test:443", ["SSTPVERSION: 1.0"]).replace(b"\r\n", b"\n")
        try:
            reply = client.reqmod(head, allow204=True)
        except icap.Closed:
            return  # refused by c-icap itself
        check(reply.status >= 400 or reply.http_status == 403, "SSTP passed with bare LF: %d %r", reply.status, reply.fields)


def huge_head(stack):
    with stack.client() as client:
        for fields in (["X-Large: " + "a" * 60000], ["X-%d: %s" % (i, "b" * 50) for i in range(1000)]):
            head = icap.request_head(fields=fields)
            for allow204 in (False, True):
                expect_clean(client.reqmod(head, allow204=allow204), head, None, allow204)
            head = icap.response_head(fields=fields)
            expect_clean(client.respmod(head, samples.noise(100), icap.request_head(fields=fields)), head, samples.noise(100), False)
            expect_block(client.respmod(head, samples.eicar(), icap.request_head(fields=fields)), "infected")


def many_fields(stack):
    """A head must not hide a field behind thousands of others."""
    fields = ["X-%d: v" % i for i in range(5000)]
    with stack.client() as client:
        head = icap.request_head("CONNECT", "h.example.test:443", fields + ["SSTPVERSION: 1.0"])
        ident = expect_block(client.reqmod(head, allow204=True), "limit")
        expect_log(stack, ident, outcome="limit", action="block")
        expect_block(client.reqmod(icap.request_head("POST", fields=fields), samples.noise(40), preview=30), "limit")
        expect_block(client.respmod(icap.response_head(fields=fields), samples.noise(40)), "limit")
        expect_block(client.respmod(icap.response_head(), samples.noise(4000), icap.request_head(fields=fields), preview=1024), "limit")
        head = icap.request_head("CONNECT", "h.example.test:443", fields[:4000] + ["SSTPVERSION: 1.0"])
        expect_block(client.reqmod(head, allow204=True), "rule", "sstp-a-version")


def heads_come_back(stack):
    """Repeated, empty, folded and oddly spelt fields of a head that is sent back."""
    fields = ["Set-Cookie: a=1", "Set-Cookie: b=2; Path=/", "x-lower: 1", "X-Trailing: v  ", "X-Empty:", "X-Colon: a:b:c",
              "X-Latin: \xe9\xff", "X-Folded: one\r\n two\r\n\tthree", "Transfer-Encoding: chunked"]
    with stack.client() as client:
        head = icap.response_head("200 Fine: \xe4", fields)
        expect_clean(client.respmod(head, samples.text(3000), icap.request_head(fields=fields)), head, samples.text(3000), False)
        head = icap.request_head("POST", "/x?%00&\xe9", fields)
        expect_clean(client.reqmod(head, samples.text(3000)), head, samples.text(3000), False)


# --- clients that leave --------------------------------------------------------------------------------------------

def _cut(client, method, body, keep, reset):
    """Sends a transaction up to some byte of its body and leaves. A preview that is longer than announced is one more fault."""
    head = icap.request_head("POST", length=len(body))
    icap_head = "REQMOD icap://x/sallyport ICAP/1.0\r\nHost: x\r\n%sEncapsulated: req-hdr=0, req-body=%d\r\n\r\n" % (
        "Preview: 1024\r\n" if method == "preview" else "", len(head))
    sock = client.connect()
    sock.settimeout(10)
    try:
        sock.sendall(icap_head.encode() + head + (b"%x\r\n" % len(body) + body)[:keep])
    except ConnectionError:
        pass
    if reset:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def client_leaves(stack):
    """Clients gone in mid-request and in mid-reply: nothing is left behind, and others are served."""
    with stack.client() as client:
        for _ in range(40):  # until every thread has run once, so that descriptors are counted fairly
            client.reqmod(icap.request_head("POST"), samples.noise(100000))
            client.close()
    before = stack.cicap.fds()
    large = samples.noise(2 * 1024 * 1024)
    for i in range(24):
        _cut(stack.client(), "preview" if i % 3 == 0 else "plain", large, (3, 500, 200000, 1500000)[i % 4], i % 2 == 0)
    for i in range(6):  # all sent, nothing or a little read
        sock = stack.client().connect()
        head = icap.response_head()
        request = b"RESPMOD icap://x/sallyport ICAP/1.0\r\nHost: x\r\nEncapsulated: res-hdr=0, res-body=%d\r\n\r\n" % len(head)
        sock.settimeout(10)
        sock.sendall(request + head + b"%x\r\n" % len(large) + large + b"\r\n0\r\n\r\n")
        if i % 2:
            sock.recv(1000)
        sock.close()
    with stack.client() as client:
        for body, blocked in ((samples.noise(5000), False), (samples.infected(5000), True)):
            reply = client.reqmod(icap.request_head("POST"), body)
            equal(reply.http_status == 403, blocked, "after clients had left: blocked")
    await_true(lambda: stack.cicap.fds() <= before + 4, 10, "c-icap to close what clients left (%d open before)" % before, 0.1)


def _mixed(client, n):
    """n transactions of the kinds that take different ways through the module."""
    gzipped = samples.gzip_(samples.infected(5000))
    large = samples.noise(100000)
    for i in range(n // 5):
        client.reqmod(icap.request_head(fields=["X-Sallyport-Block: x"]), preview=0, allow204=True)
        client.respmod(coded_head("RESPMOD", "gzip", None), gzipped, icap.request_head(), preview=1024)
        client.respmod(icap.response_head(length=len(large)), large, icap.request_head())
        client.reqmod(icap.request_head("CONNECT", "h.example.test:443", ["SSTPVERSION: %d" % i]), allow204=True)
        client.respmod(coded_head("RESPMOD", "gzip", None), gzipped[:-3], icap.request_head(), preview=30)


def no_leak(stack):
    """Thousands of transactions on one connection, so in one process: its memory stays what it was after the first few."""
    if os.environ.get("SAN"):
        return  # a sanitizer keeps freed memory back
    with stack.client() as client:
        _mixed(client, 400)
        before = stack.cicap.rss_kib()
        _mixed(client, 4000)
        grown = stack.cicap.rss_kib() - before
    check(grown < 1500, "c-icap grew by %d KiB in 4000 transactions", grown)


def broken_framing(stack):
    """What is not ICAP gets an error or a closed connection, and harms nobody else."""
    head = icap.request_head("POST")
    start = b"REQMOD icap://x/sallyport ICAP/1.0\r\nHost: x\r\n"
    for data in (
            b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), start + b"\r\n",
            start + b"Encapsulated: req-hdr=0, req-body=99999999999\r\n\r\n", start + b"Encapsulated: req-body=0, req-hdr=5\r\n\r\nhello",
            start + b"Encapsulated: req-hdr=0, req-body=%d\r\n\r\n" % len(head) + head + b"zz\r\nhello\r\n0\r\n\r\n",
            start + b"Encapsulated: req-hdr=0, req-body=%d\r\n\r\n" % len(head) + head + b"5\r\nhelloX\r\n0\r\n\r\n",
            start + b"Encapsulated: req-hdr=0, req-body=%d\r\n\r\n" % len(head) + head + b"ffffffffffffffff\r\nhello",
            start + b"Preview: -5\r\nEncapsulated: req-hdr=0, req-body=%d\r\n\r\n" % len(head) + head + b"5\r\nhello\r\n0\r\n\r\n"):
        sock = stack.client().connect()
        sock.settimeout(5)
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
        except (ConnectionResetError, BrokenPipeError):
            pass
        finally:
            sock.close()
    with stack.client() as client:
        expect_block(client.reqmod(head, samples.eicar()), "infected")


def cases(stack):
    rows = [("coding infected: %s" % c, coding_infected, stack, c) for c in CODINGS]
    rows += [("coding clean: %s" % c, coding_clean, stack, c) for c in CODINGS]
    rows += [("stream: preview=%s allow204=%s" % (p, a), stream, stack, p, a) for p in (None, 0) for a in (False, True)]
    return rows + [
        ("coding: repeated field", coding_repeated, stack), ("coding: byte by byte", coding_byte_by_byte, stack),
        ("coding: broken and unknown", undecodable, stack), ("coding: too many layers", too_many_layers, stack),
        ("coding: bomb", bomb, stack), ("206 is partial", partial, stack), ("Content-Length lies", length_lies, stack),
        ("odd: no request head", no_request_head, stack), ("odd: no heads", no_heads, stack), ("odd: bare LF", bare_lf, stack),
        ("odd: head of 60 KB", huge_head, stack), ("odd: 5000 fields", many_fields, stack),
        ("odd: heads come back", heads_come_back, stack), ("odd: broken framing", broken_framing, stack),
    ]


def quiet_cases(stack):
    """These count descriptors and memory, so nothing else may run."""
    return [("client leaves in the middle", client_leaves, stack), ("no leak", no_leak, stack)]


def oversize_cases(stack):
    return [("oversize: announced", oversize_announced, stack), ("oversize: found out", oversize_found, stack),
            ("oversize: edges", oversize_edges, stack)]


def blocking_cases(stack):
    return [("oversize: blocked", oversize_blocked, stack)]
