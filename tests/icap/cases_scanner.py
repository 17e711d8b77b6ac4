"""The scanner stopped, killed, stalled, slow and busy, under a c-icap that goes on running."""

import os
import signal
import threading
import time

import icap
import proc
import samples
from common import expect_block, expect_clean, expect_log
from report import await_true, check, equal

HEAD = icap.response_head()
CLEAN = samples.noise(3000)
BUSY_TICKS = 5  # of processor time: the worker is in the middle of a scan


def scan_clean(client):
    expect_clean(client.respmod(HEAD, CLEAN), HEAD, CLEAN, False)


def scan_infected(client):
    return expect_block(client.respmod(HEAD, samples.infected(3000)), "infected")


class Background:
    """A transaction in a thread of its own."""

    def __init__(self, stack, body, timeout=120):
        self.reply = self.fault = None
        self.thread = threading.Thread(target=self._run, args=(stack, body, timeout), daemon=True)
        self.thread.start()

    def _run(self, stack, body, timeout):
        try:
            with stack.client(timeout=timeout) as client:
                self.reply = client.respmod(HEAD, body)
        except Exception as fault:
            self.fault = fault

    def is_done(self):
        return not self.thread.is_alive()

    def result(self, seconds=120):
        self.thread.join(seconds)
        check(self.is_done(), "no reply after %d s", seconds)
        if self.fault:
            raise self.fault
        return self.reply


def busy_worker(stack, seconds=20):
    """The worker that is using the processor now."""
    before = {pid: proc.cpu_ticks(pid) for pid in stack.workers()}

    def find():
        return next((pid for pid in stack.workers() if proc.cpu_ticks(pid) >= before.setdefault(pid, 0) + BUSY_TICKS), None)
    return await_true(find, seconds, "a worker to be busy", 0.01)


def stopped_and_back(stack):
    """Without scand: outcome error, refused and logged. With it again: scanning goes on, in the same c-icap."""
    cicap_pid = stack.cicap.process.pid
    with stack.client() as client:
        scan_clean(client)
        stack.stop_scand()
        for preview, allow204 in ((None, False), (None, True), (1024, True)):
            ident = expect_block(client.respmod(HEAD, CLEAN, icap.request_head(), preview=preview, allow204=allow204), "error")
            expect_log(stack, ident, outcome="error", action="block", reason=lambda r: bool(r))
        ident = expect_block(client.reqmod(icap.request_head("POST"), CLEAN, preview=30), "error")
        expect_log(stack, ident, outcome="error", action="block", direction="REQMOD")
        head = icap.request_head()
        expect_clean(client.reqmod(head, allow204=True), head, None, True)  # there is nothing to scan
        expect_block(client.reqmod(icap.request_head("CONNECT", "h.example.test:443", ["SSTPVERSION: 1"])), "rule", "sstp-a-version")
        stack.start_scand()
        scan_clean(client)
        scan_infected(client)
    equal(stack.cicap.process.pid, cicap_pid, "c-icap's process")


def killed_supervisor(stack):
    """kill -9 of scand as a whole leaves a socket behind that nobody serves."""
    with stack.client() as client:
        scan_clean(client)
        process, stack.scand = stack.scand, None
        process.kill()
        expect_block(client.respmod(HEAD, CLEAN), "error")
        stack.start_scand()
        scan_clean(client)
        scan_infected(client)


def orphaned_workers(stack):
    """kill -9 of the supervisor alone: its workers end too, and a new one takes over."""
    workers = proc.children(stack.scand.pid)
    os.kill(stack.scand.pid, signal.SIGKILL)
    stack.scand.popen.wait(5)
    await_true(lambda: not [p for p in workers if _is_alive(p)], 10, "workers to end with their supervisor")
    process, stack.scand = stack.scand, None
    process.kill()
    stack.start_scand()
    with stack.client() as client:
        scan_infected(client)


def _is_alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def killed_worker(stack):
    """kill -9 of the worker in mid-scan: the scan is retried, and the answer is right."""
    for last, infected in ((samples.eicar(), True), (b"", False)):
        body = samples.slow(50, last)
        job = Background(stack, body)
        os.kill(busy_worker(stack), signal.SIGKILL)
        reply = job.result()
        if infected:
            expect_block(reply, "infected")
        else:
            expect_clean(reply, HEAD, body, False)
    check(stack.scand.is_running(), "scand ended with its worker")
    with stack.client() as client:
        scan_infected(client)


