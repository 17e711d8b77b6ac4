"""A web server that makes large bodies while it sends them, and a client that looks at every byte and keeps none."""

import socket
import struct
import threading
import time

import samples
from report import Failure, check

BLOCK = 1 << 20
_BASE = bytes(b & 0x3F | 0x80 for b in samples.noise(BLOCK, 77))  # no text, and nothing that an engine takes for the head of a file


class Pattern:
    """An endless body: blocks of noise with their number in front; first: bytes that stand at its very start."""

    def __init__(self, total, first=b""):
        self.total, self.first = total, first

    def block(self, number):
        made = bytearray(_BASE)
        struct.pack_into("<Q", made, 0, number)
        if number == 0:
            made[:len(self.first)] = self.first
        return made

    def pieces(self, start, end):
        """Its bytes from start to end, in pieces."""
        while start < end:
            number, at = divmod(start, BLOCK)
            n = min(BLOCK - at, end - start)
            yield memoryview(self.block(number))[at:at + n]
            start += n


class Checker:
    """Compares what arrives with a pattern."""

    def __init__(self, pattern):
        self.pattern = pattern
        self.seen = 0
        self.differs_at = None
        self._number, self._block = -1, b""

    def take(self, data):
        data = memoryview(data)
        while data and self.differs_at is None:
            number, at = divmod(self.seen, BLOCK)
            if number != self._number:
                self._number, self._block = number, bytes(self.pattern.block(number))
            n = min(BLOCK - at, len(data))
            if bytes(data[:n]) != self._block[at:at + n]:
                self.differs_at = self.seen
            self.seen += n
            data = data[n:]
        self.seen += len(data)

    @property
    def is_right(self):
        return self.differs_at is None


class Plan:
    """What the server does for one path. dribble: (bytes, seconds): so many bytes every 0.1 s for so long, then the rest at once.
    ends_at: the server closes there. stalls: it sends nothing any more then, until the client leaves."""

    def __init__(self, pattern, chunked=False, dribble=None, ends_at=None, stalls=False, content_type="application/octet-stream"):
        self.pattern, self.chunked, self.dribble = pattern, chunked, dribble
        self.end = pattern.total if ends_at is None else ends_at
        self.stalls, self.content_type = stalls, content_type
        self.is_over = threading.Event()  # the last connection for it has ended

    def head(self):
        length = "Transfer-Encoding: chunked" if self.chunked else "Content-Length: %d" % self.pattern.total
        return ("HTTP/1.1 200 OK\r\nContent-Type: %s\r\n%s\r\nConnection: close\r\n\r\n" % (self.content_type, length)).encode()


class Server:
    def __init__(self):
        self.plans = {}
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.is_stopping = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def plan(self, name, *args, **how):
        self.plans["/" + name] = plan = Plan(*args, **how)
        return plan

    def url(self, name):
        return "http://127.0.0.1:%d/%s" % (self.port, name)

    def stop(self):
        self.is_stopping.set()
        self.listener.close()

    def _accept(self):
        while not self.is_stopping.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        plan = None
        try:
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.settimeout(60)
                head = b""
                while b"\r\n\r\n" not in head:
                    got = connection.recv(65536)
                    if not got:
                        return
                    head += got
                path = "/" + head.split(b" ", 2)[1].decode().rsplit("/", 1)[1]
                plan = self.plans[path]
                self._send(connection, plan)
        except OSError:
            pass
        finally:
            if plan:
                plan.is_over.set()

    def _send(self, connection, plan):
        connection.sendall(plan.head())
        sent = 0
        if plan.dribble:
            step, seconds = plan.dribble
            until = time.monotonic() + seconds
            while time.monotonic() < until and sent + step <= plan.end:
                self._body(connection, plan, sent, sent + step)
                sent += step
                self.is_stopping.wait(0.1)
        self._body(connection, plan, sent, plan.end)
        if plan.stalls:
            connection.settimeout(120)
            connection.recv(1)  # returns when the client leaves
        elif plan.end == plan.pattern.total and plan.chunked:
            connection.sendall(b"0\r\n\r\n")

    @staticmethod
    def _body(connection, plan, start, end):
        for piece in plan.pattern.pieces(start, end):
            if plan.chunked:
                connection.sendall(b"%x\r\n" % len(piece))
            connection.sendall(piece)
            if plan.chunked:
                connection.sendall(b"\r\n")


