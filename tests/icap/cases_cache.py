"""What was clean before is not scanned again, and what was not is: counted in scans, over restarts, updates and damage."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import icap
import samples
from common import expect_block, expect_clean
from report import await_true, check, equal

OPTIONS = {"cache.size": "1M", "scan.max_recursion": 3, "scan.max_shrink": 100}
CHILDREN = {"StartServers": 3, "MaxServers": 4, "ThreadsPerChild": 6, "MinSpareThreads": 1}  # 16 at once are in three of them at least
AT_ONCE = 16
HEAD = icap.response_head()
MARK = b"Sallyport!"  # what the new signature is about
SIGNATURE = "Sallyport.Test.Mark:0:*:%s\n" % MARK.hex()


class Counted:
    """What happened to the gate's counters inside."""

    NAMES = ("scans", "cache_hits", "cache_misses", "cache_stored", "cache_joined")

    def __init__(self, stack):
        self.stack = stack

    def __enter__(self):
        self.before = [self.stack.counter(name) for name in self.NAMES]
        return self

    def __exit__(self, kind, value, trace):
        after = [self.stack.counter(name) for name in self.NAMES]
        self.scans, self.hits, self.misses, self.stored, self.joined = (b - a for a, b in zip(self.before, after))


def send(stack, body, head=HEAD, **how):
    with stack.client(timeout=30) as client:
        return client.respmod(head, body, icap.request_head(), **how)


def send_clean(stack, body, **how):
    expect_clean(send(stack, body, **how), HEAD, body, "allow204" in how or "preview" in how)


def expect_scans(stack, n, body, times=2):
    with Counted(stack) as seen:
        for _ in range(times):
            send_clean(stack, body)
    equal(seen.scans, n, "scans of %d equal objects" % times)


def seen_before(stack):
    """The second time nobody is asked: whichever way it comes, and in pieces of any size."""
    for size in (1, 5000, 300000):
        body = samples.noise(size, 11)
        with Counted(stack) as seen:
            send_clean(stack, body)
            for how in ({}, {"preview": 1024}, {"preview": 0, "allow204": True}, {"chunk": 97}):
                send_clean(stack, body, **how)
            with stack.client() as client:
                head = icap.request_head("POST")
                expect_clean(client.reqmod(head, body), head, body, False)
        equal((seen.scans, seen.misses, seen.stored, seen.hits), (1, 1, 1, 5), "scans, misses, stored, hits of %d bytes" % size)


def decoded(stack):
    """The digest is of what the client will see, so coded and plain are the same object."""
    body = samples.text(20000, 12)
    with Counted(stack) as seen:
        send_clean(stack, body)
        for name, data in (("gzip", samples.gzip_(body)), ("deflate", samples.deflate(body)), ("br", samples.brotli(body))):
            head = icap.response_head(fields=["Content-Encoding: %s" % name])
            expect_clean(send(stack, data, head), head, data, False)
    equal((seen.scans, seen.hits), (1, 3), "scans and hits of one object in four codings")


def parts(stack):
    """An upload of files: all its objects are known the second time, and one byte in one of them makes that one unknown."""
    def upload(last):
        lines = []
        for i in range(3):
            lines += [b"--b", b'Content-Disposition: form-data; name="f%d"; filename="f%d"' % (i, i), b"", samples.noise(3000, 20 + i)]
        lines[-1] += last
        return b"\r\n".join(lines + [b"--b--", b""])

    head = icap.request_head("POST", fields=["Content-Type: multipart/form-data; boundary=b"])

    def post(body):
        with stack.client() as client, Counted(stack) as seen:
            expect_clean(client.reqmod(head, body), head, body, False)
        return seen.scans
    first = post(upload(b""))
    check(first >= 2, "%d scans of a body and its parts", first)
    equal(post(upload(b"")), 0, "scans the second time")
    check(post(upload(b"!")) >= 1, "no scan of a changed upload")


def never_kept(stack):
    """Infected, encrypted, over a limit, a fragment: each is scanned each time."""
    partial = icap.response_head("206 Partial Content", fields=["Content-Range: bytes 0-2999/9000"])
    whole = samples.noise(3000, 31)
    for name, head, body, is_blocked in (
            ("infected", HEAD, samples.infected(3000), True),
            ("encrypted", HEAD, samples.zip_encrypted(b"a.txt", samples.text(500), b"secret"), False),
            ("limit", HEAD, samples.nested(samples.text(500), 8), True),
            ("partial", partial, whole, False)):
        with Counted(stack) as seen:
            for _ in range(3):
                reply = send(stack, body, head)
                if is_blocked:
                    expect_block(reply, name)
                else:
                    expect_clean(reply, head, body, False)
        equal((seen.scans, seen.hits, seen.joined, seen.stored), (3, 0, 0, 0), "scans, hits, joined, stored of %s" % name)
    expect_scans(stack, 1, whole)
    with Counted(stack) as seen:
        expect_clean(send(stack, whole, partial), partial, whole, False)  # known as an object, but this is a fragment
    equal(seen.hits, 0, "hits of a fragment")