def killed_twice(stack):
    """The worker of the retry dies too: outcome error. Nothing passes, and the next scan works."""
    job = Background(stack, samples.slow(45))  # not one that a worker knows already
    for _ in range(2):
        os.kill(busy_worker(stack), signal.SIGKILL)
    ident = expect_block(job.result(), "error")
    expect_log(stack, ident, outcome="error", action="block")
    with stack.client() as client:
        scan_clean(client)
        scan_infected(client)


def overload(stack):
    """No worker takes the scan before queue_timeout: overload, not before that time; and nothing is lost when they go on."""
    workers = stack.workers()
    check(workers, "scand has no workers")
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        with stack.client() as client:
            began = time.monotonic()
            ident = expect_block(client.respmod(HEAD, CLEAN), "overload")
            took = time.monotonic() - began
            expect_log(stack, ident, outcome="overload", action="block")
            check(2.9 <= took <= 60, "overload after %.2f s, queue_timeout is 3 s", took)
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
    with stack.client() as client:
        await_true(lambda: client.respmod(HEAD, CLEAN, allow204=True).status == 204, 10, "scanning to go on", 0.1)
        scan_infected(client)


def scan_timeout(stack):
    """A scan past its deadline is stopped: limit. The worker is replaced."""
    with stack.client(timeout=60) as client:
        reply = client.respmod(HEAD, samples.slow(150))
        ident = expect_block(reply, "limit")
        check(reply.seconds < 20, "scan.timeout is 1 s and the reply took %.1f s", reply.seconds)
        expect_log(stack, ident, outcome="limit", action="block")
        await_true(lambda: stack.ping() is not None, 10, "a new worker")
        scan_clean(client)
        scan_infected(client)


def workers_grow(stack):
    """All workers are busy with large archives: more are made, and a small object does not wait for them."""
    before = len(stack.workers())
    jobs = [Background(stack, samples.slow(40 + i)) for i in range(before + 1)]
    try:
        busy_worker(stack)
        with stack.client() as client:
            reply = client.respmod(HEAD, samples.infected(3000))
            expect_block(reply, "infected")
        slow_left = sum(not job.is_done() for job in jobs)
        check(slow_left, "the archives were done before the small object")
        check(len(stack.workers()) > before, "%d workers before, %d now", before, len(stack.workers()))
    finally:
        for i, job in enumerate(jobs):
            expect_clean(job.result(), HEAD, samples.slow(40 + i), False)


def eager_threads(stack):
    """How many threads of c-icap push others aside when they wake up."""
    top = stack.cicap.process.pid
    tasks = [int(task) for pid in [top] + proc.children(top) for task in os.listdir("/proc/%d/task" % pid)]
    return sum(os.sched_getscheduler(task) != os.SCHED_BATCH for task in tasks)


def makes_way(stack):
    """The server's threads do not push scans aside when they wake up; but they do not wait for one that is long."""
    with stack.client() as client:
        def eager():
            scan_clean(client)
            return eager_threads(stack)
        equal(eager(), 0, "eager threads before any long scan")
        job = Background(stack, samples.slow(44))
        held = busy_worker(stack)
        os.kill(held, signal.SIGSTOP)
        try:
            await_true(lambda: eager() > 0, 20, "a thread not to wait for a long scan", 0.1)
        finally:
            os.kill(held, signal.SIGCONT)
        job.result()
        await_true(lambda: eager() == 0, 20, "the thread to wait its turn again", 0.1)


def limits(stack):
    """What the engine may not look at in full has the outcome limit; what it cannot open is encrypted."""
    with stack.client() as client:
        body = samples.nested(samples.noise(500), 25)
        ident = expect_block(client.respmod(HEAD, body), "limit")
        expect_log(stack, ident, outcome="limit", reason=lambda r: bool(r))
        expect_block(client.respmod(HEAD, samples.nested(samples.eicar(), 4)), "infected")
        many = samples.zipped([("%d" % i, b"%d" % i) for i in range(300)])
        expect_block(client.respmod(HEAD, many), "limit")  # scan.max_files is 200
        body = samples.zip_encrypted(b"a.txt", samples.text(500), b"secret")
        expect_clean(client.respmod(HEAD, body), HEAD, body, False)
        stack.await_log(outcome="encrypted", action="allow", bytes=len(body))


