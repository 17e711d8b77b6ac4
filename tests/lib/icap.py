"""A strict ICAP client (RFC 3507). Whatever the server sends must be framed exactly; any doubt raises ProtocolError. It sends
and receives at the same time, as a proxy does, so early replies are seen early. Every wait has an end."""

import re
import select
import socket
import time

STATUS = re.compile(rb"ICAP/1\.0 (\d{3}) ([^\r\n]*)")
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*", re.S)
SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(;[^\r\n]*)?")
MAX_HEAD = 256 * 1024

SHAPES = {  # what may be encapsulated in a reply (RFC 3507 4.4.1)
    "REQMOD": [("req-hdr", "req-body"), ("req-hdr", "null-body"), ("res-hdr", "res-body"), ("res-hdr", "null-body")],
    "RESPMOD": [("res-hdr", "res-body"), ("res-hdr", "null-body")],
}


class ProtocolError(Exception):
    """The server broke the protocol."""


class Closed(ProtocolError):
    """The server closed the connection in the middle."""


class Timeout(ProtocolError):
    """The server did not answer in time."""


class Reply:
    def __init__(self):
        self.status = 0
        self.reason = ""
        self.fields = []          # (name, value) of the ICAP head
        self.parts = []           # names in the Encapsulated field
        self.head = None          # encapsulated HTTP head, bytes
        self.body = None          # bytes, or None if there is no body
        self.continued = False    # 100 Continue came
        self.body_so_far = bytearray()
        self.seconds = 0.0
        self.sent_all = True      # False: the server ended the exchange before the request was sent

    def get(self, name):
        """The one value of an ICAP field, or None."""
        values = [v for n, v in self.fields if n.lower() == name.lower()]
        if len(values) > 1:
            raise ProtocolError("%s comes %d times" % (name, len(values)))
        return values[0] if values else None

    @property
    def http_status(self):
        if self.head is None or self.parts[0] != "res-hdr":
            return None
        return int(self.head.split(b" ", 2)[1])

    def http_get(self, name):
        """The one value of an encapsulated HTTP field, or None."""
        values = [v for n, v in head_fields(self.head) if n.lower() == name.lower()]
        if len(values) > 1:
            raise ProtocolError("HTTP %s comes %d times" % (name, len(values)))
        return values[0] if values else None

    @property
    def closes(self):
        return (self.get("Connection") or "").lower() == "close"


def head_fields(head):
    """(name, value) pairs of an HTTP head in wire form."""
    lines = head.split(b"\r\n")
    return [tuple(p.strip().decode("latin-1") for p in line.split(b":", 1)) for line in lines[1:] if b":" in line]


def without_via(head):
    """c-icap adds a Via field of its own at the end of a head; this takes exactly that one away."""
    lines = head.split(b"\r\n")
    for i in range(len(lines) - 1, 0, -1):
        if lines[i].startswith(b"Via: ICAP/1.0 ") and b"C-ICAP/" in lines[i]:
            del lines[i]
            break
    return b"\r\n".join(lines)


