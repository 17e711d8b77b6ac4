"""c-icap is told to stop. Nothing that it has taken is lost, health checks are told, and only what lasts too long is broken off."""

import os
import signal
import socket
import threading
import time

import icap
import proc
import samples
from common import expect_block, expect_clean
from report import Failure, await_true, check, equal

HEAD, GET = icap.response_head(), icap.request_head()
CONNECTIONS = 8
NOTICE, WAIT = 1, 12  # seconds
OPTIONS = {"stop.notice": "%ds" % NOTICE, "stop.wait": "%ds" % WAIT}
AT_ONCE = 25  # c-icap waits for its own threads: 10 s and more


class Load:
    """Bodies of all kinds on kept connections. A client whose connection the server ends makes a new one; when he gets none, he has gone
    to the next server, so to speak, and that is no fault. Everything else is."""

    def __init__(self, stack):
        self.stack, self.faults, self.done, self.closed = stack, [], 0, 0
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(CONNECTIONS)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, kind, value, trace):
        for t in self.threads:
            t.join(60)

    def _run(self, number):
        n = number
        with self.stack.client(timeout=30) as client:
            while not self.faults:
                n += 1
                try:
                    if client.sock is None:
                        client.sock = socket.create_connection((client.host, client.port), 0.5)
                except OSError:
                    return
                try:
                    reply = self._transact(client, n)
                except Exception as fault:
                    self.faults.append("%s: %s" % (type(fault).__name__, fault))
                    return
                with self.lock:
                    self.done += 1
                    self.closed += reply.closes

    @staticmethod
    def _transact(client, n):
        body = samples.text((700, 150000)[n % 2]) + b"%d" % n
        if n % 4 == 0:
            reply = client.respmod(HEAD, samples.infected(900 + n % 50))
            expect_block(reply, "infected")
        elif n % 4 == 1:
            reply = client.reqmod(GET)
            equal(reply.status, 200, "status of a request without a body")
        elif n % 4 == 2:
            reply = client.respmod(HEAD, body, preview=0, allow204=True)
            equal(reply.status, 204, "status in a preview")
        else:
            reply = client.respmod(HEAD, body)
            expect_clean(reply, HEAD, body, False)
        return reply

    def await_more(self, n=100):
        want = self.done + n
        await_true(lambda: self.faults or self.done >= want, 60, "%d more transactions" % n)
        equal(self.faults, [], "transactions that failed")


def tell(stack, sig=signal.SIGTERM):
    os.kill(stack.cicap.process.pid, sig)
    return time.monotonic()


def await_end(stack, began, seconds):
    """Exit status 0, and how long it took."""
    process, stack.cicap.process = stack.cicap.process, None
    try:
        status = process.wait(seconds)
    except Exception:
        raise Failure("c-icap has not stopped after %d s" % seconds) from None
    finally:
        process.kill()
    took = time.monotonic() - began
    equal(status, 0, "exit status")
    check(not process.crash_text(), "it crashed: %s", process.crash_text())
    return took


def health(stack, argument="?health"):
    with icap.Client(stack.port, "sallyport" + argument, timeout=5) as client:
        return client.options()


def under_load(stack):
    for _ in range(3):
        offset = len(stack.cicap.server_log())
        with Load(stack) as load:
            load.await_more()
            began = tell(stack)
            took = await_end(stack, began, NOTICE + WAIT + AT_ONCE)
        equal(load.faults, [], "transactions that failed")
        check(load.closed >= CONNECTIONS, "%d replies ended their connection", load.closed)
        check("nothing is under way any more" in stack.cicap.server_log()[offset:], "the log says %s", stack.cicap.server_log()[offset:])
        print("# %d transactions, none lost; stopped in %.1f s" % (load.done, took), flush=True)
        stack.start_cicap()
        equal(health(stack).status, 200, "health after a new start")
    with stack.client() as client:
        reply = client.respmod(HEAD, samples.infected(900))
        expect_block(reply, "infected")
        check(not reply.closes, "a server that has just been started ends its connections")


