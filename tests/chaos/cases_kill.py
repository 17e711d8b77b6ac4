"""Processes that are killed, stopped or run out of memory under load."""

import os
import random
import signal
import time

import gate
import proc
from load import Load
from report import BUSY, await_true, check, equal

KILL_PAUSE = 0.1
HANGING = 3  # workers that hang at once, of at most four


def _signal(pid, number):
    try:
        os.kill(pid, number)
        return True
    except ProcessLookupError:
        return False


def workers_killed(sizes):
    """A random scan worker every 100 ms: the scan that it held is made again elsewhere. Once, so the next kill waits for that, and on a
    machine that has other work there are fewer in the same time."""
    rng, killed, enough = random.Random(7), 0, 2 * sizes.kill_seconds
    with gate.gate("workers") as stack:
        with Load(stack, "kill -9 of a worker every 100 ms") as load:
            began = time.monotonic()
            while time.monotonic() < began + sizes.kill_seconds or (killed < enough and time.monotonic() < began + BUSY * sizes.kill_seconds):
                load.rest(KILL_PAUSE)
                workers = stack.workers()
                killed += bool(workers) and _signal(rng.choice(workers), signal.SIGKILL)
                load.settle()
        print("# %d workers killed, %d scans made again" % (killed, stack.counter("scan_retries")))
        check(killed >= enough, "only %d workers were killed", killed)
        load.check_none_failed()
        gate.check_nothing_left(stack)
        await_true(lambda: len(stack.workers()) >= 2, 10, "workers to be replaced")


def generation_killed(sizes):
    """Its workers serve on until the next one is ready."""
    with gate.gate("generation", signatures=sizes.signatures) as stack:
        with Load(stack, "kill -9 of the generation process") as load:
            for _ in range(sizes.rounds):
                load.rest(1)
                before = gate.generation(stack)
                (pid,) = [p for p in gate.generation_pids(stack) if proc.children(p)]
                _signal(pid, signal.SIGKILL)
                gate.await_generation(stack, before + 1)
            load.rest(1)
        load.check_none_failed()
        gate.check_nothing_left(stack)


def supervisor_killed(sizes):
    """Started again as a service manager would: scans wait for it, or are refused as error or overload."""
    with gate.gate("supervisor", {"scan.start_wait": "20s"}) as stack:
        with Load(stack, "kill -9 of the supervisor") as load:
            for _ in range(sizes.rounds):
                load.rest(1.5)
                _signal(stack.scand.pid, signal.SIGKILL)
                gate.restart_killed_scanner(stack)
            load.rest(1.5)
        load.check_none_failed()
        gate.check_nothing_left(stack)


def scanner_restarted(sizes):
    """SIGTERM and a new start, as in an upgrade."""
    with gate.gate("restart", {"scan.start_wait": "20s"}, sizes.signatures) as stack:
        with Load(stack, "restart of scand") as load:
            for _ in range(sizes.rounds):
                load.rest(1.5)
                stack.stop_scand()
                stack.start_scand()
            load.rest(1.5)
        load.check_none_failed()
        gate.check_nothing_left(stack)


def _children(stack):
    return [pid for pid in proc.children(stack.cicap.process.pid) if gate.state_of(pid) not in "ZX"]


def _is_replaced(stack, pid):
    alive = _children(stack)
    return pid not in alive and len(alive) == gate.CHILDREN


def child_killed(sizes):
    """kill -9 of a child of c-icap: what it held dies on the wire, all others are right."""
    with gate.gate("child") as stack:
        with Load(stack, "kill -9 of a child of c-icap") as load:
            for _ in range(sizes.rounds):
                load.rest(2)
                before = proc.children(stack.cicap.process.pid)
                victim = max(before, key=proc.cpu_ticks)
                _signal(victim, signal.SIGKILL)
                await_true(lambda: _is_replaced(stack, victim), 20, "c-icap to replace its child")
                time.sleep(0.2)  # until the connections of the dead one have noticed
            load.begin("and afterwards")
            load.rest(2)
        equal(load.outcomes(), [], "refusals")
        equal(load.phases[-1].failed, 0, "failed transactions without a kill")
        check(load.failed <= sizes.rounds * len(load.threads), "%d lost, more than were under way", load.failed)
        gate.check_nothing_left(stack)
        gate.stop_cicap_with_deaths(stack)


def workers_stopped(sizes):
    """SIGSTOP: a scan that hangs is ended at its deadline, with a name; the others do not wait for it."""
    rng, stopped = random.Random(8), []
    with gate.gate("stopped", {"scan.timeout": "1s"}) as stack:
        with Load(stack, "SIGSTOP of a worker every second") as load:
            for _ in range(sizes.kill_seconds):
                load.rest(1)
                pid = rng.choice(stack.workers())
                stopped += [pid] if _signal(pid, signal.SIGSTOP) else []
                if len(stopped) > HANGING:  # one that was idle holds up nothing, and nobody ends it
                    _signal(stopped[-1 - HANGING], signal.SIGCONT)
            load.begin("and afterwards")
            load.rest(4)
        print("# %d workers stopped; scanner: %s" % (len(stopped), {k: gate.board(stack)[k] for k in ("crashed", "timed_out", "errors")}))
        check(load.failed <= len(stopped), "%d failed transactions for %d stopped workers", load.failed, len(stopped))
        check(load.phases[0].percentile(0.75) < 1000, "the others waited too: p75 %.0f ms", load.phases[0].percentile(0.75))
        for pid in stopped:
            _signal(pid, signal.SIGCONT)
        gate.check_nothing_left(stack)


def workers_starved(sizes):
    """A worker that gets no more memory: what it cannot scan is scanned by another, or refused; nothing passes."""
    rng, starved = random.Random(9), set()
    with gate.gate("starved") as stack:
        with Load(stack, "a worker without memory every 300 ms") as load:
            end = time.monotonic() + sizes.kill_seconds
            while time.monotonic() < end:
                load.rest(0.3)
                pid = rng.choice(stack.workers())
                if gate.limit_memory(stack, pid):
                    starved.add(pid)
            # What still starves is not of this test's making any more.
            for pid in stack.workers():
                _signal(pid, signal.SIGKILL)
            time.sleep(0.5)
            load.begin("and afterwards")
            load.rest(2)
        print("# %d workers starved; scanner: %s" % (len(starved), {k: gate.board(stack)[k] for k in ("crashed", "timed_out", "errors")}))
        check(starved, "no worker was starved")
        # Made again by another, unless that one starves as well.
        check(load.failed <= 1 + len(starved) // 4, "%d failed transactions for %d starved workers", load.failed, len(starved))
        equal(load.phases[-1].failed, 0, "failed transactions afterwards")
        gate.check_nothing_left(stack)


CASES = [
    ("kill-workers", workers_killed), ("kill-generation", generation_killed), ("kill-supervisor", supervisor_killed),
    ("restart-scanner", scanner_restarted), ("kill-icap-child", child_killed), ("stop-workers", workers_stopped),
    ("starve-workers", workers_starved),
]
