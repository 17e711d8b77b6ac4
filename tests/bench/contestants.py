"""Who is measured: how each is configured, started, asked and stopped. All get the same c-icap settings and the same signatures."""
import glob
import json
import os
import re
import signal
import socket
import subprocess
import time

import machine

# Settings of c-icap that all contestants share. The shipped etc/c-icap.conf says otherwise where it can; keep-alive is
# unlimited for all, as a reconnect every 100 requests would be measured instead of the services.
COMMON_SETTINGS = {
    "Timeout": "300",
    "KeepAliveTimeout": "600",
    "StartServers": "2",
    "MaxServers": "8",
    "MinSpareThreads": "16",
    "MaxSpareThreads": "512",
    "ThreadsPerChild": "64",
    "MaxRequestsPerChild": "0",
    "MaxMemObject": "131072",
    "Pipelining": "on",
    "SupportBuggyClients": "off",
    "DebugLevel": "1",
}
LIMITS = {"files": 10000, "file_size": 268435456, "scan_size": 419430400, "recursion": 17}


class Failed(Exception):
    """The contestant cannot be measured."""


def shipped_settings(path):
    settings = dict(COMMON_SETTINGS)
    for line in machine.read(path).splitlines():
        words = line.split()
        if len(words) == 2 and words[0] in settings:
            settings[words[0]] = words[1]
    settings["MaxKeepAliveRequests"] = "-1"
    return settings


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def stop(process, patience=8.0):
    """Ends a process that we started and all its descendants, by their ids."""
    if process is None:
        return
    family = {pid: machine.start_time(pid) for pid in machine.tree(process.pid)}
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pid, started in family.items():
        if started is not None and machine.start_time(pid) == started and pid != process.pid:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


class Contestant:
    name = ""
    title = ""
    scans = True  # must refuse the test signature before its numbers count
    service = reqmod_service = ""
    load_options = ()

    def __init__(self, bench):
        self.bench = bench
        self.dir = os.path.join(bench.work, self.name)
        self.processes = []
        os.mkdir(self.dir)

    def missing(self):
        """Why it cannot take part on this machine, or None."""
        return None

    def spawn(self, command, log, **kwargs):
        with open(os.path.join(self.dir, log), "ab") as out:
            process = subprocess.Popen(command, stdout=kwargs.pop("stdout", out), stderr=out, stdin=kwargs.pop("stdin", subprocess.DEVNULL),
                                       cwd=self.dir, start_new_session=True, **kwargs)
        self.processes.append(process)
        return process

    def pids(self):
        return [pid for process in self.processes for pid in machine.tree(process.pid)]

    def log_tail(self):
        text = ""
        for path in sorted(glob.glob(os.path.join(self.dir, "*.log"))):
            tail = machine.read(path).strip().splitlines()[-5:]
            text += "".join(f"\n    {os.path.basename(path)}: {line}" for line in tail)
        return text

    def stop(self):
        for process in reversed(self.processes):
            stop(process)
        self.processes = []

    def takes(self, row):
        return True

    def preview_to_send(self):
        return "none"

    def load_command(self, mode, size, form, kind, seed, warm_s, run_s, connections):
        service = self.reqmod_service if mode == "reqmod" and self.reqmod_service else self.service
        return [self.bench.tool("load"), "-p", str(self.port), "-s", service, "-m", mode, "-b", str(size), "-T", form, "-k", kind,
                "-c", str(connections), "-t", str(run_s), "-w", str(warm_s), "-S", str(seed), "-P", str(self.preview_to_send()),
                *self.load_options]

    def measure(self, row, kind, seed, warm_s, run_s, size=None, form=None):
        """By the load generator, over ICAP."""
        return run_load(self.load_command(row.mode, size or row.size, form or self.bench.form(row), kind, seed, warm_s, run_s,
                                          self.bench.connections_for(row)), warm_s + run_s)


def run_load(command, seconds):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, timeout=seconds + 120)
    if not done.stdout.startswith("{"):
        raise Failed(f"the load generator failed: {done.stderr.strip()}")
    return json.loads(done.stdout)


