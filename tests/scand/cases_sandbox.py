"""The sandbox of the workers as the running daemon has it."""
import json
import os
import re
import shutil
import signal
import subprocess
import time

from cases import *  # noqa: F401,F403

TESTFILES = "/usr/share/clamav-testfiles"
COMMAND = os.path.join(os.path.dirname(BINARY), "sallyport")
ALL = 1 | 2 | 4 | 8
TMPFS = 16
# What may fail with EPERM or EACCES while the test files are scanned: nothing so far.
MAY_BE_DENIED = ()


def fields(pid):
    with open("/proc/%d/status" % pid) as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def limits(pid):
    """{name: soft limit}; names as in /proc."""
    with open("/proc/%d/limits" % pid) as f:
        return {m.group(1): m.group(2) for m in re.finditer(r"^(Max [a-z ]+?) {2,}(\S+)", f.read(), re.M)}


def is_sanitized():
    with open(BINARY, "rb") as f:
        return b"__asan_init" in f.read() or b"__tsan_init" in f.read()


def a_worker(d):
    return d.workers()[0][0]


def confined(d):
    """The workers, once each has entered its sandbox, as it does before it takes a request."""
    def is_in(pid):
        return fields(pid)["Seccomp"].strip() == "2" and limits(pid)["Max cpu time"] != "unlimited"
    d.until(lambda: d.workers() and all(is_in(w[0]) for w in d.workers()), "no sandbox")
    return [w[0] for w in d.workers()]


@case
def workers_are_confined(t):
    d = t.scand("workers = 2; max_workers = 2;", user=NOBODY if os.geteuid() == 0 else None)
    for pid in confined(d):
        of = fields(pid)
        expect((of["Seccomp"].strip(), of["NoNewPrivs"].strip()), ("2", "1"))
        expect({of[n].strip() for n in ("CapInh", "CapPrm", "CapEff", "CapAmb")}, {"0" * 16})
        of = limits(pid)
        expect(of["Max core file size"], "0")
        expect(of["Max open files"], str(64 + 8 * 17))
        if not is_sanitized():
            assert 1 << 30 <= int(of["Max data size"]) < 3 << 30, "data %s" % of["Max data size"]
        assert of["Max cpu time"] != "unlimited" and of["Max file size"] != "unlimited"
    of = fields(d.generation_pid())
    expect(of["Seccomp"].strip(), "0", "the generation, which must fork")
    verdict(d.scan(EICAR), INFECTED)


@case
def root_that_stays_root_has_no_capabilities(t):
    if os.geteuid() != 0:
        return "not root"
    d = t.scand("workers = 1; max_workers = 1;")
    expect(fields(confined(d)[0])["CapEff"].strip(), "0" * 16)
    verdict(d.scan(EICAR), INFECTED)


@case
def sandbox_is_told(t):
    d = t.scand("workers = 1; max_workers = 1; scratch_size = \"64M\";")
    verdict(d.ping(), CLEAN)  # so there is a worker in its sandbox
    b = d.board()
    expect(b.sandbox & ALL, ALL)
    text = "landlock abi %d, seccomp, no_new_privs, limits; scratch " % b.landlock_abi
    text += "tmpfs 64M" if b.sandbox & TMPFS else "folder without a limit"
    assert "notice: sandbox: %s\n" % text in d.log(), d.log()
    said = subprocess.run([COMMAND, "status", "--config", d.conf], stdout=subprocess.PIPE, text=True).stdout
    assert " sandbox %s " % text in " ".join(said.split()), said  # it may be broken into lines
    said = json.loads(subprocess.run([COMMAND, "status", "--json", "--config", d.conf], stdout=subprocess.PIPE, text=True).stdout)
    expect(said["scanner"]["sandbox"], {"landlock_abi": b.landlock_abi, "landlock": True, "seccomp": True, "no_new_privs": True,
                                        "limits": True, "scratch_bytes": (64 << 20) if b.sandbox & TMPFS else 0})


