"""Several objects in one body, and clients that leave."""
import array
import os
import socket
import time

from cases import *  # noqa: F401,F403
from samples import rar


class Body:
    """Objects one after the other, with something between them that nobody must look at."""

    def __init__(self, *objects, gap=b"(gap)"):
        self.bytes, self.extents = gap, []
        for o in objects:
            self.extents.append((len(self.bytes), len(o)))
            self.bytes += o + gap

    def scan(self, d, how="auto", **kw):
        return d.scan(self.bytes, how, extents=self.extents, **kw)


PLAIN = b"nothing to see here, "
SECRET = flagged_encrypted(make_zip([("secret", b"s" * 500)]))


@case
def extents_are_objects_of_their_own(t):
    d = t.scand("workers = 1; max_workers = 1;")
    body = Body(PLAIN, EICAR, PLAIN)
    verdict(d.scan(body.bytes), CLEAN)  # as one object it is not the test file: that stands at the start
    for how in "inline", "memfd", "file":
        r = body.scan(d, how)
        verdict(r, INFECTED, EICAR_NAME)
        expect(r.scanned, 2 * len(PLAIN) + len(EICAR), how)
        verdict(Body(PLAIN, PLAIN, make_zip([("a", b"x" * 90)])).scan(d, how), CLEAN, "")
        verdict(Body(*[b"%d" % i for i in range(400)], EICAR).scan(d, how), INFECTED)
        at = len(PLAIN)
        nested = PLAIN + make_zip([("e", EICAR)])
        r = d.scan(nested, how, extents=[(0, len(nested)), (at, len(nested) - at), (0, len(nested))])
        verdict(r, INFECTED)  # they may overlap
        expect(r.scanned, 3 * len(nested) - at)
    verdict(d.scan(EICAR, extents=[(0, 68)]), INFECTED)
    verdict(d.scan(EICAR, extents=[(1, 67), (0, 67)]), CLEAN)
    b = d.board()
    expect((b.crashed, b.errors), (0, 0))


@case
def the_worst_extent_is_the_verdict(t):
    d = t.scand('workers = 1; max_workers = 1; max_files = 10; max_file_size = "1M";', 'max_object_size = "1M";')
    many = make_zip([("m%d" % i, b"%d" % i * 100) for i in range(30)])
    large = make_zip([("big", b"b" * 1500000)])
    files = "more files than scan.max_files"
    for objects, want, detail in (
            ([PLAIN, SECRET, PLAIN], ENCRYPTED, "Zip"),
            ([SECRET, rar(b"r", b"r")], ENCRYPTED, "Zip"),
            ([SECRET, many, PLAIN], LIMIT, files),
            ([many, SECRET, large], LIMIT, files),
            ([large, many, SECRET], LIMIT, "a file larger than scan.max_file_size"),
            ([SECRET, EICAR], INFECTED, EICAR_NAME),
            ([many, PLAIN, EICAR], INFECTED, EICAR_NAME),
            ([large, EICAR, many], INFECTED, EICAR_NAME),
            ([EICAR, many], INFECTED, EICAR_NAME),
            ([PLAIN, PLAIN], CLEAN, "")):
        for how in "inline", "memfd":
            verdict(Body(*objects).scan(d, how), want, detail)
    expect(d.board().crashed, 0)


@case
def largest_request_fits(t):
    """All extents and all inline bytes in one packet, with the buffers that Linux gives."""
    d = t.scand("workers = 1; max_workers = 1;")
    n = 4096
    r = d.scan(b"a" * 65536, "inline", extents=[(i * 16, 16 if i % 64 == 0 else 3) for i in range(n)])
    verdict(r, CLEAN)
    expect(r.scanned, 64 * 16 + (n - 64) * 3)
    body = b"a" * (65536 - 68) + EICAR
    for how in "inline", "memfd":  # of these, those up to 5 bytes need no look
        verdict(d.scan(body, how, extents=[(i, 1) for i in range(n - 1)] + [(65536 - 68, 68)]), INFECTED, EICAR_NAME)


