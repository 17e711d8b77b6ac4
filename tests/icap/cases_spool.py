"""Where bodies wait: a disk that is full, a quota that is used up by many at once, and processes that die with bodies in hand."""

import json
import os
import re
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import icap
import proc
import samples
from common import expect_block, expect_clean, expect_log
from report import await_true, check, equal

MIB = 1 << 20
TINY_DISK = MIB
QUOTA = 16 * MIB
PIECE = 7 * MIB // 2  # of one upload; alone a process may hold four, two processes two each


class TinyDisk:
    """A file system of one MB at the stack's spool directory. ready is False where mounting is not allowed."""

    def __init__(self, path):
        self.path = path
        self.ready = False
        self.why = ""

    def __enter__(self):
        command = ["mount", "-t", "tmpfs", "-o", "size=%d,mode=0777" % TINY_DISK, "tmpfs", self.path]
        done = subprocess.run(command, capture_output=True, text=True)
        self.ready = done.returncode == 0
        self.why = done.stderr.strip()
        return self

    def __exit__(self, kind, value, trace):
        if self.ready:
            subprocess.run(["umount", "-l", self.path], check=False)

    def used(self):
        st = os.statvfs(self.path)
        return (st.f_blocks - st.f_bfree) * st.f_frsize


def spool_of(stack):
    """What `sallyport status` says of the spools."""
    done = stack.cli("status", "-c", stack.conf_path, "--json")
    return json.loads(done.stdout)["spool"]


def is_no_space(reason):
    return "No space left" in reason or "the decoded body was not taken" in reason


def full_disk(stack, disk):
    """A body that does not fit is overload: with a page, without a hang, and nothing of it stays behind."""
    if not disk.ready:
        print("skipping the full disk: %s" % disk.why, flush=True)
        return
    large = samples.noise(20 * MIB)
    coded = samples.gzip_((samples.noise(300) + bytes(30000)) * 700)  # fits as it comes, not when it is decoded
    check(len(coded) < TINY_DISK, "the coded body has %d bytes", len(coded))
    with stack.client() as client:
        for _ in range(2):
            for method, head, body in (
                    ("REQMOD", icap.request_head("POST"), large), ("RESPMOD", icap.response_head(), large),
                    ("RESPMOD", icap.response_head(length=len(large)), large),
                    ("RESPMOD", icap.response_head(fields=["Content-Encoding: gzip"]), coded)):
                if method == "REQMOD":
                    reply = client.reqmod(head, body, preview=1024)
                else:
                    reply = client.respmod(head, body, icap.request_head(), preview=1024)
                ident = expect_block(reply, "overload")
                check(reply.seconds < 30, "%s took %.1f s", method, reply.seconds)
                expect_log(stack, ident, outcome="overload", action="block", reason=is_no_space)
        small = samples.noise(300000)  # fits, and goes to the disk too
        expect_clean(client.respmod(icap.response_head(), small), icap.response_head(), small, False)
        expect_block(client.respmod(icap.response_head(), samples.infected(300000)), "infected")
    await_true(lambda: disk.used() == 0, 5, "the disk to be empty again")
    equal(spool_of(stack)["held_bytes"], 0, "held of the quota")


def full_disk_at_once(stack, disk):
    """Many that share the last room: each passes whole, or is overload."""
    if not disk.ready:
        return
    body = samples.noise(400000)
    head = icap.request_head("POST")

    def upload(_):
        with stack.client() as client:
            reply = client.reqmod(head, body)
            if reply.http_status == 403:
                expect_block(reply, "overload")
                return False
            expect_clean(reply, head, body, False)
            return True

    with ThreadPoolExecutor(8) as pool:
        passed = list(pool.map(upload, range(40)))
    check(any(passed), "none of 40 passed")
    await_true(lambda: disk.used() == 0, 5, "the disk to be empty again")