def member_too_large(stack):
    """scan.max_file_size is 2M. libclamav cuts a packed zip member there, without a word, and calls what it saw clean."""
    hiding = samples.zipped([("pad.bin", bytes(3 << 20)), ("a.com", samples.eicar())])
    with stack.client() as client:
        expect_block(client.respmod(HEAD, samples.gzip_(hiding)), "limit")
        expect_block(client.respmod(HEAD, samples.zipped([("a.zip", hiding)], True)), "limit")


def error_allowed(stack):
    """outcomes.error = "allow": passes, and the log says that nobody looked. Scanning resumes (infected is only reported here)."""
    stack.stop_scand()
    with stack.client() as client:
        for preview, allow204 in ((None, False), (1024, True)):
            expect_clean(client.respmod(HEAD, CLEAN, preview=preview, allow204=allow204), HEAD, CLEAN, allow204)
        stack.await_log(outcome="error", action="allow")
        stack.start_scand()
        body = samples.infected(2999)
        expect_clean(client.respmod(HEAD, body, allow204=True), HEAD, body, True)
        stack.await_log(outcome="infected", action="report", bytes=len(body))


def other_actions(stack):
    """outcomes.infected = "report" passes and is logged; outcomes.encrypted = "block" refuses."""
    with stack.client() as client:
        body = samples.infected(3000)
        expect_clean(client.respmod(HEAD, body, allow204=True), HEAD, body, True)
        stack.await_log(outcome="infected", action="report", signature=lambda s: "eicar" in (s or "").lower())
        expect_block(client.respmod(HEAD, samples.zip_encrypted(b"a.txt", samples.text(500), b"secret")), "encrypted")
        body = b"not gzip"
        head = icap.response_head(fields=["Content-Encoding: gzip"])
        expect_clean(client.respmod(head, body), head, body, False)
        stack.await_log(outcome="undecodable", action="report")


def vpn_reported(stack):
    """categories.vpn = "report": passes, with its rule in the log."""
    head = icap.request_head("CONNECT", "report.example.test:443", ["SSTPVERSION: 1.0"])
    with stack.client() as client:
        expect_clean(client.reqmod(head, allow204=True), head, None, True)
    stack.await_log(outcome="rule", action="report", rule="sstp-a-version", url=lambda u: u and "report.example.test" in u)


def _tags(stack, ask):
    """The ISTags of replies on several connections at once, so of several children."""
    clients = [stack.client() for _ in range(9)]  # fewer than the threads of one child: c-icap lets the others wait
    try:
        for client in clients:
            client.connect()
        return {ask(client).get("ISTag") for client in clients}
    finally:
        for client in clients:
            client.close()


def istag_follows_engine(stack):
    """The ISTag stays when scand comes back the same, and changes in every child when the databases do."""
    def options(client):
        return client.options()
    with stack.client() as client:
        scan_clean(client)
        before = _tags(stack, options)
        stack.stop_scand()
        stack.start_scand()
        scan_clean(client)
        equal(_tags(stack, options), before, "ISTags after scand came back")
        stack.stop_scand()
        path = stack.dir.write("db/extra.ndb", "Sallyport.Test.Extra:0:*:5361696c6c79706f727421\n")
        try:
            stack.start_scand()
            scan_clean(client)
            after = _tags(stack, options)  # children that have not scanned since must know it as well
            check(len(after) == 1 and after != before, "ISTags %r before, %r with another database", before, after)
            equal(_tags(stack, lambda c: c.reqmod(icap.request_head(), allow204=True)), after, "ISTags of REQMOD")
        finally:
            os.unlink(path)


def one_worker_cases(stack):
    """scan.workers = scan.max_workers = 1, short time-outs."""
    return [
        ("scand: killed worker, scan retried", killed_worker, stack), ("scand: worker killed twice is error", killed_twice, stack),
        ("scand: stalled workers are overload", overload, stack), ("scand: stopped and back", stopped_and_back, stack),
        ("scand: killed as a whole", killed_supervisor, stack), ("scand: supervisor killed", orphaned_workers, stack),
        ("istag: follows the engine", istag_follows_engine, stack),
    ]


def deadline_cases(stack):
    return [("scand: scan.timeout is limit", scan_timeout, stack), ("scand: limits and encryption", limits, stack),
            ("scand: member over max_file_size is limit", member_too_large, stack)]


def growing_cases(stack):
    return [("scand: workers grow", workers_grow, stack)]


def priority_cases(stack):
    return [("scand: c-icap makes way", makes_way, stack)]


def lenient_cases(stack):
    return [("outcomes: other actions", other_actions, stack), ("categories: vpn reported", vpn_reported, stack),
            ("outcomes: error allowed", error_allowed, stack)]
