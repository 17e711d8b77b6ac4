"""What the suite of updates stands on: a site whose signatures change, clients that ask for the same objects all the time on
connections that reach every thread of every child of c-icap, and a record of what each of them was told when."""

import http.server
import json
import os
import subprocess
import threading
import time

import icap
import samples
from report import Failure, await_true, check, equal

SETTLE = 1.0
CHILDREN, THREADS = 2, 4  # of c-icap
EVERYWHERE = CHILDREN * THREADS
SERVING, DEGRADED = "serving", "degraded"
PAGE = icap.request_head("GET", "http://site.example/a", host="site.example")


def body_of(word):
    """An object that a signature made of the same word finds."""
    return ("A page that is not known yet. Marker-%s-Marker\n" % word).encode() + samples.text(2000, len(word))


def row(word):
    return "Test.%s:0:*:%s\n" % (word, ("Marker-%s-Marker" % word).encode().hex())


def rows(n):
    """Signatures that no test needs, so that there are some to lose."""
    return "".join(row("filler%d" % i) for i in range(n))


class Site:
    """A stack whose database directory the test changes as freshclam and others do."""

    def __init__(self, stack):
        self.stack = stack
        self.db = stack.database

    def path(self, name):
        return os.path.join(self.db, name)

    def put(self, name, text):
        """As updaters do: written beside, then renamed."""
        path = self.path(name)
        with open(path + ".new", "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        self.stack.dir.own(path + ".new")
        os.rename(path + ".new", path)

    def drop(self, name):
        os.unlink(self.path(name))

    def status(self):
        return json.loads(self.stack.cli("status", "-c", self.stack.conf_path, "--json").stdout)

    def scanner(self):
        return self.status()["scanner"]

    def reload(self, *args):
        return self.stack.cli("reload", "-c", self.stack.conf_path, *args, timeout=60)

    def until(self, question, seconds, what, pause=0.05):
        """With the end of the scanner's log if it does not come true."""
        try:
            return await_true(question, seconds, what, pause)
        except Failure as fault:
            raise Failure("%s; log: %s" % (fault, self.log()[-600:])) from None

    def await_generation(self, n, seconds=20):
        self.until(lambda: self.scanner()["generation"] >= n, seconds, "generation %d" % n)
        equal(self.scanner()["generation"], n, "generation")

    def await_state(self, state, seconds=20):
        self.until(lambda: self.status()["state"] == state, seconds, "the state %s" % state)

    def log(self):
        return self.stack.scand.output()

    def verdict(self, word):
        """What the gate makes of the object: "" or the signature."""
        with self.stack.client() as client:
            return verdict_of(client, body_of(word))


def verdict_of(client, body):
    reply = client.respmod(icap.response_head(), body, PAGE, preview=0, allow204=True)
    if reply.status == 204:
        return ""
    check(reply.status == 200 and reply.http_status == 403, "a reply of %s %s", reply.status, reply.http_status)
    name = reply.get("X-Virus-ID")
    check(name, "refused for no virus: %s", reply.get("X-Block-Reason"))
    return name


class Load:
    """with Load(stack, word): objects with the word, clean ones and EICAR, one after the other on each connection; as many as
    there are threads (EVERYWHERE) reach every child. Whatever is answered wrongly or not at all is in faults; told[i] lists what
    connection i heard of the word."""

    def __init__(self, stack, word=None, connections=4, pause=0.01):
        self.stack, self.word, self.pause = stack, word, pause
        self.faults, self.counts = [], []
        self.told = [[] for _ in range(connections)]
        self.istags = [[] for _ in range(connections)]
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(connections)]

    def _run(self, i):
        clean, bad = samples.text(3000, i), samples.eicar()
        try:
            with self.stack.client(timeout=30) as client:
                while not self.stop.is_set():
                    check(verdict_of(client, clean) == "", "a clean page was refused")
                    check(verdict_of(client, bad) != "", "EICAR passed")
                    if self.word:
                        self.told[i].append((time.monotonic(), verdict_of(client, body_of(self.word))))
                    self.istags[i].append((time.monotonic(), client.options().get("ISTag")))
                    self.counts.append(4)
                    time.sleep(self.pause)
        except Exception as e:  # noqa: BLE001
            self.faults.append(repr(e))

    def __enter__(self):
        for t in self.threads:
            t.start()
        await_true(lambda: self.faults or all(self.istags), 20, "every connection to be served")
        return self

    def __exit__(self, kind, value, trace):
        self.stop.set()
        for t in self.threads:
            t.join()
        if kind is None:
            equal(self.faults, [], "transactions that failed")

    def transactions(self):
        return sum(self.counts)

    def knows_everywhere(self):
        return not self.faults and all(told and told[-1][1] for told in self.told)

    def first_known(self, i):
        return next((at for at, name in self.told[i] if name), None)


class Publisher:
    """A web server on this machine with the files of a directory, for freshclam."""

    def __init__(self, directory):
        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args):
                super().__init__(*args, directory=directory)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Freshclam:
    """The real one, for the files of a Publisher."""

    def __init__(self, directory, database, port, names):
        self.user = directory.user
        owner = "nobody" if self.user else subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        text = "DatabaseDirectory %s\nDatabaseOwner %s\nDatabaseMirror none\n" % (database, owner)
        text += "".join("DatabaseCustomURL http://127.0.0.1:%d/%s\n" % (port, name) for name in names)
        self.conf = directory.write("freshclam.conf", text)

    def run(self):
        who = {"user": self.user[0], "group": self.user[1], "extra_groups": []} if self.user else {}
        done = subprocess.run(["freshclam", "--config-file=" + self.conf, "--update-db=custom"], capture_output=True, text=True,
                              timeout=60, cwd="/", **who)
        equal(done.returncode, 0, "freshclam: " + done.stdout + done.stderr)
        return done.stdout
