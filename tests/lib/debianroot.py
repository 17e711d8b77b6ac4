"""A Debian in a folder, made by debootstrap from the mirror of this machine's apt.

    with DebianRoot("trixie") as root:
        root.make()
        root.outside("apt-get", "install", "gcc")   a command in it, with this machine's network
        root.inside("make", "check")                the same with a loopback alone"""

import glob
import os
import re
import shutil
import subprocess
import tempfile

import proc
from report import BUSY, Failure

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SCRIPTS = "/usr/share/debootstrap/scripts/"
SETTINGS = """APT::Get::Assume-Yes "true";
Dpkg::Options { "--force-unsafe-io"; };
Dpkg::Use-Pty "false";
Acquire::Languages "none";
Acquire::Check-Valid-Until "false"; // a mirror may be a copy of a past day
APT::Keep-Downloaded-Packages "true";
Binary::apt::APT::Keep-Downloaded-Packages "true";
"""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# $1: the root; the rest is the command.
ENTER = 'mount -t proc proc "$1/proc" && root=$1 && shift && exec chroot "$root" "$@"'
ENTER_ALONE = 'ip link set lo up && mount -t tmpfs -o mode=1777 tmpfs "$1/dev/shm" && ' + ENTER


class NoSuite(Exception):
    """The mirror has no such suite."""


def all_sources():
    """What this machine's apt reads: [(uri, suite, components)]."""
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
    return found


def own_suite():
    with open("/etc/os-release", encoding="utf-8") as f:
        return (re.search(r"^VERSION_CODENAME=\"?(\w+)", f.read(), re.M) or [None, "stable"])[1]


def sources(suite):
    """Where a suite and its updates are: as this machine's apt has it, else on the mirrors of its own suite."""
    def of(name):
        found = [row for row in all_sources() if row[1] == name or re.fullmatch(name + "-(updates|security)", row[1])]
        return sorted(found, key=lambda row: row[1] != name)
    return of(suite) or [(uri, s.replace(own_suite(), suite), components) for uri, s, components in of(own_suite())]


def has_suite(uri, suite):
    """Asks by apt's own means, as its proxies and its ways to a mirror are not everybody's."""
    with tempfile.TemporaryDirectory(prefix="sallyport-suite.") as folder:
        run = subprocess.run(["/usr/lib/apt/apt-helper", "download-file", "%s/dists/%s/InRelease" % (uri.rstrip("/"), suite), folder + "/answer"],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, env=dict(os.environ, LC_ALL="C"))
        if run.returncode == 0:
            return True
        said = run.stdout + run.stderr
        if re.search(r"\b404\b|not found", said, re.I):
            return False
        raise Failure("the mirror does not answer: %s" % said[-300:])


class DebianRoot:
    def __init__(self, suite):
        self.suite = suite
        self.dir = tempfile.mkdtemp(prefix="sallyport-debian.")
        os.chmod(self.dir, 0o755)
        self.root = os.path.join(self.dir, "root")
        proc.watch(self)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.kill()
        proc.unwatch(self)
        return False

    # proc.kill_all() calls this when the suite ends too early.
    def kill(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def make(self, *include, other=None):
        """include: packages. other: a suite for packages that this one has not."""
        rows = sources(self.suite)
        if not rows:
            raise Failure("this machine's apt knows no %s" % self.suite)
        wanted = [row for row in rows if has_suite(row[0], row[1])]
        if rows[0] not in wanted:
            raise NoSuite("the mirror of this machine's apt has no such suite")
        if other:
            wanted += sources(other)[:1]
        script = [] if os.path.exists(SCRIPTS + self.suite) else [SCRIPTS + "sid"]  # a suite that this debootstrap has not heard of
        # In namespaces of its own: what it mounts and starts is gone with it, however it ends.
        self._host(["unshare", "--mount", "--pid", "--fork", "--kill-child", "debootstrap", "--variant=minbase", "--keyring=" + KEYRING,
                    "--include=" + ",".join(("ca-certificates",) + include), self.suite, self.root, wanted[0][0]] + script, 300)
        self.write("/etc/apt/sources.list", "".join("deb [signed-by=%s] %s %s %s\n" % ((KEYRING,) + row) for row in wanted))
        self.write("/etc/apt/apt.conf.d/99test", SETTINGS)
        for name in ("/etc/resolv.conf", "/etc/hosts"):
            if os.path.exists(name):
                shutil.copyfile(name, self.root + name)
        self.outside("apt-get", "update", "-qq")

    def outside(self, *argv, seconds=200):
        """In the root, with the network of this machine."""
        return self._enter(["--mount", "--pid"], ENTER, argv, seconds)

    def inside(self, *argv, seconds=200):
        """In the root, with a loopback of its own and no more."""
        return self._enter(["--mount", "--pid", "--net", "--ipc"], ENTER_ALONE, argv, seconds)

    def _enter(self, namespaces, script, argv, seconds):
        env = {"PATH": PATH, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", "HOME": "/root"}
        env.update({k: v for k, v in os.environ.items() if k.lower().endswith("_proxy") or k == "SALLYPORT_SUITE"})
        return self._host(["unshare"] + namespaces + ["--fork", "--kill-child", "sh", "-c", script, "sh", self.root] + list(argv), seconds, env)

    def _host(self, argv, seconds, env=None):
        """seconds: enough on a quiet machine."""
        run = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BUSY * seconds, env=env)
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
