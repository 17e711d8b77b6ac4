"""What the suite needs to drive a real sallyport-scand: a private directory, its own configuration, the wire protocol and
the board spoken from here, so that a change of either layout by mistake is seen."""
import array
import fcntl
import hashlib
import io
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import tarfile
import tempfile
import threading
import time
import zipfile

MAGIC, VERSION = 0x53504731, 2
OBJECT, PING = 1, 2
CLEAN, INFECTED, LIMIT, ENCRYPTED, ERROR = 1, 2, 3, 4, 5
VERDICTS = {CLEAN: "clean", INFECTED: "infected", LIMIT: "limit", ENCRYPTED: "encrypted", ERROR: "error"}
IS_RETRY, IS_BUSY, IS_SPOILED = 1, 1, 2
LOADING, SERVING, DEGRADED, STOPPED = range(4)
REQUEST = struct.Struct("=IHHQIIII32s")
EXTENT = struct.Struct("=QQ")
REPLY = struct.Struct("=IHHQQIIIIq128s128s")
BOARD_HEAD = struct.Struct("=IIiIqIIQqqII12Q256sQQI4xq256sIIQq")
BOARD_WORKER = struct.Struct("=iIqqi4x")
BOARD_FIELDS = ("magic version supervisor_pid state started generation signatures engine_id database_time loaded min_workers "
                "max_workers scans infected errors crashed forbidden timed_out replaced culprits culprits_before culprits_refused "
                "requests_refused refused last_error loads_begun loads_done is_load_refused refused_wall last_death sandbox landlock_abi scratch_bytes "
                "seen").split()

PATIENCE = 240  # seconds for what takes a moment on a quiet machine; a load takes only what others leave of the processor

# Never as one string on disk: a virus scanner would take this suite for malware.
EICAR = bytes.fromhex("58354f2150254041505b345c505a58353428505e2937434329377d24" "45494341522d5354414e44415244"
                      "2d414e544956495255532d544553542d46494c452124482b482a")
EICAR_NAME = "Eicar-Test-Signature"


class Reply:
    def __init__(self, packet):
        (magic, version, self.verdict, self.scanned, self.engine_id, self.generation, self.signatures, self.scan_us, self.flags,
         self.database_time, signature, detail) = REPLY.unpack(packet)
        assert (magic, version) == (MAGIC, VERSION)
        self.signature = signature.rstrip(b"\0").decode()
        self.detail = detail.rstrip(b"\0").decode()

    def __repr__(self):
        return "%s %s%s" % (VERDICTS.get(self.verdict, self.verdict), self.signature, self.detail)


def request(kind=OBJECT, size=0, inline=0, deadline_ms=1000 * PATIENCE, ident=b"test", magic=MAGIC, version=VERSION, extents=(), announced=None,
            flags=0):
    """The header and the table. announced: another number of extents than there are."""
    n = len(extents) if announced is None else announced
    return REQUEST.pack(magic, version, kind, size, inline, deadline_ms, n, flags, ident) + b"".join(EXTENT.pack(*e) for e in extents)


def memfd(body, seal=True):
    fd = os.memfd_create("body", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    for i in range(0, len(body), 1 << 20):
        os.write(fd, body[i:i + (1 << 20)])
    if seal:
        fcntl.fcntl(fd, 1033, 0x2 | 0x4 | 0x8)  # F_ADD_SEALS: SHRINK, GROW, WRITE
    return fd


def unlinked(body, folder):
    fd, path = tempfile.mkstemp(dir=folder)
    with os.fdopen(os.dup(fd), "wb") as f:
        f.write(body)
    ro = os.open(path, os.O_RDONLY)
    os.close(fd)
    os.unlink(path)
    return ro


def flagged_encrypted(archive):
    """Sets the encryption flag of the member named `secret` in a zip, as a scanner sees it."""
    data = bytearray(archive)
    for mark, flags, name in ((b"PK\3\4", 6, 30), (b"PK\1\2", 8, 46)):
        at = data.find(mark)
        while at >= 0:
            if data[at + name:at + name + 6] == b"secret":
                data[at + flags] |= 1
            at = data.find(mark, at + 4)
    return bytes(data)


def make_zip(members, stored=False, level=None):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED, compresslevel=level) as z:
        for name, body in members:
            z.writestr(name, body)
    return out.getvalue()


