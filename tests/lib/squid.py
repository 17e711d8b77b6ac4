"""Debian's squid-openssl in a private directory: bumping, splicing or plain, with the ICAP service of a Stack.

    with Squid(icap_port=stack.port, tls="bump", origin_ca=ca) as squid:
        squid.port, squid.ca.cert      # the CA that clients must trust

As root Squid runs its workers as proxy, so the private directory belongs to that user."""

import os
import pwd
import signal
import subprocess

import origin
import proc
import stack
from report import Failure, await_true

FILES = "/usr/lib/squid/security_file_certgen"

TLS = {
    "bump": ["ssl_bump peek step1", "ssl_bump bump all"],
    "splice": ["ssl_bump peek step1", "ssl_bump splice all"],
    "none": [],
}


class Squid:
    """extra: further lines for squid.conf, before http_access. icap_fields: further icap_* lines. include: a file that is
    included after the ICAP lines (such as etc/squid/sallyport.conf). with_icap=False: that file has the ICAP lines."""

    def __init__(self, icap_port=None, tls="bump", origin_ca=None, extra=(), include=None, with_icap=True, name="squid"):
        self.dir = stack.PrivateDir(name)
        self.tls = tls
        self.icap_port = icap_port
        self.origin_ca = origin_ca
        self.extra = list(extra)
        self.include = include
        self.with_icap = with_icap
        self.port = None
        self.process = None
        self.user = None
        if os.geteuid() == 0:
            proxy = pwd.getpwnam("proxy")
            self.user = (proxy.pw_uid, proxy.pw_gid)
            self.dir.user = self.user
            self.dir.own(self.dir.path)
        self.ca = origin.make_ca(self.dir.path, "ca", "Sallyport test CA")
        for path in (self.ca.cert, self.ca.key):
            self.dir.own(path)
        self._make_certificate_store()

    def _make_certificate_store(self):
        who = {"user": self.user[0], "group": self.user[1], "extra_groups": []} if self.user else {}
        run = subprocess.run([FILES, "-c", "-s", self.dir.join("ssl_db"), "-M", "4MB"], capture_output=True, text=True, timeout=30, **who)
        if run.returncode:
            raise Failure("security_file_certgen: %s" % run.stderr[-500:])

    def conf(self, port):
        d = self.dir
        lines = [
            "visible_hostname gate.example.test", "pid_filename %s" % d.join("squid.pid"), "coredump_dir %s" % d.path,
            "access_log stdio:%s" % d.join("access.log"), "cache_log %s" % d.join("cache.log"), "cache_store_log none",
            "netdb_filename none", "pinger_enable off", "cache deny all", "shutdown_lifetime 1 second", "max_filedescriptors 2048",
            "connect_timeout 5 seconds", "workers 1", "dns_nameservers 127.0.0.1", "forwarded_for delete", "cache_mem 16 MB",
        ]
        if self.user:
            lines += ["cache_effective_user proxy", "cache_effective_group proxy"]
        if self.tls == "none":
            lines.append("http_port 127.0.0.1:%d" % port)
        else:
            lines += [
                "http_port 127.0.0.1:%d ssl-bump generate-host-certificates=on dynamic_cert_mem_cache_size=4MB tls-cert=%s tls-key=%s"
                % (port, self.ca.cert, self.ca.key),
                "sslcrtd_program %s -s %s -M 4MB" % (FILES, d.join("ssl_db")), "sslcrtd_children 2 startup=1 idle=1",
                "acl step1 at_step SslBump1",
            ] + TLS[self.tls]
        if self.origin_ca:
            lines.append("tls_outgoing_options cafile=%s" % self.origin_ca.cert)
        if self.icap_port and self.with_icap:
            url = "icap://127.0.0.1:%d/sallyport" % self.icap_port
            lines += [
                "icap_enable on", "icap_preview_enable on", "icap_persistent_connections on", "icap_service_failure_limit -1",
                "adaptation_send_client_ip on", "adaptation_send_username on", "icap_service sallyport_req reqmod_precache %s bypass=off" % url,
                "icap_service sallyport_resp respmod_precache %s bypass=off" % url, "adaptation_access sallyport_req allow all",
                "adaptation_access sallyport_resp allow all",
            ]
        if self.include:
            lines.append("include %s" % self.include)
        return "\n".join(lines + self.extra + ["http_access allow localhost", "http_access deny all"]) + "\n"

    def start(self):
        self.port = self.port or stack.free_port()
        conf = self.dir.write("squid.conf", self.conf(self.port))
        check = subprocess.run(["squid", "-k", "parse", "-f", conf], capture_output=True, text=True, timeout=30)
        bad = [line for line in check.stderr.splitlines() if "FATAL" in line or "ERROR" in line]
        if check.returncode or bad:
            raise Failure("squid.conf: %s" % (bad or check.stderr[-800:]))
        self.process = proc.Process("squid", ["squid", "-N", "-f", conf], self.dir.path)
        await_true(self._listens, 30, "squid to listen")
        return self

    def _listens(self):
        if not self.process.is_running():
            raise Failure("squid ended at once: %s %s" % (self.process.output()[-800:], self.cache_log()[-800:]))
        return stack.accepts(self.port)

    def cache_log(self):
        try:
            with open(self.dir.join("cache.log"), errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def access_log(self):
        try:
            with open(self.dir.join("access.log"), errors="replace") as f:
                return f.read().splitlines()
        except FileNotFoundError:
            return []

    def stop(self):
        if self.process is None:
            return
        process, self.process = self.process, None
        running = process.is_running()
        process.stop(signal.SIGINT, 20)  # at once: SIGTERM waits for open connections
        if not running:
            raise Failure("squid ended by itself: %s" % self.cache_log()[-800:])

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __exit__(self, kind, value, trace):
        try:
            self.stop()
        except Failure:
            if kind is None:
                raise
        finally:
            self.dir.remove()