class _Parser:
    """Incremental: feed() bytes, look at done. The work is a coroutine that yields when it needs more."""

    def __init__(self, method, reply, may_continue, may_204, on_continue):
        self.buf = bytearray()
        self.method = method
        self.reply = reply
        self.may_continue = may_continue
        self.may_204 = may_204
        self.on_continue = on_continue
        self.done = False
        self.began = False
        self.work = self._reply()
        next(self.work)

    def feed(self, data):
        self.buf += data
        self.began = True
        try:
            self.work.send(None)
        except StopIteration:
            self.done = True

    def _line(self, what):
        while True:
            end = self.buf.find(b"\n")
            if end >= 0:
                break
            if len(self.buf) > MAX_HEAD:
                raise ProtocolError("endless %s" % what)
            yield
        line = bytes(self.buf[:end + 1])
        del self.buf[:end + 1]
        if not line.endswith(b"\r\n"):
            raise ProtocolError("%s ends with a bare LF: %r" % (what, line))
        if b"\r" in line[:-2] or b"\0" in line:
            raise ProtocolError("stray control character in %s: %r" % (what, line))
        return line[:-2]

    def _take(self, n):
        while len(self.buf) < n:
            yield
        data = bytes(self.buf[:n])
        del self.buf[:n]
        return data

    def _icap_head(self):
        line = yield from self._line("ICAP status line")
        match = STATUS.fullmatch(line)
        if not match:
            raise ProtocolError("bad status line %r" % line)
        fields = []
        while True:
            line = yield from self._line("ICAP field")
            if not line:
                return int(match.group(1)), match.group(2).decode("latin-1"), fields
            if line[:1] in b" \t":
                if not fields:
                    raise ProtocolError("folded line without a field: %r" % line)
                fields[-1] = (fields[-1][0], fields[-1][1] + "\r\n" + line.decode("latin-1"))
                continue
            field = FIELD.fullmatch(line)
            if not field:
                raise ProtocolError("bad ICAP field %r" % line)
            fields.append((field.group(1).decode(), field.group(2).decode("latin-1")))

    def _reply(self):
        reply = self.reply
        yield
        while True:
            status, reason, fields = yield from self._icap_head()
            if status != 100:
                break
            if reply.continued or not self.may_continue():
                raise ProtocolError("100 Continue where none was asked for")
            if [f for f in fields if f[0].lower() == "encapsulated"]:
                raise ProtocolError("100 Continue with something encapsulated")
            reply.continued = True
            self.on_continue()
        reply.status, reply.reason, reply.fields = status, reason, fields
        self._check_istag()
        if status == 204 and not self.may_204():
            raise ProtocolError("204 outside preview, and the client did not allow it")
        self._parse_encapsulated()
        if self.method != "OPTIONS" and status == 200 and not reply.parts:
            raise ProtocolError("200 without Encapsulated")
        yield from self._encapsulated()

    def _check_istag(self):
        tag = self.reply.get("ISTag")
        if self.reply.status in (200, 204) and tag is None:
            raise ProtocolError("no ISTag")
        if tag is not None and not re.fullmatch(r'"[^"]{1,32}"', tag):
            raise ProtocolError("bad ISTag %r" % tag)

    def _parse_encapsulated(self):
        value = self.reply.get("Encapsulated")
        self.offsets = []
        if value is None:
            return
        last = -1
        for item in value.split(","):
            match = re.fullmatch(r"\s*(req-hdr|res-hdr|req-body|res-body|opt-body|null-body)=(\d+)\s*", item)
            if not match:
                raise ProtocolError("bad Encapsulated: %r" % value)
            self.reply.parts.append(match.group(1))
            self.offsets.append(int(match.group(2)))
            if self.offsets[-1] <= last:
                raise ProtocolError("Encapsulated offsets do not rise: %r" % value)
            last = self.offsets[-1]
        if self.offsets[0] != 0:
            raise ProtocolError("Encapsulated does not begin at 0: %r" % value)
        if not self.reply.parts[-1].endswith("-body"):
            raise ProtocolError("Encapsulated does not end with a body: %r" % value)
        if self.reply.status == 204 and self.reply.parts != ["null-body"]:
            raise ProtocolError("204 with something encapsulated: %r" % value)
        if self.reply.status == 200 and self.method in SHAPES and tuple(self.reply.parts) not in SHAPES[self.method]:
            raise ProtocolError("%s answered with %r" % (self.method, value))

    def _encapsulated(self):
        reply = self.reply
        heads = [p for p in reply.parts if p.endswith("-hdr")]
        if len(heads) > 1:
            raise ProtocolError("two heads in one reply: %r" % reply.parts)
        if heads:
            reply.head = yield from self._take(self.offsets[1])
            self._check_http_head(reply.head, heads[0])
        if reply.parts and reply.parts[-1] != "null-body":
            yield from self._chunks()
            reply.body = bytes(reply.body_so_far)
            self._check_length()

    def _check_http_head(self, head, kind):
        if not head.endswith(b"\r\n\r\n") or head.find(b"\r\n\r\n") != len(head) - 4:
            raise ProtocolError("the encapsulated head is not one head: %r" % head[-200:])
        start = head.split(b"\r\n", 1)[0]
        pattern = rb"HTTP/1\.[01] \d{3}( .*)?" if kind == "res-hdr" else rb"[^ ]+ [^ ]+ HTTP/1\.[01]"
        if not re.fullmatch(pattern, start):
            raise ProtocolError("bad start line of the encapsulated head: %r" % start)

    def _chunks(self):
        while True:
            line = yield from self._line("chunk size")
            match = SIZE.fullmatch(line)
            if not match:
                raise ProtocolError("bad chunk size %r" % line)
            size = int(match.group(1), 16)
            if size == 0:
                line = yield from self._line("end of the last chunk")
                if line:
                    raise ProtocolError("unexpected trailer %r" % line)
                return
            while size:
                while not self.buf:
                    yield
                piece = self.buf[:size]
                del self.buf[:size]
                self.reply.body_so_far += piece
                size -= len(piece)
            end = yield from self._take(2)
            if end != b"\r\n":
                raise ProtocolError("chunk does not end with CR LF but %r" % end)

    def _check_length(self):
        value = self.reply.http_get("Content-Length")
        if value is not None and value != str(len(self.reply.body)):
            raise ProtocolError("Content-Length is %s and the body has %d bytes" % (value, len(self.reply.body)))


