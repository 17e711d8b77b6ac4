"""The goals that are not a rate: memory, reloads, killed workers, huge archives, huge objects. Each is measured on a gate that runs
already or on one of its own, and gives rows of what it found, what was asked for and whether that was met."""
import os
import signal
import socket
import statistics
import subprocess
import threading
import time

import contestants
import machine
from contestants import Sallyport

MB = 1 << 20
REPEATS = 3
HOLD_S = 5.0  # hold_time as shipped
SMALL = 1024
THREADS, WORKERS = 512, 32


def goal(name, title, value, text, wanted, is_met):
    return {"name": name, "title": title, "value": value, "text": text, "wanted": wanted, "met": None if is_met is None else bool(is_met)}


def probe(gate, seconds, seed, pause_us=2000, connections=1, size=SMALL):
    """One connection that does not use up the machine."""
    command = gate.load_command("respmod", size, "text", "unseen", seed, 0.2, seconds, connections)
    return contestants.run_load(command + ["-g", str(pause_us)], seconds)


class Nagging(threading.Thread):
    """Does something again and again until it is told to end."""

    def __init__(self, what, pause_s):
        super().__init__(daemon=True)
        self.what, self.pause_s, self.done, self.times = what, pause_s, threading.Event(), 0

    def run(self):
        while not self.done.wait(self.pause_s):
            self.what()
            self.times += 1

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join()


def reload_p99(bench, gate):
    """A connection alone, then while an engine loads, in turns."""
    scand, ratios, failed = gate.processes[0].pid, [], 0
    for _ in range(REPEATS):
        before = probe(gate, bench.seconds, bench.next_seed())
        # Told again and again, it loads again and again. To ask how far it is would take the processor that is measured.
        with Nagging(lambda: os.kill(scand, signal.SIGHUP), 0.1):
            time.sleep(0.1)
            during = probe(gate, bench.seconds, bench.next_seed())
        failed += before["failed"] + during["failed"]
        ratios.append(during["p99_us"] / max(1, before["p99_us"]))
        wait_for(lambda: not gate.status()["scanner"]["loading"], 60)
        time.sleep(0.5)
    ratio = statistics.median(ratios)
    return [goal("reload-p99", "p99 of 1 KB while signatures load, against before", ratio,
                 f"{ratio:.2f} x ({min(ratios):.2f}-{max(ratios):.2f})", "<= 1.5 x, with a core idle", ratio <= 1.5),
            goal("reload-failed", "failed transactions meanwhile", failed, str(failed), "none", failed == 0)]


def wait_for(question, seconds):
    deadline = time.monotonic() + seconds
    while not question() and time.monotonic() < deadline:
        time.sleep(0.05)


def killed_workers(bench, gate):
    """SIGKILL for a worker every 100 ms under load."""
    def kill_one():
        for pid in workers(gate)[:1]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    command = gate.load_command("respmod", 35 * 1024, "text", "unseen", bench.next_seed(), 0, bench.seconds * 2, bench.connections)
    with Nagging(kill_one, 0.1) as killer:
        got = contestants.run_load(command, bench.seconds * 2)
    return [goal("kill-failed", f"failed transactions of {got['all']:,} while {killer.times} workers were killed", got["failed"], str(got["failed"]),
                 "none", got["failed"] == 0 and got["all"] > 0)]


def workers(gate):
    """Descendants of scand that have no children themselves."""
    pids = machine.tree(gate.processes[0].pid)
    parents = {int(fields[1]) for fields in map(machine.stat_fields, pids) if fields}
    return [pid for pid in pids if pid not in parents]


