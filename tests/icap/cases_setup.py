"""Wrong set-ups: each ends at once with a status other than 0 and one clear line that says what and where."""

import os
import re
import socket
import subprocess

import stack as parts
from report import await_true, check, equal

SECONDS = 10


def _ends(process, what):
    """Waits for the program to give up. Returns its status and output."""
    try:
        status = process.wait(SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        check(False, "%s runs in spite of it; it said: %s", what, process.output()[-300:])
    process.stop()
    check(process.crash_text() is None, "%s", process.crash_text())
    check(status is not None and 0 < status < 128 or status == 255, "%s: exit status %s", what, status)
    return status


def _one_line(text, want, what):
    """Exactly one line of text holds what is wanted."""
    lines = [line for line in text.splitlines() if re.search(want, line)]
    check(lines, "%s: no line like %s in: %s", what, want, text[-400:])
    equal(len(set(lines)), 1, "%s: different lines like %s" % (what, want))
    check(len(lines[0]) < 400, "%s: a line of %d characters", what, len(lines[0]))


def _try(prepare, want, programs=("scand", "c-icap")):
    """Prepares a fault in a stack that is not started, then starts each program on it."""
    stack = parts.Stack(start=False, name="setup")
    try:
        want = prepare(stack) or want
        for name in programs:
            if name == "scand":
                process = stack.launch_scand()
                stack.scand = None
            else:
                process = stack.cicap.launch(parts.free_port())
            _ends(process, name)
            with open(process.err_path, errors="replace") as f:
                _one_line(f.read(), want, name)
    finally:
        if stack.cicap.process:
            stack.cicap.process.kill()
        stack.dir.remove()


def _append(text):
    def prepare(stack):
        with open(stack.conf_path) as f:
            lines = f.read().count("\n")
        with open(stack.conf_path, "a") as f:
            f.write(text)
        return r"sallyport\.conf:%d: " % (lines + 1)
    return prepare


def bad_lines():
    for text in ("colour = 3;\n", "max_object_size = ;\n", "decode: { max_layers = 99; };\n", "connect_page = \"maybe\";\n",
                 "outcomes: { clean = \"block\"; };\n", "outcomes: { limit = \"perhaps\"; };\n", "categories: { cats = \"block\"; };\n",
                 "max_object_size = \"12Q\";\n", "not a line at all\n"):
        _try(_append(text), None)


def missing_conf():
    _try(lambda stack: os.unlink(stack.conf_path), r"sallyport\.conf: .*(No such file|not found|cannot)")


def unreadable_conf():
    if os.geteuid() != 0:
        return

    def prepare(stack):
        os.chown(stack.conf_path, 0, 0)
        os.chmod(stack.conf_path, 0o600)
    _try(prepare, r"sallyport\.conf: .*[Pp]ermission", programs=("scand",))


def missing_run_dir():
    """scand makes the directory, but not its parents; c-icap makes neither."""
    def prepare(stack):
        os.rmdir(stack.dir.join("run"))
        return re.escape(stack.dir.join("run"))
    _try(prepare, None, programs=("c-icap",))

    def prepare_parent(stack):
        stack.write_conf(run_dir=stack.dir.join("nowhere", "run"))
        return re.escape(stack.dir.join("nowhere"))
    _try(prepare_parent, None)


def missing_catalogue():
    def prepare(stack):
        os.rename(stack.dir.join("catalogue"), stack.dir.join("elsewhere"))
        return re.escape(stack.dir.join("catalogue"))
    _try(prepare, None, programs=("c-icap",))


def bad_catalogue():
    def prepare(stack):
        stack.dir.write("catalogue/zz.conf", "rules = (\n  { id = 7; }\n);\n")
    _try(prepare, r"zz\.conf:[123]: ", programs=("c-icap",))


def bad_template():
    def prepare(stack):
        stack.dir.write("templates/block.html", "<html>\n{{nonsense}}</html>\n")
    _try(prepare, r"block\.html:2: ", programs=("c-icap",))


def missing_template():
    _try(lambda stack: os.unlink(stack.dir.join("templates", "block.html")), r"block\.html", programs=("c-icap",))


def missing_log_dir():
    def prepare(stack):
        stack.write_conf(log__file=stack.dir.join("nowhere", "decisions.log"))
    _try(prepare, r"nowhere/decisions\.log", programs=("c-icap",))


def missing_database():
    """Not a fault: the built-in signature serves, and one line says so and what to do."""
    running = parts.Stack({"scan.database": ["/nonexistent/signatures"]}, start=False, name="setup")
    try:
        running.start_scand()
        with open(running.scand.err_path, errors="replace") as f:
            _one_line(f.read(), r"/nonexistent/signatures.*freshclam", "scand")
        check(running.ping() is not None, "scand does not answer")
        running.stop_scand()
    finally:
        if running.scand:
            running.scand.kill()
        running.dir.remove()


def unreadable_database():
    if os.geteuid() != 0:
        return

    def prepare(stack):
        path = stack.dir.write("db/x.ndb", "Test:0:*:deadbeefdeadbeefdeadbeef\n")
        os.chown(path, 0, 0)
        os.chmod(path, 0o600)
    _try(prepare, r"/db\b", programs=("scand",))


def broken_database():
    def prepare(stack):
        stack.dir.write("db/x.ndb", "this is: no signature\n")
    _try(prepare, r"/db\b", programs=("scand",))


def long_run_dir():
    """A socket path that does not fit into an address."""
    def prepare(stack):
        name = "run-" + "x" * 100
        stack.dir.mkdir(name)
        stack.write_conf(run_dir=stack.dir.join(name))
    _try(prepare, r"x{50}", programs=("scand",))


def no_conf_argument():
    """sallyport.Config without a value, and with two."""
    for line in ("sallyport.Config", "sallyport.Config /a /b"):
        stack = parts.Stack(start=False, name="setup")
        try:
            stack.cicap.services[1] = line
            process = stack.cicap.launch(parts.free_port())
            _ends(process, "c-icap")
            with open(process.err_path, errors="replace") as f:
                _one_line(f.read(), r"sallyport\.Config", "c-icap")
        finally:
            stack.cicap.process.kill()
            stack.dir.remove()


def port_in_use():
    with socket.create_server(("127.0.0.1", 0)) as other:
        with parts.Stack(start=False, name="setup") as stack:
            process = stack.cicap.launch(other.getsockname()[1])
            _ends(process, "c-icap")
            text = stack.cicap.said()
            stack.cicap.process = None
            check(re.search(r"bind|in use", text, re.I), "c-icap does not say that the port is in use: %s", text[-300:])


def _scand(first, name, args):
    return parts.proc.Process(name, [first.scand_path] + args, first.dir.path, env=parts.sanitizer_env(False), user=first.dir.user)


def second_scand(first):
    """Another scand for the same run_dir is refused and does not disturb the first."""
    process = _scand(first, "scand2", ["-c", first.conf_path])
    _ends(process, "a second scand")
    check(len(process.output().strip().splitlines()) <= 3, "a second scand says: %s", process.output())
    await_true(lambda: first.ping() is not None, 3, "the first scand to answer")


def bad_arguments(first):
    for args in (["-c"], ["--nonsense"], ["-c", first.conf_path, "extra"]):
        process = _scand(first, "scand3", args)
        _ends(process, "scand " + " ".join(args))


def cases():
    return [
        ("setup: bad lines in the configuration", bad_lines), ("setup: configuration missing", missing_conf),
        ("setup: configuration unreadable", unreadable_conf), ("setup: run_dir missing", missing_run_dir),
        ("setup: catalogue missing", missing_catalogue), ("setup: catalogue broken", bad_catalogue),
        ("setup: template broken", bad_template), ("setup: template missing", missing_template),
        ("setup: log directory missing", missing_log_dir),
        ("setup: database missing", missing_database), ("setup: database unreadable", unreadable_database),
        ("setup: database broken", broken_database), ("setup: run_dir too long", long_run_dir),
        ("setup: sallyport.Config without a file", no_conf_argument), ("setup: port in use", port_in_use),
    ]


def running_cases(stack):
    return [("setup: second scand", second_scand, stack), ("setup: bad arguments of scand", bad_arguments, stack)]