@case
def scratch_is_a_file_system_of_limited_size(t):
    if os.geteuid() != 0:
        return "not root"
    d = t.scand("workers = 1; max_workers = 1; max_file_size = \"16M\"; max_scan_size = \"64M\"; scratch_size = \"8M\";",
                top='max_object_size = "16M";', user=NOBODY)
    if not d.board().sandbox & TMPFS:
        assert "scan.scratch_size has no effect: " in d.log()
        return "no right to mount"
    of = os.statvfs(d.scratch())
    expect(of.f_blocks * of.f_frsize, 8 << 20)
    with open("/proc/%d/mounts" % d.process.pid) as f:
        (line,) = [line for line in f if " %s/scratch " % d.run_dir in line]
    assert {"nosuid", "nodev", "noexec", "rw"} <= set(line.split()[3].split(",")), line
    expect(os.path.exists(d.run_dir + "/scratch") and os.listdir(d.run_dir + "/scratch"), [], "seen from outside")
    verdict(d.scan(make_zip([("big", os.urandom(1 << 20) * 12)])), ERROR)  # unpacks to more than there is room
    verdict(d.scan(make_zip([("small", os.urandom(1 << 20)), ("e", EICAR)])), INFECTED)
    expect(d.stop(), 0)


@case
def scratch_can_be_a_plain_folder(t):
    d = t.scand("workers = 1; max_workers = 1; scratch_size = 0;")
    expect(d.board().sandbox & TMPFS, 0)
    assert "; scratch folder without a limit\n" in d.log()
    assert d.scratch().startswith(d.spool)
    verdict(d.scan(make_zip([("e", EICAR)])), INFECTED)
    expect(d.stop(), 0)
    expect(os.listdir(d.spool), [])


def plant(folder, outside):
    """What an archive or a worker that was taken over might leave."""
    deep = folder
    for i in range(100):
        deep = os.path.join(deep, "deep%d" % i)
    os.makedirs(deep)
    os.makedirs(folder + "/closed/in")
    for path in (deep + "/f", folder + "/f", folder + "/closed/in/f", folder + "/-rf", folder + "/ a\nb"):
        with open(path, "w"):
            pass
    os.symlink(outside, folder + "/link")
    os.symlink(outside, folder + "/closed/link")
    os.mkfifo(folder + "/fifo")
    os.chmod(folder + "/f", 0)
    os.chmod(folder + "/closed/in", 0)
    os.chmod(folder + "/closed", 0)


@case
def hostile_leftovers_go(t):
    d = t.scand("workers = 1; max_workers = 1;", user=NOBODY if os.geteuid() == 0 else None)
    outside = os.path.join(d.dir, "outside")
    os.mkdir(outside)
    os.chmod(outside, 0o777)
    with open(outside + "/keep", "w"):
        pass
    (folder,) = [d.scratch() + "/" + n for n in os.listdir(d.scratch()) if "w" in n]
    subprocess.run(["chown", "-R", NOBODY, outside], check=True) if os.geteuid() == 0 else None

    def plant_as_owner():
        plant(folder, outside)
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", "-h", NOBODY, folder], check=True)
    plant_as_owner()
    victim = a_worker(d)
    verdict(d.scan(EICAR), INFECTED)
    d.until(lambda: set(os.listdir(folder)) <= {"closed"}, lambda: "after a scan: %r" % os.listdir(folder))
    os.kill(victim, signal.SIGKILL)  # what it could not remove itself, its parent removes
    d.until(lambda: d.workers() and a_worker(d) not in (0, victim), "not replaced")
    d.until(lambda: not os.path.exists(folder) or os.listdir(folder) == [], lambda: "after its end: %r" % os.listdir(folder))
    expect(os.listdir(outside), ["keep"], "followed a link")
    plant_as_owner()
    os.kill(a_worker(d), signal.SIGKILL)
    d.until(lambda: not os.path.exists(folder) or os.listdir(folder) == [], lambda: "after a kill: %r" % os.listdir(folder))
    expect(os.listdir(outside), ["keep"], "followed a link")


