"""Logs that were made up: what find, tail and report make of them, however they are rotated and whatever is in them."""

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import proc
from kit import HOSTILE, cli, harmless, is_at_end, line, report
from report import await_true, check, equal
from stack import SRCDIR, builddir
from terminal import Terminal


class World:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="sallyport-logs.", dir="/tmp")
        self.cli_path = os.path.join(builddir(), "sallyport")
        self.log = os.path.join(self.dir, "decisions.log")
        self.conf = os.path.join(self.dir, "sallyport.conf")
        with open(self.conf, "w") as f:
            f.write('log: { file = "%s"; decisions = "all"; };\n' % self.log)

    def write(self, name, lines, opener=open):
        with opener(os.path.join(self.dir, name), "wb") as f:
            for text in lines:
                f.write(text.encode("utf-8") + b"\n")

    def clear(self):
        for name in os.listdir(self.dir):
            if name.startswith("decisions.log"):
                os.unlink(os.path.join(self.dir, name))


def ids(text):
    return [json.loads(row)["id"] for row in text.splitlines()]


def case_find(world):
    world.clear()
    lines = [line(i, user="user%d" % (i % 7)) for i in range(500)]
    world.write("decisions.log.3.gz", lines[:100], gzip.open)
    world.write("decisions.log-20261120-1766.gz", lines[100:200], gzip.open)
    world.write("decisions.log.1", lines[200:300])
    world.write("decisions.log", lines[300:])
    world.write("decisions.log.bak", [line(1000)])  # not of the rotation
    for i in (0, 99, 100, 250, 300, 499):
        ident = json.loads(lines[i])["id"]
        run = cli(world, "find", "-c", world.conf, "--json", ident)
        equal((run.returncode, run.out), (0, lines[i] + "\n"), "find %d" % i)
    run = cli(world, "find", "-c", world.conf, ident.upper())
    check(run.returncode == 0 and "user%d" % (499 % 7) in run.out and ident in run.out, "the text lacks something: %s", run.out)
    run = cli(world, "find", "-c", world.conf, "--json", ident[:13])  # the last digits are a counter
    check(ident in ids(run.out), "the beginning of an id finds nothing: %s", run.err)
    for missing in (json.loads(line(1000))["id"], "0000000000000000"):
        run = cli(world, "find", "-c", world.conf, missing)
        check(run.returncode == 1 and "no decision" in run.err, "%s: %d %s", missing, run.returncode, run.err)
    for bad in ("", "12", "xyz", ident + "0", "../../etc"):
        equal(cli(world, "find", "-c", world.conf, "--", bad).returncode, 2, "find %r" % bad)


def case_rotated(world):
    world.clear()
    lines = [line(i, outcome="rule" if i % 4 == 0 else "clean", action="block" if i % 4 == 0 else "allow", rule="r" if i % 4 == 0 else None,
                  scan_us=None) for i in range(400)]
    world.write("decisions.log-20261121-1.gz", lines[:100], gzip.open)
    world.write("decisions.log.2", lines[100:200])
    shutil.copy(os.path.join(world.dir, "decisions.log.2"), os.path.join(world.dir, "half"))
    with open(os.path.join(world.dir, "decisions.log.2.gz"), "wb") as f:  # gzip is at work on it
        f.write(gzip.compress(open(os.path.join(world.dir, "half"), "rb").read())[:200])
    world.write("decisions.log", lines[200:])
    got = report(world, "-c", world.conf, "--since", "all")
    equal((got["decisions"], got["refused"], got["lines"], got["broken"], got["files"]), (400, 100, 400, 0, 3), "numbers over rotated files")
    equal(got["rules"], [{"name": "r", "refused": 100, "reported": 0}], "rules")
    equal(sum(b["decisions"] for b in got["time"]), 400, "bins")
    got = report(world, "-c", world.conf, "--since", "2020-11-20T12:00:10Z", "--until", "2020-11-20T12:01:00Z")
    equal(got["decisions"], 50, "decisions of 50 seconds")
    os.unlink(os.path.join(world.dir, "decisions.log.2"))  # and now the packed one is broken: said, and the rest counted
    run = cli(world, "report", "-c", world.conf, "--since", "all", "--json")
    check(run.returncode == 2 and "decisions.log.2.gz" in run.err, "a broken file is not told: %d %s", run.returncode, run.err)
    check(300 <= json.loads(run.out)["decisions"] < 400, "what could be read is not counted")


