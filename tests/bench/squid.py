"""What people notice: the same bodies through Squid, without a service and with each. The origin server is one small process, and
Squid one worker with no cache and no log; ICAP settings are those of etc/squid/."""
import collections
import os
import pwd
import re
import shutil
import socket
import subprocess
import time

import contestants
import machine
from contestants import Contestant, Failed

Row = collections.namedtuple("Row", "name title form size kind pause_us connections")
ROWS = [
    Row("squid-35k", "35 KB text, unseen, as many as will go", "text", 35 * 1024, "unseen", 0, 8),
    Row("squid-1k-calm", "1 KB text, unseen, at leisure", "text", 1024, "unseen", 4000, 2),
    Row("squid-35k-calm", "35 KB text, unseen, at leisure", "text", 35 * 1024, "unseen", 4000, 2),
    Row("squid-35k-seen-calm", "35 KB text, seen before, at leisure", "text", 35 * 1024, "seen", 4000, 2),
]
ASKED = (None, "echo", "virus_scan", "sallyport")  # which services are put behind a Squid


def icap_lines(source, port, service):
    """etc/squid/sallyport.conf for this service, without what is Sallyport's own: its page and its mark."""
    text = machine.read(os.path.join(source, "etc", "squid", "sallyport.conf"))
    text = text.replace("icap://127.0.0.1:1344/sallyport", f"icap://127.0.0.1:{port}/{service}")
    return "\n".join(line for line in text.splitlines()
                     if line and not line.startswith(("#", "deny_info", "adapted_http_access", "acl sallyport_blocked", "include")))


class Squid(Contestant):
    def __init__(self, bench, inner):
        self.inner = inner
        self.name = "squid-" + inner.name if inner else "squid"
        self.title = "Squid + " + inner.title if inner else "Squid alone"
        super().__init__(bench)

    def start(self):
        self.port = contestants.free_port()
        lines = [f"http_port 127.0.0.1:{self.port}", f"pid_filename {self.dir}/squid.pid", f"coredump_dir {self.dir}", "access_log none",
                 f"cache_log {self.dir}/cache.log", "cache_store_log none", "netdb_filename none", "pinger_enable off", "cache deny all",
                 "shutdown_lifetime 1 second", "max_filedescriptors 4096", "visible_hostname bench.example", "dns_nameservers 127.0.0.1",
                 "acl local dst 127.0.0.1", "http_access allow local", "http_access deny all"]
        if self.inner:
            lines.append(icap_lines(self.bench.source, self.inner.port, self.inner.service))
        if os.geteuid() == 0:
            proxy = pwd.getpwnam("proxy")
            os.chmod(os.path.dirname(self.dir), 0o755)
            os.chown(self.dir, proxy.pw_uid, proxy.pw_gid)
            lines += ["cache_effective_user proxy", "cache_effective_group proxy"]
        conf = os.path.join(self.dir, "squid.conf")
        with open(conf, "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")
        squid = self.spawn([program(), "-N", "-f", conf], "squid.log")
        deadline = time.monotonic() + 30
        while not self.listens():
            if squid.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"Squid does not start{self.log_tail()}")
            time.sleep(0.05)

    def listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 2).close()
            return True
        except OSError:
            return False

    def measure(self, row, seed, warm_s, run_s):
        origin = subprocess.Popen([self.bench.tool("origin"), row.form, str(row.size), row.kind], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        try:
            port = origin.stdout.readline().strip()
            return contestants.run_load(
                [self.bench.tool("browse"), "-p", str(self.port), "-o", port, "-b", str(row.size), "-c", str(row.connections), "-t", str(run_s),
                 "-w", str(warm_s), "-S", str(seed), "-g", str(row.pause_us)], warm_s + run_s)
        finally:
            origin.stdin.close()
            origin.stdout.close()
            origin.wait(10)


def program():
    return shutil.which("squid", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def version():
    match = re.search(r"Version (\S+)", machine.first_line(program() or "squid", "-v"))
    return match.group(1) if match else ""
