"""Mixed load for long, with changes of rules and signatures and workers that die: memory stays flat and nothing is left behind."""

import os
import signal
import threading
import time

import gate
import memory
import proc
from load import CONNECTIONS, Load
from report import await_true, check

KIB_A_MINUTE = 40        # what any part may grow by, of the second half of a long run
MANY_KIB = 150 * 1024     # with an engine of a few signatures
SHORT_SECONDS = 600      # a run below this is too short for a slope: there
SHORT_GROWTH_KIB = 3072  # is what a part may grow by from one half to the other, caches and heaps still fill


def slope(points):
    """Least squares of (x, y): y for one x."""
    n = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def median(values):
    return sorted(values)[len(values) // 2]


class Facts:
    """Of one moment: memory by part, descriptors, threads, processes."""

    def __init__(self, stack):
        children = proc.children(stack.cicap.process.pid)
        workers = stack.workers()
        generations = [p for p in gate.generation_pids(stack) if proc.children(p)]
        parts = {"c-icap, main": [stack.cicap.process.pid], "c-icap, children": children, "supervisor": [stack.scand.pid]}
        self.kib = {name: sum(memory.pss_kib(p) for p in pids) for name, pids in parts.items()}
        self.kib["generation and workers"] = sum(memory.pss_kib(p) for p in generations + workers)
        self.fds = memory.count_fds(children), memory.count_fds([stack.scand.pid])
        self.threads = memory.count_threads(children)
        self.is_loading = len(gate.generation_pids(stack)) != 1


class Watcher:
    """Takes facts all the time, but not while two engines are there."""

    def __init__(self, stack, pause):
        self.stack, self.pause, self.points = stack, pause, []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.stop.set()
        self.thread.join()

    def _run(self):
        while not self.stop.wait(self.pause):
            try:
                facts = Facts(self.stack)
            except OSError:
                continue
            if not facts.is_loading:
                self.points.append((time.monotonic(), facts))

    def halves(self):
        half = len(self.points) // 2
        return self.points[:half], self.points[half:]


def _shake(stack, load, seconds):
    """Changes, one every few seconds: signatures, rules, a worker dies."""
    end, i, counts = time.monotonic() + seconds, 0, [0, 0, 0]
    pause = min(5.0, max(1.0, seconds / 100))
    while time.monotonic() < end:
        load.rest(min(pause, end - time.monotonic()))
        if i % 3 == 0:
            stack.dir.write("db/fresh.ndb", "Sallyport.Test.Fresh:0:*:%s\n" % (b"nobody has this %06d" % i).hex())
            os.kill(stack.scand.pid, signal.SIGHUP)
        elif i % 3 == 1:
            stack.write_conf(outcomes__encrypted="block" if i % 2 else "allow")
        else:
            try:
                os.kill(stack.workers()[0], signal.SIGKILL)
            except (IndexError, ProcessLookupError):
                continue
        counts[i % 3] += 1
        load.settle()
        i += 1
    return counts


def _judge(watcher, seconds):
    first, last = watcher.halves()
    check(len(last) > 5, "only %d points", len(watcher.points))
    faults = []
    for name in first[0][1].kib:
        minute = slope([((at - last[0][0]) / 60, facts.kib[name]) for at, facts in last])
        before, after = median([f.kib[name] for _, f in first]), median([f.kib[name] for _, f in last])
        print("# %-22s %6d KiB in the first half, %6d in the second, slope there %+.1f KiB a minute" % (name, before, after, minute))
        grew = after - before > SHORT_GROWTH_KIB if seconds < SHORT_SECONDS else minute > KIB_A_MINUTE
        if grew:
            faults.append("%s grew from %d to %d KiB, %+.1f KiB a minute" % (name, before, after, minute))
    check(not faults, "%s", "; ".join(faults))


def _quiet(stack):
    """Facts when no connection is open. c-icap closes its side when it sees that ours is."""
    time.sleep(1.5)
    return Facts(stack)


def soak(sizes):
    seconds = sizes.soak_seconds
    with gate.gate("soak", signatures=5000) as stack:
        with Load(stack, "warming up", pause=0.002) as load:
            load.rest(min(30, seconds / 5))
        start = _quiet(stack)
        with Load(stack, "mixed load", CONNECTIONS, 0.002) as load, Watcher(stack, max(0.2, seconds / 2000)) as watcher:
            counts = _shake(stack, load, seconds - min(30, seconds / 5))
        print("# %d reloads of signatures, %d of rules, %d workers killed, %d scans made again, %d answers from memory" % (
            *counts, stack.counter("scan_retries"), stack.counter("cache_hits")))
        load.check_none_failed()
        gate.check_nothing_left(stack)
        await_true(lambda: len(gate.generation_pids(stack)) == 1, 10, "old generations to leave")
        _judge(watcher, seconds)
        end = _quiet(stack)
        print("# descriptors of c-icap's children and of the supervisor %s, then %s; threads %d, then %d" % (
            start.fds, end.fds, start.threads, end.threads))
        check(all(b <= a for a, b in zip(start.fds, end.fds)), "descriptors: %s, then %s", start.fds, end.fds)
        check(end.threads <= start.threads, "threads: %d, then %d", start.threads, end.threads)
        stack.stop_scand()
        left = os.listdir(stack.dir.join("spool"))
        check(not left, "left in spool.dir: %s", left[:5])


def _pss_of_all_mappings(pids):
    total = 0
    for pid in pids:
        try:
            with open("/proc/%d/smaps_rollup" % pid) as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
        except OSError:
            pass
    return total


def many_threads(sizes):
    """512 threads of c-icap and 32 workers: what they hold besides the engine, which is next to nothing here."""
    servers = {"StartServers": 8, "MaxServers": 8, "ThreadsPerChild": 64, "MaxSpareThreads": 600}
    with gate.gate("many", {"scan.workers": 32, "scan.max_workers": 32}, servers=servers) as stack:
        with Load(stack, "512 threads, 32 workers") as load:
            load.rest(5)
            scanner, proxy = _pss_of_all_mappings(gate.scanner_pids(stack)), _pss_of_all_mappings(gate.gate_pids(stack))
            threads, workers = memory.count_threads(gate.gate_pids(stack)), len(stack.workers())
        load.check_none_failed()
        print("# %d threads hold %d KiB, %d workers and their parents %d KiB" % (threads, proxy, workers, scanner))
        check(threads >= 512 and workers >= 32, "%d threads and %d workers", threads, workers)
        check(scanner + proxy < MANY_KIB, "%d KiB", scanner + proxy)


CASES = [("many-threads", many_threads), ("soak", soak)]