class Crowd:
    """Uploads that stop before their last byte until all are there or were refused. at_once: all begin together, so that each may
    be refused because of what the others have just then; otherwise each begins when the one before it is there."""

    def __init__(self, stack, n, size, at_once=False):
        self.stack, self.n, self.size = stack, n, size
        self.here = set()
        self.open = threading.Event()
        self.pool = ThreadPoolExecutor(n)
        self.body = samples.noise(size)
        self.head = icap.request_head("POST")
        self.uploads = []
        for i in range(n):
            self.uploads.append(self.pool.submit(self._upload, i))
            if not at_once:
                self._await(i + 1)

    def _await(self, n):
        await_true(lambda: len(self.here) == n, 20, "%d uploads to be there" % n)

    def _wait(self, i):
        def may_go_on(reply):
            self.here.add(i)
            return reply.status != 0 or self.open.is_set()
        return may_go_on

    def _upload(self, i):
        with self.stack.client(timeout=30) as client:
            return client.reqmod(self.head, [self.body[:-1], self._wait(i), self.body[-1:]])

    def await_all(self):
        self._await(self.n)

    def finish(self):
        """Lets them end. Returns how many passed and how many were refused."""
        self.open.set()
        passed = refused = 0
        for upload in self.uploads:
            reply = upload.result()
            if reply.http_status == 403:
                expect_block(reply, "overload")
                refused += 1
            else:
                expect_clean(reply, self.head, self.body, False)
                passed += 1
        self.pool.shutdown()
        return passed, refused


def quota_used_up(stack):
    """More than fits at once: the excess is overload, the others pass, and all of it comes back."""
    for at_once in (True, False, False):
        before = spool_of(stack)["refused"]
        crowd = Crowd(stack, 8, PIECE, at_once)
        crowd.await_all()
        now = spool_of(stack)
        text = stack.cli("status", "-c", stack.conf_path).stdout
        passed, refused = crowd.finish()
        check(now["held_bytes"] <= QUOTA, "%d bytes were held", now["held_bytes"])
        equal(now["quota_bytes"], QUOTA, "the quota that status shows")
        check(re.search(r"^spool +[0-9.]+ of 16 MB, held by [0-9] process", text, re.M), "no such line in %r", text)
        check((at_once or passed >= 2) and refused >= 3, "%d passed, %d refused", passed, refused)
        check(spool_of(stack)["refused"] >= before + refused, "refusals were not counted")
        stack.await_log(outcome="overload", action="block", reason=lambda r: "quota" in r)
        await_true(lambda: spool_of(stack)["held_bytes"] == 0, 5, "the quota to be free again")


def quota_after_kill(stack):
    """c-icap's children killed with bodies in hand: their share is free at once, and those that come after them have it all."""
    crowd = Crowd(stack, 3, PIECE)
    crowd.await_all()
    await_true(lambda: spool_of(stack)["held_bytes"] > PIECE, 5, "bodies to be held")
    for pid in proc.children(stack.cicap.process.pid):
        os.kill(pid, signal.SIGKILL)
    crowd.open.set()
    for upload in crowd.uploads:
        check(isinstance(upload.exception(timeout=30), (icap.ProtocolError, OSError)), "an upload to a dead process ended well")
    crowd.pool.shutdown()
    equal(spool_of(stack)["held_bytes"], 0, "held after the kill")
    await_true(lambda: proc.children(stack.cicap.process.pid), 10, "c-icap to start a child")
    after = Crowd(stack, 4, PIECE)
    after.await_all()
    passed, refused = after.finish()
    stack.cicap.process.kill()  # it would be asked about its children, who did crash
    stack.cicap.process = None
    check(passed >= 2, "%d passed, %d refused", passed, refused)


def quota_cases(stack):
    """The last one leaves no server behind."""
    return [("quota: used up", quota_used_up, stack), ("quota: children killed", quota_after_kill, stack)]


def disk_cases(stack, disk):
    return [("disk full: one at a time", full_disk, stack, disk), ("disk full: many at once", full_disk_at_once, stack, disk)]
