"""What is no log, logs that move faster than their reader, pseudonyms, logs that are elsewhere."""

import os
import signal
import subprocess
import time

import proc
from cases_read import ids, run as run_in_world
from kit import cli, line
from report import await_true, check, equal

KEY = "00112233445566778899aabbccddeeff"


def case_no_file(world):
    """A FIFO, a directory or a device in place of the log: told at once, nobody waits."""
    fifo = os.path.join(world.dir, "fifo")
    os.mkfifo(fifo)
    for path in (fifo, world.dir, "/dev/zero"):
        for args in (("tail", "--no-wait"), ("report",), ("find", "4a1f09c2b7d30001")):
            run = cli(world, *args, "--log", path, timeout=10)
            equal((run.returncode, run.out), (2, ""), "%s of %s" % (args[0], path))
            check("%s: not a file" % path in run.err, "%s of %s says %s", args[0], path, run.err)


def case_becomes_fifo(world):
    """tail goes on in the next log although a FIFO had its name meanwhile."""
    world.clear()
    rows = [line(i) for i in range(3)]
    world.write("decisions.log", rows[:1])
    follower = proc.Process("tail-fifo", [world.cli_path, "tail", "--json", "-c", world.conf], world.dir)
    await_true(lambda: follower.output().splitlines() == rows[:1], 10, "the first line")
    os.rename(world.log, world.log + ".1")
    os.mkfifo(world.log)
    time.sleep(0.6)
    os.unlink(world.log)
    world.write("decisions.log", rows[1:])
    await_true(lambda: follower.output().splitlines() == rows, 10, "the lines of the next log")
    follower.stop(signal.SIGINT)


def case_quick_rotations(world):
    """Rotated more often than a late writer is waited for: each file is read."""
    world.clear()
    rows = [line(i) for i in range(6)]
    world.write("decisions.log", rows[:1])
    follower = proc.Process("tail-quick", [world.cli_path, "tail", "--json", "-c", world.conf], world.dir)
    await_true(lambda: follower.output().splitlines() == rows[:1], 10, "the first line")
    for i, row in enumerate(rows[1:]):
        os.rename(world.log, "%s.%d" % (world.log, i + 1))
        world.write("decisions.log", [row])
        time.sleep(0.5)
    await_true(lambda: follower.output().splitlines() == rows, 30, "all lines, in order")
    follower.stop(signal.SIGINT)


def case_output(world):
    """A reader that has had enough, and a disk that is full."""
    world.clear()
    world.write("decisions.log", [line(i, action="block", outcome="rule", rule="r%d" % i) for i in range(3000)])
    for args in ("report --since all", "report --since all --json", "report --since all --html -", "tail --no-wait -n 3000"):
        whole = [world.cli_path] + args.split() + ["-c", world.conf]
        run = subprocess.run(["bash", "-c", '"$@" | head -n 1 >/dev/null; echo ${PIPESTATUS[0]}', "bash"] + whole, capture_output=True, text=True, timeout=30)
        check(run.stderr == "" and run.stdout.strip() in ("0", "141"), "%s | head: %s %s", args, run.stdout, run.stderr)
        with open("/dev/full", "wb") as full:
            run = subprocess.run(whole, stdout=full, stderr=subprocess.PIPE, text=True, timeout=30)
        check(run.returncode == 2 and run.stderr, "%s to a full disk: %d %s", args, run.returncode, run.stderr)
    run = cli(world, "report", "-c", world.conf, "--since", "all", "--html", "/dev/full")
    check(run.returncode == 2 and "No space left" in run.err, "--html to a full disk: %d %s", run.returncode, run.err)


def case_far_back(world):
    world.clear()
    world.write("decisions.log", [line(0)])
    for since in ("99999999w", "3000w"):
        run = cli(world, "report", "-c", world.conf, "--since", since)
        check(run.returncode == 0 and run.err == "" and run.out.startswith("Sallyport, 1970-01-01"), "--since %s: %s %s", since, run.out[:100], run.err)


def conf_of(world, name, text):
    path = os.path.join(world.dir, name)
    with open(path, "w") as f:
        f.write(text)
    return path


def case_pseudonyms(world):
    """report and find say why nobody is called by name, and a network, which no pseudonym is in, is refused and not just not found."""
    world.clear()
    conf = conf_of(world, "hashed.conf", 'log: { file = "%s"; hash_key = "%s"; };\n' % (world.log, KEY))
    world.write("decisions.log", [line(0, client="~0123456789abcdef", user=None)])
    said = "Clients and users are pseudonyms"
    run = cli(world, "report", "-c", conf, "--since", "all")
    check(said in run.out, "report: %s %s", run.out[:300], run.err)
    check(said in cli(world, "report", "-c", conf, "--since", "all", "--html", "-").out, "the page does not say it")
    row = cli(world, "tail", "-c", conf, "--no-wait", "--json").out
    run = cli(world, "find", "-c", conf, ids(row)[0])
    check(run.returncode == 0 and said in run.err, "find: %s", run.err)
    for command in ("tail --no-wait", "report"):
        run = cli(world, *command.split(), "-c", conf, "--client", "10.0.0.0/8")
        check(run.returncode == 2 and "log.hash_key" in run.err, "%s by network: %d %s", command, run.returncode, run.err)
        equal(cli(world, *command.split(), "-c", conf, "--client", "10.0.0.1").returncode, 0, "by address")
    check(said not in cli(world, "report", "-c", world.conf, "--since", "all").out, "said of a log without")


def case_elsewhere(world):
    for to, word in (("syslog", "syslog"), ("journal", "the journal")):
        conf = conf_of(world, to + ".conf", 'log: { to = "%s"; file = "%s"; };\n' % (to, world.log))
        for command in ("tail --no-wait", "report", "find 4a1f09c2b7d30001"):
            run = cli(world, *command.split(), "-c", conf)
            check(run.returncode == 2 and word in run.err and "journalctl -t sallyport" in run.err, "%s: %d %s", command, run.returncode, run.err)


CASES = [("no-file", case_no_file), ("becomes-fifo", case_becomes_fifo), ("quick-rotations", case_quick_rotations), ("output", case_output),
         ("far-back", case_far_back), ("pseudonyms", case_pseudonyms), ("elsewhere", case_elsewhere)]


def run(suite):
    run_in_world(suite, CASES)
