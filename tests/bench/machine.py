"""What /proc knows: the processes of a contestant, their memory and processor time, and the machine itself."""
import os
import platform
import re
import subprocess

TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except OSError:
        return ""


def stat_fields(pid):
    """The fields of /proc/PID/stat from the state on, [] when there is no such process."""
    return read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def tree(root):
    """The process and all that descend from it."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = stat_fields(name)
            if fields:
                children.setdefault(int(fields[1]), []).append(int(name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        if stat_fields(pid):
            found.append(pid)
        todo += children.get(pid, [])
    return found


def start_time(pid):
    """Tells a process from a later one with the same number."""
    fields = stat_fields(pid)
    return fields[19] if fields else None


def cpu_s(pids):
    """Processor time of processes, and of their children that ended."""
    total = 0
    for pid in pids:
        fields = stat_fields(pid)
        if fields:
            total += sum(int(x) for x in fields[11:15])
    return total * TICK_S


def busy_s():
    """Processor time that the whole machine used since it started, time stolen from it included."""
    fields = [int(x) for x in read("/proc/stat").split("\n", 1)[0].split()[1:]]
    return (sum(fields[:8]) - fields[3] - fields[4]) * TICK_S


def pss_kb(pids):
    """Proportional set size: shared pages count once in the sum. None if it cannot be read."""
    total = 0
    for pid in pids:
        match = re.search(r"^Pss:\s+(\d+)", read(f"/proc/{pid}/smaps_rollup"), re.M)
        if match:
            total += int(match.group(1))
        elif stat_fields(pid):
            return None
    return total


def private_kb(pid):
    """Pages that no other process shares."""
    return sum(int(x) for x in re.findall(r"^Private_(?:Clean|Dirty):\s+(\d+)", read(f"/proc/{pid}/smaps_rollup"), re.M))


def first_line(*command):
    try:
        out = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return out.strip().split("\n")[0].strip()


def file_system(path):
    """The type of the file system that holds path."""
    best = ("", "?")
    for line in read("/proc/self/mounts").splitlines():
        _, mount, kind = line.split()[:3]
        if (os.path.realpath(path) + "/").startswith(mount.rstrip("/") + "/") and len(mount) >= len(best[0]):
            best = (mount, kind)
    return best[1]


def package_version(name):
    line = first_line("dpkg-query", "-W", "-f", "${Version}", name)
    return "" if "no packages found" in line else line


def describe(build_dir):
    cpu = re.search(r"^model name\s*:\s*(.*)$", read("/proc/cpuinfo"), re.M)
    memory = re.search(r"^MemTotal:\s+(\d+)", read("/proc/meminfo"), re.M)
    version = re.search(r'PACKAGE_VERSION "([^"]*)"', read(os.path.join(build_dir, "config.h")))
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": cpu.group(1) if cpu else platform.machine(),
        "memory_mb": int(memory.group(1)) // 1024 if memory else None,
        "kernel": platform.release(),
        "system": (re.search(r'^PRETTY_NAME="?([^"\n]*)', read("/etc/os-release"), re.M) or [None, ""])[1],
        "load_before": os.getloadavg()[0],
        "c-icap": package_version("c-icap"),
        "libclamav": first_line("pkg-config", "--modversion", "libclamav"),
        "virus_scan": package_version("libc-icap-mod-virus-scan"),
        "clamd": package_version("clamav-daemon"),
        "e2guardian": package_version("e2guardian"),
        "squid": package_version("squid-openssl") or package_version("squid"),
        "sallyport": version.group(1) if version else None,
    }
