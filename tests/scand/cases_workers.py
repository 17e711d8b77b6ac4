"""Life and death of workers."""
import os
import resource
import shutil
import signal
import subprocess
import time

from cases import *  # noqa: F401,F403


@case
def workers_grow_when_all_are_busy(t):
    d = t.scand("workers = 1; max_workers = 4;")
    expect(len(d.workers()), 1)
    running = [InBackground(d.scan, slow_body()) for i in range(6)]
    d.until(lambda: len(d.busy()) == 4, 10, lambda: "%d workers busy" % len(d.busy()))
    for r in running:
        verdict(r.result(60), CLEAN)
    expect(len(d.workers()), 4)
    expect(d.board().crashed, 0)


@case
def short_scans_pass_long_ones(t):
    d = t.scand("workers = 1; max_workers = 4;")
    running = [InBackground(d.scan, slow_body()) for i in range(2)]
    d.until(lambda: len(d.busy()) == 2 and len(d.workers()) == 3, 10, lambda: "no third worker: %r" % d.workers())
    start = time.monotonic()
    verdict(d.scan(EICAR), INFECTED)
    assert running[0].is_alive() and time.monotonic() - start < 1
    for r in running:
        verdict(r.result(60), CLEAN)


@case
def parallel_scans_answer_their_own(t):
    d = t.scand("workers = 2; max_workers = 6;")

    def client(n):
        for i in range(60):
            if (n + i) % 3:
                verdict(d.scan(b"client %d body %d " % (n, i) * 30), CLEAN)
            else:
                verdict(d.scan(EICAR + b"\n" * (i % 50), "memfd" if i % 2 else "inline"), INFECTED)
        return True

    for r in [InBackground(client, n) for n in range(8)]:
        assert r.result(60)
    expect(d.board().scans, 480)


@case
def killed_idle_worker_is_replaced(t):
    d = t.scand("workers = 2; max_workers = 2;")
    before = {w[0] for w in d.workers()}
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    d.until(lambda: len(d.workers()) == 2 and victim not in {w[0] for w in d.workers()}, 3, "not replaced")
    verdict(d.scan(EICAR), INFECTED)
    expect(d.board().crashed, 1)
    assert "signal 9" in d.log()


@case
def killed_busy_worker_is_replaced(t):
    d = t.scand("workers = 2; max_workers = 2;")
    running = InBackground(d.scan, slow_body())
    d.until(lambda: d.busy(), 5, "not busy")
    (victim,) = [w[0] for w in d.busy()]
    time.sleep(0.1)
    os.kill(victim, signal.SIGKILL)
    expect(running.result(5), None, "the scan of a dead worker")
    d.until(lambda: len(d.workers()) == 2 and victim not in {w[0] for w in d.workers()}, 3, "not replaced")
    left = [f for _, _, files in os.walk(d.scratch()) for f in files]
    expect(left, [], "files left behind")
    expect(d.board().crashed, 1)


@case
def object_that_ends_two_workers_is_scanned_no_more(t):
    """In this generation; the next one may have learnt to bear it. Killed from outside it is not blamed."""
    d = t.scand("workers = 2; max_workers = 2;")

    def end_by(sig, crashes, **kw):
        running = InBackground(d.scan, slow_body(), **kw)
        d.until(lambda: d.busy(), 5, "not busy")
        time.sleep(0.1)
        os.kill(d.busy()[0][0], sig)
        expect(running.result(5), None, "the scan of a dead worker")
        d.until(lambda: d.board().crashed == crashes and len(d.workers()) == 2, 3, "not replaced")

    end_by(signal.SIGSEGV, 1)  # a first attempt
    end_by(signal.SIGKILL, 2, flags=IS_RETRY)
    verdict(d.scan(slow_body(1), flags=IS_RETRY), CLEAN)
    verdict(d.scan(slow_body()), CLEAN)
    for _ in range(2):  # each in a process that does not know the object yet
        d.process.send_signal(signal.SIGHUP)
        number = d.board().generation
        d.until(lambda: d.board().generation == number + 1, 10, "no reload")
    end_by(signal.SIGSEGV, 3, flags=IS_RETRY)
    start = time.monotonic()
    for flags in 0, IS_RETRY:
        reply = d.scan(slow_body(), flags=flags)
        verdict(reply, ERROR, "an object of the same content has ended scanner processes before")
        expect(reply.flags, 0)
    assert time.monotonic() - start < 0.5
    verdict(d.scan(slow_body()[:-1] + b"x"), CLEAN)  # of the same length
    expect(d.board().crashed, 3)
    assert "ended two workers" in d.log()
    b = d.board()
    expect((b.culprits - b.culprits_before, b.culprits_refused, b.forbidden), (1, 2, 0))
    number = d.board().generation
    d.process.send_signal(signal.SIGHUP)
    d.until(lambda: d.board().generation == number + 1, 10, "no reload")
    d.until(lambda: len(d.workers()) == 2, 10, "the old ones stay")
    expect(d.board().culprits - d.board().culprits_before, 0)  # forgotten
    verdict(d.scan(slow_body()), CLEAN)