def case_damaged(world):
    """A byte of a packed file is another one: what stands before it is read, and the rest is not passed over in silence."""
    world.clear()
    lines = [line(i, user="user%d" % (i * 7919 % 100003)) for i in range(3000)]
    whole = ("\n".join(lines) + "\n").encode()
    packed = bytearray(gzip.compress(whole, 9))
    packed[len(packed) * 3 // 4] ^= 0xff
    world.write("decisions.log", [line(5000)])
    path = os.path.join(world.dir, "decisions.log.1.gz")
    run = lambda *args: cli(world, *args, "-c", world.conf)
    good = gzip.compress(whole)
    for name, content, least in (("a byte", packed, 1500), ("the head", b"\0" + good[1:], 0), ("the checksum", good[:-8] + bytes(8), 3000),
                                 ("a second member", good + b"\x1f" + bytes(30), 3000)):
        with open(path, "wb") as f:
            f.write(content)
        got = run("report", "--since", "all", "--json")
        check(got.returncode == 2 and path in got.err, "%s: %d %s", name, got.returncode, got.err)
        check(json.loads(got.out)["decisions"] > least, "%s: %d decisions counted", name, json.loads(got.out)["decisions"])
        if least > 0:
            equal(run("find", "--json", json.loads(lines[1400])["id"]).out, lines[1400] + "\n", "found before the fault: " + name)
        equal(run("find", json.loads(line(9000))["id"]).returncode, 2, "not found, and it may be behind the fault: " + name)


def case_broken_lines(world):
    world.clear()
    good = [line(i) for i in range(3)]
    with open(world.log, "wb") as f:
        f.write(b"\x00\x01garbage\n\n{\"id\":{}}\n" + good[0].encode() + b"\n" + good[1].encode()[:50] + b"\n" + b"x" * 600000 + b"\n")
        f.write(good[1].encode() + b"\n" + b'{"time":"2020-11-20T12:00:00.000000Z","reason":"x","lost":7}\n' + good[2].encode())  # no newline yet
    got = report(world, "-c", world.conf, "--since", "all")
    equal((got["decisions"], got["broken"], got["lost"]), (3, 4, 7), "decisions, broken, lost")
    run = cli(world, "tail", "-c", world.conf, "--no-wait", "--json")
    equal([r for r in run.out.splitlines() if "lost" not in r], good[:2], "tail leaves out what is no line, and what is not whole")


def case_filters(world):
    world.clear()
    rows = [dict(), dict(url="https://www.a.example/x"), dict(url="a.example:443", method="CONNECT", outcome="rule", action="block", rule="r-1"),
            dict(url="http://bob@[2001:db8::1]:80/", user="Bob"), dict(url="http://notа.example/", client="10.9.8.7"),
            dict(url="http://xa.example/", outcome="infected", action="block", signature="S"), dict(outcome="error", action="report", user='a"b\\c'),
            dict(url="http://0x01020304/")]
    world.write("decisions.log", [line(i, **row) for i, row in enumerate(rows)])
    all_ids = [json.loads(line(i))["id"] for i in range(len(rows))]
    for args, want in ((["--host", "a.example"], [1, 2]), (["--host", "A.Example."], [1, 2]), (["--host", "[2001:db8:0::1]"], [3]),
                       (["--host", "1.2.3.4"], [7]), (["--user", "bob"], [3]), (["--user", 'a"b\\c'], [6]), (["--client", "10.9.0.0/16"], [4]),
                       (["--client", "10.9.8.7"], [4]), (["--rule", "r-1"], [2]), (["--outcome", "infected,error"], [5, 6]), (["--blocked"], [2, 5]),
                       (["--action", "report,block"], [2, 5, 6]), (["--blocked", "--host", "a.example"], [2]), (["--user", "nobody"], [])):
        run = cli(world, "tail", "-c", world.conf, "--no-wait", "--json", *args)
        equal(ids(run.out), [all_ids[i] for i in want], "tail %s" % args)
        equal(report(world, "-c", world.conf, "--since", "all", *args)["decisions"], len(want), "report %s" % args)
    for args in (["--outcome", "sick"], ["--action", "block,"], ["-n", "x"], ["-n", "-1"], ["--color", "red"], ["--host", ""]):
        equal(cli(world, "tail", "-c", world.conf, "--no-wait", *args).returncode, 2, "tail %s" % args)
    run = cli(world, "tail", "-c", world.conf, "--no-wait", "--json", "-n", "3")
    equal(ids(run.out), all_ids[-3:], "tail -n 3")
    equal(cli(world, "tail", "-c", world.conf, "--no-wait", "-n", "0").out, "", "tail -n 0")


def case_periods(world):
    world.clear()
    now = time.time()
    rows = [line(0, time=time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(now - ago))) for ago in (700000, 90000, 4000, 10)]
    world.write("decisions.log", rows)
    for since, want in (("1h", 1), ("2h", 2), ("7d", 3), ("all", 4), ("2w", 4), ("1000000s", 4), ("2000-02-29", 4)):
        equal(report(world, "-c", world.conf, "--since", since)["decisions"], want, "since " + since)
    equal(report(world, "-c", world.conf)["decisions"], 2, "without --since")
    equal(report(world, "-c", world.conf, "--since", "30d", "--until", "1h")["decisions"], 3, "until")
    for bad in ("", "x", "7", "7y", "-1d", "2026-02-30", "2026-13-01", "2020-11-20x", "tomorrow", "99999999999999999999d", "1d2h"):
        equal(cli(world, "report", "-c", world.conf, "--since", bad).returncode, 2, "--since %r" % bad)
    equal(cli(world, "report", "-c", world.conf, "--since", "1h", "--until", "2h").returncode, 2, "a period that ends before it begins")
    here = {"TZ": "Europe/Athens"}  # midnight is that of the machine
    run = cli(world, "report", "-c", world.conf, "--json", "--since", "2020-07-01", "--until", "2020-07-02", env=here)
    equal([json.loads(run.out)[k] for k in ("since", "until")], ["2020-06-30T21:00:00.000000Z", "2020-07-01T21:00:00.000000Z"], "a day in Athens")


