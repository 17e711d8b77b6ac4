"""A Debian of its own, made by debootstrap and run by its own systemd in namespaces; or in a chroot where systemd cannot be.

    with Machine("bookworm") as machine:
        machine.fetch("curl", "/path/to/x.deb")     what will be installed is fetched while there is a network
        machine.boot()                              True, or machine.why_not
        machine.must("systemctl", "start", "x")
        machine.shell("cd /srv && ...")"""

import glob
import os
import re
import shutil
import subprocess
import tempfile
import time

import proc
from report import Failure

HERE = os.path.dirname(os.path.abspath(__file__))
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
GROUPS = "/sys/fs/cgroup"
SETTINGS = """APT::Get::Assume-Yes "true";
Dpkg::Options { "--force-unsafe-io"; };
Dpkg::Use-Pty "false";
Acquire::Languages "none";
APT::Keep-Downloaded-Packages "true";
Binary::apt::APT::Keep-Downloaded-Packages "true";
"""
NO_UNITS = ("getty.target", "console-getty.service", "apt-daily.timer", "apt-daily-upgrade.timer", "systemd-logind.service", "e2scrub_all.timer")


def sources(suite):
    """What this machine's apt reads of a suite and of its updates: [(uri, suite, components)]."""
    found = []
    for path in sorted(glob.glob("/etc/apt/sources.list") + glob.glob("/etc/apt/sources.list.d/*")):
        with open(path, encoding="utf-8", errors="replace") as f:
            text = f.read()
        if path.endswith(".sources"):
            for block in re.split(r"\n\s*\n", text):
                fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(.*)$", block, re.M))
                if "deb" in fields.get("Types", "").split() and fields.get("Enabled", "yes") != "no":
                    found += [(uri, s, fields.get("Components", "")) for uri in fields.get("URIs", "").split() for s in fields.get("Suites", "").split()]
        elif path.endswith(".list"):
            found += re.findall(r"^deb[ \t]+(?:\[[^]]*\][ \t]+)?(\S+)[ \t]+(\S+)[ \t]+(.*)$", text, re.M)
    return [(uri, s, components) for uri, s, components in found if s == suite or s.startswith(suite + "-")]


