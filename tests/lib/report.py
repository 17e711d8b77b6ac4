"""Runs named cases and prints what every suite prints: `ok NAME` or `FAIL NAME: why`, then `N passed, N failed`.

A case is a function; it fails by raising. Cases of one group run in parallel threads when the group says so. A watchdog
ends the whole suite when its time is over: a hanging test is a failed test."""

import fnmatch
import os
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import proc


BUSY = 6  # a machine that has other work, too, may take so many times as long


class Failure(Exception):
    """What a case raises when the world is not as it must be."""


def check(condition, text, *values):
    if not condition:
        raise Failure(text % values if values else text)


def equal(got, want, what):
    if got != want:
        raise Failure("%s: got %s, want %s" % (what, short(got), short(want)))


def short(value, limit=300):
    text = repr(value)
    return text if len(text) <= limit else "%s... (%d characters)" % (text[:limit], len(text))


def await_true(question, seconds, what, pause=0.02):
    """The first true answer of question(), or a Failure that names what was awaited. seconds: enough on a quiet machine."""
    seconds *= BUSY
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise Failure("waited %.1f s for %s" % (seconds, what))
        time.sleep(pause)


def _where(fault):
    """The innermost line outside this file that led to the fault, or to what caused it."""
    while fault.__cause__:
        fault = fault.__cause__
    frames = traceback.extract_tb(fault.__traceback__)
    frame = next((f for f in reversed(frames) if f.filename != __file__), frames[-1])
    return "%s:%d" % (os.path.basename(frame.filename), frame.lineno)


class Suite:
    """with Suite("icap", argv) as suite: suite.run("name", function, argument...)

    Arguments on the command line are shell patterns of case names; none means all. -v prints tracebacks, -l lists."""

    def __init__(self, name, argv, seconds):
        self.name = name
        self.verbose = "-v" in argv
        self.list_only = "-l" in argv
        self.patterns = [a for a in argv if not a.startswith("-")]
        self.passed = 0
        self.failed = 0
        self.lock = threading.Lock()
        self.started = time.monotonic()
        self.seconds = seconds = 2 * seconds  # of a quiet machine
        self.watchdog = threading.Timer(seconds, self._out_of_time)
        self.watchdog.daemon = True
        self.running = {}

    def __enter__(self):
        self.watchdog.start()
        return self

    def __exit__(self, kind, value, trace):
        self.watchdog.cancel()
        return False

    def wants(self, name):
        return not self.patterns or any(fnmatch.fnmatch(name, p) or p in name for p in self.patterns)

    def wants_any(self, names):
        return not self.list_only and any(self.wants(n) for n in names)

    def run(self, name, function, *args):
        if not self.wants(name):
            return
        if self.list_only:
            print(name)
            return
        began = time.monotonic()
        with self.lock:
            self.running[name] = began
        try:
            function(*args)
            self._say(name, None)
        except Exception as fault:  # a case may fail in any way; the suite goes on
            text = "%s%s (%s)" % ("" if isinstance(fault, Failure) else type(fault).__name__ + ": ", fault, _where(fault))
            self._say(name, text)
            if self.verbose:
                traceback.print_exception(fault)
        finally:
            with self.lock:
                self.running.pop(name, None)

    def run_unnamed(self, name, function, *args):
        """What surrounds cases, such as starting a service: only its failure is a case."""
        try:
            function(*args)
        except Exception as fault:
            self._say(name, "%s: %s" % (type(fault).__name__, fault))
            if self.verbose:
                traceback.print_exception(fault)

    def run_parallel(self, cases, threads=4):
        """cases: (name, function, argument...) tuples that do not disturb each other."""
        with ThreadPoolExecutor(threads) as pool:
            for future in [pool.submit(self.run, *case) for case in cases]:
                future.result()

    def _say(self, name, fault):
        with self.lock:
            if fault is None:
                self.passed += 1
                print("ok %s" % name, flush=True)
            else:
                self.failed += 1
                print("FAIL %s: %s" % (name, fault.replace("\n", " | ")), flush=True)

    def finish(self):
        """Prints the last line; the value is the exit status."""
        if self.list_only:
            return 0
        if self.verbose:
            print("%.1f s" % (time.monotonic() - self.started))
        if not self.passed and not self.failed:
            print("FAIL %s: no case has such a name" % self.name)
            self.failed = 1
        print("%d passed, %d failed" % (self.passed, self.failed), flush=True)
        return 1 if self.failed else 0

    def _out_of_time(self):
        with self.lock:
            names = ", ".join(self.running) or "no case"
            print("FAIL %s: not done after %d s; running: %s" % (self.name, self.seconds, names))
            print("%d passed, %d failed" % (self.passed, self.failed + 1), flush=True)
            proc.kill_all()
            os._exit(1)


def main(name, function, seconds):
    """The whole of a tests/<suite>/run: function(suite) runs the cases."""
    with Suite(name, sys.argv[1:], seconds) as suite:
        try:
            function(suite)
        finally:
            proc.kill_all()
        return suite.finish()
