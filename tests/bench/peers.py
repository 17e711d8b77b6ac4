"""Contestants with a clamd beside them: virus_scan asking it, and e2guardian in its ICAP mode. The clamd is a private one that loads the
same signatures under the same limits, and ends with its contestant."""
import glob
import os
import re
import shutil
import socket
import time

import contestants
import machine
from contestants import Contestant, Failed, LIMITS, VirusScan

SBIN = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"


def start_clamd(contestant):
    """Starts one for this contestant; returns the path of its socket."""
    directory, path = contestant.dir, os.path.join(contestant.dir, "clamd.sock")
    os.makedirs(os.path.join(directory, "clamd"), exist_ok=True)
    with open(os.path.join(directory, "clamd.conf"), "w", encoding="utf-8") as f:
        f.write(f"LocalSocket {path}\nDatabaseDirectory {contestant.bench.database}\nTemporaryDirectory {directory}/clamd\nForeground true\n"
                f"MaxFileSize {LIMITS['file_size']}\nMaxScanSize {LIMITS['scan_size']}\nMaxFiles {LIMITS['files']}\n"
                f"MaxRecursion {LIMITS['recursion']}\nStreamMaxLength {LIMITS['file_size']}\nMaxThreads 12\nAlertExceedsMax true\n"
                "MaxConnectionQueueLength 200\nSelfCheck 86400\nDebug false\n")
    clamd = contestant.spawn([shutil.which("clamd", path=SBIN), "-F", "-c", os.path.join(directory, "clamd.conf")], "clamd.log")
    deadline = time.monotonic() + 180
    while not answers(path):
        if clamd.poll() is not None:
            raise Failed(f"clamd ended with status {clamd.returncode}{contestant.log_tail()}")
        if time.monotonic() > deadline:
            raise Failed(f"clamd does not answer{contestant.log_tail()}")
        time.sleep(0.05)
    return path


def answers(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        try:
            s.connect(path)
            s.sendall(b"PING\n")
            return s.recv(16).startswith(b"PONG")
        except OSError:
            return False


def clamd_missing():
    return None if shutil.which("clamd", path=SBIN) else "clamd is not installed (Debian: apt-get install clamav-daemon)"


class VirusScanClamd(VirusScan):
    name, title, engine = "virus_scan-clamd", "virus_scan + clamd", "clamd_mod.so"

    def missing(self):
        return super().missing() or clamd_missing()

    def environment(self):
        return dict(os.environ)

    def start(self):
        start_clamd(self)
        super().start()

    def engine_lines(self):
        return ["Module common clamd_mod.so", f"clamd_mod.ClamdSocket {self.dir}/clamd.sock", "virus_scan.DefaultEngine clamd"]


class E2guardian(Contestant):
    """As Debian ships it, but for paths, ports, the log, and what is no part of a scan: scores for words and forbidden kinds of files.
    It takes a reply only with the mark that it gave the request; Squid hands that on (adaptation_masterx_shared_names)."""
    name, title, service, reqmod_service = "e2guardian", "e2guardian + clamd", "response", "request"
    load_options = ("-x", "X-ICAP-E2G: -,G,0,0,0,", "-r")

    def missing(self):
        if not shutil.which("e2guardian", path=SBIN) or not os.path.isdir("/etc/e2guardian"):
            return "e2guardian is not installed (Debian: apt-get install e2guardian)"
        return clamd_missing()

    def start(self):
        clamd = start_clamd(self)
        self.port = contestants.free_port()
        self.write_config(clamd)
        server = self.spawn([shutil.which("e2guardian", path=SBIN), "-N", "-c", os.path.join(self.dir, "etc", "e2guardian.conf")], "e2guardian.log")
        deadline = time.monotonic() + 30
        while not self.options_answered():
            if server.poll() is not None:
                raise Failed(f"e2guardian ended with status {server.returncode}{self.log_tail()}")
            if time.monotonic() > deadline:
                raise Failed("it does not answer OPTIONS")
            time.sleep(0.1)

    def options_answered(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as s:
                s.sendall(f"OPTIONS icap://127.0.0.1:{self.port}/response ICAP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
                return s.recv(4096).startswith(b"ICAP/1.0 200")
        except OSError:
            return False

    def write_config(self, clamd):
        etc = os.path.join(self.dir, "etc")
        shutil.copytree("/etc/e2guardian", etc)
        for path in glob.glob(os.path.join(etc, "**", "*.conf"), recursive=True) + glob.glob(os.path.join(etc, "*.story")):
            self.rewrite(path, [(r"/etc/e2guardian", etc)])
        self.rewrite(os.path.join(etc, "contentscanners", "clamdscan.conf"), [(r"^clamdudsfile.*", f"clamdudsfile = '{clamd}'")])
        for name in ("bannedmimetypelist", "bannedextensionlist"):
            open(os.path.join(etc, "lists", name), "w", encoding="utf-8").close()
        user = "root" if os.geteuid() == 0 else os.environ.get("USER", "nobody")
        self.rewrite(os.path.join(etc, "e2guardian.conf"), [
            (r"^#?icapport = .*", f"icapport = {self.port}"),
            (r"^filterports = .*", f"filterports = {contestants.free_port()}"),
            (r"^transparenthttpsport = .*", f"transparenthttpsport = {contestants.free_port()}"),
            (r"^filterip =.*", "filterip = 127.0.0.1"),
            (r"^#?loglocation = .*", f"loglocation = '{self.dir}/access.log'"),
            (r"^#?pidfilename = .*", f"pidfilename = '{self.dir}/e2guardian.pid'"),
            (r"^#?daemonuser = .*", f"daemonuser = '{user}'"),
            (r"^#?daemongroup = .*", f"daemongroup = '{user}'"),
            (r"^#?contentscanner = '(.*/clamdscan.conf)'", r"contentscanner = '\1'"),
            (r"^loglevel = .*", "loglevel = 0"),
            (r"^weightedphrasemode = .*", "weightedphrasemode = 0"),
            (r"^httpworkers = .*", "httpworkers = 128"),
            (r"^filecachedir = .*", f"filecachedir = '{self.dir}'"),
            # In KB. Larger bodies would pass unscanned.
            (r"^maxcontentfilecachescansize = .*", "maxcontentfilecachescansize = 262144"),
        ])

    @staticmethod
    def rewrite(path, changes):
        text = machine.read(path)
        for pattern, to in changes:
            text = re.sub(pattern, to, text, flags=re.M)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
