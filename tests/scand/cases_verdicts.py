"""Protocol and verdicts."""
import os
import shutil
import signal
import subprocess
import time

from cases import *  # noqa: F401,F403


@case
def finds_eicar_however_it_comes(t):
    d = t.scand()
    for how in "inline", "memfd", "file":
        r = d.scan(EICAR, how)
        verdict(r, INFECTED, EICAR_NAME)
        expect((r.scanned, r.generation, r.signatures, r.detail), (68, 1, 1, ""), how)
        assert r.engine_id != 0 and r.database_time == 0
        clean = d.scan(b"hello, " * 9, how)
        verdict(clean, CLEAN, "")
        expect((clean.scanned, clean.signature), (63, ""), how)
    verdict(d.scan(EICAR + b"\r\n"), INFECTED, EICAR_NAME)
    verdict(d.scan(b" " + EICAR), CLEAN)  # not at the start: not the test file
    verdict(d.scan(make_zip([("a.txt", b"x" * 100), ("b.com", EICAR)])), INFECTED, EICAR_NAME)
    b = d.board()
    expect((b.scans, b.infected, b.errors, b.crashed, b.timed_out), (9, 5, 0, 0, 0))


@case
def sizes(t):
    d = t.scand()
    for n in 0, 1, 5, 6, 65535, 65536:
        r = d.scan(b"a" * n, "inline")
        verdict(r, CLEAN)
        expect(r.scanned, n)
    for n in 1, 5, 6, 4095, 4096, 4097, 65537, 3000001:
        verdict(d.scan(b"a" * n, "memfd"), CLEAN)
        verdict(d.scan(b"a" * n, "file"), CLEAN)
    big = make_zip([("pad", os.urandom(300000)), ("e", EICAR)], stored=True)
    verdict(d.scan(big, "memfd"), INFECTED, EICAR_NAME)
    verdict(d.scan(big, "file"), INFECTED, EICAR_NAME)


@case
def ping_tells_the_engine(t):
    d = t.scand(databases={"a.ndb": ndb("Test.A", b"aaaabbbbccccdddd")})
    r = d.ping()
    verdict(r, CLEAN, "")
    b = d.board()
    expect((r.engine_id, r.signatures, r.generation, r.database_time), (b.engine_id, 2, 1, b.database_time))
    expect(r.database_time, int(os.stat(os.path.join(d.db, "a.ndb")).st_mtime))
    expect((b.supervisor_pid, b.state, b.last_error), (d.process.pid, SERVING, ""))


@case
def age_is_that_of_the_newest_database(t):
    signature = b"Test.Old:0:*:" + b"aaaabbbbccccdddd".hex().encode() + b"\n"
    d = t.scand(databases={"old.cud": make_cud(b"old", signature, 1606054800)})  # the file itself is from now
    verdict(d.scan(b"aaaabbbbccccdddd"), INFECTED, "Test.Old.UNOFFICIAL")
    expect(d.ping().database_time, 1606054800)
    d.write_db("new.ndb", ndb("Test.New", b"eeeeffffgggghhhh"))
    os.utime(os.path.join(d.db, "new.ndb"), (1700000000, 1700000000))
    d.process.send_signal(signal.SIGHUP)
    d.await_reload(2)
    expect(d.board().database_time, 1700000000)


@case
def names_are_those_of_clamscan(t):
    d = t.scand(databases={"a.ndb": ndb("Test.A", b"aaaabbbbccccdddd")})
    body = b"x" * 10 + b"aaaabbbbccccdddd"
    verdict(d.scan(body), INFECTED, "Test.A.UNOFFICIAL")
    if not shutil.which("clamscan"):
        return
    path = os.path.join(d.dir, "body")
    with open(path, "wb") as f:
        f.write(body)
    out = subprocess.run(["clamscan", "--no-summary", "-d", d.db, path], capture_output=True, text=True).stdout
    expect(out.strip(), path + ": Test.A.UNOFFICIAL FOUND")