@case
def without_forks_the_rest_serves_on(t):
    """The workers that are left, and the engine that is loaded; and all is well again once there is room for processes."""
    if os.geteuid() != 0:
        return "not root"
    d = t.scand("workers = 3; max_workers = 4;", user=NOBODY)
    pids, had = [d.process.pid, d.generation_pid()], resource.getrlimit(resource.RLIMIT_NPROC)[0]

    def limit(pid, limits):
        own = os.stat("/proc/%d" % pid)
        subprocess.run(["prlimit", "--pid", str(pid), "--nproc=" + limits], user=own.st_uid, group=own.st_gid, extra_groups=[], check=True)

    for pid in pids:
        limit(pid, "0:")
    victim = d.workers()[0][0]
    os.kill(victim, signal.SIGKILL)
    d.until(lambda: "cannot fork a worker, 2 serve on" in d.log(), 5, "not told")
    d.process.send_signal(signal.SIGHUP)
    d.until(lambda: "cannot fork: " in d.board().last_error, 5, "no reload was tried")
    time.sleep(1)
    expect(d.log().count("cannot fork a worker"), 1)
    assert d.board().refused <= 6, "%d attempts" % d.board().refused
    expect((d.board().state, len(d.workers()), d.board().generation), (DEGRADED, 2, 1))
    verdict(d.scan(EICAR), INFECTED)
    for pid in pids:
        limit(pid, "%d:" % had)
    d.until(lambda: d.board().state == SERVING and d.board().generation > 1 and len(d.workers()) == 3, 15, "not recovered")
    verdict(d.scan(EICAR), INFECTED)


@case
def large_objects_leave_room_for_small_ones(t):
    d = t.scand("workers = 4; max_workers = 4;")
    large = slow_body() + b"#" * (1 << 20)  # a zip with a tail
    running = [InBackground(d.scan, large) for i in range(3)]
    d.until(lambda: len(d.busy()) == 3, 5, "not busy")
    time.sleep(0.05)
    for _ in range(3):
        reply = d.scan(large)
        verdict(reply, ERROR, "too many long scans are under way")
        expect((reply.flags, reply.scanned), (IS_BUSY, 0))
    start = time.monotonic()
    verdict(d.scan(EICAR), INFECTED)
    assert time.monotonic() - start < 1 and all(r.is_alive() for r in running)
    for r in running:
        verdict(r.result(60), CLEAN)
    verdict(d.scan(large), CLEAN)
    expect(d.board().errors, 0)


@case
def crash_loop_does_not_spin(t):
    d = t.scand("workers = 1; max_workers = 1;")
    end, killed = time.monotonic() + 4, 0
    while time.monotonic() < end:
        for w in d.workers():
            try:
                os.kill(w[0], signal.SIGKILL)
                killed += 1
            except OSError:
                pass
        time.sleep(0.002)
    b = d.board()
    assert 64 <= b.crashed <= 64 + 6 * 20, "%d crashes" % b.crashed
    expect(b.state, DEGRADED)
    verdict(d.scan(EICAR), INFECTED)
    expect(d.log().count("workers keep dying"), 1)


