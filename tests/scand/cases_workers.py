"""Life and death of workers."""
import contextlib
import math
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
    d.until(lambda: len(d.busy()) == 4, lambda: "%d workers busy" % len(d.busy()))
    for r in running:
        verdict(r.result(), CLEAN)
    expect(len(d.workers()), 4)
    expect(d.board().crashed, 0)


@case
def short_scans_pass_long_ones(t):
    d = t.scand("workers = 1; max_workers = 4;")
    running = [InBackground(d.scan, slow_body(60)) for i in range(2)]
    d.until(lambda: len(d.busy()) == 2 and len(d.workers()) == 3, lambda: "no third worker: %r" % d.workers())
    verdict(d.scan(EICAR), INFECTED)
    assert all(r.is_alive() for r in running), "it has waited"
    for r in running:
        verdict(r.result(), CLEAN)


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
        assert r.result()
    expect(d.board().scans, 480)


@case
def killed_idle_worker_is_replaced(t):
    d = t.scand("workers = 2; max_workers = 2;")
    before = {w[0] for w in d.workers()}
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    d.until(lambda: len(d.workers()) == 2 and victim not in {w[0] for w in d.workers()}, "not replaced")
    verdict(d.scan(EICAR), INFECTED)
    expect(d.board().crashed, 1)
    assert "signal 9" in d.log()


@case
def killed_busy_worker_is_replaced(t):
    d = t.scand("workers = 2; max_workers = 2;")
    running = InBackground(d.scan, slow_body())
    (victim,) = d.in_engine()
    os.kill(victim, signal.SIGKILL)
    expect(running.result(), None, "the scan of a dead worker")
    d.until(lambda: len(d.workers()) == 2 and victim not in {w[0] for w in d.workers()}, "not replaced")
    left = [f for _, _, files in os.walk(d.scratch()) for f in files]
    expect(left, [], "files left behind")
    expect(d.board().crashed, 1)


@case
def object_that_ends_two_workers_is_scanned_no_more(t):
    """In this generation; the next one may have learnt to bear it. Killed from outside it is not blamed."""
    d = t.scand("workers = 2; max_workers = 2;")

    def end_by(sig, crashes, **kw):
        running = InBackground(d.scan, slow_body(), **kw)
        (victim,) = d.in_engine()
        os.kill(victim, sig)
        expect(running.result(), None, "the scan of a dead worker")
        # its slot is given back after it has been judged
        d.until(lambda: d.board().crashed == crashes and len({w[0] for w in d.workers()} - {victim}) == 2, "not replaced")

    end_by(signal.SIGSEGV, 1)  # a first attempt
    end_by(signal.SIGKILL, 2, flags=IS_RETRY)
    verdict(d.scan(slow_body(1), flags=IS_RETRY), CLEAN)
    verdict(d.scan(slow_body()), CLEAN)
    for _ in range(2):  # each in a process that does not know the object yet
        d.process.send_signal(signal.SIGHUP)
        number = d.board().generation
        d.await_reload(number + 1)
    end_by(signal.SIGSEGV, 3, flags=IS_RETRY)
    for flags in 0, IS_RETRY:
        reply = d.scan(slow_body(), flags=flags)
        verdict(reply, ERROR, "an object of the same content has ended scanner processes before")
        expect(reply.flags, 0)
    verdict(d.scan(slow_body()[:-1] + b"x"), CLEAN)  # of the same length
    expect(d.board().crashed, 3)
    assert "ended two workers" in d.log()
    b = d.board()
    expect((b.culprits - b.culprits_before, b.culprits_refused, b.forbidden), (1, 2, 0))
    number = d.board().generation
    d.process.send_signal(signal.SIGHUP)
    d.await_reload(number + 1)
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
    d.until(lambda: "cannot fork a worker, 2 serve on" in d.log(), "not told")
    start = time.monotonic()
    d.process.send_signal(signal.SIGHUP)
    d.until(lambda: "cannot fork: " in d.board().last_error, "no reload was tried")
    time.sleep(1)
    expect(d.log().count("cannot fork a worker"), 1)
    most = 3 + math.log2(1 + (time.monotonic() - start) / 0.1)  # the first pause is 0.1 s, each is twice the one before
    assert d.board().refused <= most, "%d attempts" % d.board().refused
    expect((d.board().state, len(d.workers()), d.board().generation), (DEGRADED, 2, 1))
    verdict(d.scan(EICAR), INFECTED)
    for pid in pids:
        limit(pid, "%d:" % had)
    d.until(lambda: d.board().state == SERVING and d.board().generation > 1 and len(d.workers()) == 3, "not recovered")
    verdict(d.scan(EICAR), INFECTED)