class CIcap(Contestant):
    """A c-icap with one service in it."""
    preview = 0  # bytes, as the service announces it and Squid then sends

    def config(self):
        raise NotImplementedError

    def environment(self):
        return dict(os.environ)

    def start(self):
        self.write_config()
        self.spawn([self.bench.c_icap, "-N", "-f", os.path.join(self.dir, "c-icap.conf")], "c-icap.log", env=self.environment())
        deadline = time.monotonic() + 180
        while True:
            try:
                self.preview = self.ask_preview()
                return
            except OSError:
                pass
            if self.processes[-1].poll() is not None:
                raise Failed(f"c-icap ended with status {self.processes[-1].returncode}{self.log_tail()}")
            if time.monotonic() > deadline:
                raise Failed(f"c-icap does not listen{self.log_tail()}")
            time.sleep(0.05)

    def ask_preview(self):
        """How large a preview the service wants, from its answer to OPTIONS."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as s:
            s.sendall(f"OPTIONS icap://127.0.0.1:{self.port}/{self.service} ICAP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
            answer = b""
            while b"\r\n\r\n" not in answer:
                more = s.recv(4096)
                if not more:
                    raise OSError("no answer to OPTIONS")
                answer += more
        if not answer.startswith(b"ICAP/1.0 200"):
            raise Failed(f"OPTIONS was answered with {answer[:40]!r}")
        match = re.search(rb"^Preview: *(\d+)", answer, re.M | re.I)
        if not match:
            raise Failed("the service wants no preview at all, which the load generator cannot do")
        return int(match.group(1))

    def settings(self):
        return self.bench.settings

    def write_config(self):
        self.port = free_port()
        tmp = os.path.join(self.dir, "tmp")
        os.makedirs(tmp, exist_ok=True)
        lines = [f"{key} {value}" for key, value in self.settings().items()]
        lines += [
            f"PidFile {self.dir}/c-icap.pid",
            f"CommandsSocket {self.dir}/c-icap.ctl",
            f"Port 127.0.0.1:{self.port}",
            "ServerAdmin root@localhost",
            "ServerName localhost",
            f"TmpDir {tmp}",
            f"ModulesDir {self.bench.modules}",
            f"ServicesDir {self.bench.modules}",
            "TemplateDir /usr/share/c_icap/templates/",
            "TemplateDefaultLanguage en",
            "LoadMagicFile /etc/c-icap/c-icap.magic",
            f"ServerLog {self.dir}/server.log",
        ]
        if self.bench.access_log:
            lines.append(f"AccessLog {self.dir}/access.log")
        with open(os.path.join(self.dir, "c-icap.conf"), "w", encoding="utf-8") as f:
            f.write("\n".join(lines + self.config()) + "\n")

    def preview_to_send(self):
        return self.preview if self.bench.preview is None else self.bench.preview


class Echo(CIcap):
    name, title, service, scans = "echo", "echo", "echo", False

    def missing(self):
        return None if os.path.exists(os.path.join(self.bench.modules, "srv_echo.so")) else "srv_echo.so is not installed"

    def config(self):
        return ["Service echo srv_echo.so"]


class VirusScan(CIcap):
    name, title, service = "virus_scan", "virus_scan", "virus_scan"
    engine = "clamav_mod.so"

    def missing(self):
        for module in ("virus_scan.so", self.engine):
            if not os.path.exists(os.path.join(self.bench.modules, module)):
                return f"{module} is not installed (Debian: apt-get install libc-icap-mod-virus-scan)"
        return None

    def environment(self):
        return dict(os.environ, LD_PRELOAD=self.bench.tool("dbdir.so"), BENCH_DATABASE=self.bench.database)

    def engine_lines(self):
        return [
            "Module common clamav_mod.so",
            f"clamav_mod.TmpDir {self.dir}/tmp",
            f"clamav_mod.MaxFilesInArchive {LIMITS['files']}",
            f"clamav_mod.MaxFileSizeInArchive {LIMITS['file_size']}",
            f"clamav_mod.MaxScanSize {LIMITS['scan_size']}",
            f"clamav_mod.MaxRecLevel {LIMITS['recursion']}",
            "virus_scan.DefaultEngine clamav",
        ]

    def config(self):
        return self.engine_lines()[:-1] + [
            "Service virus_scan virus_scan.so",
            "virus_scan.ScanFileTypes TEXT DATA EXECUTABLE ARCHIVE GIF JPEG MSOFFICE STREAM DOCUMENT",
            # As Debian ships it. With both at 0 it sends the head before the scan, and a refusal is an empty 200.
            "virus_scan.SendPercentData 5",
            "virus_scan.StartSendPercentDataAfter 2M",
            f"virus_scan.MaxObjectSize {LIMITS['file_size']}",
        ] + self.engine_lines()[-1:]


EXCEPTIONS = 200


class Sallyport(CIcap):
    name, title, service = "sallyport", "sallyport", "sallyport"
    scan_options = ""

    def missing(self):
        for path in (self.bench.module, self.bench.scand):
            if not os.path.exists(path):
                return f"{path} is not built"
        return None

    def sallyport_conf(self):
        source = self.bench.source
        return (f'run_dir = "{self.dir}/run";\n'
                f'catalogue = "{source}/etc/catalogue";\n'
                f'page_template = "{source}/etc/templates/block.html";\n'
                f'log : {{ file = "{self.dir}/decisions.log"; }};\n'
                'stop : { wait = "0s"; };\n'
                f'spool : {{ dir = "{self.dir}/spool"; }};\n'
                f'scan : {{ database = [ "{self.bench.database}" ]; {self.scan_options} }};\n'
                f'lists = ( {{ name = "bench"; file = "{self.dir}/domains.txt"; category = "anonymous-proxy"; action = "block"; }} );\n'
                f'exceptions = ( {", ".join(self.exceptions())} );\n')

    def exceptions(self):
        """A site's own: most by host, some by network and user."""
        for i in range(EXCEPTIONS):
            if i % 10 == 0:
                yield f'{{ client = "10.{i}.0.0/16"; user = "user{i}"; }}'
            else:
                yield f'{{ host = "partner{i}.example.org"; rules = [ "sstp-*" ]; }}'

    def write_domains(self):
        with open(os.path.join(self.dir, "domains.txt"), "w", encoding="utf-8") as f:
            f.writelines(f"host-{i * 2654435761 % 4294967296:08x}.blocked-{i % 977}.test\n" for i in range(self.bench.domains))

    def start(self):
        self.write_domains()
        for name in ("run", "spool"):
            os.makedirs(os.path.join(self.dir, name), exist_ok=True)
        with open(os.path.join(self.dir, "sallyport.conf"), "w", encoding="utf-8") as f:
            f.write(self.sallyport_conf())
        scand = self.spawn([self.bench.scand, "-c", os.path.join(self.dir, "sallyport.conf")], "scand.log")
        deadline = time.monotonic() + 180
        while not self.is_ready():
            if scand.poll() is not None:
                raise Failed(f"sallyport-scand ended with status {scand.returncode}{self.log_tail()}")
            if time.monotonic() > deadline:
                raise Failed(f"sallyport-scand does not listen{self.log_tail()}")
            time.sleep(0.05)
        super().start()

    def status(self):
        """The scanner's scoreboard and the counters, from the command line program."""
        done = subprocess.run([os.path.join(self.bench.build, "sallyport"), "status", "-c", os.path.join(self.dir, "sallyport.conf"), "--json"],
                              capture_output=True, text=True, timeout=20, check=False)
        return json.loads(done.stdout)

    def is_ready(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            try:
                s.connect(os.path.join(self.dir, "run", "scan.sock"))
                return True
            except OSError:
                return False

    def config(self):
        return [f"Service sallyport {self.bench.module}", f"sallyport.Config {self.dir}/sallyport.conf"]


class Direct(Contestant):
    """libclamav called by a program of our own, one process a core."""
    name, title = "libclamav", "libclamav direct"

    def missing(self):
        return None if os.path.exists(self.bench.tool("direct")) else "libclamav's headers are missing (Debian: apt-get install libclamav-dev)"

    def takes(self, row):
        return row.mode == "respmod"

    def start(self):
        self.helper = self.spawn([self.bench.tool("direct"), self.bench.database, str(self.bench.cores)], "direct.log",
                                 env=dict(os.environ, TMPDIR=self.dir), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        if self.helper.stdout.readline().strip() != "ready":
            raise Failed(f"libclamav does not load the signatures{self.log_tail()}")

    def measure(self, row, kind, seed, warm_s, run_s, size=None, form=None):
        self.helper.stdin.write(f"{size or row.size} {form or self.bench.form(row)} {kind} {seed} {warm_s} {run_s}\n")
        line = self.helper.stdout.readline()
        if not line:
            raise Failed(f"the program that calls libclamav ended{self.log_tail()}")
        return json.loads(line)


def find_modules_dir():
    for pattern in ("/usr/lib/*/c_icap", "/usr/lib/c_icap", "/usr/local/lib/c_icap"):
        for path in sorted(glob.glob(pattern)):
            if os.path.exists(os.path.join(path, "srv_echo.so")):
                return path
    return "/usr/lib/c_icap"


def has_access_log(path):
    return bool(re.search(r"^\s*AccessLog\s", machine.read(path), re.M))