def hostile_lines():
    lines = []
    for i, bad in enumerate(HOSTILE):
        lines.append(line(i, client=bad, user=bad, method=bad, url="http://%s/%s" % (bad, bad), outcome="rule", action="block", reason=bad, rule=bad,
                          category=bad, signature=bad if i % 2 else None, encoding=bad, direction=bad, excepted=bad))
    return lines


def case_injection_terminal(world):
    world.clear()
    world.write("decisions.log", hostile_lines())
    for command in (["tail", "--no-wait", "-n", "100"], ["tail", "--no-wait", "--json", "-n", "100"], ["report", "--since", "all"],
                    ["report", "--since", "all", "--json"]) + tuple(["find", json.loads(text)["id"]] for text in hostile_lines()):
        terminal = Terminal([world.cli_path] + command + ["-c", world.conf])
        equal(terminal.finish(), 0, "exit status of %s" % command)
        check(len(terminal.seen) > 100, "%s says nothing", command)
        harmless(terminal.seen, " ".join(command))
    run = cli(world, "tail", "--no-wait", "--json", "-n", "100", "-c", world.conf)
    equal(len(run.out.splitlines()), len(HOSTILE), "JSON lines")
    for text, bad in zip(run.out.splitlines(), HOSTILE):
        equal(json.loads(text)["rule"], bad, "a rule's name in JSON")


def case_injection_html(world):
    world.clear()
    world.write("decisions.log", hostile_lines() * 3)
    page = os.path.join(world.dir, "page.html")
    run = cli(world, "report", "-c", world.conf, "--since", "all", "--until", "2020-11-21", "--html", page)
    equal((run.returncode, run.out), (0, ""), "report --html")
    text = open(page, encoding="utf-8").read()
    for word in ("<script", "<img", "onerror=alert(1)>", "\x1b", "\x07", "\u202e", "\x9b", "\x00"):
        check(word not in text, "the page has %r", word)
    check("&lt;script&gt;alert(1)&lt;/script&gt;" in text and "&quot;&#39;&gt;&lt;img" in text, "the names are not in the page")
    for word in ("http://", "https://", "//", "url(", "@import", "<link", "src="):
        outside = re.sub(r"&[a-z#0-9]+;", "", text)
        if word in ("src=", "http://", "https://", "//"):  # such text may stand in a name, never in a tag
            check(not re.search(r"<[^>]*%s" % re.escape(word), outside), "a tag has %r", word)
        else:
            check(word not in text, "the page has %r", word)
    tags = re.findall(r"<(/?)([a-z0-9]+)", text)
    void = {"meta", "line", "rect", "i", "br"}
    depth = {}
    for closing, name in tags:
        depth[name] = depth.get(name, 0) + (-1 if closing else 1)
    check(all(n == 0 for name, n in depth.items() if name not in void), "tags are not closed: %s", {k: v for k, v in depth.items() if v})
    run = cli(world, "report", "-c", world.conf, "--since", "all", "--until", "2020-11-21", "--html", "-")
    equal(run.out, text, "the page on standard output")
    equal(cli(world, "report", "-c", world.conf, "--since", "all", "--html", "/nonexistent/x").returncode, 2, "a page that cannot be written")


