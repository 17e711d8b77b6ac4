"""A small HTTP and HTTPS server with bodies that a test chooses, and the certificates for it.

    origin = Origin(tls=certificate)           # Certificate.cert, .key
    origin.add("/file", body, fields=["Content-Type: text/plain"], chunked=True)
    origin.url("/file"), origin.requests       # what came in: (method, target, fields, body)
    origin.stop()"""

import os
import socket
import ssl
import subprocess
import threading
import time

MAX_HEAD = 1 << 20


class Answer:
    """pieces: bytes, or numbers: seconds to wait there. length: announced; None with chunked or until the end of the connection."""

    def __init__(self, pieces, status="200 OK", fields=(), chunked=False, length=True):
        self.pieces = [pieces] if isinstance(pieces, bytes) else list(pieces)
        self.status, self.fields, self.chunked = status, list(fields), chunked
        self.size = sum(len(p) for p in self.pieces if isinstance(p, bytes))
        self.length = self.size if length and not chunked else None

    def head(self, close):
        lines = ["HTTP/1.1 " + self.status] + self.fields
        if self.chunked:
            lines.append("Transfer-Encoding: chunked")
        elif self.length is not None:
            lines.append("Content-Length: %d" % self.length)
        if close:
            lines.append("Connection: close")
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


class Origin:
    def __init__(self, tls=None, host="127.0.0.1", name="localhost", port=0):
        self.answers = {}
        self.requests = []
        self.name = name
        self.context = None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(tls.cert, tls.key)
        self.listener = socket.create_server((host, port), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.stopping = False
        threading.Thread(target=self._accept, daemon=True).start()

    def add(self, path, body, **how):
        self.answers[path] = Answer(body, **how)

    def url(self, path):
        return "%s://%s:%d%s" % ("https" if self.context else "http", self.name, self.port, path)

    def stop(self):
        self.stopping = True
        self.listener.close()

    def _accept(self):
        while not self.stopping:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            connection.settimeout(60)
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as reader:
                while not self.stopping and self._one(connection, reader):
                    pass
                if self.context:  # a body that ends with the connection is whole only if TLS says that it ended
                    connection.settimeout(1)
                    connection.unwrap()
        except (OSError, ssl.SSLError, ValueError):
            pass

    def _one(self, connection, reader):
        start = reader.readline(MAX_HEAD).decode("latin-1").rstrip("\r\n")
        if not start:
            return False
        method, target, _ = start.split(" ", 2)
        fields = []
        while True:
            line = reader.readline(MAX_HEAD).decode("latin-1").rstrip("\r\n")
            if not line:
                break
            name, value = line.split(":", 1)
            fields.append((name.lower(), value.strip()))
        body = self._body(reader, dict(fields))
        self.requests.append((method, target, fields, body))
        path = target.split("?", 1)[0]
        answer = self.answers.get(path) or Answer(b"no such page\n", "404 Not Found")
        close = not answer.chunked and answer.length is None
        connection.sendall(answer.head(close))
        if method != "HEAD":
            self._send(connection, answer)
        return not close

    @staticmethod
    def _body(reader, fields):
        if fields.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while True:
                size = int(reader.readline(100).split(b";")[0], 16)
                body += reader.read(size)
                reader.readline(100)
                if not size:
                    return body
        return reader.read(int(fields.get("content-length", "0")))

    @staticmethod
    def _send(connection, answer):
        for piece in answer.pieces:
            if not isinstance(piece, bytes):
                time.sleep(piece)
            elif answer.chunked:
                for i in range(0, len(piece), 65536):
                    part = piece[i:i + 65536]
                    connection.sendall(b"%x\r\n%b\r\n" % (len(part), part))
            else:
                connection.sendall(piece)
        if answer.chunked:
            connection.sendall(b"0\r\n\r\n")


class Certificate:
    """cert, key: paths of PEM files."""

    def __init__(self, cert, key):
        self.cert, self.key = cert, key


def _openssl(*args):
    run = subprocess.run(["openssl"] + list(args), capture_output=True, text=True, timeout=30)
    if run.returncode:
        raise RuntimeError("openssl %s: %s" % (args[0], run.stderr[-500:]))


def make_ca(directory, file_name, name):
    """A certificate authority of its own for the tests."""
    cert, key = os.path.join(directory, file_name + ".pem"), os.path.join(directory, file_name + ".key")
    _openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha256", "-days", "30", "-subj", "/CN=%s" % name,
             "-keyout", key, "-out", cert, "-addext", "basicConstraints=critical,CA:TRUE",
             "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    return Certificate(cert, key)


def make_certificate(directory, ca, names):
    """A server certificate for DNS names or IP addresses."""
    base = os.path.join(directory, names[0])
    kinds = ["%s:%s" % ("IP" if n.replace(".", "").isdigit() else "DNS", n) for n in names]
    with open(base + ".ext", "w") as f:
        f.write("basicConstraints=CA:FALSE\nsubjectAltName=%s\n" % ",".join(kinds))
    _openssl("req", "-newkey", "rsa:2048", "-nodes", "-sha256", "-subj", "/CN=%s" % names[0], "-keyout", base + ".key",
             "-out", base + ".csr")
    _openssl("x509", "-req", "-in", base + ".csr", "-CA", ca.cert, "-CAkey", ca.key, "-CAcreateserial", "-days", "30", "-sha256",
             "-extfile", base + ".ext", "-out", base + ".pem")
    return Certificate(base + ".pem", base + ".key")
