"""The real parts, started in a private directory on free ports: scand, c-icap with the module (or with its own echo service).

    with Stack({"scan.workers": 1, "outcomes.error": "allow"}) as stack:
        with stack.client() as client: ...

$BUILDDIR is where the programs were built (default: build/ or the top of the tree), $SAN=asan|tsan says that they were built
with that sanitizer. As root the parts run as nobody, as they would not be root in real life either."""

import glob
import json
import os
import pwd
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

import icap
import memory
import proc
from report import Failure, await_true

TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
SRCDIR = os.path.realpath(os.environ.get("SRCDIR", TOP))
START_SECONDS = 20

_SCAN_REQUEST = struct.Struct("=IHHQIIII32s")
_SCAN_REPLY = struct.Struct("=IHHQQIIIIq128s128s")
_SCAN_MAGIC, _SCAN_VERSION, _SCAN_PING = 0x53504731, 2, 2


def builddir():
    if os.environ.get("BUILDDIR"):
        return os.path.realpath(os.environ["BUILDDIR"])
    for path in (os.path.join(TOP, "build"), TOP):
        if os.path.exists(os.path.join(path, "sallyport-scand")):
            return path
    raise Failure("nothing is built: set BUILDDIR, or build in %s" % TOP)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def unprivileged():
    """The (uid, gid) to run services as: nobody if we are root, else None for ourselves."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def sanitizer_env(preload):
    """The environment for a program; preload: the program itself was built without the sanitizer and loads a module with it."""
    env = dict(os.environ, LC_ALL="C", TZ="UTC")
    kind = os.environ.get("SAN", "")
    if kind:
        env["ASAN_OPTIONS"] = "detect_leaks=0:abort_on_error=0:exitcode=99:" + env.get("ASAN_OPTIONS", "")
        env["UBSAN_OPTIONS"] = "print_stacktrace=1:" + env.get("UBSAN_OPTIONS", "")
        env["TSAN_OPTIONS"] = "exitcode=99:" + env.get("TSAN_OPTIONS", "")
    if kind and preload:
        name = subprocess.run([env.get("CC", "gcc"), "-print-file-name=lib%s.so" % kind], capture_output=True, text=True, check=True).stdout
        env["LD_PRELOAD"] = os.path.realpath(name.strip())
    return env


def read_decisions(path):
    """All complete lines of a decision log so far, as dicts; a line that is not a JSON object is a Failure."""
    try:
        with open(path, "rb") as f:
            data = f.read()
    except FileNotFoundError:
        return []
    lines = []
    for line in data[:data.rfind(b"\n") + 1].splitlines():
        try:
            row = json.loads(line)
        except ValueError as fault:
            raise Failure("decision log line is not JSON (%s): %r" % (fault, line[:300])) from None
        if not isinstance(row, dict):
            raise Failure("decision log line is no object: %r" % line[:300])
        lines.append(row)
    return lines


def _reachable(path, user):
    """Can that user read and enter path? Asked by a process that is that user."""
    if user is None:
        return True
    code = "import os,sys; sys.exit(0 if os.access(sys.argv[1], os.R_OK | os.X_OK) else 1)"
    return subprocess.run(["/usr/bin/env", "python3", "-c", code, path], user=user[0], group=user[1], extra_groups=[],
                          stderr=subprocess.DEVNULL, cwd="/").returncode == 0


# --- configuration -------------------------------------------------------------------------------------------------

def _value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return "%d" % value
    if isinstance(value, (list, tuple)):
        return "( " + ", ".join(_value(v) for v in value) + " )"
    return '"%s"' % str(value).replace("\\", "\\\\").replace('"', '\\"')


def render_conf(options):
    """{"scan.workers": 1, "run_dir": "/x"} in libconfig's syntax."""
    groups, lines = {}, []
    for key, value in options.items():
        if "." in key:
            group, name = key.split(".", 1)
            groups.setdefault(group, []).append("    %s = %s;" % (name, _value(value)))
        else:
            lines.append("%s = %s;" % (key, _value(value)))
    for group, rows in groups.items():
        lines += ["%s: {" % group] + rows + ["};"]
    return "\n".join(lines) + "\n"