def make_cab(members):
    """A cabinet with one folder of members that are stored, not packed."""
    data = b"".join(body for _, body in members)
    blocks = [data[i:i + 32768] for i in range(0, len(data), 32768)]
    files, at = b"", 0
    for name, body in members:
        files += struct.pack("<IIHHHH", len(body), at, 0, 0, 0, 0x20) + name.encode() + b"\0"
        at += len(body)
    first_file = 36 + 8
    first_data = first_file + len(files)
    size = first_data + sum(8 + len(b) for b in blocks)
    head = struct.pack("<4sIIIIIBBHHHHH", b"MSCF", 0, size, 0, first_file, 0, 3, 1, 1, len(members), 0, 0, 0)
    folder = struct.pack("<IHH", first_data, len(blocks), 0)
    return head + folder + files + b"".join(struct.pack("<IHH", 0, len(b), len(b)) + b for b in blocks)


def make_cud(name, ndb, made):
    """An unsigned container of one database, made so many seconds after 1970."""
    head = b"ClamAV-VDB:01 Jan 2020 00-00 +0000:1:1:90:X:X:tester:%d" % made
    info = b"%s\n%s.ndb:%d:%s\n" % (head, name, len(ndb), hashlib.sha256(ndb).hexdigest().encode())
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.USTAR_FORMAT) as tar:
        for ending, body in (b".info", info), (b".ndb", ndb):
            member = tarfile.TarInfo((name + ending).decode())
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    return head.ljust(512) + out.getvalue()


_slow = {}


def slow_body(members=24):
    """An archive that takes the engine about 40 ms a member and whose members no cache knows: every one is different."""
    if members not in _slow:
        block = bytes(random.Random(1).randrange(32, 127) for _ in range(4096))
        _slow[members] = make_zip([("m%d" % i, b"%016d" % i + block * 1024) for i in range(members)], level=1)
    return _slow[members]


