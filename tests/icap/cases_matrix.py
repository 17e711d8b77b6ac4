"""Every way of framing a transaction, with bodies of every awkward size: clean ones come back identical, infected ones never."""

import random

import icap
import samples
from common import expect_block, expect_clean, is_eicar
from report import Failure, check, equal

PREVIEWS = [None, 0, 1, 30, "exact", 1024, 4096]
SIZES = [0, 1, 29, 30, 31, 1023, 1024, 1025, 4096, 35 * 1024, 300 * 1024]
INFECTED_SIZES = [68, 300, 1024, 4096, 35 * 1024, 300 * 1024]
LARGE = 5 * 1024 * 1024
CHUNK = 16384


def head_of(method, length):
    if method == "REQMOD":
        return icap.request_head("POST", "http://www.example.test/upload", ["User-Agent: sallyport-test"], length)
    return icap.response_head("200 OK", ["Server: test"], length)


def send(client, method, head, body, **how):
    if method == "REQMOD":
        return client.reqmod(head, body, **how)
    return client.respmod(head, body, icap.request_head(), **how)


def one(client, method, body, has_length, preview, allow204, is_infected, **how):
    size = len(body)
    asked = size if preview == "exact" else preview
    head = head_of(method, size if has_length else None)
    reply = send(client, method, head, body, preview=asked, allow204=allow204, **how)
    if is_infected:
        expect_block(reply, "infected")
        check(is_eicar(reply.get("X-Virus-ID")), "signature %r", reply.get("X-Virus-ID"))
        check(samples.eicar() not in reply.body, "the page holds the body")
        return
    expect_clean(reply, head, body, allow204 or asked is not None)
    if allow204:
        equal(reply.status, 204, "answer to a clean body and Allow: 204")


def bodies(large):
    for size in SIZES + ([LARGE] if large else []):
        yield samples.noise(size), False
    for size in INFECTED_SIZES + ([LARGE] if large else []):
        yield samples.infected(size), True


def cell(stack, method, preview, allow204):
    """One preview and Allow: all bodies, with and without length, on one connection."""
    large = preview in (None, 1024)
    with stack.client() as client:
        for body, is_infected in bodies(large):
            for has_length in (True, False):
                try:
                    one(client, method, body, has_length, preview, allow204, is_infected, chunk=65536 if len(body) > 100000 else CHUNK)
                except (Failure, icap.ProtocolError) as fault:
                    raise Failure("%s, %d bytes, %s length: %s" % ("infected" if is_infected else "clean", len(body),
                                                                   "with" if has_length else "no", fault)) from fault


def no_body(stack, method):
    """Nothing to scan: passes in every framing."""
    head = icap.request_head() if method == "REQMOD" else icap.response_head("304 Not Modified", content_type=None)
    with stack.client() as client:
        for preview in (None, 0, 1024):
            for allow204 in (False, True):
                reply = send(client, method, head, None, preview=preview, allow204=allow204)
                expect_clean(reply, head, None, allow204 or preview is not None)


def unknown_end(stack):
    """The client has filled its preview and does not know yet that nothing more comes."""
    with stack.client() as client:
        for body, is_infected in ((samples.eicar(), True), (samples.noise(68), False)):
            for method in ("REQMOD", "RESPMOD"):
                for allow204 in (False, True):
                    one(client, method, body, False, "exact", allow204, is_infected, ieof=False)


def small_chunks(stack):
    """Chunks of 1, 7 and 4095 bytes."""
    with stack.client() as client:
        for size in (1, 7, 4095):
            for preview in (None, 30, 1024):
                one(client, "RESPMOD", samples.noise(9000), False, preview, False, False, chunk=size)
                one(client, "REQMOD", samples.infected(9000), True, preview, True, True, chunk=size)


def slow_bytes(stack):
    """Every byte of the transaction in its own packet."""
    with stack.client(timeout=30) as client:
        for preview in (None, 30):
            one(client, "RESPMOD", samples.noise(400), True, preview, False, False, pace=1)
            one(client, "REQMOD", samples.infected(400), False, preview, False, True, pace=1, chunk=50)


def keep_alive(stack):
    """500 transactions of all kinds in any order on one connection."""
    rng = random.Random(20)
    clean = [samples.noise(n) for n in (0, 1, 30, 1000, 5000, 70000)]
    infected = [samples.infected(n) for n in (68, 1000, 70000)]
    with stack.client() as client:
        client.connect()
        port = client.sock.getsockname()[1]
        for i in range(500):
            method = rng.choice(("REQMOD", "RESPMOD"))
            preview, allow204 = rng.choice(PREVIEWS), rng.random() < 0.5
            kind = rng.random()
            if kind < 0.1:
                equal(client.options().status, 200, "OPTIONS")
            elif kind < 0.3:
                head = head_of(method, None)
                may_204 = allow204 or preview is not None
                preview = 0 if preview == "exact" else preview
                expect_clean(send(client, method, head, None, preview=preview, allow204=allow204), head, None, may_204)
            else:
                is_infected = kind > 0.7
                body = rng.choice(infected if is_infected else clean)
                one(client, method, body, rng.random() < 0.5, preview, allow204, is_infected)
            check(client.sock is not None and client.sock.getsockname()[1] == port, "the connection was closed after transaction %d", i)


def cases(stack):
    rows = []
    for method in ("REQMOD", "RESPMOD"):
        for preview in PREVIEWS:
            for allow204 in (False, True):
                name = "matrix: %s preview=%s allow204=%s" % (method, "none" if preview is None else preview, "yes" if allow204 else "no")
                rows.append((name, cell, stack, method, preview, allow204))
        rows.append(("no body: %s" % method, no_body, stack, method))
    return rows + [
        ("preview filled, end unknown", unknown_end, stack),
        ("small chunks", small_chunks, stack),
        ("byte by byte", slow_bytes, stack),
        ("keep-alive: 500 mixed transactions", keep_alive, stack),
    ]
