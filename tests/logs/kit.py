"""Logs made up for the tests, and what may not reach a terminal."""

import datetime
import json
import os
import re
import subprocess
import time

from report import await_true, check
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


def is_at_end(process, path):
    """Has the process read the file to where it ends now?"""
    for fd in os.listdir("/proc/%d/fd" % process.pid):
        try:
            if os.readlink("/proc/%d/fd/%s" % (process.pid, fd)) == path:
                with open("/proc/%d/fdinfo/%s" % (process.pid, fd)) as f:
                    return int(f.readline().split()[1]) == os.path.getsize(path)
        except OSError:
            pass
    return False


def await_following(process, path):
    if os.path.exists(path):
        await_true(lambda: is_at_end(process, path), 10, "tail to follow the log")
    else:
        time.sleep(1)  # it prints all that comes into a new file


def report(world, *args):
    run = cli(world, "report", "--json", *args)
    check(run.returncode == 0, "report ended with %d: %s", run.returncode, run.err)
    return json.loads(run.out)


def harmless(text, what):
    """text, bytes of a terminal: nothing in it but printable characters, line ends and the colours that are ours."""
    rest = re.sub(rb"\x1b\[(0|1|2|32|33|1;31)m", b"", text).replace(b"\r\n", b"\n").decode("utf-8")
    for c in rest:
        bad = (ord(c) < 0x20 and c != "\n") or 0x7f <= ord(c) <= 0x9f or 0x202a <= ord(c) <= 0x202e or c == "\ufeff"
        check(not bad, "%s: %r reaches the terminal: %r", what, c, rest[max(0, rest.index(c) - 60):][:120])