@case
def large_objects_leave_room_for_small_ones(t):
    d = t.scand("workers = 4; max_workers = 4;")
    large = slow_body(40) + b"#" * (1 << 20)  # a zip with a tail
    running = [InBackground(d.scan, large) for i in range(3)]
    d.in_engine(3)
    for _ in range(3):
        reply = d.scan(large)
        verdict(reply, ERROR, "too many long scans are under way")
        expect((reply.flags, reply.scanned), (IS_BUSY, 0))
    verdict(d.scan(EICAR), INFECTED)
    assert all(r.is_alive() for r in running), "it has waited"
    for r in running:
        verdict(r.result(), CLEAN)
    verdict(d.scan(large), CLEAN)
    expect(d.board().errors, 0)


@case
def crash_loop_does_not_spin(t):
    d = t.scand("workers = 1; max_workers = 1;")
    start, is_told, is_degraded = time.monotonic(), False, False
    while not is_told or not is_degraded or time.monotonic() < start + 4:
        for w in d.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(w[0], signal.SIGKILL)
        time.sleep(0.002)
        is_told = is_told or "workers keep dying" in d.log()
        is_degraded = is_degraded or d.board().state == DEGRADED
        assert time.monotonic() < start + PATIENCE, "told: %r, degraded: %r" % (is_told, is_degraded)
    crashed, took = d.board().crashed, time.monotonic() - start
    assert 64 <= crashed <= 64 + (took + 2) * 20, "%d crashes in %.1f s" % (crashed, took)
    verdict(d.scan(EICAR), INFECTED)
    assert d.log().count("workers keep dying") <= 1 + took / 1.6, d.log()  # told anew when it has rested for as long


@case
def late_scan_gets_limit(t):
    d = t.scand("workers = 1; max_workers = 1;")
    (before,) = d.workers()
    start = time.monotonic()
    verdict(d.scan(slow_body(), deadline_ms=150), LIMIT, "longer than scan.timeout")
    took = time.monotonic() - start
    assert 0.1 < took < 15, "took %.2f s" % took
    d.until(lambda: d.workers() and d.workers()[0][0] != before[0], "not replaced")
    verdict(d.scan(EICAR), INFECTED)  # and a short one after a long deadline and a timer
    verdict(d.scan(slow_body(), deadline_ms=100), LIMIT)
    d.until(lambda: d.board().timed_out == 2, "not counted")
    expect(d.board().crashed, 0)


@case
def scan_timeout_of_the_configuration_holds(t):
    d = t.scand('workers = 1; max_workers = 1; timeout = "1s";')
    running, seen = InBackground(d.scan, slow_body(100), deadline_ms=60000), set()
    while running.is_alive():
        seen |= {deadline - since for _, _, since, deadline in d.busy()}
        time.sleep(0.005)
    verdict(running.result(), LIMIT, "longer than scan.timeout")
    assert 1000000 in seen and max(seen) <= 5000000, "deadlines: %r us" % seen  # 5 s at most while it is received


@case
def stopped_worker_is_killed_past_its_deadline(t):
    d = t.scand("workers = 1; max_workers = 2;")
    start = time.monotonic()
    running = InBackground(d.scan, slow_body(100), deadline_ms=2000)
    (victim,) = d.in_engine()
    os.kill(victim, signal.SIGSTOP)
    expect(running.result(), None)
    took = time.monotonic() - start
    assert 3 < took < 40, "took %.1f s" % took  # its own deadline, and a second to keep it
    d.until(lambda: victim not in {w[0] for w in d.workers()}, "still there")
    verdict(d.scan(EICAR), INFECTED)
    expect(d.board().timed_out, 1)


@case
def processes_hold_only_their_descriptors(t):
    """A lifeline's write end in one of them, and the death of the supervisor would go unnoticed."""
    d = t.scand("workers = 1; max_workers = 1;")
    d.process.send_signal(signal.SIGHUP)
    d.until(lambda: d.board().generation == 2 and len(d.descendants()) == 3, "no reload")

    verdict(d.ping(), CLEAN)  # its worker has begun

    def held(pid):
        names = [os.readlink("/proc/%d/fd/%s" % (pid, n)) for n in os.listdir("/proc/%d/fd" % pid) if int(n) > 2]
        return sorted(n.split(":")[0] if n[0] != "a" else n.split("[")[1] for n in names if not n.startswith("/")), len(names)

    few = ["eventfd]", "eventpoll]", "pipe", "socket"], 6
    d.until(lambda: held(d.workers()[0][0]) == few, lambda: "worker: %r" % (held(d.workers()[0][0]),))
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
    d.until(lambda: "TracerPid:\t0" not in open("/proc/%d/status" % pid).read(), "not traced")
    for _ in range(9):
        verdict(d.ping(), CLEAN)
    tracer.send_signal(signal.SIGINT)
    tracer.wait(PATIENCE)
    calls = [line.split("(")[0] for line in open(out) if "(" in line]
    few = ["accept4", "getsockopt", "recvmsg", "sendto", "close", "epoll_wait"]  # now and then the timer is set, too
    assert any(calls[i:i + len(few)] == few for i in range(len(calls))), calls
