"""Generations, the supervisor, start and stop."""
import contextlib
import os
import signal
import subprocess
import time

from cases import *  # noqa: F401,F403


@case
def killed_generation_comes_back(t):
    d = t.scand("workers = 2; max_workers = 2;")
    old = {w[0] for w in d.workers()}
    os.kill(d.generation_pid(), signal.SIGKILL)
    for _ in range(30):  # the orphans serve until the next generation is ready
        verdict(d.scan(EICAR), INFECTED)
        time.sleep(0.01)
    d.until(lambda: d.board().generation == 2 and d.board().state == SERVING, "no second generation")
    d.until(lambda: len(d.workers()) == 2 and not old & {w[0] for w in d.workers()}, "old workers stay")
    verdict(d.ping(), CLEAN)
    expect((d.ping().generation, d.board().crashed), (2, 0))
    d.until(lambda: len(d.descendants()) == 4, lambda: "processes: %r" % d.descendants())
    assert "generation 1 died: signal 9" in d.log()


@case
def sigterm_leaves_nothing(t):
    d = t.scand("workers = 2; max_workers = 2;")
    running = InBackground(d.scan, slow_body(members=12))
    d.until(lambda: d.busy(), "not busy")
    for pid in d.descendants():  # as a service manager or a terminal does
        with contextlib.suppress(ProcessLookupError):  # one that has just ended
            os.kill(pid, signal.SIGTERM)
    expect(d.process.wait(PATIENCE), 0)
    verdict(running.result(), CLEAN)  # finished, not cut
    expect((d.descendants(), os.path.exists(d.socket_path), os.listdir(d.spool)), ([], False, []))
    b = d.board()
    expect((b.state, b.supervisor_pid, [w for w in b.workers if w[0]]), (STOPPED, 0, []))
    assert "error" not in d.log()


@case
def second_sigterm_stops_at_once(t):
    d = t.scand("workers = 2; max_workers = 2;")
    running = InBackground(d.scan, slow_body(members=100))
    d.until(lambda: d.busy(), "not busy")
    d.process.terminate()
    d.until(lambda: not os.path.exists(d.socket_path), "still listens")
    d.process.terminate()
    expect(d.process.wait(PATIENCE), 0)
    expect((running.result(), d.descendants(), os.listdir(d.spool)), (None, [], []))


@case
def killed_supervisor_leaves_nothing_and_restarts(t):
    d = t.scand("workers = 2; max_workers = 2; scratch_size = 0;")
    running = InBackground(d.scan, slow_body(members=12))
    d.until(lambda: d.busy(), "not busy")
    d.process.kill()
    d.process.wait()
    d.start()  # at once: over the stale socket, while an old worker still scans
    verdict(d.scan(EICAR), INFECTED)
    verdict(running.result(), CLEAN)
    d.until(lambda: len(d.descendants()) == 4, lambda: "processes: %r" % d.descendants())
    expect((d.stop(), d.descendants()), (0, []))
    d.start()  # what the killed one could not remove is gone now
    expect(len(os.listdir(d.spool)), 1)
    expect((d.stop(), os.listdir(d.spool)), (0, []))


@case
def second_instance_is_refused(t):
    d = t.scand()
    r = subprocess.run(d.command(), capture_output=True, text=True)
    expect(r.returncode, 2)
    lines = [line for line in r.stderr.splitlines() if "error" in line]
    assert len(lines) == 1 and "pid %d" % d.process.pid in lines[0] and d.run_dir in lines[0], r.stderr
    verdict(d.scan(EICAR), INFECTED)


@case
def malformed_database_is_refused(t):
    d = t.scand(databases={"bad.ndb": "this is no signature\n"}, wait=False)
    expect(d.process.wait(PATIENCE), 1)
    lines = [line for line in d.log().splitlines() if "error" in line]
    assert len(lines) == 1 and d.db in lines[0] and "Malformed" in lines[0], d.log()
    expect((os.path.exists(d.socket_path), d.descendants(), os.listdir(d.spool)), (False, [], []))
    b = d.board()
    expect((b.state, b.refused), (STOPPED, 1))
    assert "Malformed" in b.last_error