@case
def test_files_need_nothing_that_is_denied(t):
    if not shutil.which("strace"):
        return "no strace here"
    if is_sanitized():
        return "a sanitizer asks for more"
    program = open(os.path.join(TESTFILES, "clam.exe"), "rb").read()
    d = t.scand("workers = 1; max_workers = 1;", databases={"a.ndb": ndb("Code", program[0x43:0x71])})
    pid = a_worker(d)
    out = os.path.join(d.dir, "trace")
    tracer = subprocess.Popen(["strace", "-f", "-o", out, "-p", str(pid)], stderr=subprocess.DEVNULL)
    d.until(lambda: "TracerPid:\t0" not in open("/proc/%d/status" % pid).read(), "not traced")
    infected = 0
    for name in sorted(os.listdir(TESTFILES)):
        with open(os.path.join(TESTFILES, name), "rb") as f:
            reply = d.scan(f.read(), "memfd")
        assert reply and reply.verdict != ERROR, "%s: %r" % (name, reply)
        infected += reply.verdict == INFECTED
    encodings = "windows-1251 koi8-r shift_jis euc-jp gb18030 big5 iso-8859-15 utf-16".split()
    for name in encodings:
        text = "<?xml version='1.0' encoding='%s'?><a>\u0430</a>" % name
        verdict(d.scan(text.encode(name, "replace")), CLEAN)
        verdict(d.scan(b"<html><meta charset=%s><body>x</body></html>" % name.encode()), CLEAN)
    tracer.send_signal(signal.SIGINT)
    tracer.wait(PATIENCE)
    assert infected >= 30, "%d infected" % infected
    with open(out) as f:
        bad = [line.split(None, 1)[1].strip() for line in f if re.search(r"= -1 (EPERM|EACCES)|SIGSYS", line)]
    expect([line for line in bad if line.split("(")[0] not in MAY_BE_DENIED], [])
    expect(a_worker(d), pid, "the worker")


@case
def deaths_are_named(t):
    d = t.scand("workers = 1; max_workers = 1;")
    ways = [(signal.SIGXCPU, "sandbox: more processor time than a scan may take"),
            (signal.SIGXFSZ, "sandbox: a file larger than scan.max_scan_size")]
    if not is_sanitized():  # those have handlers of their own
        ways += [(signal.SIGSYS, "sandbox: forbidden system call"), (signal.SIGSEGV, "Segmentation fault")]
    for number, text in ways:
        victim = a_worker(d)
        os.kill(victim, number)
        d.until(lambda: "worker %d died" % victim in d.log(), "not logged")
        assert "worker %d died: signal %d, %s" % (victim, number, text) in d.log(), d.log()[-300:]
        d.until(lambda: text in d.board().last_death, lambda: d.board().last_death)
        d.until(lambda: d.workers() and a_worker(d) not in (0, victim), "not replaced")
    expect(d.board().forbidden, sum(number == signal.SIGSYS for number, _ in ways))
    said = subprocess.run([COMMAND, "status", "--config", d.conf], stdout=subprocess.PIPE, text=True).stdout
    assert "crashed   %d workers; the last: worker %d died: signal %d" % (len(ways), victim, ways[-1][0]) in said, said


@case
def scan_that_needs_too_much_memory_is_an_error(t):
    if is_sanitized():
        return "a sanitizer has no limit"
    d = t.scand("workers = 1; max_workers = 1; worker_memory = \"16M\";")
    reply = d.scan(make_zip([("big", b"x" * (96 << 20))]))
    assert reply is None or reply.verdict == ERROR, "%r" % reply
    d.until(lambda: d.workers(), "no worker")
    verdict(d.scan(EICAR), INFECTED)


@case
def without_a_sandbox_nothing_starts_if_it_is_required(t):
    """A seccomp filter around the daemon, as an old container has it, takes Landlock away."""
    import ctypes
    lib = ctypes.CDLL("libseccomp.so.2")
    lib.seccomp_init.restype = ctypes.c_void_p

    def take_landlock_away():
        context = ctypes.c_void_p(lib.seccomp_init(0x7fff0000))
        for name in (b"landlock_create_ruleset", b"landlock_add_rule", b"landlock_restrict_self"):
            lib.seccomp_rule_add(context, 0x00050000 | 38, lib.seccomp_syscall_resolve_name(name), 0)
        lib.seccomp_load(context)

    d = t.scand("workers = 1; max_workers = 1; require_sandbox = true;", wait=None)
    d.start()
    verdict(d.scan(EICAR), INFECTED)
    expect(d.stop(), 0)
    d.around = take_landlock_away
    d.start(False)
    expect(d.process.wait(PATIENCE), 1)
    assert "error: the kernel has no Landlock" in d.log(), d.log()[-500:]
    d.configure("workers = 1; max_workers = 1;")
    d.start()
    assert "warn: sandbox: no landlock, seccomp, no_new_privs, limits; " in d.log(), d.log()[-500:]
    expect(d.board().sandbox & ALL, ALL & ~1)
    verdict(d.scan(EICAR), INFECTED)
    expect(fields(a_worker(d))["Seccomp"].strip(), "2")