class PrivateDir:
    """A directory under /tmp that belongs to the services' user; removed at the end unless $KEEP is set."""

    def __init__(self, name):
        self.user = unprivileged()
        self.path = tempfile.mkdtemp(prefix="sallyport-%s." % name)
        self.own(self.path)

    def own(self, path):
        if self.user:
            os.chown(path, *self.user)
        return path

    def join(self, *names):
        return os.path.join(self.path, *names)

    def mkdir(self, name):
        os.makedirs(self.join(name), exist_ok=True)
        return self.own(self.join(name))

    def write(self, name, content):
        with open(self.join(name), "wb") as f:
            f.write(content if isinstance(content, bytes) else content.encode())
        return self.own(self.join(name))

    def remove(self):
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.path, ignore_errors=True)


# --- c-icap alone --------------------------------------------------------------------------------------------------

class Cicap:
    """c-icap with the lines of services in its configuration. directives override the defaults below."""

    def __init__(self, directory, services, directives=None, name="c-icap"):
        self.dir = directory
        self.services = services
        self.directives = directives or {}
        self.name = name
        self.process = None
        self.port = None

    def server_log(self):
        try:
            with open(self.dir.join(self.name + ".log"), errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def said(self):
        return self.server_log() + (self.process.output() if self.process else "")

    def write_conf(self, port):
        libdir = (glob.glob("/usr/lib/*/c_icap") + glob.glob("/usr/lib/c_icap"))[0]
        rows = {
            "PidFile": self.dir.join(self.name + ".pid"), "CommandsSocket": self.dir.join(self.name + ".ctl"), "Timeout": 30,
            "MaxKeepAliveRequests": -1, "KeepAliveTimeout": 60, "StartServers": 2, "MaxServers": 3, "MinSpareThreads": 2,
            "MaxSpareThreads": 32, "ThreadsPerChild": 12, "MaxRequestsPerChild": 0, "Port": "127.0.0.1:%d" % port,
            "ServerAdmin": "nobody@example.test", "ServerName": "gate.example.test", "TmpDir": self.dir.path, "MaxMemObject": 131072,
            "DebugLevel": 1, "Pipelining": "on", "SupportBuggyClients": "off", "ModulesDir": libdir, "ServicesDir": libdir,
            "TemplateDir": "/usr/share/c_icap/templates/", "LoadMagicFile": "/etc/c-icap/c-icap.magic", "RemoteProxyUsers": "off",
            "ServerLog": self.dir.join(self.name + ".log"), "AccessLog": self.dir.join(self.name + ".access"),
        }
        rows.update(self.directives)
        text = "".join("%s %s\n" % row for row in rows.items() if row[1] is not None)
        return self.dir.write(self.name + ".conf", text + "\n".join(self.services) + "\n")

    def launch(self, port):
        """Starts it without waiting for anything."""
        self.port = port
        self.process = proc.Process(self.name, ["/usr/bin/c-icap", "-N", "-f", self.write_conf(port)], self.dir.path,
                                    env=sanitizer_env(True), user=self.dir.user)
        return self.process

    def start(self, service):
        self.launch(self.port or free_port())
        await_true(lambda: self._answers(service), START_SECONDS, "c-icap to answer OPTIONS")

    def _answers(self, service):
        if not self.process.is_running():
            raise Failure("c-icap ended at once: %s" % self.said()[-1500:])
        if not accepts(self.port):
            return False
        with icap.Client(self.port, service, timeout=5) as client:
            reply = client.options()
            if reply.status != 200:
                raise Failure("OPTIONS %s: %d; %s" % (service, reply.status, self.said()[-1500:]))
            return True

    def stop(self, sig=signal.SIGTERM):
        if self.process is None:
            return
        process, self.process = self.process, None
        running = process.is_running()
        status = process.stop(sig)
        crash = process.crash_text()
        log = self.server_log()
        if crash:
            raise Failure(crash)
        if not running:
            raise Failure("c-icap ended by itself with status %s" % status)
        if "did not exit normally" in log:
            raise Failure("a child of c-icap crashed: %s" % log[log.index("Child"):][:300])
        if status is None:
            raise Failure("c-icap did not stop on SIGTERM")

    def fds(self):
        """Open descriptors of all processes."""
        return memory.count_fds(memory.tree(self.process.pid))

    def rss_kib(self):
        """Resident memory of all processes that is not shared with files."""
        total = 0
        for pid in memory.tree(self.process.pid):
            try:
                with open("/proc/%d/status" % pid) as f:
                    total += sum(int(line.split()[1]) for line in f if line.startswith("RssAnon:"))
            except FileNotFoundError:
                pass
        return total


class Echo:
    """c-icap's own echo service, to try the client on."""

    def __init__(self):
        self.dir = PrivateDir("echo")
        self.cicap = Cicap(self.dir, ["Service echo srv_echo.so"])

    def __enter__(self):
        self.cicap.start("echo")
        return self

    def __exit__(self, kind, value, trace):
        try:
            self.cicap.stop()
        finally:
            self.dir.remove()

    def client(self, **how):
        return icap.Client(self.cicap.port, "echo", **how)


# --- the whole service ---------------------------------------------------------------------------------------------

class Stack:
    """scand and c-icap with the module. options: configuration by dotted keys on top of what the test needs; database: a
    directory or file of signatures, None for an empty directory (the built-in EICAR signature serves)."""

    def __init__(self, options=None, database=None, directives=None, name="stack", start=True):
        self.build = builddir()
        self.dir = PrivateDir(name)
        self.options = options or {}
        self.wants_start = start
        self.scand = None
        self.problems = []
        for sub in ("run", "spool", "db"):
            self.dir.mkdir(sub)
        self._copy_readable()
        self.database = database or self.dir.join("db")
        self.conf_path = self.dir.join("sallyport.conf")
        self.log_path = self.dir.join("decisions.log")
        self.log_offset = 0
        self.write_conf()
        self.cicap = Cicap(self.dir, ["Service sallyport %s" % self.module, "sallyport.Config %s" % self.conf_path], directives)

    def _copy_readable(self):
        """Rules and templates, and the programs too when their user cannot reach where they were built."""
        shutil.copytree(os.path.join(SRCDIR, "etc", "catalogue"), self.dir.join("catalogue"))
        shutil.copytree(os.path.join(SRCDIR, "etc", "templates"), self.dir.join("templates"))
        self.module = os.path.join(self.build, ".libs", "sallyport.so")
        self.scand_path = os.path.join(self.build, "sallyport-scand")
        self.cli_path = os.path.join(self.build, "sallyport")
        if not _reachable(self.scand_path, self.dir.user):
            for key in ("module", "scand_path", "cli_path"):
                path = getattr(self, key)
                if os.path.exists(path):
                    name = "sallyport.so" if key == "module" else os.path.basename(path) + ".bin"
                    setattr(self, key, shutil.copy2(path, self.dir.join(name)))
        for root, dirs, files in os.walk(self.dir.path):
            for entry in dirs + files:
                self.dir.own(os.path.join(root, entry))
                os.chmod(os.path.join(root, entry), os.stat(os.path.join(root, entry)).st_mode | 0o444)

    def all_options(self):
        merged = {
            "run_dir": self.dir.join("run"), "catalogue": self.dir.join("catalogue"),
            "page_template": self.dir.join("templates", "block.html"), "page_contact": "the help desk",
            "log.file": self.log_path, "log.decisions": "all", "spool.dir": self.dir.join("spool"),
            "scan.database": [self.database], "scan.workers": 2, "scan.max_workers": 4,
            "hold_time": "60s",  # a page however slow the machine is
            "cache.size": 0,  # what a case sends is scanned, whatever the cases before it sent
            "stop.wait": "0s",  # nothing is under way when a case stops c-icap; tests/icap/cases_stop.py is about the rest
        }
        merged.update(self.options)
        return {k: v for k, v in merged.items() if v is not None}

    def write_conf(self, **changes):
        """Writes the file; changes: dotted keys with __ for the dot."""
        for key, value in changes.items():
            self.options[key.replace("__", ".")] = value
        self.dir.write("sallyport.conf", render_conf(self.all_options()))

    def __enter__(self):
        try:
            if self.wants_start:
                self.start_scand()
                self.start_cicap()
        except BaseException:
            self._stop_all()
            self._remove()
            raise
        return self

    def __exit__(self, kind, value, trace):
        self._stop_all()
        self._remove()
        if self.problems and kind is None:
            raise Failure("; ".join(self.problems))

    def _remove(self):
        self.dir.remove()

    def _stop_all(self):
        for stop in (self.stop_cicap, self.stop_scand):
            try:
                stop()
            except Failure as fault:
                self.problems.append(str(fault))

    # scand

    def launch_scand(self):
        argv = [self.scand_path, "-c", self.conf_path]
        self.scand = proc.Process("scand", argv, self.dir.path, env=sanitizer_env(False), user=self.dir.user)
        return self.scand

    def start_scand(self):
        self.launch_scand()
        await_true(self._scand_answers, START_SECONDS, "scand to answer a ping")

    def _scand_answers(self):
        if not self.scand.is_running():
            raise Failure("scand ended at once: %s" % self.scand.output()[-1500:])
        return self.ping() is not None

    def ping(self, timeout=2.0):
        """The engine's facts as a dict, or None if nobody answers."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.settimeout(timeout)
            try:
                s.connect(self.dir.join("run", "scan.sock"))
                s.send(_SCAN_REQUEST.pack(_SCAN_MAGIC, _SCAN_VERSION, _SCAN_PING, 0, 0, 1000, 0, 0, b"ping"))
                data = s.recv(4096)
            except OSError:
                return None
        if len(data) != _SCAN_REPLY.size:
            return None
        fields = _SCAN_REPLY.unpack(data)
        return {"verdict": fields[2], "engine_id": fields[4], "generation": fields[5], "signatures": fields[6]}

    def stop_scand(self, sig=signal.SIGTERM):
        if self.scand is None:
            return
        process, self.scand = self.scand, None
        running = process.is_running()
        status = process.stop(sig)
        crash = process.crash_text()
        if crash:
            raise Failure(crash)
        if not running:
            raise Failure("scand ended by itself with status %s: %s" % (status, process.output()[-500:]))
        if status is None:
            raise Failure("scand did not stop on signal %d" % sig)

    def workers(self):
        """Process ids of the scan workers: what has no children below scand."""
        return proc.leaves(self.scand.pid)

    # c-icap

    def start_cicap(self):
        self.cicap.start("sallyport")

    def stop_cicap(self):
        self.cicap.stop()

    def restart_cicap(self):
        self.stop_cicap()
        self.start_cicap()

    @property
    def port(self):
        return self.cicap.port

    def client(self, **how):
        return icap.Client(self.cicap.port, "sallyport", **how)

    # the decision log

    def log_lines(self):
        return read_decisions(self.log_path)

    def await_log(self, seconds=5.0, **want):
        """The first line whose fields are as wanted, e.g. id="...", outcome="rule". A callable value is asked."""
        def matches(row):
            return all(v(row.get(k)) if callable(v) else row.get(k) == v for k, v in want.items())
        return await_true(lambda: next((row for row in self.log_lines() if matches(row)), None), seconds, "a log line with %r" % want)

    def cli(self, *args, timeout=120):
        """Runs the command line program with this stack's configuration."""
        return subprocess.run([self.cli_path] + list(args), capture_output=True, text=True, timeout=timeout, env=sanitizer_env(False))

    def counter(self, name):
        """One of the counters that the gate's processes share."""
        return json.loads(self.cli("status", "-c", self.conf_path, "--json").stdout)["gate"][name]


def wait_until(moment):
    while time.monotonic() < moment:
        time.sleep(0.01)