class Scand:
    """One daemon in a folder of its own. scan, top: more lines of configuration."""

    def __init__(self, binary, root, scan="", top="", databases=None, user=None, wait=True):
        self.dir = tempfile.mkdtemp(dir=root)
        os.chmod(self.dir, 0o755)
        self.run_dir, self.spool, self.db = (os.path.join(self.dir, n) for n in ("run", "spool", "db"))
        os.mkdir(self.spool)
        os.chmod(self.spool, 0o1777)
        os.mkdir(self.db)
        self.conf = os.path.join(self.dir, "sallyport.conf")
        self.log_path = os.path.join(self.dir, "log")
        self.binary, self.user, self.process, self.around, self.args = binary, user, None, None, []
        for name, text in (databases or {}).items():
            self.write_db(name, text)
        self.configure(scan, top)
        if wait is not None:
            self.start(wait)

    def configure(self, scan="", top=""):
        databases = "" if "database =" in scan else 'database = ["%s"];' % self.db
        databases += "" if "timeout =" in scan else ' timeout = "%ds";' % PATIENCE
        with open(self.conf, "w") as f:
            f.write('run_dir = "%s";\nspool = { dir = "%s"; };\n%s\nscan = { %s %s };\n' % (self.run_dir, self.spool, top, databases, scan))

    def write_db(self, name, text):
        path = os.path.join(self.db, name)
        with open(path + ".new", "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        os.rename(path + ".new", path)

    def command(self):
        return [self.binary, "-c", self.conf] + (["-u", self.user] if self.user else []) + self.args

    def start(self, wait=True):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(), stderr=log, stdin=subprocess.DEVNULL, preexec_fn=self.around)
        if wait:
            is_ready = lambda: (self.process.poll() is None and self.board().supervisor_pid == self.process.pid and
                                self.board().state == SERVING)  # noqa: E731
            self.until(is_ready, lambda: "scand is not ready: " + self.log()[-500:])

    def log(self):
        with open(self.log_path) as f:
            return f.read()

    @property
    def socket_path(self):
        return os.path.join(self.run_dir, "scan.sock")

    def board(self):
        return Board(os.path.join(self.run_dir, "scand.stat"))

    def until(self, check, what):
        end = time.monotonic() + PATIENCE
        while True:
            try:
                if check():
                    return
            except (OSError, ValueError):
                pass
            assert time.monotonic() < end, what() if callable(what) else what
            time.sleep(0.02)

    def connect(self):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.settimeout(2 * PATIENCE)
        s.connect(self.socket_path)
        return s

    def raw(self, packet, fds=(), again=False):
        """The reply's bytes; b"" when the connection was closed without one. again: ask anew, as the gate does, when nobody has read
        the request: who has not sent half a second after connecting loses its turn, and a busy machine may take that long."""
        end = time.monotonic() + PATIENCE
        while True:
            with self.connect() as s:
                try:
                    s.sendmsg([packet], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
                    return s.recv(4096)
                except (ConnectionResetError, BrokenPipeError):
                    if not again or time.monotonic() > end:
                        return b""

    def scan(self, body, how="auto", **kw):
        """how: inline, memfd, file. None if the worker died."""
        if how == "auto":
            how = "inline" if len(body) <= 65536 else "memfd"
        if how == "inline" or not body:
            packet = self.raw(request(size=len(body), inline=len(body), **kw) + body, again=True)
        else:
            fd = memfd(body) if how == "memfd" else unlinked(body, self.dir)
            try:
                packet = self.raw(request(size=len(body), **kw), [fd], again=True)
            finally:
                os.close(fd)
        return Reply(packet) if packet else None

    def ping(self):
        return Reply(self.raw(request(kind=PING), again=True))

    def workers(self):
        return [w for w in self.board().workers if w[0] > 0]

    def busy(self):
        return [w for w in self.workers() if w[2]]

    def in_engine(self, n=1):
        """The workers that are in the middle of a scan, once there are so many: busy, and the engine has used the processor."""
        before, found = {}, []

        def look():
            found[:] = [w[0] for w in self.busy() if cpu_ticks(w[0]) >= before.setdefault(w[0], cpu_ticks(w[0])) + 5]
            return len(found) >= n
        self.until(look, "%d workers were not busy" % n)
        return list(found)

    def await_reload(self, number):
        """Until this generation or a later one serves, and no other."""
        self.until(lambda: self.board().generation >= number, "generation %d is not there" % number)
        self.until(lambda: {w[1] for w in self.workers()} == {self.board().generation}, "the old ones stay")

    def scratch(self):
        """The folder of the workers' folders, in the mount namespace of the daemon."""
        if self.board().sandbox & 16:
            return "/proc/%d/root%s/scratch" % (self.process.pid, self.run_dir)
        (root,) = os.listdir(self.spool)
        return os.path.join(self.spool, root)

    def descendants(self):
        """Pids of this daemon's processes, the supervisor included: all hold this configuration in their command line."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % pid, "rb") as f:
                    if self.conf.encode() in f.read().split(b"\0") and state_of(int(pid)) != "Z":
                        found.append(int(pid))
            except OSError:
                pass
        return found

    def generation_pid(self):
        for pid in self.descendants():
            with open("/proc/%d/comm" % pid) as f:
                if f.read().startswith("scand: gen"):
                    return pid
        raise ValueError("no generation")

    def stop(self, seconds=PATIENCE):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(seconds)
        return code

    def cleanup(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in self.descendants():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        shutil.rmtree(self.dir, ignore_errors=True)


class Board:
    def __init__(self, path):
        with open(path, "rb") as f:
            data = f.read()
        if len(data) != BOARD_HEAD.size + 512 * BOARD_WORKER.size:
            raise ValueError("a board of %d bytes" % len(data))
        for name, value in zip(BOARD_FIELDS, BOARD_HEAD.unpack_from(data)):
            setattr(self, name, value)
        self.last_error = self.last_error.split(b"\0")[0].decode()
        self.last_death = self.last_death.split(b"\0")[0].decode()
        self.workers = [slot[:4] for slot in BOARD_WORKER.iter_unpack(data[BOARD_HEAD.size:])]


def state_of(pid):
    with open("/proc/%d/stat" % pid) as f:
        return f.read().rsplit(")", 1)[1].split()[0]


def cpu_ticks(pid):
    """That a process has used; none if there is none."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return sum(int(n) for n in f.read().rsplit(")", 1)[1].split()[11:13])
    except (OSError, IndexError):
        return 0


class InBackground(threading.Thread):
    """Runs a scan while the test goes on; result() waits for it."""

    def __init__(self, function, *args, **kw):
        super().__init__(daemon=True)
        self.call, self.value, self.error = (function, args, kw), None, None
        self.start()

    def run(self):
        try:
            function, args, kw = self.call
            self.value = function(*args, **kw)
        except Exception as e:  # shown by result()
            self.error = e

    def result(self):
        self.join(2 * PATIENCE)
        assert not self.is_alive(), "no answer"
        if self.error:
            raise self.error
        return self.value