@case
def unreadable_database_is_refused(t):
    for what in "folder", "file":
        d = t.scand(databases={"a.ndb": ndb("Test.A", b"aaaabbbbccccdddd")}, user=NOBODY if os.geteuid() == 0 else None, wait=None)
        path = d.db if what == "folder" else os.path.join(d.db, "a.ndb")
        os.chmod(path, 0)
        d.start(wait=False)
        code = d.process.wait(PATIENCE)
        os.chmod(path, 0o755)
        expect(code, 1, what)
        lines = [line for line in d.log().splitlines() if "error" in line]
        assert len(lines) == 1 and path in lines[0] and "Permission denied" in lines[0], d.log()


@case
def no_database_is_one_warning(t):
    for conf in "", 'database = ["/nonexistent/a", "/nonexistent/b"];':
        d = t.scand("workers = 1; " + conf)
        lines = [line for line in d.log().splitlines() if "as root" not in line and ("warn" in line or "error" in line)]
        assert len(lines) == 1 and "freshclam" in lines[0] and (d.db if not conf else "/nonexistent/a, /nonexistent/b") in lines[0], d.log()
        verdict(d.scan(EICAR), INFECTED, EICAR_NAME)
        d.cleanup()


@case
def privileges_are_dropped(t):
    if os.geteuid() != 0:
        return "not root"
    import pwd
    nobody = pwd.getpwnam(NOBODY)
    d = t.scand(user=NOBODY)
    for pid in d.descendants():
        with open("/proc/%d/status" % pid) as f:
            ids = [line.split()[1:] for line in f if line.startswith(("Uid:", "Gid:"))]
        expect(ids, [[str(nobody.pw_uid)] * 4, [str(nobody.pw_gid)] * 4])
    st = os.stat(d.socket_path)
    expect((st.st_uid, st.st_gid, st.st_mode & 0o777), (nobody.pw_uid, nobody.pw_gid, 0o660))
    for name in ".", "scand.stat", "scand.lock":
        expect(os.stat(os.path.join(d.run_dir, name)).st_uid, nobody.pw_uid, name)
    verdict(d.scan(EICAR), INFECTED)
    expect((d.stop(), os.path.exists(d.socket_path)), (0, False))
    expect(subprocess.run([BINARY, "-c", d.conf, "-u", "no-such-user"], capture_output=True).returncode, 2)


@case
def start_up_mistakes_are_told(t):
    d = t.scand(wait=None)
    long_dir = os.path.join(d.dir, "x" * 100)
    for args, words in ((["--nonsense"], "--nonsense"), (["surplus"], "surplus"), (["-c", "/nonexistent.conf"], "/nonexistent.conf")):
        r = subprocess.run([BINARY] + args, capture_output=True, text=True)
        assert r.returncode == 2 and words in r.stderr, r
    for flag, words in ("--help", "usage:"), ("-h", "--user"), ("--version", "sallyport-scand "), ("-V", "sallyport-scand "):
        r = subprocess.run([BINARY, flag], capture_output=True, text=True)
        assert r.returncode == 0 and words in r.stdout and not r.stderr, r
    with open(d.conf, "a") as f:
        f.write('nonsense = 1;\n')
    r = subprocess.run(d.command(), capture_output=True, text=True)
    assert r.returncode == 2 and "nonsense" in r.stderr and d.conf in r.stderr, r
    d.configure()
    d.run_dir = long_dir
    d.configure()
    r = subprocess.run(d.command(), capture_output=True, text=True)
    assert r.returncode == 2 and "too long" in r.stderr and "\n" not in r.stderr.strip(), r
    d.run_dir = os.path.join(d.dir, "run")
    os.mkdir(d.run_dir)
    with open(d.socket_path, "w") as f:
        f.write("precious")
    d.configure()
    r = subprocess.run(d.command(), capture_output=True, text=True)
    assert r.returncode == 2 and "in the way" in r.stderr, r
    with open(d.socket_path) as f:
        expect(f.read(), "precious")


