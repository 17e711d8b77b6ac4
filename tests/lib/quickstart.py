"""./quickstart in a private directory on free ports.

    with Quickstart() as q:        # started with --background, ended with --stop
        q.curl("https://...")      # through its Squid, trusting its CA
        q.log_lines()              # the decision log, parsed"""

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile

import proc
import stack
from report import Failure, await_true, check

PROGRAM = os.path.join(stack.TOP, "quickstart")
START_SECONDS, STOP_SECONDS = 180, 60


class Reply:
    """What curl brought: status and connect_status, fields of the last head (names in lower case), body, and curl's own exit."""

    def __init__(self, exit_status, status, connect_status, head, body, stderr):
        self.exit_status, self.status, self.connect_status = exit_status, status, connect_status
        self.fields = [(n.strip().lower(), v.strip()) for n, v in (line.split(":", 1) for line in head if ":" in line)]
        self.body, self.stderr = body, stderr

    def field(self, name):
        return next((v for n, v in self.fields if n == name.lower()), None)


def curl(args, seconds=60):
    """Runs curl; args without -o and -w."""
    with tempfile.TemporaryDirectory(prefix="sallyport-curl.") as tmp:
        body_path, head_path = os.path.join(tmp, "body"), os.path.join(tmp, "head")
        run = subprocess.run(["curl", "-sS", "--max-time", str(seconds), "-o", body_path, "-D", head_path, "-w", "%{http_code} %{http_connect}"]
                             + list(args), capture_output=True, text=True, timeout=seconds + 10)
        body, heads = b"", []
        if os.path.exists(body_path):
            with open(body_path, "rb") as f:
                body = f.read()
        if os.path.exists(head_path):
            with open(head_path, encoding="latin-1", newline="") as f:
                heads = [h for h in f.read().split("\r\n\r\n") if h.strip()]
        codes = run.stdout.split() or ["0", "0"]
        return Reply(run.returncode, int(codes[0]), int(codes[1]), heads[-1].splitlines()[1:] if heads else [], body, run.stderr)


def quiet_port():
    """A free port that the system does not hand out to outgoing connections: seconds pass until Squid takes it."""
    while True:
        port = random.randrange(10000, 32000)
        try:
            with socket.socket() as s:
                s.bind(("127.0.0.1", port))
                return port
        except OSError:
            continue


class Quickstart:
    def __init__(self, options=(), env=None, squid_lines=()):
        self.base = tempfile.mkdtemp(prefix="sallyport-qs.")
        os.chmod(self.base, 0o755)  # the users of the services must get in
        self.dir = os.path.join(self.base, "q")
        self.proxy_port, self.icap_port = quiet_port(), quiet_port()
        self.options = list(options)
        self.starter = None  # the process that starts the services
        self.env = dict(os.environ, **(env or {}))
        if squid_lines:
            os.makedirs(os.path.join(self.dir, "squid.d"))
            os.makedirs(os.path.join(self.dir, "state"))
            with open(os.path.join(self.dir, "squid.d", "test.conf"), "w") as f:
                f.write("\n".join(squid_lines) + "\n")

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def argv(self, *more):
        return [PROGRAM, "--dir", self.dir, "--proxy-port", str(self.proxy_port), "--icap-port", str(self.icap_port)] + self.options + list(more)

    def run(self, *more, seconds=START_SECONDS):
        """The finished run. stderr and stdout are one text, as a person sees it."""
        return subprocess.run(self.argv(*more), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=seconds, env=self.env)

    def start(self):
        proc.watch(self)
        self.starter = subprocess.Popen(self.argv("--background"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, env=self.env, start_new_session=True)
        said, _ = self.starter.communicate(timeout=START_SECONDS)
        check(self.starter.returncode == 0, "quickstart --background: status %d: %s", self.starter.returncode, said[-1500:])
        return said

    def stop(self):
        run = self.run("--stop")
        check(run.returncode == 0, "quickstart --stop: status %d: %s", run.returncode, run.stdout[-500:])
        return run.stdout

    def kill(self):
        """For a suite that has run out of time. A start that is still under way does not hear --stop, so it ends first."""
        proc.unwatch(self)
        if self.starter and self.starter.poll() is None:
            os.killpg(self.starter.pid, signal.SIGTERM)
            try:
                self.starter.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self.starter.pid, signal.SIGKILL)
        self.run("--stop", seconds=STOP_SECONDS)
        self.remove()

    def pid(self, name):
        """Of scand, c-icap or squid; None if it does not run."""
        try:
            with open(self.path("state", name + ".pid")) as f:
                return int(f.read())
        except (FileNotFoundError, ValueError):
            return None

    def processes(self):
        """All whose command line names our folder."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % pid, "rb") as f:
                    line = f.read().replace(b"\0", b" ").decode("utf-8", "replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if self.dir + "/" in line:
                found.append((int(pid), line))
        return found

    def curl(self, *args, seconds=60):
        return curl(["-x", "http://127.0.0.1:%d" % self.proxy_port, "--cacert", self.path("ca.pem")] + list(args), seconds)

    def log_lines(self):
        return stack.read_decisions(self.path("log", "sallyport", "decisions.log"))

    def await_log(self, seconds=5, **wanted):
        """The newest line of the decision log with these values."""
        def look():
            return next((d for d in reversed(self.log_lines()) if all(d.get(k) == v for k, v in wanted.items())), None)
        try:
            return await_true(look, seconds, "a line with %s in the decision log" % wanted)
        except Failure as fault:
            raise Failure("%s; the last lines: %s" % (fault, self.log_lines()[-3:])) from None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        self.stop()  # if it fails, kill gets another try at the end of the suite
        proc.unwatch(self)
        self.remove()

    def remove(self):
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.base, ignore_errors=True)
