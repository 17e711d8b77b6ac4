"""Logs made up for the tests, terminals without a person, and what may not reach one."""

import datetime
import json
import os
import pty
import re
import select
import subprocess
import termios
import struct
import fcntl
import time

import proc
from report import Failure, check
from stack import sanitizer_env

START = datetime.datetime(2020, 11, 20, 12, 0, 0)

# What a person may be made to swallow, by place: terminals, HTML, JSON, shells, CSV, right-to-left.
HOSTILE = ["<script>alert(1)</script>", "\"'><img src=x onerror=alert(1)>", "\x1b]0;owned\x07\x1b[2J\x1b[31m", "\r\n{\"id\":\"forged\"}",
           "\x9b31m\x90q\x9c", "\u202egnp.exe", "a\x00b\x7fc", "'; rm -rf $HOME; `id` #", "=cmd|' /C calc'!A0", "\\u001b\\\"},{"]


def line(i, **fields):
    """One line as the gate writes it, i seconds after START."""
    when = START + datetime.timedelta(seconds=i)
    micros = int((when - datetime.datetime(1970, 1, 1)).total_seconds()) * 10**6
    row = {"time": when.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "id": "%016x" % ((micros << 16 | i & 0xffff) & (2**64 - 1)), "client": "10.0.0.1",
           "direction": "RESPMOD", "method": "GET", "url": "http://www.example.test/", "outcome": "clean", "action": "allow",
           "reason": "the engine found nothing", "bytes": 10, "total_us": 1000, "scan_us": 500}
    row.update(fields)
    return json.dumps({k: v for k, v in row.items() if v is not None}, separators=(",", ":"), ensure_ascii=False)


def cli(world, *args, timeout=60, env=None):
    full = {**sanitizer_env(False), "TERM": "xterm", **(env or {})}
    run = subprocess.run([world.cli_path] + list(args), capture_output=True, timeout=timeout, env=full)
    run.out = run.stdout.decode("utf-8")
    run.err = run.stderr.decode("utf-8")
    return run


def report(world, *args):
    run = cli(world, "report", "--json", *args)
    check(run.returncode == 0, "report ended with %d: %s", run.returncode, run.err)
    return json.loads(run.out)


class Terminal:
    """A program whose stdout and stderr are a terminal. streams: which of them; the others are pipes to nowhere."""

    def __init__(self, argv, env=None, streams=("stdout", "stderr"), columns=100):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        where = {name: slave if name in streams else subprocess.DEVNULL for name in ("stdout", "stderr")}
        self.process = subprocess.Popen(argv, stdin=slave, env={**sanitizer_env(False), "TERM": "xterm", **(env or {})},
                                        start_new_session=True, **where)
        os.close(slave)
        self.master = master
        self.seen = b""
        proc.watch(self)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def send(self, data):
        os.write(self.master, data)

    def read(self, seconds):
        """What comes within that time, or until the program ends."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not select.select([self.master], [], [], 0.05)[0]:
                continue
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return False
            if not data:
                return False
            self.seen += data
        return True

    def until(self, wanted, seconds=15):
        end = time.monotonic() + seconds
        while wanted not in self.seen:
            if time.monotonic() > end:
                raise Failure("the terminal does not show %r but %r" % (wanted, self.seen[-600:]))
            if not self.read(0.05) and wanted not in self.seen:
                raise Failure("the program ended without %r: %r" % (wanted, self.seen[-600:]))
        return self

    def finish(self, seconds=60):
        while self.read(seconds):
            raise Failure("the program does not end: %r" % self.seen[-300:])
        code = self.process.wait(10)
        self.close()
        return code

    def close(self):
        self.kill()
        os.close(self.master)
        proc.unwatch(self)


def harmless(text, what):
    """text, bytes of a terminal: nothing in it but printable characters, line ends and the colours that are ours."""
    rest = re.sub(rb"\x1b\[(0|1|2|32|33|1;31)m", b"", text).replace(b"\r\n", b"\n").decode("utf-8")
    for c in rest:
        bad = (ord(c) < 0x20 and c != "\n") or 0x7f <= ord(c) <= 0x9f or 0x202a <= ord(c) <= 0x202e or c == "\ufeff"
        check(not bad, "%s: %r reaches the terminal: %r", what, c, rest[max(0, rest.index(c) - 60):][:120])
