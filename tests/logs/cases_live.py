"""Real traffic: through c-icap into the log, and out of it again; rotation by the real logrotate; Squid beside it."""

import collections
import glob
import json
import os
import re
import shutil
import subprocess
import threading
import time

import icap
import kit
import proc
import samples
from origin import Origin
from report import await_true, check, equal
from squid import Squid
from stack import SRCDIR, Stack
from terminal import Terminal

KEY = "00112233445566778899aabbccddeeff"


def who(client, user):
    return ("X-Client-IP: " + client, "X-Client-Username: " + user)


def send(client, kind, i):
    """One transaction of that kind; what its line must say."""
    address, user = "192.0.2.%d" % (i % 5 + 1), "user%d" % (i % 3)
    url = "http://www%d.example.test/file%d?key=secret%d" % (i % 4, i, i)
    if kind == "tunnel":
        head = icap.request_head("CONNECT", "vpn%d.example.test:443" % (i % 2), ["SSTPVERSION: 1.0"], host="vpn%d.example.test:443" % (i % 2))
        reply = client.reqmod(head, fields=who(address, user))
        want = {"outcome": "rule", "action": "block", "category": "vpn", "method": "CONNECT"}
    elif kind == "virus":
        reply = client.respmod(icap.response_head(), samples.eicar(), request=icap.request_head("GET", url), fields=who(address, user))
        want = {"outcome": "infected", "action": "block", "method": "GET"}
    elif kind == "clean":
        reply = client.respmod(icap.response_head(), b"hello %d" % i, request=icap.request_head("GET", url), fields=who(address, user))
        want = {"outcome": "clean", "action": "allow", "method": "GET"}
    else:
        reply = client.reqmod(icap.request_head("GET", url), fields=who(address, user), allow204=True)
        want = {"outcome": "none", "action": "allow", "method": "GET"}
    want.update(client=address, user=user, id=reply.get("X-Sallyport-Id"))
    return want


def case_load(stack):
    """Log, tail, find and report say what was sent, all the same and each time."""
    kinds = ["tunnel", "virus", "clean", "none", "none", "clean", "tunnel"]
    follower = proc.Process("tail", [stack.cli_path, "tail", "-c", stack.conf_path, "--json", "-n", "0"], stack.dir.path)
    blocked = proc.Process("tail-blocked", [stack.cli_path, "tail", "-c", stack.conf_path, "--blocked", "-n", "0"], stack.dir.path)
    for process in (follower, blocked):
        kit.await_following(process, stack.log_path)
    with stack.client() as client:
        sent = [send(client, kinds[i % len(kinds)], i) for i in range(210)]
    rows = await_true(lambda: len(stack.log_lines()) >= len(sent) and stack.log_lines(), 10, "the log to have all lines")
    key = ("outcome", "action", "method", "client", "user")
    def counted(of):
        return collections.Counter(tuple(row.get(k) for k in key) for row in of)
    equal(counted(rows), counted(sent), "the log")
    await_true(lambda: len(follower.output().splitlines()) >= len(sent), 10, "tail to print all lines")
    equal(counted(json.loads(text) for text in follower.output().splitlines()), counted(sent), "tail")
    n_blocked = sum(want["action"] == "block" for want in sent)
    await_true(lambda: len(blocked.output().splitlines()) >= n_blocked, 10, "tail --blocked")
    equal(len(blocked.output().splitlines()), n_blocked, "lines of tail --blocked")
    got = kit.report(stack, "-c", stack.conf_path, "--since", "1h")
    equal(got["outcomes"], dict(collections.Counter(want["outcome"] for want in sent)), "report: outcomes")
    equal((got["decisions"], got["refused"], got["broken"], got["lost"]), (len(sent), n_blocked, 0, 0), "report")
    for table, field in (("clients", "client"), ("users", "user")):
        want = collections.Counter(row[field] for row in sent if row["action"] == "block")
        equal({row["name"]: row["refused"] for row in got[table]}, dict(want), "report: " + table)
    equal(sum(row["refused"] for row in got["categories"]), sum(want.get("category") == "vpn" for want in sent), "report: categories")
    equal(sum(row["refused"] for row in got["signatures"]), sum(want["outcome"] == "infected" for want in sent), "report: signatures")
    for want in [w for w in sent if w["id"]][:10]:
        run = kit.cli(stack, "find", "-c", stack.conf_path, "--json", want["id"])
        found = json.loads(run.out)
        equal({k: found.get(k) for k in want}, want, "find " + want["id"])
    for process in (follower, blocked):
        process.stop()


