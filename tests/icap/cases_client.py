"""The client itself, tried on c-icap's own echo service and on a server that breaks every rule: a client that believes
everything proves nothing."""

import socket
import threading

import icap
import samples
from common import expect_clean
from report import Failure, check, equal


def echo(stack):
    """Whatever is sent comes back: all framings."""
    with stack.client() as client:
        equal(client.options().status, 200, "OPTIONS")
        for size in (0, 1, 29, 30, 31, 1023, 1024, 1025, 4000, 35000, 300000):
            body = samples.noise(size)
            for preview in (None, 0, 1, 30, 1024):
                for allow204 in (False, True):
                    for length in (size, None):
                        head = icap.request_head("POST", length=length)
                        expect_clean(client.reqmod(head, body, preview=preview, allow204=allow204), head, body, True)
                        head = icap.response_head(length=length)
                        reply = client.respmod(head, body, icap.request_head(), preview=preview, allow204=allow204, chunk=1000)
                        expect_clean(reply, head, body, True)


def echo_streams(stack):
    """The client sees the beginning of a reply while it still sends."""
    body = [b"one", lambda r: r.body_so_far == b"one", b"two", lambda r: r.body_so_far == b"onetwo"]
    with stack.client(timeout=5) as client:
        equal(client.respmod(icap.response_head(), body).body, b"onetwo", "body")


class _Liar:
    """Answers the first request of each connection with fixed bytes."""

    def __init__(self, answer, first=b""):
        self.answer, self.first = answer, first
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        connection, _ = self.listener.accept()
        with connection:
            data = b""
            connection.settimeout(5)
            while b"\r\n0" not in data and b"null-body" not in data:
                data += connection.recv(65536)
            connection.sendall(self.answer)
            try:
                connection.recv(65536)
            except OSError:
                pass


TAG = b'ISTag: "x"\r\n'
HTTP = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
OK = b"ICAP/1.0 200 OK\r\n" + TAG + b"Encapsulated: res-hdr=0, res-body=%d\r\n\r\n" % len(HTTP) + HTTP
LIES = {
    "no status line": b"HTTP/1.1 200 OK\r\n\r\n",
    "bare LF": b"ICAP/1.0 204 No\n" + TAG + b"\r\n",
    "no ISTag": b"ICAP/1.0 204 No\r\n\r\n",
    "long ISTag": b'ICAP/1.0 204 No\r\nISTag: "' + b"x" * 33 + b'"\r\n\r\n',
    "204 not allowed": b"ICAP/1.0 204 No\r\n" + TAG + b"\r\n",
    "no Encapsulated": b"ICAP/1.0 200 OK\r\n" + TAG + b"\r\n",
    "offset too small": OK.replace(b"res-body=%d" % len(HTTP), b"res-body=%d" % (len(HTTP) - 1)) + b"3\r\nabc\r\n0\r\n\r\n",
    "offset too large": OK.replace(b"res-body=%d" % len(HTTP), b"res-body=%d" % (len(HTTP) + 1)) + b"3\r\nabc\r\n0\r\n\r\n",
    "wrong kind of head": OK.replace(b"res-hdr=0, res-body", b"req-hdr=0, req-body") + b"3\r\nabc\r\n0\r\n\r\n",
    "chunk size is no number": OK + b"x\r\nabc\r\n0\r\n\r\n",
    "chunk too long": OK + b"2\r\nabc\r\n0\r\n\r\n",
    "chunk too short": OK + b"4\r\nabc\r\n0\r\n\r\n",
    "no last chunk": OK + b"3\r\nabc\r\n",
    "length differs": OK + b"4\r\nabcd\r\n0\r\n\r\n",
    "trailer": OK + b"3\r\nabc\r\n0\r\nX: y\r\n\r\n",
    "bytes behind it": OK + b"3\r\nabc\r\n0\r\n\r\nX",
    "unasked 100": b"ICAP/1.0 100 Continue\r\n\r\n" + OK + b"3\r\nabc\r\n0\r\n\r\n",
    "nothing": b"",
}


def lies():
    for name, answer in LIES.items():
        liar = _Liar(answer)
        with icap.Client(liar.port, timeout=0.5) as client:
            try:
                client.respmod(icap.response_head(), b"abc")
            except icap.ProtocolError:
                continue
            finally:
                liar.listener.close()
        raise Failure("the client believes: %s" % name)
    liar = _Liar(OK + b"3\r\nabc\r\n0\r\n\r\n")
    with icap.Client(liar.port, timeout=2) as client:
        check(client.respmod(icap.response_head(), b"abc").body == b"abc", "the client refuses a good reply")


def echo_cases(stack):
    return [("client: echo", echo, stack), ("client: echo while sending", echo_streams, stack)]


def cases():
    return [("client: believes no lie", lies)]
