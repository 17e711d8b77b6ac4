"""c-icap is told to stop. Nothing that it has taken is lost, health checks are told, and only what lasts too long is broken off."""

import os
import signal
import socket
import threading
import time

import icap
import proc
import samples
from common import Load, expect_block, expect_clean
from report import Failure, await_true, check, equal

HEAD, GET = icap.response_head(), icap.request_head()
NOTICE, WAIT = 1, 12  # seconds
LIMIT = 400000
OPTIONS = {"stop.notice": "%ds" % NOTICE, "stop.wait": "%ds" % WAIT, "max_object_size": LIMIT, "outcomes.oversize": "block"}
AT_ONCE = 25  # c-icap waits for its own threads: 10 s and more


class AllKinds(Load):
    """Bodies of all kinds. A client whose connection the server ends makes a new one; when he gets none, he has gone to the next server,
    so to speak, and that is no fault. Everything else is. The server ends them all."""

    def __init__(self, stack):
        super().__init__(stack, 30)
        self.closed = 0
        self.lock = threading.Lock()

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.join()
        super().__exit__(kind, value, trace)

    def transact(self, client, connection, n):
        try:
            if client.sock is None:
                client.sock = socket.create_connection((client.host, client.port), 0.5)
        except OSError:
            return None
        reply = self._ask(client, connection + n)
        with self.lock:
            self.closed += reply.closes
        return reply

    @staticmethod
    def _ask(client, n):
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
        with AllKinds(stack) as load:
            load.await_more(100)
            began = tell(stack)
            took = await_end(stack, began, NOTICE + WAIT + AT_ONCE)
        equal(load.faults, [], "transactions that failed")
        check(load.closed >= load.CONNECTIONS, "%d replies ended their connection", load.closed)
        check("nothing is under way any more" in stack.cicap.server_log()[offset:], "the log says %s", stack.cicap.server_log()[offset:])
        print("# %d transactions, none lost; stopped in %.1f s" % (len(load.seconds), took), flush=True)
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


def mid_body(stack):
    """A reply that begins while its body still comes ends the connection too, though the transaction began before the stop."""
    go_on, replies = threading.Event(), []
    body = samples.text(2 * LIMIT)

    def send():
        with stack.client(timeout=30) as client:
            replies.append(client.respmod(HEAD, [body[:100], lambda reply: go_on.is_set(), body[100:]]))
    sending = threading.Thread(target=send, daemon=True)
    sending.start()
    time.sleep(0.5)
    began = tell(stack)
    await_true(lambda: health(stack).status == 500, 2, "health to fail")
    go_on.set()
    sending.join(30)
    check(replies, "no reply")
    expect_block(replies[0], "oversize")
    equal(replies[0].closes, True, "a reply in mid-body ends its connection")
    await_end(stack, began, NOTICE + WAIT + AT_ONCE)
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
    stack.await_log(outcome="gone", action="none", bytes=5, reason=lambda reason: "c-icap was stopped" in reason)
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
            ("stop: a reply in mid-body", mid_body, stack), ("stop: but not for ever", too_slow, stack),
            ("stop: silent connections are not waited for", silent_connection, stack), ("stop: a second signal", twice, stack),
            ("stop: a child that died", killed_child, stack)]