class Client:
    """One connection, opened when needed, kept alive over many transactions."""

    def __init__(self, port, service="sallyport", host="127.0.0.1", timeout=60.0):
        self.host, self.port, self.service, self.timeout = host, port, service, timeout
        self.sock = None
        self.transactions = 0

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close()

    def close(self):
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    def connect(self):
        if self.sock is None:
            self.sock = socket.create_connection((self.host, self.port), self.timeout)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.sock

    def options(self, fields=()):
        head = self._icap_head("OPTIONS", list(fields) + ["Encapsulated: null-body=0"])
        return self._exchange("OPTIONS", [head], None, False, False)

    def reqmod(self, request, body=None, **how):
        return self.modify("REQMOD", [("req-hdr", request)], body, **how)

    def respmod(self, response, body=None, request=None, **how):
        parts = [("req-hdr", request)] if request is not None else []
        return self.modify("RESPMOD", parts + [("res-hdr", response)], body, **how)

    def modify(self, method, parts, body, preview=None, allow204=False, chunk=16384, fields=(), ieof=True, pace=None):
        """One transaction. body: None for null-body, bytes, or a list of bytes and callables; a callable gets the reply as far
        as it came and holds the rest back until it says True (such a body is sent without preview). ieof=False: the
        client does not know yet that its preview is the whole body. pace: bytes sent at a time, or None."""
        extra = list(fields)
        if allow204:
            extra.append("Allow: 204")
        if preview is not None:
            extra.append("Preview: %d" % preview)
        offset, layout = 0, []
        for name, data in parts:
            layout.append("%s=%d" % (name, offset))
            offset += len(data)
        name = "null" if body is None else "req" if method == "REQMOD" else "res"
        layout.append("%s-body=%d" % (name, offset))
        extra.append("Encapsulated: " + ", ".join(layout))
        pieces = [self._icap_head(method, extra) + b"".join(data for _, data in parts)]
        after = None
        if body is not None and preview is not None:
            pieces += chunked(body[:preview], chunk)
            if len(body) <= preview and ieof:
                pieces.append(b"0; ieof\r\n\r\n")
            else:
                pieces.append(b"0\r\n\r\n")
                after = chunked(body[preview:], chunk) + [b"0\r\n\r\n"]
        elif body is not None:
            pieces += chunked(body, chunk) + [b"0\r\n\r\n"]
        return self._exchange(method, pieces, after, preview is not None, allow204, pace)

    def raw(self, method, data, **how):
        """Sends bytes as they are and reads a reply."""
        return self._exchange(method, [data], None, how.get("preview", False), how.get("allow204", False), how.get("pace"))

    def _icap_head(self, method, fields):
        lines = ["%s icap://%s:%d/%s ICAP/1.0" % (method, self.host, self.port, self.service), "Host: %s" % self.host] + fields
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"

    def _exchange(self, method, pieces, after, preview, allow204, pace=None):
        try:
            return self._run(method, pieces, after, preview, allow204, pace)
        except BaseException:
            self.close()  # whatever is still under way on this connection is of no use
            raise

    def _run(self, method, pieces, after, preview, allow204, pace):
        sock = self.connect()
        sock.setblocking(False)
        reply = Reply()
        queue = _Outgoing(pieces, reply, pace)
        began = time.monotonic()

        def on_continue():
            queue.add(after)

        parser = _Parser(method, reply, lambda: after is not None and queue.is_done(),
                         lambda: allow204 or (preview and not reply.continued), on_continue)
        if self._pending(sock):
            raise ProtocolError("bytes nobody asked for before transaction %d" % (self.transactions + 1))
        while not (parser.done and queue.is_done()):
            self._step(sock, parser, queue, began)
            if parser.done and not queue.is_done() and reply.closes:
                reply.sent_all = False
                break
        if parser.buf:
            raise ProtocolError("%d bytes after the reply: %r" % (len(parser.buf), bytes(parser.buf[:80])))
        reply.seconds = time.monotonic() - began
        self.transactions += 1
        if reply.closes:
            self._await_close(sock, began)
        return reply

    def _step(self, sock, parser, queue, began):
        left = self.timeout - (time.monotonic() - began)
        if left <= 0:
            raise Timeout("no reply after %.1f s (%s)" % (self.timeout, "begun" if parser.began else "not begun"))
        ready_read, ready_write, _ = select.select([sock], [sock] if queue.wants_to_send() else [], [], min(left, 0.05))
        if ready_read:
            try:
                data = sock.recv(262144)
            except ConnectionResetError:
                data = b""
            if not data:
                raise Closed("connection closed %s" % ("in the middle of a reply" if parser.began else "instead of a reply"))
            if parser.done:
                raise ProtocolError("bytes after the reply: %r" % data[:80])
            parser.feed(data)
        if ready_write:
            try:
                queue.sent(sock.send(queue.current()))
            except (BrokenPipeError, ConnectionResetError):
                queue.give_up()  # the reason, if there is one, can still be read

    @staticmethod
    def _pending(sock):
        return bool(select.select([sock], [], [], 0)[0])

    def _await_close(self, sock, began):
        """Connection: close was announced, so the end must come."""
        left = max(0.1, self.timeout - (time.monotonic() - began))
        if select.select([sock], [], [], left)[0]:
            try:
                if sock.recv(1):
                    raise ProtocolError("bytes after a reply with Connection: close")
            except ConnectionResetError:
                pass
        self.close()


