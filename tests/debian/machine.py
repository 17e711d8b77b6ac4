"""A Debian of its own, made by debootstrap and run by its own systemd in namespaces; or in a chroot where systemd cannot be.

    with Machine("bookworm") as machine:
        machine.fetch("curl", "/path/to/x.deb")     what will be installed is fetched while there is a network
        machine.boot()                              True, or machine.why_not
        machine.must("systemctl", "start", "x")
        machine.shell("cd /srv && ...")"""

import os
import subprocess
import time

import proc
from debianroot import ENTER, PATH, DebianRoot
from report import BUSY, Failure

HERE = os.path.dirname(os.path.abspath(__file__))
GROUPS = "/sys/fs/cgroup"
NO_UNITS = ("getty.target", "console-getty.service", "apt-daily.timer", "apt-daily-upgrade.timer", "systemd-logind.service", "e2scrub_all.timer")


class Machine(DebianRoot):
    def __init__(self, suite):
        self.popen = self.init = None
        self.why_not = "not tried"
        self.groups = []
        super().__init__(suite)
        self.log_path = os.path.join(self.dir, "log")

    def kill(self):
        self.halt()
        super().kill()

    def fetch(self, *packages):
        """Fetches packages and what they need, and installs none."""
        self.outside("apt-get", "install", "-qq", "--download-only", *packages)

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
        if not self._await_boot(30 * BUSY):
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
        env = {"PATH": PATH, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", "HOME": "/root"}
        if self.init:
            enter = ["nsenter", "-t", str(self.init), "-m", "-p", "-n", "-u", "-i", "-C", "--"]
        else:
            enter = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER, "sh", self.root]
        return subprocess.run(enter + list(argv), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BUSY * seconds, env=env)

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
                             timeout=BUSY * seconds)
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