def case_fields(stack):
    """docs/logs.md lists the fields that are written, and no others."""
    with open(os.path.join(SRCDIR, "docs", "logs.md")) as f:
        told = set(re.findall(r"^\| `([a-z_]+)` \|", f.read(), re.M))
    with open(os.path.join(SRCDIR, "service", "core", "declog.c")) as f:
        written = set(re.findall(r"\badd_\w+\((?:line|&line)(?:, log)?, \"([a-z_]+)\"", f.read()))
    equal(told, written, "the fields in docs/logs.md")
    seen = {key for row in stack.log_lines() for key in row}
    check({"time", "id", "client", "user", "url", "rule", "signature", "scan_us"} <= seen and seen <= told, "fields seen: %s", seen)


def case_injection(stack):
    """What a client may write: into every field that it can reach."""
    before = len(stack.log_lines())
    with stack.client() as client:
        for bad in ("<script>alert(1)</script>", "\x1b[2J\x1b]0;x\x07", "\xc2\x9b31m", "\"},{\"id\":\"x", "\xff\xfe", "\xe2\x80\xae gnp.exe"):
            url = "http://%s.test/%s" % (bad.replace(" ", "_"), bad.replace(" ", "_"))
            head = icap.request_head("GET", url, ["User-Agent: " + bad])
            try:
                client.reqmod(head, fields=("X-Client-IP: " + bad, "X-Client-Username: " + bad))
            except (icap.ProtocolError, OSError):  # the server may refuse such a head; then there is no line either
                client.close()
    await_true(lambda: len(stack.log_lines()) >= before + 3, 10, "lines in the log")
    with open(stack.log_path, "rb") as f:
        data = f.read()
    check(not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", data), "a control byte in the log")
    data.decode("utf-8")
    for row in stack.log_lines():
        check(row["id"] != "x", "a forged line")
    terminal = Terminal([stack.cli_path, "tail", "-c", stack.conf_path, "--no-wait", "-n", "1000"])
    terminal.finish()
    kit.harmless(terminal.seen, "tail")


def logrotate(stack, *args):
    """The rule as shipped, but for its path and its owner."""
    with open(os.path.join(SRCDIR, "etc", "logrotate", "sallyport")) as f:
        rule = f.read().replace("/var/log/sallyport/decisions.log", stack.log_path)
    if stack.dir.user:
        rule = rule.replace("    daily\n", "    daily\n    su nobody nogroup\n")
    path = stack.dir.write("logrotate.conf", rule)
    os.chmod(path, 0o644)
    os.chown(path, os.getuid(), os.getgid())
    return subprocess.run(["/usr/sbin/logrotate", "-s", os.path.join(stack.dir.path, "logrotate.state")] + list(args) + [path],
                          capture_output=True, text=True, timeout=60)


def case_logrotate(stack):
    """Rotated three times under traffic, packed on the way: no line is lost, and none is there twice."""
    run = logrotate(stack, "-d")
    check(run.returncode == 0 and "error" not in run.stderr, "logrotate -d: %s", run.stderr)
    follower = proc.Process("tail-rotated", [stack.cli_path, "tail", "-c", stack.conf_path, "--json", "-n", "0"], stack.dir.path)
    kit.await_following(follower, stack.log_path)
    lines_before = kit.report(stack, "-c", stack.conf_path, "--since", "1h")["decisions"]
    done, counts, faults = threading.Event(), [0] * 4, []

    def load(which):
        try:
            with stack.client() as client:
                while not done.is_set():
                    send(client, "none", counts[which])
                    counts[which] += 1
        except Exception as fault:
            faults.append(fault)
    threads = [threading.Thread(target=load, args=(i,)) for i in range(len(counts))]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            time.sleep(1.3)
            run = logrotate(stack, "-f")
            check(run.returncode == 0, "logrotate: %s", run.stderr)
        time.sleep(1.3)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    check(not faults, "traffic: %s", faults)
    files = sorted(glob.glob(stack.log_path + "*"))
    equal((len(files), sum(name.endswith(".gz") for name in files)), (4, 2), "files: %s" % files)
    got = kit.report(stack, "-c", stack.conf_path, "--since", "1h")
    equal((got["decisions"], got["broken"], got["lost"]), (lines_before + sum(counts), 0, 0), "decisions over all files, after %s" % counts)
    await_true(lambda: len(follower.output().splitlines()) >= sum(counts), 15, "tail to print all lines")
    equal(len(follower.output().splitlines()), sum(counts), "lines of tail")
    follower.stop()
    oldest = sorted(files, key=os.path.getmtime)[0]
    first = subprocess.run(["zcat", oldest], capture_output=True, text=True).stdout.splitlines()[0]
    run = kit.cli(stack, "find", "-c", stack.conf_path, "--json", json.loads(first)["id"])
    equal(run.out.strip(), first, "find in a packed file")


def case_scan_progress(stack):
    names = []
    for i in range(40):
        path = stack.dir.write("big%d" % i, samples.noise(4000000, i))
        names.append(path)
    terminal = Terminal([stack.cli_path, "scan", "-c", stack.conf_path] + names)
    equal(terminal.finish(120), 0, "exit status")
    check(re.search(rb"\r\x1b\[K.*\d+ %  .* of 160 MB", terminal.seen), "no bar: %r", terminal.seen[:500])
    shown = [part for part in re.sub(rb"\r\x1b\[K[^\r]*(?=\r\x1b\[K)", b"", terminal.seen).replace(b"\r\x1b[K", b"").split(b"\r\n") if part]
    equal(shown, [name.encode() + b": clean" for name in names], "the lines between the bars")
    run = kit.cli(stack, "scan", "-c", stack.conf_path, *names[:10])
    equal(run.err, "", "stderr that is no terminal")


def case_privacy():
    with Stack({"log.urls": "path", "log.hash_key": KEY}, name="private") as stack:
        with stack.client() as client:
            for i in range(6):
                send(client, "clean", i)
        rows = await_true(lambda: len(stack.log_lines()) >= 6 and stack.log_lines(), 10, "six lines")
        text = open(stack.log_path).read()
        check("secret" not in text and "?" not in text and "/file3" in text, "queries: %s", text[:300])
        check("192.0.2" not in text and "user1" not in text, "clients or users: %s", text[:300])
        equal((len({row["client"] for row in rows}), len({row["user"] for row in rows})), (5, 3), "pseudonyms")
        run = kit.cli(stack, "tail", "-c", stack.conf_path, "--no-wait", "--json", "--client", "192.0.2.1")
        equal([json.loads(r)["url"] for r in run.out.splitlines()], ["http://www0.example.test/file0", "http://www1.example.test/file5"], "by client")
        run = kit.cli(stack, "tail", "-c", stack.conf_path, "--no-wait", "--json", "--user", "user2")
        equal(len(run.out.splitlines()), 2, "by user")
    with Stack({"log.urls": "host", "log.hash_key": "secret"}, name="badkey", start=False) as stack:
        run = kit.cli(stack, "check", "-c", stack.conf_path)
        check(run.returncode == 2 and "hash_key" in run.err + run.out, "a key that is none: %d %s", run.returncode, run.err)


def case_bounded():
    """So many lines a second: what is more is lost, and the log says how many."""
    with Stack({"log.max_rate": 7}, directives={"StartServers": 1, "MaxServers": 1}, name="bounded") as stack:
        n = 0
        with stack.client() as client:
            for n in range(1, 201):
                send(client, "none", n)

            def is_all_told():
                nonlocal n
                rows = stack.log_lines()
                if sum(row.get("lost", 1) for row in rows) == n:
                    return rows
                time.sleep(0.4)
                send(client, "none", n)
                n += 1
                return None
            rows = await_true(is_all_told, 30, "lines and lost ones to be as many as were sent")
        check(any("lost" in row for row in rows), "nothing was lost at 7 a second")
        equal(kit.report(stack, "-c", stack.conf_path)["lost"], sum(row.get("lost", 0) for row in rows), "report")
        equal(stack.counter("log_lost") if "log_lost" in stack.cli("status", "-c", stack.conf_path, "--json").stdout else None,
              sum(row.get("lost", 0) for row in rows), "the counter")
    with Stack({"log.max_size": "4K"}, directives={"StartServers": 1, "MaxServers": 1}, name="small") as stack:
        with stack.client() as client:
            end = time.monotonic() + 10
            while os.path.getsize(stack.log_path) < 4096 and time.monotonic() < end:
                send(client, "none", 1)
            time.sleep(1.1)
            send(client, "none", 2)  # sees it
            size = os.path.getsize(stack.log_path)
            for i in range(20):
                send(client, "none", i)
            equal(os.path.getsize(stack.log_path), size, "a full log")
            os.rename(stack.log_path, stack.log_path + ".1")
            time.sleep(1.1)
            send(client, "none", 3)
            rows = await_true(lambda: os.path.exists(stack.log_path) and stack.log_lines(), 5, "lines after the rotation")
            check(rows[0].get("lost", 0) >= 20, "the new file begins with %s", rows[0])


def case_squid(stack):
    """The lines of etc/squid/sallyport.conf that put the id into access.log, in the real Squid."""
    with open(os.path.join(SRCDIR, "etc", "squid", "sallyport.conf")) as f:
        text = f.read()
    form = re.search(r"^#\s*(logformat sallyport .*)$", text, re.M)
    check(form, "etc/squid/sallyport.conf has no logformat")
    origin = Origin()
    virus = samples.eicar()
    origin.add("/clean", b"clean")
    origin.add("/virus", virus)
    try:
        squid = Squid(icap_port=stack.port, tls="none", extra=[form.group(1)])
        log = squid.dir.join("ids.log")
        squid.extra.append("access_log stdio:%s sallyport" % log)
        with squid:
            before = len(stack.log_lines())
            for path in ("/clean", "/virus"):
                subprocess.run(["curl", "-s", "-o", "/dev/null", "-x", "http://127.0.0.1:%d" % squid.port, origin.url(path)], timeout=30)
            subprocess.run(["curl", "-s", "-o", "/dev/null", "-p", "-x", "http://127.0.0.1:%d" % squid.port, "--proxy-header", "SSTPVERSION: 1.0",
                            "https://vpn.example.test/"], timeout=30)
            rows = await_true(lambda: os.path.exists(log) and len(open(log).read().splitlines()) >= 3 and open(log).read().splitlines(), 10,
                              "three lines in Squid's log")
            decisions = stack.log_lines()[before:]
        for word, outcome in (("/clean", "clean"), ("/virus", "infected"), ("CONNECT", "rule")):
            row = next(row for row in rows if word in row)
            ident = row.split()[-1]
            want = [d["id"] for d in decisions if d["outcome"] == outcome]
            if outcome == "clean":
                check(ident in ("-", *want), "the id of what passed: %s", row)
            else:
                equal([ident], want, "the id in Squid's line: %s" % row)
    finally:
        origin.stop()


def run(suite):
    shared = [("load", case_load), ("fields", case_fields), ("injection", case_injection), ("logrotate", case_logrotate),
              ("scan-progress", case_scan_progress), ("squid-id", case_squid)]
    own = [("privacy", case_privacy), ("bounded", case_bounded)]
    if suite.list_only or suite.wants_any([name for name, _ in shared]):
        if suite.list_only:
            for name, function in shared:
                suite.run(name, function)
        else:
            with Stack(name="logs") as stack:
                for name, function in shared:
                    if name == "fields" and suite.wants(name) and not suite.wants("load"):
                        case_load(stack)
                    if name == "logrotate" and not shutil.which("logrotate", path="/usr/sbin:/usr/bin"):
                        print("skipped logrotate: there is no logrotate")
                        continue
                    suite.run(name, function, stack)
    for name, function in own:
        suite.run(name, function)
