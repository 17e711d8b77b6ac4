"""What processes hold: memory that is theirs (shared pages counted by share), anonymous files in memory, unlinked files on disk."""

import os
import stat
import threading
import time

import proc


def tree(pid):
    return [pid] + proc.children(pid)


def pss_kib(pid):
    """Proportional set size, without pages of programs and libraries that are merely mapped: 0 if the process is gone."""
    try:
        with open("/proc/%d/smaps_rollup" % pid) as f:
            return sum(int(line.split()[1]) for line in f if line.startswith(("Pss_Anon:", "Pss_Shmem:")))
    except (OSError, ValueError):
        return 0


def nameless_files(pids):
    """{(device, inode): (is in memory, bytes)} of files without a name that these processes have open."""
    found = {}
    for pid in pids:
        base = "/proc/%d/fd" % pid
        try:
            names = os.listdir(base)
        except OSError:
            continue
        for name in names:
            try:
                target = os.readlink("%s/%s" % (base, name))
                if not target.endswith("(deleted)"):
                    continue
                st = os.stat("%s/%s" % (base, name))
            except OSError:
                continue
            if stat.S_ISREG(st.st_mode):
                found[(st.st_dev, st.st_ino)] = (target.startswith(("/memfd:", "/dev/shm")), st.st_blocks * 512)
    return found


def _count(what, pids):
    total = 0
    for pid in pids:
        try:
            total += len(os.listdir("/proc/%d/%s" % (pid, what)))
        except OSError:  # it has ended
            pass
    return total


def count_fds(pids):
    return _count("fd", pids)


def count_threads(pids):
    return _count("task", pids)


class Usage:
    """Bytes at one moment: memory (with memfds), disk (unlinked files)."""

    def __init__(self, pids):
        files = nameless_files(pids).values()
        self.memory = 1024 * sum(pss_kib(p) for p in pids) + sum(n for in_memory, n in files if in_memory)
        self.disk = sum(n for in_memory, n in files if not in_memory)


class Watch:
    """with Watch(function that lists pids) as watch: ...; afterwards the peaks, and what it was at the start. Memory that is in a
    memfd and mapped besides is counted twice: a bound that holds is a bound."""

    def __init__(self, pids, pause=0.05):
        self.pids, self.pause = pids, pause

    def __enter__(self):
        first = Usage(self.pids())
        self.base_memory = self.memory = first.memory
        self.disk = first.disk
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        return self

    def _run(self):
        while not self.is_over.is_set():
            now = Usage(self.pids())
            self.memory, self.disk = max(self.memory, now.memory), max(self.disk, now.disk)
            time.sleep(self.pause)

    def __exit__(self, kind, value, trace):
        self.is_over.set()
        self.thread.join()