def archives(bench, gate):
    """1 KB objects alone, and while four large archives are in the scanner, in turns."""
    ratios, alone, during, busy = [], [], [], 4
    for _ in range(REPEATS):
        alone.append(probe(gate, bench.seconds, bench.next_seed()))
        command = gate.load_command("respmod", bench.archive_mb * MB, "package", "unseen", bench.next_seed(), 0, 600, 4)
        giant = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            busy = min(busy, await_busy(gate, 4))
            during.append(probe(gate, bench.seconds, bench.next_seed()))
        finally:
            giant.kill()
            giant.wait()
        ratios.append(during[-1]["p99_us"] / max(1, alone[-1]["p99_us"]))
        wait_for(lambda: gate.status()["scanner"]["workers_busy"] == 0, 60)
        time.sleep(1)  # workers end with a long scan, and others take their place
    ratio = statistics.median(ratios)
    before, beside, half = (statistics.median(p[key] for p in probes) for key, probes in
                            (("p99_us", alone), ("p99_us", during), ("p50_us", during)))
    return [goal("archives-p99", f"p99 of 1 KB objects while four {bench.archive_mb} MB archives scan, against alone", ratio,
                 f"{ratio:.2f} x ({min(ratios):.2f}-{max(ratios):.2f}; {beside:,.0f} us after {before:,.0f} us; p50 {half:,.0f} us)",
                 "<= 3 x" if busy >= 4 else f"<= 3 x, but only {busy} were in", ratio <= 3 if busy >= 4 else None)]


def await_busy(gate, wanted):
    """The most workers that were seen busy, as soon as it is so many."""
    busy = 0

    def are_in():
        nonlocal busy
        busy = max(busy, gate.status()["scanner"]["workers_busy"])
        return busy >= wanted
    wait_for(are_in, 60)
    return busy


def huge_object(bench, gate):
    """1 GB as fast as it is taken: when the first byte of it comes back, and what the processes grow by."""
    pids = gate.pids()
    base = peak = machine.pss_kb(pids)
    first_s, total, begin = None, bench.huge_mb * MB, time.monotonic()

    def grow():
        nonlocal peak
        peak = max(peak, machine.pss_kb(gate.pids()) or 0)

    with Nagging(grow, 0.25), socket.create_connection(("127.0.0.1", gate.port), 30) as s:
        reader = Reader(s)
        reader.start()
        request = b"GET http://www.bench.example/items/huge.bin HTTP/1.1\r\nHost: www.bench.example\r\n\r\n"
        # Without a length and without leave to answer 204: with them the answer is a 204, and nothing of it comes back.
        reply = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n"
        s.sendall(b"RESPMOD icap://127.0.0.1/sallyport ICAP/1.0\r\nHost: 127.0.0.1\r\nEncapsulated: req-hdr=0, res-hdr=%d, "
                  b"res-body=%d\r\n\r\n" % (len(request), len(request) + len(reply)) + request + reply)
        piece = b"%x\r\n" % MB + os.urandom(MB) + b"\r\n"
        for _ in range(bench.huge_mb):
            s.sendall(piece)
        s.sendall(b"0\r\n\r\n")
        reader.join(120)
    first_s = reader.first - begin if reader.first else None
    grown = (peak - base) / 1024
    return [goal("huge-first", f"first byte of a {bench.huge_mb} MB object", first_s, f"{first_s:.1f} s" if first_s else "none came",
                 f"<= hold_time + 1 s = {HOLD_S + 1:.0f} s", first_s is not None and first_s <= HOLD_S + 1 and reader.is_whole(total)),
            goal("huge-memory", "memory that the gate takes meanwhile, files of the spool left out", grown, f"{grown:+.0f} MB", "bounded: <= 64 MB",
                 grown <= 64)]


class Reader(threading.Thread):
    """Takes an answer: when its first byte of a body came, and how much came."""

    def __init__(self, s):
        super().__init__(daemon=True)
        self.socket, self.first, self.bytes, self.tail = s, None, 0, b""

    def run(self):
        self.socket.settimeout(60)
        head = b""
        while True:
            try:
                got = self.socket.recv(MB)
            except OSError:
                return
            if not got:
                return
            head = (head + got)[:4096] if len(head) < 4096 else head
            if self.first is None and head.count(b"\r\n\r\n") >= 2 and not head.endswith(b"\r\n\r\n"):
                self.first = time.monotonic()
            self.bytes += len(got)
            self.tail = (self.tail + got)[-16:]
            if self.tail.endswith(b"\r\n0\r\n\r\n"):
                return

    def is_whole(self, total):
        return self.bytes >= total and self.tail.endswith(b"\r\n0\r\n\r\n")


