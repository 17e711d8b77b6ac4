"""The whole service as these cases want it, and what they ask it."""

import glob
import json
import os
import resource
import subprocess
import time

import memory
import proc
from load import SIGNATURE
from report import Failure, await_true, check
from stack import Stack

CHILDREN, THREADS = 2, 10
OPTIONS = {
    # Nothing trickles, so an answer that comes late is whole. Databases are loaded when the test says so.
    "hold_time": "60s", "scan.settle_time": "1h", "spool.memory": 65536, "scan.workers": 2, "scan.max_workers": 4, "spool.quota": "2G",
    "log.decisions": "notable", "cache.size": "8M",
}
SERVERS = {"StartServers": CHILDREN, "MaxServers": CHILDREN, "ThreadsPerChild": THREADS, "MinSpareThreads": 1, "MaxSpareThreads": 100}


def gate(name, options=None, signatures=0, servers=None):
    """A stack that is not started, with the signature that the load knows and so many others."""
    stack = Stack(dict(OPTIONS, **(options or {})), directives=dict(SERVERS, **(servers or {})), name="chaos-" + name, start=False)
    write_signatures(stack, signatures)
    stack.wants_start = True
    return stack


def write_signatures(stack, others=0):
    stack.dir.write("db/chaos.ndb", SIGNATURE)
    spread = 0x9E3779B97F4A7C15F39CC0605CEDC834
    if others:
        rows = ["%064x:%d:Sallyport.Test.Other-%d\n" % (spread * (i + 1) ** 2 % 2 ** 256, 1000 + i, i) for i in range(others)]
        stack.dir.write("db/others.hsb", "".join(rows))


def database(stack):
    return stack.dir.join("db")


def board(stack):
    return json.loads(stack.cli("status", "-c", stack.conf_path, "--json").stdout)["scanner"]


def generation(stack):
    return board(stack)["generation"]


def await_generation(stack, number, seconds=60):
    await_true(lambda: generation(stack) >= number, seconds, "generation %d" % number, 0.05)


def generation_pids(stack):
    """Processes that load an engine or hold workers: children of the supervisor."""
    with open("/proc/%d/task/%d/children" % (stack.scand.pid, stack.scand.pid)) as f:
        return [int(pid) for pid in f.read().split()]


def scanner_pids(stack):
    return memory.tree(stack.scand.pid)


def state_of(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"


def limit_memory(stack, pid):
    """The process may not map anything more. False: it has gone. By a program, since only the owner of a process may do that."""
    try:
        with open("/proc/%d/statm" % pid) as f:
            size = int(f.read().split()[0]) * resource.getpagesize()
    except OSError:
        return False
    user = {"user": stack.dir.user[0], "group": stack.dir.user[1], "extra_groups": []} if stack.dir.user else {}
    got = subprocess.run(["prlimit", "--pid", "%d" % pid, "--as=%d:%d" % (size, size)], capture_output=True, text=True, cwd="/", **user)
    check(got.returncode == 0 or state_of(pid) in "ZX", "%s", got.stderr)
    return got.returncode == 0


def restart_killed_scanner(stack, pause=0.1):
    """As a service manager does. What belonged to the dead one may still live for a moment."""
    stack.scand.popen.wait(10)
    proc.unwatch(stack.scand)
    time.sleep(pause)
    stack.start_scand()


def files_below(path):
    return sorted(p for p in glob.glob(os.path.join(path, "**"), recursive=True) if os.path.isfile(p))


def check_nothing_left(stack):
    """Without load: no body is kept, no quota held, no scratch file left."""
    def held():
        status = json.loads(stack.cli("status", "-c", stack.conf_path, "--json").stdout)
        return status["spool"]["held_bytes"]
    await_true(lambda: held() == 0, 10, "the spool quota to be given back", 0.1)
    await_true(lambda: not memory.nameless_files(gate_pids(stack)), 10, "bodies to be let go", 0.1)
    left = files_below(stack.dir.join("spool"))
    check(not left, "scratch files: %s", left[:5])


def gate_pids(stack):
    return memory.tree(stack.cicap.process.pid)


def stop_cicap_with_deaths(stack):
    """c-icap whose children were killed by the test: its log tells of their deaths, which is no fault."""
    process, stack.cicap.process = stack.cicap.process, None
    status = process.stop()
    crash = process.crash_text()
    if crash or status is None:
        raise Failure(crash or "c-icap did not stop on SIGTERM")