def case_colour(world):
    world.clear()
    world.write("decisions.log", [line(0, outcome="rule", action="block", rule="r")])
    def colours(args, env=None, streams=("stdout", "stderr")):
        terminal = Terminal([world.cli_path, "tail", "--no-wait", "-c", world.conf] + args, env, streams)
        terminal.finish()
        return b"\x1b[1;31mblock" in terminal.seen
    equal([colours([]), colours([], {"NO_COLOR": "1"}), colours([], {"TERM": "dumb"}), colours(["--color", "never"]),
           colours(["--color=always"], {"NO_COLOR": "1"})], [True, False, False, False, True], "colours on a terminal")
    equal("\x1b" in cli(world, "tail", "--no-wait", "-c", world.conf).out, False, "colours in a pipe")
    equal("\x1b[1;31m" in cli(world, "tail", "--no-wait", "-c", world.conf, "--color", "always").out, True, "colours that were asked for")


def case_follow(world):
    """Added to in pieces, renamed, cut: each line once."""
    world.clear()
    rows = [line(i) for i in range(60)]
    world.write("decisions.log", rows[:20])
    follower = proc.Process("tail", [world.cli_path, "tail", "--json", "-n", "5", "-c", world.conf], world.dir)

    def expect(first, last):
        from report import await_true
        await_true(lambda: len(follower.output().splitlines()) >= last - first, 15, "tail to print line %d" % last)
        equal(follower.output().splitlines(), rows[first:last], "what tail printed")
    expect(15, 20)
    with open(world.log, "a") as f:
        f.write(rows[20] + "\n" + rows[21][:40])
        f.flush()
        expect(15, 21)
        f.write(rows[21][40:] + "\n")
        f.flush()
        expect(15, 22)
        os.rename(world.log, world.log + ".1")
        f.write(rows[22] + "\n")  # a process that has not seen it yet
        f.flush()
        expect(15, 23)
        with open(world.log, "w") as new:
            new.write(rows[24] + "\n")
        time.sleep(0.5)
        f.write(rows[23] + "\n")
    expect(15, 25)
    os.truncate(world.log, 0)
    await_true(lambda: is_at_end(follower, world.log), 10, "tail to see the cut")
    with open(world.log, "a") as f:
        f.write(rows[25] + "\n")
    expect(15, 26)
    follower.stop(signal.SIGINT)


def measured(argv, directory):
    """The program's answer, its processor time in ticks and its most memory in kB, both as last seen before its end. (What wait4()
    says of memory is that of the test, from before exec.)"""
    ticks = memory = 0
    with tempfile.TemporaryFile(dir=directory) as out:
        run = subprocess.Popen(argv, stdout=out)
        while run.poll() is None:
            try:
                memory = max(memory, int(re.search(r"VmHWM:\s+(\d+)", open("/proc/%d/status" % run.pid).read()).group(1)))
                ticks = proc.cpu_ticks(run.pid)
            except (OSError, AttributeError, IndexError):
                pass
            time.sleep(0.005)
        equal(run.returncode, 0, "exit status")
        out.seek(0)
        return json.loads(out.read()), ticks, memory


