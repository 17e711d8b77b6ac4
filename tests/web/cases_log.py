"""What the page says of a log that is not a file, that has pseudonyms, or that tells of lines that were lost."""

import json

from report import await_true, check, equal

KEY = "00112233445566778899aabbccddeeff"


def conf_with(gate, name, settings, log=None):
    """The gate's configuration with other settings of the log."""
    text = open(gate.stack.conf_path, encoding="utf-8").read()
    check("log: {" in text, "no log in %s", text)
    if log:
        text = text.replace(gate.stack.log_path, log)
    return gate.stack.dir.write(name, text.replace("log: {", "log: { " + settings, 1))


def lost_lines(gate):
    """Word of lost lines is no decision."""
    row = {"time": "2026-11-22T10:00:00.000000Z", "id": "one", "outcome": "rule", "action": "block"}
    lost = {"time": "2026-11-22T10:00:01.000000Z", "reason": "past a limit, or not taken", "lost": 7}
    log = gate.stack.dir.write("lost.log", json.dumps(row) + "\n" + json.dumps(lost) + "\n" + json.dumps(dict(row, id="two")) + "\n")
    with gate.server(conf=conf_with(gate, "lost.conf", "", log)) as server:
        await_true(lambda: [d["id"] for d in server.json("/api/decisions")["decisions"]] == ["two", "one"], 5, "two decisions and nothing else")
        equal(server.json("/api/decisions")["held"], 2, "held")


def elsewhere(gate):
    """Decisions that go to syslog or the journal, or nowhere: said in words; a file that lies there from before is not taken for the log."""
    for to, word in (("syslog", "syslog"), ("journal", "the journal")):
        with gate.server(conf=conf_with(gate, to + ".conf", 'to = "%s";' % to)) as server:
            got = server.json("/api/status")
            said = [p["detail"] for p in got["problems"] if p["what"] == "Decisions cannot be listed here"]
            check(len(said) == 1 and word in said[0] and "journalctl -t sallyport" in said[0], "%s: %s", to, got["problems"])
            equal((got["log"]["on"], got["log"]["to"]), (True, to), "log of the status")
            equal(server.json("/api/decisions")["decisions"], [], "decisions of a log that is elsewhere")
            equal(server.ask("/api/decision/" + gate.ids["eicar"]).status, 404, "one of them")
            equal(server.json("/api/status")["gate"]["totals"]["blocked"], gate.expected["blocked"], "counts")
    with gate.server() as server:
        got = server.json("/api/status")
        equal((got["log"]["on"], got["log"]["to"], got["log"]["hashed"]), (True, "file", False), "log of the status")
        check(not any("listed" in p["what"] for p in got["problems"]), "%s", got["problems"])


def pseudonyms(gate):
    """With log.hash_key a person is found by the real name, although the log does not have it."""
    row = {"time": "2026-11-22T10:00:00.000000Z", "id": "one", "outcome": "rule", "action": "block", "client": "~1", "user": "~2"}
    log = gate.stack.dir.write("hashed.log", "")
    conf = conf_with(gate, "hashed.conf", 'hash_key = "%s";' % KEY, log)
    with gate.server(conf=conf) as server:
        check(server.json("/api/status")["log"]["hashed"], "hashed: %s", server.json("/api/status")["log"])
        with open(log, "a", encoding="utf-8") as f:  # the pseudonym of 192.0.2.1 under that key
            f.write(json.dumps(dict(row, client="~ea781d78e726c279")) + "\n" + json.dumps(dict(row, id="two")) + "\n")
        await_true(lambda: len(server.json("/api/decisions")["decisions"]) == 2, 5, "both")
        equal([d["id"] for d in server.json("/api/decisions?client=192.0.2.1")["decisions"]], ["one"], "by the real address")
        equal(server.json("/api/decisions?client=192.0.2.2")["decisions"], [], "by another one")


CASES = [(f.__name__.replace("_", " "), f) for f in (lost_lines, elsewhere, pseudonyms)]