@case
def malformed_tables_get_no_reply(t):
    d = t.scand("workers = 1; max_workers = 1;")
    (pid,) = [w[0] for w in d.workers()]
    fd = memfd(b"x" * 100)
    table = [(0, 50), (50, 50)]

    def inline(*extents, **kw):
        return request(size=100, inline=100, extents=extents, **kw) + b"x" * 100

    cases = {
        "no bytes": (inline((0, 50), (50, 0)), []),
        "one byte too long": (inline((0, 101)), []),
        "one byte too far": (inline((51, 50)), []),
        "behind the end": (inline((101, 1)), []),
        "at the end": (inline((100, 1)), []),
        "a sum that wraps": (inline((2, 2**64 - 1)), []),
        "an offset that wraps": (inline((2**64 - 1, 2)), []),
        "in a file": (request(size=100, extents=[(0, 101)]), [fd]),
        "fewer than announced": (inline((0, 50), announced=2), []),
        "more than announced": (inline((0, 50), (50, 50), announced=1), []),
        "none announced": (inline((0, 50), announced=0), []),
        "4097": (inline(*[(0, 1)] * 4097), []),
        "2^32 - 1 announced": (inline((0, 50), announced=2**32 - 1), []),
        "2^28 announced: 2^32 bytes": (inline(announced=1 << 28), []),
        "of nothing": (request(size=0, extents=[(0, 1)]), []),
        "a ping with one": (request(kind=PING, extents=[(0, 1)]), []),
        "more bytes than can be counted": (request(size=1 << 63, extents=[(0, 1 << 63)] * 3), [fd]),
        "an unknown flag": (request(size=100, inline=100, flags=2) + b"x" * 100, []),
        "the table cut": (request(size=100, extents=table)[:-1], [fd]),
    }
    for name, (packet, fds) in cases.items():
        expect(d.raw(packet, fds), b"", name)
    verdict(Reply(d.raw(inline(*table))), CLEAN)
    verdict(Reply(d.raw(request(size=100, extents=table), [fd])), CLEAN)
    expect([w[0] for w in d.workers()], [pid])
    expect((d.board().scans, d.board().crashed), (2, 0))
    assert "extent" in d.log(), d.log()


@case
def one_deadline_for_all_extents(t):
    d = t.scand("workers = 1; max_workers = 1;")
    text = os.urandom(64).hex().encode() * 32768
    body = Body(*[b"%d" % i + text for i in range(20)])  # another each: what the engine has seen takes no time
    verdict(body.scan(d, deadline_ms=150), LIMIT, "longer than scan.timeout")


@case
def abandoned_scan_frees_its_worker(t):
    d = t.scand("workers = 1; max_workers = 1;", wait=None)
    d.args = ["--verbose"]
    d.start()
    body = slow_body(members=100)
    (before,) = d.workers()
    with d.connect() as s:
        fd = memfd(body)
        s.sendmsg([request(size=len(body))], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
        os.close(fd)
        d.until(lambda: d.busy(), "not busy")
    verdict(d.ping(), CLEAN)
    d.until(lambda: "worker %d is replaced: it stopped a scan whose client had left" % before[0] in d.log(), "the scan was not stopped")
    d.until(lambda: d.workers() and d.workers()[0][0] != before[0], "not replaced")
    b = d.board()
    expect((b.crashed, b.timed_out), (0, 0))
    expect([f for _, _, files in os.walk(d.scratch()) for f in files], [], "files left behind")


@case
def client_that_waits_is_not_taken_for_gone(t):
    d = t.scand("workers = 1; max_workers = 1;")
    took = 0
    for members in 40, 60, 100:  # longer than from one look after the client to the next
        if took < 0.6:
            start = time.monotonic()
            verdict(d.scan(slow_body(members)), CLEAN)
            took = time.monotonic() - start
    assert took > 0.6, "too short a scan for this test: %.2f s" % took