def case_long_log(world):
    """A million lines, with names without end in every table: the numbers are right, memory stays small."""
    world.clear()
    count, names = 1000000, 250000
    pieces = []
    for i in range(names):  # each name twice as hot as it may: refused once, and a steady one refused each time
        pieces.append('{"time":"2020-11-20T12:%02d:%02d.000000Z","id":"%016x","client":"10.%d.%d.%d","user":"u%d","direction":"REQMOD","method":"GET",'
                      '"url":"http://h%d.example.test/","outcome":"rule","action":"block","rule":"steady","category":"c%d","bytes":1,"total_us":%d}'
                      % (i % 3600 // 60, i % 60, i, i >> 16, i >> 8 & 255, i & 255, i, i, i, 1000 + i % 1000))
        pieces.append(pieces[-1].replace("http://h%d." % i, "http://www.").replace('"user":"u%d"' % i, '"user":"hot"'))
    allowed = line(5, total_us=100)
    with open(world.log, "w") as f:
        for i in range(0, len(pieces), 5000):
            f.write("\n".join(pieces[i:i + 5000]) + "\n" + (allowed + "\n") * 5000)
    got, ticks, memory = measured([world.cli_path, "report", "-c", world.conf, "--since", "all", "--json"], world.dir)
    equal((got["decisions"], got["refused"], got["requests"]), (count, 2 * names, 2 * names), "decisions, refused, requests")
    equal(got["rules"], [{"name": "steady", "refused": 2 * names, "reported": 0}], "the rule")
    equal((got["hosts"][0], got["users"][0]), ({"name": "www.example.test", "refused": names, "reported": 0},
                                              {"name": "hot", "refused": names, "reported": 0}), "what is hot, counted exactly")
    equal(sum(b["refused"] for b in got["time"]), 2 * names, "bins")
    check(abs(got["duration"]["p90_us"] - 1800) < 80 and got["duration"]["max_us"] == 1999, "durations: %s", got["duration"])
    check(memory < 64 * 1024 or os.environ.get("SAN"), "report took %d kB", memory)
    print("   report: %d lines in %.2f s of processor time, %d MB" % (count, ticks / os.sysconf("SC_CLK_TCK"), memory // 1024))


def case_progress(world):
    """Behind case_long_log, whose log is used again, packed, so that it takes a while."""
    argv = [world.cli_path, "report", "-c", world.conf, "--since", "all"]
    with open(world.log, "rb") as f:
        packed = gzip.compress(f.read(50 * 1000000), 1)
    for i in range(1, 8):
        with open("%s.%d.gz" % (world.log, i), "wb") as f:
            f.write(packed)
    terminal = Terminal(argv, streams=("stderr",))
    equal(terminal.finish(), 0, "exit status")
    check(re.search(rb"\r\x1b\[K\[=*> *\] +\d+ %  [\d.]+ [kM]B of [\d.]+ MB  [\d.]+ [kM]B/s  \d+:\d\d left", terminal.seen), "no bar: %r", terminal.seen[:300])
    check(terminal.seen.endswith(b"\r\x1b[K"), "the bar stays: %r", terminal.seen[-100:])
    narrow = Terminal(argv, streams=("stderr",), columns=30)
    narrow.finish()
    longest = max(len(part) for part in narrow.seen.split(b"\r\x1b[K"))
    check(0 < longest < 30, "a bar of %d columns on a terminal of 30", longest)
    equal(cli(world, *argv[1:]).err, "", "stderr that is no terminal")
    world.clear()


def case_explain_progress(world):
    log = os.path.join(world.dir, "access.log")
    with open(log, "w") as f:
        block = "".join("1763825787.123 120 10.1.2.3 TCP_MISS/200 3920 GET http://www%d.example.com/a/b - HIER_DIRECT/192.0.2.1 text/html\n" % i
                        for i in range(1000))
        for _ in range(2500):
            f.write(block)
    run_dir = os.path.join(world.dir, "run")
    os.makedirs(run_dir, exist_ok=True)
    conf = os.path.join(world.dir, "explain.conf")
    etc = os.path.join(SRCDIR, "etc")
    with open(conf, "w") as f:
        f.write('run_dir = "%s"; catalogue = "%s/catalogue"; page_template = "%s/templates/block.html"; spool: { dir = "%s"; };\n' % (run_dir, etc, etc, run_dir))
    argv = [world.cli_path, "explain", "-c", conf, "--access-log", log]
    terminal = Terminal(argv)
    equal(terminal.finish(), 0, "exit status")
    check(re.search(rb"\d+ %  .* of 2\d\d MB", terminal.seen), "no bar: %r", terminal.seen[:300])
    check(b"\r\x1b[K\r\n2500000 lines" in terminal.seen, "the bar stands in the answer: %r", terminal.seen[-500:])
    equal(cli(world, *argv[1:]).err, "", "stderr that is no terminal")


CASES = [("find", case_find), ("rotated", case_rotated), ("damaged", case_damaged), ("broken-lines", case_broken_lines),
         ("filters", case_filters), ("periods", case_periods), ("injection-terminal", case_injection_terminal),
         ("injection-html", case_injection_html), ("colour", case_colour), ("follow", case_follow),
         ("long-log", case_long_log), ("progress", case_progress), ("explain-progress", case_explain_progress)]


def run(suite, cases=tuple(CASES)):
    if not suite.list_only and not suite.wants_any([name for name, _ in cases]):
        return
    world = World()
    try:
        for name, function in cases:
            if name == "progress" and suite.wants(name) and not suite.wants("long-log") and not suite.list_only:
                case_long_log(world)
            suite.run(name, function, world)
    finally:
        shutil.rmtree(world.dir)