class LargeGate(Sallyport):
    """512 threads of c-icap and 32 workers."""
    name, title = "sallyport-large", "sallyport, 512 threads, 32 workers"
    scan_options = f"workers = {WORKERS}; max_workers = {WORKERS};"

    def write_domains(self):
        with open(os.path.join(self.dir, "domains.txt"), "w", encoding="utf-8") as f:
            f.write("blocked.test\n")

    def settings(self):
        return dict(self.bench.settings, ThreadsPerChild=str(THREADS // 2), StartServers="2", MaxServers="2", MinSpareThreads="1",
                    MaxSpareThreads=str(2 * THREADS))


def memory(bench, engine_kb):
    """Sum of PSS with every thread in use, and the most while signatures load."""
    gate = LargeGate(bench)
    bench.extra.append(gate)
    gate.start()
    wait_for(lambda: len(workers(gate)) >= WORKERS, 20)
    contestants.run_load(gate.load_command("respmod", 35 * 1024, "text", "unseen", bench.next_seed(), 0, bench.seconds, THREADS // 2), bench.seconds)
    held = [ask_and_hold(gate) for _ in range(THREADS - 16)]
    used = machine.pss_kb(gate.pids())
    most, generation = used, gate.status()["scanner"]["generation"]
    os.kill(gate.processes[0].pid, signal.SIGHUP)
    deadline = time.monotonic() + 120
    while gate.status()["scanner"]["generation"] == generation and time.monotonic() < deadline:
        most = max(most, machine.pss_kb(gate.pids()) or 0)
    for s in held:
        s.close()
    gate.stop()
    bench.extra.remove(gate)
    beside, loading = (used - engine_kb) / 1024, (most - engine_kb) / 1024
    engine = engine_kb / 1024
    return [goal("memory", f"memory beside one engine of {engine:,.0f} MB, {THREADS} threads, {WORKERS} workers, {len(held)} connections", beside,
                 f"{beside:+,.0f} MB", "<= +150 MB", beside <= 150),
            goal("memory-loading", "the same while signatures load", loading, f"{loading:+,.0f} MB", f"<= +150 MB and one engine = {150 + engine:,.0f} MB",
                 loading <= 150 + engine)]


def ask_and_hold(gate):
    """A connection that has been used and stays, as Squid's do: it holds a thread."""
    s = socket.create_connection(("127.0.0.1", gate.port), 10)
    request = b"GET http://www.bench.example/ HTTP/1.1\r\nHost: www.bench.example\r\n\r\n"
    s.sendall(b"REQMOD icap://127.0.0.1/sallyport ICAP/1.0\r\nHost: 127.0.0.1\r\nAllow: 204\r\nEncapsulated: req-hdr=0, null-body=%d\r\n\r\n" % len(request)
              + request)
    s.settimeout(30)
    s.recv(4096)
    return s


NAMES = ["memory", "reload", "kill", "archives", "huge"]


def measure(bench, gate, engine_kb, wanted):
    """The rows of all goals that are wanted; one that cannot be measured says why."""
    steps = [("reload", lambda: reload_p99(bench, gate)), ("kill", lambda: killed_workers(bench, gate)), ("archives", lambda: archives(bench, gate)),
             ("huge", lambda: huge_object(bench, gate))]
    if engine_kb:
        steps.insert(0, ("memory", lambda: memory(bench, engine_kb)))
    found = []
    for name, step in steps:
        if name not in wanted:
            continue
        bench.say(f"goal: {name}")
        try:
            found += step()
        except (contestants.Failed, OSError, KeyError, ValueError, subprocess.SubprocessError) as e:
            found.append(goal(name, name, None, f"not measured: {type(e).__name__}: {e}", "", None))
    return found