class Machine:
    def __init__(self, suite):
        self.suite = suite
        self.dir = tempfile.mkdtemp(prefix="sallyport-debian.")
        os.chmod(self.dir, 0o755)
        self.root = os.path.join(self.dir, "root")
        self.log_path = os.path.join(self.dir, "log")
        self.popen = self.init = None
        self.why_not = "not tried"
        self.groups = []
        proc.watch(self)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.kill()
        proc.unwatch(self)
        return False

    # proc.kill_all() calls this when the suite ends too early.
    def kill(self):
        self.halt()
        shutil.rmtree(self.dir, ignore_errors=True)

    # --- before it runs: with the network of this machine

    def make(self, *include):
        wanted = sources(self.suite)
        if not wanted:
            raise Failure("this machine's apt knows no %s" % self.suite)
        self._host(["debootstrap", "--variant=minbase", "--keyring=" + KEYRING, "--include=" + ",".join(("ca-certificates",) + include),
                    self.suite, self.root, wanted[0][0]], 200)
        self.write("/etc/apt/sources.list", "".join("deb [signed-by=%s] %s %s %s\n" % ((KEYRING,) + row) for row in wanted))
        self.write("/etc/apt/apt.conf.d/99test", SETTINGS)
        for name in ("/etc/resolv.conf", "/etc/hosts"):
            if os.path.exists(name):
                shutil.copyfile(name, self.root + name)
        self.outside("apt-get", "update", "-qq")

    def fetch(self, *packages):
        """Fetches packages and what they need, and installs none."""
        self.outside("apt-get", "install", "-qq", "--download-only", *packages)

    def outside(self, *argv, seconds=200):
        """In the root, before it is booted."""
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", "HOME": "/root"}
        env.update({k: v for k, v in os.environ.items() if k.lower().endswith("_proxy")})
        script = 'mount -t proc proc "$1/proc" && root=$1 && shift && exec chroot "$root" "$@"'
        return self._host(["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh", self.root] + list(argv), seconds, env)

    def _host(self, argv, seconds, env=None):
        run = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, env=env)
        if run.returncode != 0:
            raise Failure("%s: status %d, %s" % (" ".join(argv[:3]), run.returncode, (run.stdout + run.stderr)[-900:]))
        return run.stdout

    def write(self, path, text):
        os.makedirs(os.path.dirname(self.root + path), exist_ok=True)
        with open(self.root + path, "w", encoding="utf-8") as f:
            f.write(text)

    def read(self, path):
        with open(self.root + path, encoding="utf-8", errors="replace") as f:
            return f.read()

    # --- running

    def boot(self):
        for unit in NO_UNITS:
            link = "%s/etc/systemd/system/%s" % (self.root, unit)
            if not os.path.lexists(link):
                os.symlink("/dev/null", link)
        for top in [GROUPS] if os.path.exists(GROUPS + "/cgroup.procs") else [GROUPS + "/systemd", GROUPS + "/unified"]:
            try:
                os.mkdir("%s/sallyport-debian-%d" % (top, os.getpid()))
                self.groups.append("%s/sallyport-debian-%d" % (top, os.getpid()))
            except OSError:
                pass
        with open(self.log_path, "wb") as log:
            self.popen = subprocess.Popen(["unshare", "--pid", "--mount", "--cgroup", "--uts", "--ipc", "--net", "--fork", "--kill-child",
                                           os.path.join(HERE, "boot"), self.root], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                          preexec_fn=self._enter_groups)
        if not self._await_boot(60):
            with open(self.log_path, errors="replace") as f:
                self.why_not = "systemd does not start here: " + f.read().strip()[-300:].replace("\n", " | ")
            self.halt()
            return False
        return True

    def _enter_groups(self):
        for path in self.groups:
            with open(path + "/cgroup.procs", "w") as f:
                f.write("0")

    def _await_boot(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.popen.poll() is None:
            self.init = next(iter(proc.children(self.popen.pid)), None)
            if self.init and self.run("systemctl", "is-system-running").stdout.strip() in ("running", "degraded"):
                return True
            time.sleep(0.2)
        return False

    def run(self, *argv, seconds=120):
        """In the machine. Not booted: in its root, with a loopback of its own and no services."""
        env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8",
               "HOME": "/root"}
        if self.init:
            enter = ["nsenter", "-t", str(self.init), "-m", "-p", "-n", "-u", "-i", "-C", "--"]
        else:
            script = 'mount -t proc proc "$1/proc" && root=$1 && shift && exec chroot "$root" "$@"'
            enter = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh", self.root]
        return subprocess.run(enter + list(argv), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, env=env)

    def must(self, *argv, seconds=120):
        run = self.run(*argv, seconds=seconds)
        if run.returncode != 0:
            raise Failure("%s: status %d, %s" % (" ".join(argv)[:200], run.returncode, (run.stdout + run.stderr)[-900:]))
        return run.stdout + run.stderr

    def shell(self, script, seconds=160):
        """Commands as a person types them, the first that fails ends them."""
        return self.must("bash", "-c", 'sudo() { "$@"; }\nset -e\n' + script, seconds=seconds)

    def beside(self, *argv, seconds=60):
        """A program of this machine in the other one's network."""
        run = subprocess.run(["nsenter", "-t", str(self.init), "-n", "--"] + list(argv), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                             timeout=seconds)
        if run.returncode != 0:
            raise Failure("%s: status %d, %s" % (" ".join(argv)[:200], run.returncode, (run.stdout + run.stderr)[-900:]))
        return run.stdout

    def is_active(self, unit):
        return self.run("systemctl", "is-active", unit).stdout.strip() == "active"

    def halt(self):
        if not self.popen:
            return
        self.popen.kill()
        self.popen.wait(10)
        self.popen = self.init = None
        deadline = time.monotonic() + 10
        while self.groups and time.monotonic() < deadline:
            self._remove_groups()
            time.sleep(0.1)

    def _remove_groups(self):
        for path in list(self.groups):
            for folder, _, _ in os.walk(path, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    pass
            if not os.path.exists(path):
                self.groups.remove(path)