def at_once(stack):
    """Equal objects in flight at the same time, in several children: one scan."""
    for i in range(3):
        body = samples.slow(12, b"%d" % i)
        with Counted(stack) as seen, ThreadPoolExecutor(AT_ONCE) as pool:
            for job in [pool.submit(send_clean, stack, body) for _ in range(AT_ONCE)]:
                job.result(60)
        equal(seen.scans, 1, "scans of %d equal objects" % AT_ONCE)
        equal((seen.misses, seen.hits + seen.joined), (1, AT_ONCE - 1), "misses, and hits with those that waited")
        check(i > 0 or seen.joined > 0, "nobody waited for another's scan")


def infected_at_once(stack):
    """Not clean: each is refused, and none waits for all the others."""
    body = samples.slow(6, samples.eicar())
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for job in [pool.submit(send, stack, body) for _ in range(AT_ONCE)]:
            expect_block(job.result(60), "infected")


def restarts(stack):
    """Known after c-icap was restarted, and after scand was."""
    body = samples.noise(5000, 41)
    expect_scans(stack, 1, body)
    stack.restart_cicap()
    expect_scans(stack, 0, body)
    stack.stop_scand()
    stack.start_scand()
    expect_scans(stack, 0, body)


def new_signature(stack):
    """Clean and known; then a signature comes for it. With no scan that could tell of the new engine it is soon refused."""
    body = samples.noise(2000, 51) + MARK
    other = samples.noise(2000, 52)
    expect_scans(stack, 1, body)
    expect_scans(stack, 1, other)
    before = stack.ping()["engine_id"]
    path = stack.dir.write("db/mark.ndb", SIGNATURE)
    try:
        os.kill(stack.scand.pid, signal.SIGHUP)
        await_true(lambda: stack.ping()["engine_id"] != before, 20, "the new engine")
        await_true(lambda: send(stack, body).get("X-Infection-Found"), 3, "the known object to be refused")
        for _ in range(3):
            expect_block(send(stack, body), "infected")
        expect_scans(stack, 1, other)
    finally:
        os.unlink(path)
    os.kill(stack.scand.pid, signal.SIGHUP)
    await_true(lambda: stack.ping()["engine_id"] == before, 20, "the old engine")
    await_true(lambda: send(stack, body).http_status != 403, 3, "the object to pass again")


def damage(stack):
    """The file cut, overwritten, removed while it is in use: right answers all the time, and it works on."""
    path = stack.dir.join("run", "verdicts.cache")
    size = os.stat(path).st_size
    equal(size, 1 << 20, "size of the file")

    def overwrite(content):
        with open(path, "r+b") as f:
            f.write(content)

    for number, break_it in enumerate((lambda: os.truncate(path, 0), lambda: os.truncate(path, 5000), lambda: overwrite(bytes(size)),
                                       lambda: overwrite(samples.noise(size, 9)), lambda: os.unlink(path))):
        body = samples.noise(4000, 60 + number)
        send_clean(stack, body)
        break_it()
        send_clean(stack, body)
        expect_block(send(stack, samples.infected(4000)), "infected")
        expect_scans(stack, 0, body)
        stack.restart_cicap()
        send_clean(stack, body)
        expect_block(send(stack, samples.infected(4000)), "infected")
        expect_scans(stack, 0, body)
        equal(os.stat(path).st_size, size, "size of the file after a restart")


def off(stack):
    with Counted(stack) as seen:
        for _ in range(3):
            send_clean(stack, samples.noise(5000, 71))
    equal((seen.scans, seen.hits, seen.misses, seen.stored), (3, 0, 0, 0), "scans, hits, misses, stored")
    check(not os.path.exists(stack.dir.join("run", "verdicts.cache")), "there is a file for a cache that is off")


def cases(stack):
    """On a stack with OPTIONS and CHILDREN, one at a time: they count."""
    return [
        ("cache: seen before", seen_before, stack), ("cache: decoded", decoded, stack), ("cache: parts", parts, stack),
        ("cache: never kept", never_kept, stack), ("cache: at once", at_once, stack), ("cache: infected at once", infected_at_once, stack),
        ("cache: restarts", restarts, stack), ("cache: new signature", new_signature, stack), ("cache: damage", damage, stack),
    ]


def off_cases(stack):
    """With cache.size = 0."""
    return [("cache: off", off, stack)]