class Got:
    """What the client saw. seconds count from the request."""

    def __init__(self):
        self.status = None
        self.fields = {}
        self.head_seconds = self.first_seconds = self.seconds = None
        self.bytes = 0
        self.is_complete = False
        self.is_right = False
        self.start = b""  # the first bytes of the body


class Client:
    """One download through a proxy. rate: bytes a second at most. leave_at: closes the connection after so many body bytes;
    leave_after: after so many seconds."""

    def __init__(self, port, url, pattern, rate=None, leave_at=None, leave_after=None, timeout=60):
        self.got = Got()
        self.checker = Checker(pattern)
        self.url, self.rate, self.leave_at, self.leave_after = url, rate, leave_at, leave_after
        self.sock = socket.create_connection(("127.0.0.1", port), timeout)
        if rate:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.buffer = bytearray(BLOCK)
        self.rest = b""

    def run(self):
        with self.sock:
            self.began = time.monotonic()
            host = self.url.split("/")[2]
            self.sock.sendall(("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nAccept: */*\r\n\r\n" % (self.url, host)).encode())
            try:
                self._read_head()
                if self.got.fields.get("transfer-encoding", "").lower() == "chunked":
                    self._read_chunks()
                elif "content-length" in self.got.fields:
                    self.got.is_complete = self._read_bytes(int(self.got.fields["content-length"]))
                else:
                    raise Failure("the reply has neither length nor chunks: %r" % self.got.fields)
            except (ConnectionError, EOFError):
                pass
            self.got.seconds = time.monotonic() - self.began
        self.got.bytes, self.got.is_right = self.checker.seen, self.checker.is_right
        return self.got

    def _receive(self, most):
        """Up to so many bytes: what was left over, or new ones."""
        if self.rest:
            data, self.rest = self.rest[:most], self.rest[most:]
            return data
        n = self.sock.recv_into(memoryview(self.buffer)[:min(most, BLOCK)])
        if n == 0:
            raise EOFError
        return memoryview(self.buffer)[:n]

    def _read_head(self):
        data = b""
        while b"\r\n\r\n" not in data:
            data += bytes(self._receive(65536))
        self.got.head_seconds = time.monotonic() - self.began
        head, self.rest = data.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        self.got.status = int(lines[0].split(" ")[1])
        self.got.fields = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines[1:])}

    def _read_bytes(self, n):
        """False if the client left before."""
        while n > 0:
            if self.leave_at is not None and self.checker.seen >= self.leave_at:
                return False
            if self.leave_after is not None and time.monotonic() - self.began >= self.leave_after:
                return False
            data = self._receive(min(n, 65536 if self.rate else BLOCK))
            if self.got.first_seconds is None:
                self.got.first_seconds = time.monotonic() - self.began
            if len(self.got.start) < 200:
                self.got.start += bytes(data[:200])
            self.checker.take(data)
            n -= len(data)
            if self.rate:
                ahead = self.checker.seen / self.rate - (time.monotonic() - self.began)
                time.sleep(max(0, ahead))
        return True

    def _line(self):
        while b"\n" not in self.rest:
            rest, self.rest = self.rest, b""
            self.rest = rest + bytes(self._receive(65536))
        line, self.rest = self.rest.split(b"\n", 1)
        return line.strip()

    def _read_chunks(self):
        while True:
            size = int(self._line().split(b";")[0], 16)
            if size == 0:
                self._line()
                self.got.is_complete = True
                return
            if not self._read_bytes(size):
                return
            self._line()


def download(port, url, pattern, **how):
    return Client(port, url, pattern, **how).run()


def expect_whole(got, pattern):
    """All of it, and right."""
    check(got.status == 200, "status %s", got.status)
    check(got.is_right, "byte %s is another than the server sent", getattr(got, "bytes", None))
    check(got.is_complete and got.bytes == pattern.total, "%d of %d bytes came (%s)", got.bytes, pattern.total,
          "complete" if got.is_complete else "cut")


def expect_cut(got, pattern):
    """The client knows that it has not got all of it, and it has not."""
    check(got.status != 200 or not got.is_complete, "the transfer looks complete after %d bytes", got.bytes)
    check(got.bytes < pattern.total, "all %d bytes came", got.bytes)
