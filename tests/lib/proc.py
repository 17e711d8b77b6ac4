"""Programs that a test starts: each in its own process group with its output in files, always stopped, by id, and looked
at afterwards for crashes."""

import atexit
import os
import re
import signal
import subprocess
import sys
import threading
import time

CRASH = re.compile(r"ERROR: \w*Sanitizer|runtime error: |SUMMARY: \w*Sanitizer|Assertion|assertion failed|SP_ASSERT|"
                   r"\*\*\* stack smashing|double free|corrupted size|malloc\(\): |free\(\): invalid|Segmentation fault|panic:", re.I)

_live = set()
_lock = threading.Lock()


class Process:
    """argv runs as user (a (uid, gid) pair or None). Output goes to log_dir/name.out and log_dir/name.err."""

    def __init__(self, name, argv, log_dir, env=None, user=None, cwd=None):
        self.name = name
        self.argv = argv
        self.out_path = os.path.join(log_dir, name + ".out")
        self.err_path = os.path.join(log_dir, name + ".err")
        self.err_start = os.path.getsize(self.err_path) if os.path.exists(self.err_path) else 0
        who = {"user": user[0], "group": user[1], "extra_groups": []} if user else {}
        with open(self.out_path, "ab") as out, open(self.err_path, "ab") as err:
            self.popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env, cwd=cwd or log_dir,
                                          start_new_session=True, close_fds=True, **who)
        self.pid = self.popen.pid
        with _lock:
            _live.add(self)

    def is_running(self):
        return self.popen.poll() is None

    def output(self):
        """All that this start wrote to stderr, and the whole stdout file."""
        with open(self.err_path, "rb") as f:
            f.seek(self.err_start)
            err = f.read()
        with open(self.out_path, "rb") as f:
            return err.decode("utf-8", "replace") + f.read().decode("utf-8", "replace")

    def wait(self, seconds):
        return self.popen.wait(seconds)

    def stop(self, sig=signal.SIGTERM, seconds=60):
        """Ends it and what it started. Returns the exit status, or None if it had to be killed."""
        if self.is_running():
            try:
                os.kill(self.pid, sig)
            except ProcessLookupError:
                pass
        try:
            status = self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            status = None
        self._end_group(0 if status is None else 3)
        if status is None:
            self.popen.wait(5)
        with _lock:
            _live.discard(self)
        return status

    def kill(self):
        self._end_group(0)
        try:
            self.popen.wait(5)
        except subprocess.TimeoutExpired:
            pass
        with _lock:
            _live.discard(self)

    def group_is_gone(self):
        """No process of the group is left but zombies, which may wait for a lazy init."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/stat" % pid) as f:
                    fields = f.read().rsplit(")", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[2]) == self.pid and fields[0] != "Z":
                return False
        return True

    def _end_group(self, patience):
        deadline = time.monotonic() + patience
        while not self.group_is_gone() and time.monotonic() < deadline:
            time.sleep(0.02)
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass

    def crash_text(self):
        """The first line of a crash or sanitizer report in its output, or None."""
        for line in self.output().splitlines():
            if CRASH.search(line):
                return "%s: %s" % (self.name, line.strip())
        return None


def children(pid):
    """Process ids of all descendants."""
    found = []
    try:
        for task in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/children" % (pid, task)) as f:
                for child in map(int, f.read().split()):
                    found.append(child)
                    found.extend(children(child))
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def leaves(pid):
    """Descendants that have no children themselves."""
    return [p for p in children(pid) if not children(p)]


def cpu_ticks(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def kill_all():
    with _lock:
        left = list(_live)
    for thing in left:
        try:
            thing.kill()
        except Exception as fault:  # the others must end all the same
            print("cannot stop %s: %s" % (thing, fault), file=sys.stderr)


def watch(thing):
    """thing.kill() is called when the suite ends before it could clean up."""
    with _lock:
        _live.add(thing)


def unwatch(thing):
    with _lock:
        _live.discard(thing)


def _on_signal(number, frame):
    sys.exit(128 + number)


atexit.register(kill_all)
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGTERM, _on_signal)