@case
def equal_engines_have_equal_ids(t):
    a = {"a.ndb": ndb("Test.A", b"aaaabbbbccccdddd")}
    d = t.scand(databases=a)
    first = d.ping().engine_id
    expect(d.stop(), 0)
    os.utime(os.path.join(d.db, "a.ndb"), (1e9, 1e9))
    d.start()
    expect(d.ping().engine_id, first, "after a restart")
    expect(t.scand(databases=a).ping().engine_id, first, "in another folder")
    others = {
        "limit": t.scand("max_files = 77;", databases=a),
        "timeout": t.scand('timeout = "77s";', databases=a),
        "contents": t.scand(databases={"a.ndb": ndb("Test.A", b"aaaabbbbccccddde")}),
        "name": t.scand(databases={"b.ndb": ndb("Test.A", b"aaaabbbbccccdddd")}),
        "none": t.scand(),
    }
    ids = {name: o.ping().engine_id for name, o in others.items()}
    assert len(set(ids.values()) | {first}) == len(ids) + 1, ids
    expect(t.scand("workers = 3;", databases=a).ping().engine_id, first, "workers do not count")


@case
def sighup_swaps_the_engine_without_a_failed_scan(t):
    d = t.scand("workers = 2; max_workers = 4;", databases={"a.ndb": ndb("Test.A", b"aaaabbbbccccdddd")})
    old_id, stop = d.ping().engine_id, []

    def client():
        n = 0
        while not stop or n < 16:
            verdict(d.scan(EICAR + b" " * (n % 40)), INFECTED)
            verdict(d.scan(b"aaaabbbbccccdddd %d" % n), INFECTED, "Test.A.UNOFFICIAL")
            n += 2
        return n

    running = [InBackground(client) for _ in range(4)]
    for i in range(2, 8):
        d.write_db("b%d.ndb" % i, ndb("Test.B%d" % i, b"eeeeffffgggghhh%d" % i))
        d.process.send_signal(signal.SIGHUP)
        d.until(lambda: d.board().generation >= i, "generation %d is not there" % i)
        d.until(lambda: d.scan(b"eeeeffffgggghhh%d" % i).signature == "Test.B%d.UNOFFICIAL" % i, "not enforced")
    stop.append(1)
    assert sum(r.result() for r in running) > 50
    d.until(lambda: len({w[1] for w in d.workers()}) == 1, "old workers stay")
    expect((d.board().crashed, d.board().errors, d.board().state), (0, 0, SERVING))
    assert d.ping().engine_id != old_id
    d.until(lambda: {n.split("w")[0] for n in os.listdir(d.scratch())} == {"g%d" % d.board().generation}, "scratch of old generations stays")


@case
def refused_reload_changes_nothing(t):
    d = t.scand(databases={"a.ndb": ndb("Test.A", b"aaaabbbbccccdddd")})
    before = d.ping().engine_id
    d.write_db("bad.ndb", "this is no signature\n")
    d.process.send_signal(signal.SIGHUP)
    d.until(lambda: d.board().state == DEGRADED, "not degraded")
    b = d.board()
    expect((b.generation, b.engine_id, b.refused), (1, before, 1))
    assert "Malformed" in b.last_error, b.last_error
    verdict(d.scan(b"aaaabbbbccccdddd"), INFECTED)
    os.unlink(os.path.join(d.db, "bad.ndb"))
    with open(d.conf, "a") as f:
        f.write("nonsense = 1;\n")
    d.process.send_signal(signal.SIGHUP)
    d.until(lambda: d.board().refused == 2, "a wrong configuration was taken")
    d.configure("max_files = 99;")
    d.process.send_signal(signal.SIGHUP)
    # scand may have loaded by itself meanwhile, with the old limits; the new one counts in the end
    d.until(lambda: d.board().state == SERVING and d.ping().engine_id != before, "did not recover")


@case
def reload_lets_old_scans_finish(t):
    d = t.scand("workers = 1; max_workers = 2;")
    running = InBackground(d.scan, slow_body())
    d.until(lambda: d.busy(), "not busy")
    d.process.send_signal(signal.SIGHUP)
    d.until(lambda: d.ping().generation == 2, "no second generation")
    r = running.result()
    verdict(r, CLEAN)
    expect(r.generation, 1)