@case
def late_scan_gets_limit(t):
    d = t.scand("workers = 1; max_workers = 1;")
    (before,) = d.workers()
    start = time.monotonic()
    verdict(d.scan(slow_body(), deadline_ms=150), LIMIT, "longer than scan.timeout")
    took = time.monotonic() - start
    assert 0.1 < took < 1.5, "took %.2f s" % took
    d.until(lambda: d.workers() and d.workers()[0][0] != before[0], 3, "not replaced")
    verdict(d.scan(EICAR), INFECTED)  # and a short one after a long deadline and a timer
    verdict(d.scan(slow_body(), deadline_ms=100), LIMIT)
    d.until(lambda: d.board().timed_out == 2, 3, "not counted")
    expect(d.board().crashed, 0)


@case
def scan_timeout_of_the_configuration_holds(t):
    d = t.scand('workers = 1; max_workers = 1; timeout = "400ms";')
    running, start = InBackground(d.scan, slow_body(), deadline_ms=60000), time.monotonic()
    d.until(lambda: d.busy(), 5, "not busy")
    for _, _, since, deadline in d.busy():
        assert deadline - since <= 5000000, "request's deadline was taken"  # 5 s while it is received, then 400 ms
    time.sleep(0.1)
    expect([deadline - since for _, _, since, deadline in d.busy()], [400000])
    verdict(running.result(), LIMIT, "longer than scan.timeout")
    assert time.monotonic() - start < 2


@case
def stopped_worker_is_killed_past_its_deadline(t):
    d = t.scand("workers = 1; max_workers = 2;")
    running = InBackground(d.scan, slow_body(), deadline_ms=700)
    d.until(lambda: d.busy(), 5, "not busy")
    (victim,) = [w[0] for w in d.busy()]
    os.kill(victim, signal.SIGSTOP)
    start = time.monotonic()
    expect(running.result(10), None)
    took = time.monotonic() - start
    assert 1 < took < 4, "took %.1f s" % took
    d.until(lambda: victim not in {w[0] for w in d.workers()}, 3, "still there")
    verdict(d.scan(EICAR), INFECTED)
    expect(d.board().timed_out, 1)


@case
def processes_hold_only_their_descriptors(t):
    """A lifeline's write end in one of them, and the death of the supervisor would go unnoticed."""
    d = t.scand("workers = 1; max_workers = 1;")
    d.process.send_signal(signal.SIGHUP)
    d.until(lambda: d.board().generation == 2 and len(d.descendants()) == 3, 5, "no reload")

    def held(pid):
        names = [os.readlink("/proc/%d/fd/%s" % (pid, n)) for n in os.listdir("/proc/%d/fd" % pid) if int(n) > 2]
        return sorted(n.split(":")[0] if n[0] != "a" else n.split("[")[1] for n in names if not n.startswith("/")), len(names)

    expect(held(d.workers()[0][0]), (["eventfd]", "eventpoll]", "pipe", "socket"], 6), "worker")
    expect(held(d.generation_pid()), (["eventfd]", "pipe", "signalfd]", "socket"], 5), "generation")


@case
def hot_path_is_few_calls(t):
    if not shutil.which("strace"):
        return "no strace here"
    d = t.scand("workers = 1; max_workers = 1;")
    (pid,) = [w[0] for w in d.workers()]
    verdict(d.scan(b"warm up" * 10), CLEAN)
    out = os.path.join(d.dir, "trace")
    tracer = subprocess.Popen(["strace", "-o", out, "-p", str(pid)], stderr=subprocess.DEVNULL)
    d.until(lambda: "TracerPid:\t0" not in open("/proc/%d/status" % pid).read(), 5, "not traced")
    for _ in range(3):
        verdict(d.ping(), CLEAN)
    tracer.send_signal(signal.SIGINT)
    tracer.wait(5)
    calls = [line.split("(")[0] for line in open(out) if "(" in line]
    first = calls.index("accept4", calls.index("accept4") + 1)  # the one before may have set the timer
    expect(calls[first:first + 6], ["accept4", "getsockopt", "recvmsg", "sendto", "close", "epoll_wait"])