class _Outgoing:
    def __init__(self, pieces, reply, pace):
        self.pieces = list(pieces)
        self.reply = reply
        self.pace = pace
        self.index = 0
        self.view = memoryview(b"")

    def add(self, pieces):
        self.pieces += pieces

    def give_up(self):
        self.pieces, self.index, self.view = [], 0, memoryview(b"")
        self.reply.sent_all = False

    def _fill(self):
        while not self.view and self.index < len(self.pieces):
            piece = self.pieces[self.index]
            if callable(piece):
                if not piece(self.reply):
                    return
                self.index += 1
                continue
            self.index += 1
            batch = [piece]
            size = len(piece)
            while size < 65536 and self.index < len(self.pieces) and not callable(self.pieces[self.index]):
                batch.append(self.pieces[self.index])
                size += len(batch[-1])
                self.index += 1
            self.view = memoryview(b"".join(batch))

    def wants_to_send(self):
        self._fill()
        return bool(self.view)

    def current(self):
        return self.view[:self.pace] if self.pace else self.view[:262144]

    def sent(self, n):
        self.view = self.view[n:]

    def is_done(self):
        self._fill()
        return not self.view and self.index >= len(self.pieces)


def chunked(body, size):
    """Chunks without the last one. body: bytes, or a list of bytes and callables that stay between the chunks."""
    if isinstance(body, list):
        out = []
        for item in body:
            out += [item] if callable(item) else chunked(item, size)
        return out
    return [b"%x\r\n%b\r\n" % (len(body[i:i + size]), body[i:i + size]) for i in range(0, len(body), size)]


# --- heads ---------------------------------------------------------------------------------------------------------

def request_head(method="GET", url="http://www.example.test/file", fields=(), length=None, host="www.example.test"):
    lines = ["%s %s HTTP/1.1" % (method, url)]
    if host is not None:
        lines.append("Host: %s" % host)
    lines += fields
    if length is not None:
        lines.append("Content-Length: %d" % length)
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def response_head(status="200 OK", fields=(), length=None, content_type="application/octet-stream"):
    lines = ["HTTP/1.1 %s" % status]
    if content_type is not None:
        lines.append("Content-Type: %s" % content_type)
    lines += fields
    if length is not None:
        lines.append("Content-Length: %d" % length)
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