@case
def malformed_requests_get_no_reply(t):
    d = t.scand("workers = 1; max_workers = 1;")
    start = time.monotonic()
    ro = os.open("/dev/null", os.O_RDONLY)
    body = memfd(b"x" * 100)
    unsealed = memfd(b"x" * 100, seal=False)
    plain = unlinked(b"x" * 100, d.dir)
    write_only = os.open(os.path.join(d.dir, "w"), os.O_WRONLY | os.O_CREAT)
    os.write(write_only, b"x" * 100)
    path_only = os.open(d.conf, os.O_PATH)
    folder = os.open(d.dir, os.O_RDONLY)
    pipe = os.pipe()
    ok = request(size=3, inline=3)
    cases = {
        "one byte": (b"x", []),
        "half a header": (ok[:30], []),
        "header less one": (ok[:-1], []),
        "magic": (request(size=3, inline=3, magic=1) + b"abc", []),
        "version": (request(size=3, inline=3, version=9) + b"abc", []),
        "kind 0": (request(kind=0, size=3, inline=3) + b"abc", []),
        "kind 99": (request(kind=99, size=3, inline=3) + b"abc", []),
        "no deadline": (request(size=3, inline=3, deadline_ms=0) + b"abc", []),
        "inline too short": (ok + b"ab", []),
        "inline too long": (ok + b"abcd", []),
        "inline is not size": (request(size=4, inline=3) + b"abc", []),
        "inline over the limit": (request(size=65537, inline=65537) + b"a" * 65537, []),
        "a far too long packet": (request(size=65536, inline=65536) + b"a" * 80000, []),
        "inline and a descriptor": (ok + b"abc", [body]),
        "no descriptor": (request(size=100), []),
        "two descriptors": (request(size=100), [body, body]),
        "nine descriptors": (request(size=100), [body] * 9),
        "250 descriptors": (request(size=100), [body] * 250),
        "a descriptor for nothing": (request(size=0), [body]),
        "ping with a body": (request(kind=PING, size=3, inline=3) + b"abc", []),
        "ping with a descriptor": (request(kind=PING), [body]),
        "size too small": (request(size=99), [body]),
        "size too large": (request(size=101), [body]),
        "size of 2^63": (request(size=1 << 63), [body]),
        "unsealed memfd": (request(size=100), [unsealed]),
        "write-only file": (request(size=100), [write_only]),
        "path only": (request(size=os.stat(d.conf).st_size), [path_only]),
        "a device": (request(size=100), [ro]),
        "a directory": (request(size=os.fstat(folder).st_size), [folder]),
        "a pipe": (request(size=100), [pipe[0]]),
    }
    for name, (packet, fds) in cases.items():
        expect(d.raw(packet, fds), b"", name)
    with d.connect() as s:
        s.close()  # nothing at all
    with d.connect() as s:
        s.send(b"")
        expect(s.recv(100), b"", "an empty packet")
    verdict(Reply(d.raw(request(size=100), [body])), CLEAN)
    verdict(Reply(d.raw(request(size=100), [plain])), CLEAN)
    verdict(Reply(d.raw(request(size=3, inline=3, ident=b"\n" * 32) + b"abc")), CLEAN)
    (pid,) = [w[0] for w in d.workers()]
    fds = [os.readlink("/proc/%d/fd/%s" % (pid, n)) for n in os.listdir("/proc/%d/fd" % pid)]
    # 0, 1, 2, socket, lifeline, eventfd, claim on the scratch folder and its own in it, epoll, perhaps a connection
    assert len(fds) <= 10, fds
    b = d.board()
    expect((b.crashed, b.scans), (0, 3))
    lines = [line for line in d.log().splitlines() if "warn: refused: " in line]
    assert 1 <= len(lines) <= 4 + time.monotonic() - start, "rate of warnings: %d lines" % len(lines)


@case
def silent_client_cannot_hold_a_worker(t):
    d = t.scand("workers = 1; max_workers = 1;")
    (pid,) = [w[0] for w in d.workers()]
    start = time.monotonic()
    with d.connect() as silent:
        verdict(d.ping(), CLEAN)
        waited = time.monotonic() - start
        assert 0.3 < waited < 15, "waited %.1f s" % waited
        expect(silent.recv(100), b"")
    expect([w[0] for w in d.workers()], [pid])


@case
def client_that_leaves_is_no_trouble(t):
    d = t.scand("workers = 1; max_workers = 1;")
    for _ in range(20):
        with d.connect() as s:
            s.send(request(size=68, inline=68) + EICAR)
    d.until(lambda: d.board().scans == 20, "not all scanned")
    expect(d.board().crashed, 0)


