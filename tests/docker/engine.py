"""A Docker engine for the tests: real, of its own, in a private directory, and gone afterwards.

    engine = Engine(directory)
    engine.start(["--bridge=none", ...])    # raises NoEngine where none can run
    engine.run("docker", "ps")              # or docker-compose, or any command, with DOCKER_HOST set
    engine.stop()

Images are built in the network of the machine, which has a way to Debian's packages. Then enter_own_network() moves the calling
process, and what it starts from then on, into a network and a tree of mounts of their own: published ports, bridges and
firewall rules of the second start leave the machine alone."""

import ctypes
import glob
import os
import re
import shutil
import signal
import subprocess
import tarfile
import time

import proc
from report import BUSY, Failure

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
START_SECONDS, STOP_SECONDS = 20 * BUSY, 30
BASE = "debian:bookworm-slim"
SOURCES = "/etc/apt/sources.list.d/debian.sources"
BUILD_NETWORK = ["--iptables=false", "--ip6tables=false", "--ip-forward=false", "--bridge=none"]


class NoEngine(Exception):
    """No engine can run here; the text says why."""


def why_not():
    """What is missing for an engine, or None."""
    if os.geteuid() != 0:
        return "only root can start a Docker engine"
    for program in ("dockerd", "docker-compose", "debootstrap", "iptables", "ip", "unshare"):
        if not shutil.which(program):
            return "%s is not installed" % program
    if not os.path.exists("/usr/bin/docker"):
        return "/usr/bin/docker is not installed"
    if not os.path.exists(SOURCES):
        return "no %s, which says where Debian's packages come from" % SOURCES
    probe = subprocess.run(["unshare", "-n", "-m", "true"], capture_output=True, text=True)
    if probe.returncode:
        return "no network namespace: " + probe.stderr.strip()
    return None


def tail(path, lines=5):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return " | ".join(f.read().splitlines()[-lines:])
    except OSError:
        return "no log"


class Engine:
    def __init__(self, directory):
        self.directory = directory
        self.socket = os.path.join(directory, "docker.sock")
        self.log = os.path.join(directory, "dockerd.log")
        self.daemon = None
        # /usr/bin first: another client of the same name must not get in between. Compose attaches by that client, as it does for people:
        # without it (COMPOSE_INTERACTIVE_NO_CLI) it loses output that is not read at once.
        self.env = dict(os.environ, DOCKER_HOST="unix://" + self.socket, PATH="/usr/bin:/usr/sbin:/bin:/sbin", HOME=directory,
                        DOCKER_CONFIG=os.path.join(directory, "config"))
        self.env.pop("COMPOSE_INTERACTIVE_NO_CLI", None)
        proc.watch(self)

    def start(self, options=()):
        paths = ["--data-root", os.path.join(self.directory, "data"), "--exec-root", os.path.join(self.directory, "exec"),
                 "--pidfile", os.path.join(self.directory, "pid"), "-H", "unix://" + self.socket, "--storage-driver", "overlay2"]
        with open(self.log, "ab") as log:
            self.daemon = subprocess.Popen(["dockerd"] + paths + list(options), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                           start_new_session=True, env=self.env)
        deadline = time.monotonic() + START_SECONDS
        while self.daemon.poll() is None and time.monotonic() < deadline:
            if subprocess.run(["/usr/bin/docker", "version"], env=self.env, capture_output=True).returncode == 0:
                return
            time.sleep(0.1)
        text = tail(self.log, 3)
        self.stop()
        raise NoEngine("dockerd does not start: " + text)

    def stop(self):
        """The containers must have been stopped before; what is left of them dies here."""
        if not self.daemon:
            return
        left = proc.children(self.daemon.pid)
        self.daemon.terminate()
        try:
            self.daemon.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()
        self.daemon = None
        for pid in left + shims(self.directory):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        unmount_below(self.directory)
        for name in ("docker.sock", "pid"):
            if os.path.exists(os.path.join(self.directory, name)):
                os.unlink(os.path.join(self.directory, name))

    def kill(self):
        """For whoever ends the suite early."""
        if self.daemon:
            ids = subprocess.run(["/usr/bin/docker", "ps", "-q"], env=self.env, capture_output=True, text=True, timeout=10).stdout.split()
            if ids:
                subprocess.run(["/usr/bin/docker", "rm", "-f", "-v"] + ids, env=self.env, capture_output=True, timeout=60)
        self.stop()
        remove(self.directory)

    # --- commands ----------------------------------------------------------------------------------------------------------

    def run(self, *argv, cwd=None, seconds=60, check=True):
        done = subprocess.run(argv, env=self.env, cwd=cwd, capture_output=True, timeout=BUSY * seconds)
        if check and done.returncode:
            raise Failure("%s: status %d: %s" % (" ".join(argv), done.returncode, (done.stdout + done.stderr)[-800:].decode("utf-8", "replace")))
        return done

    def text(self, *argv, **how):
        return self.run(*argv, **how).stdout.decode("utf-8", "replace").strip()

    def docker(self, *argv, **how):
        return self.text("/usr/bin/docker", *argv, **how)

    def make_base(self):
        """What FROM debian:bookworm-slim finds: there is no registry here."""
        root, archive = os.path.join(self.directory, "root"), os.path.join(self.directory, "base.tar")
        with open(SOURCES, encoding="utf-8") as f:
            mirror = re.search(r"^URIs:\s*(\S+)", f.read(), re.M).group(1)
        self.run("debootstrap", "--variant=minbase", "bookworm", root, mirror, seconds=240)
        etc = os.path.join(root, "etc")
        for pattern in ("var/cache/apt/archives/*.deb", "var/cache/apt/*.bin", "var/lib/apt/lists/*", "etc/apt/sources.list"):
            for path in filter(os.path.isfile, glob.glob(os.path.join(root, pattern))):
                os.unlink(path)
        # With updates and security, or ClamAV would be an older one.
        shutil.copy(SOURCES, os.path.join(etc, "apt/sources.list.d"))
        for name in ("doc", "man", "locale"):
            shutil.rmtree(os.path.join(root, "usr/share", name), ignore_errors=True)
        open(os.path.join(etc, "resolv.conf"), "w").close()
        with tarfile.open(archive, "w") as tar:
            tar.add(root, ".", filter=lambda i: None if re.match(r"\./(dev|proc|sys)/", i.name) else i)
        shutil.rmtree(root)
        self.docker("import", "-c", 'CMD ["bash"]', archive, BASE)
        os.unlink(archive)


def shims(directory):
    """Processes of the engine that are nobody's children."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                if b"containerd-shim" in f.read() and os.readlink("/proc/%s/cwd" % pid).startswith(directory + "/"):
                    found.append(int(pid))
        except OSError:
            pass
    return found


def unmount_below(directory):
    with open("/proc/self/mounts", encoding="utf-8") as f:
        points = [line.split()[1] for line in f]
    for point in sorted((p for p in points if p.startswith(directory + "/")), key=len, reverse=True):
        subprocess.run(["umount", "-l", point], capture_output=True)


def remove(directory):
    unmount_below(directory)
    shutil.rmtree(directory, ignore_errors=True)


def enter_own_network():
    """For the calling thread and all that it starts."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET | CLONE_NEWNS) < 0:
        raise NoEngine("no namespace: " + os.strerror(ctypes.get_errno()))
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