def slow_client(stack):
    """As long as only his transaction is under way, new clients are served and health checks answered; then none comes in any more. The
    second half of his body comes long after that."""
    body = samples.text(5000)
    go_on = threading.Event()
    replies = []

    def send():
        with stack.client(timeout=30) as client:
            replies.append(client.respmod(icap.response_head(length=len(body)), [body[:100], lambda reply: go_on.is_set(), body[100:]]))
    sending = threading.Thread(target=send, daemon=True)
    idle = stack.client()
    equal(idle.reqmod(GET).closes, False, "a connection is ended")
    sending.start()
    time.sleep(0.5)
    equal(health(stack).status, 200, "health before the stop")
    began = tell(stack)
    await_true(lambda: health(stack).status == 500, 2, "health to fail")
    equal(health(stack, "").status, 200, "OPTIONS for the proxies")
    for client in (idle, stack.client()):
        reply = client.reqmod(GET)
        equal((reply.status, reply.closes), (200, True), "a request while it stops")

    time.sleep(NOTICE + 2.2)
    equal(health(stack).status, 500, "health while only he is waited for")

    def is_shut_out():
        try:
            with stack.client() as client:
                client.reqmod(GET)  # one more, and one more: that is no balancer
            return False
        except ConnectionRefusedError:
            return True
    await_true(is_shut_out, 4, "new connections to be kept away", 0.1)
    time.sleep(1)
    check(stack.cicap.process.is_running(), "it did not wait for the slow client")
    go_on.set()
    sending.join(10)
    check(replies, "the slow client got no answer")
    expect_clean(replies[0], icap.response_head(length=len(body)), body, False)
    check(replies[0].closes, "his connection is kept")
    await_end(stack, began, AT_ONCE)
    stack.start_cicap()


def too_slow(stack):
    """Who never goes on is broken off after stop.wait, and the log tells of it."""
    offset = len(stack.cicap.server_log())
    with stack.client() as client:
        sock = client.connect()
        sock.sendall(b"RESPMOD icap://127.0.0.1/sallyport ICAP/1.0\r\nHost: x\r\nEncapsulated: res-hdr=0, res-body=%d\r\n\r\n%s5\r\nhello\r\n" %
                     (len(HEAD), HEAD))
        time.sleep(0.5)
        took = await_end(stack, tell(stack), WAIT + AT_ONCE)
    check(took >= WAIT - 0.1, "it stopped after %.1f s", took)
    said = stack.cicap.server_log()[offset:]
    check("stopping after stop.wait with 1 transaction under way" in said, "the log says %s", said)
    stack.start_cicap()


def silent_connection(stack):
    """One that is open and never sends anything is not waited for, nor is one that has been used."""
    with stack.client() as silent, stack.client() as used:
        silent.connect()
        used.reqmod(GET)
        took = await_end(stack, tell(stack), NOTICE + AT_ONCE)
    print("# stopped in %.1f s" % took, flush=True)
    stack.start_cicap()


def twice(stack):
    """A second signal, and Ctrl-C, do not wait; nor does a server that is told so by its configuration."""
    for signals in ((signal.SIGTERM, signal.SIGTERM), (signal.SIGINT,)):
        offset = len(stack.cicap.server_log())
        for sig in signals:
            began = tell(stack, sig)
            time.sleep(0.3)
        await_end(stack, began, AT_ONCE)
        check("under way any more" not in stack.cicap.server_log()[offset:], "it waited after %s", signals)
        stack.start_cicap()


def killed_child(stack):
    """A child that died in the middle of a transaction is not waited for. Ends c-icap for good."""
    with stack.client() as client:
        sock = client.connect()
        sock.sendall(b"RESPMOD icap://127.0.0.1/sallyport ICAP/1.0\r\nHost: x\r\nEncapsulated: res-hdr=0, res-body=%d\r\n\r\n%s5\r\nhello\r\n" %
                     (len(HEAD), HEAD))
        time.sleep(0.5)
        offset, killed = len(stack.cicap.server_log()), proc.children(stack.cicap.process.pid)
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        await_true(lambda: set(proc.children(stack.cicap.process.pid)) - set(killed), 10, "c-icap to start a child")
        await_end(stack, tell(stack), WAIT + AT_ONCE)
    said = stack.cicap.server_log()[offset:]
    check("nothing is under way any more" in said, "the log says %s", said)


def cases(stack):
    return [("stop: under load nothing is lost", under_load, stack), ("stop: a slow client is waited for", slow_client, stack),
            ("stop: but not for ever", too_slow, stack), ("stop: silent connections are not waited for", silent_connection, stack),
            ("stop: a second signal", twice, stack), ("stop: a child that died", killed_child, stack)]