@case
def encrypted_hides_nothing(t):
    d = t.scand("workers = 1; max_workers = 1; max_files = 10;")
    secret = ("secret", os.urandom(500))
    only = flagged_encrypted(make_zip([("a", b"a" * 50), secret]))
    for i in range(3):  # again: the engine's cache must not forget it
        verdict(d.scan(only), ENCRYPTED, "Zip")
    verdict(d.scan(flagged_encrypted(make_zip([secret, ("e", EICAR)]))), INFECTED, EICAR_NAME)
    verdict(d.scan(flagged_encrypted(make_zip([("e", EICAR), secret]))), INFECTED, EICAR_NAME)
    many = [("m%d" % i, b"%d" % i * 100) for i in range(30)]
    for i in range(12):  # libclamav reports one of the two, in no fixed order
        seed = ("s%d" % i, b"%d" % i * 20)
        verdict(d.scan(flagged_encrypted(make_zip([seed, secret] + many))), LIMIT, "more files than scan.max_files")
    verdict(d.scan(only), ENCRYPTED, "Zip")


@case
def limits_are_named(t):
    limits = 'max_files = 10; max_recursion = 4; max_scan_size = "2M"; max_file_size = "1M";'
    d = t.scand("workers = 1; max_workers = 1; " + limits, 'max_object_size = "1M";')
    nested = b"in the middle " * 20
    for i in range(8):
        nested = make_zip([("n%d" % i, nested)])
    text = [bytes([97 + i]) * 700000 for i in range(6)]
    for _ in range(2):
        verdict(d.scan(nested), LIMIT, "deeper than scan.max_recursion")
        verdict(d.scan(make_zip([("m%d" % i, b"%d" % i * 100) for i in range(30)])), LIMIT, "more files than scan.max_files")
        verdict(d.scan(make_zip([("m%d" % i, x) for i, x in enumerate(text)])), LIMIT, "more than scan.max_scan_size unpacked")
        for body in b"b" * 1500000, b"b" * 1048577:  # cut by libclamav without an alert
            verdict(d.scan(make_zip([("big", body), ("small", b"s" * 10)])), LIMIT, "a file larger than scan.max_file_size")
        verdict(d.scan(b"b" * 1500000, "memfd"), LIMIT, "a file larger than scan.max_file_size")
        verdict(d.scan(b"b" * 1500000, "file"), LIMIT, "a file larger than scan.max_file_size")
    verdict(d.scan(make_zip([("e", EICAR)] + [("m%d" % i, x) for i, x in enumerate(text)])), INFECTED, EICAR_NAME)
    verdict(d.scan(make_zip([("big", b"b" * 1500000), ("e", EICAR)])), INFECTED, EICAR_NAME)
    verdict(d.scan(b"b" * 900000), CLEAN)
    verdict(d.scan(make_zip([("m", b"b" * 900000), ("n", b"n" * 900000)])), CLEAN)


@case
def cabinets_are_not_cut_in_silence(t):
    d = t.scand('workers = 1; max_workers = 1; max_scan_size = "8M"; max_file_size = "7M";', 'max_object_size = "7M";')
    member = lambda i, n: ("m%d" % i, bytes([97 + i]) * n)  # noqa: E731
    verdict(d.scan(make_cab([member(0, 5000), ("e", EICAR)])), INFECTED, EICAR_NAME)
    for _ in range(2):
        verdict(d.scan(make_cab([member(0, 5000), member(1, 3), member(2, 900)])), CLEAN)
        verdict(d.scan(make_cab([member(0, 1500000)])), CLEAN)
        verdict(d.scan(make_cab([member(i, 600000) for i in range(10)])), LIMIT, "more than scan.max_scan_size unpacked")
        verdict(d.scan(make_cab([("huge", b"h" * 20000000)])[:400000]), LIMIT, "a file larger than scan.max_file_size")
        verdict(d.scan(make_cab([member(0, 2000000)])[:400000]), CLEAN)  # broken, but not for a limit
    verdict(d.scan(make_cab([("e", EICAR)] + [member(i, 600000) for i in range(10)])), INFECTED, EICAR_NAME)


@case
def lost_scratch_is_an_error_not_clean(t):
    d = t.scand("workers = 1; max_workers = 1;")
    (before,) = d.workers()
    root = d.scratch()
    expect(os.stat(root).st_mode & 0o777, 0o700)
    shutil.rmtree(os.path.join(root, "g1w0"))
    r = d.scan(b"nothing wrong with me")
    verdict(r, ERROR)
    assert r.detail, "an error without a text"
    d.until(lambda: d.workers() and d.workers()[0][0] != before[0], "the spoiled worker stayed")
    verdict(d.scan(b"nothing wrong with me"), CLEAN)
    b = d.board()
    expect((b.errors, b.crashed), (1, 0))
