"""Terminals without a person."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time

import proc
from report import Failure
from stack import sanitizer_env


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
