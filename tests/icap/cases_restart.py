"""The scanner is restarted under load: nobody notices, but for a wait. And when it does not come back, that is told in time."""

import json
import os
import threading
import time

import icap
import samples
from common import Load, expect_block, expect_clean, expect_log
from report import await_true, check, equal

HEAD = icap.response_head()
RESTARTS = 5
START_WAIT = 60  # seconds; nothing here may wait longer
OPTIONS = {"cache.size": 0, "scan.start_wait": "%ds" % START_WAIT, "scan.queue_timeout": "30s"}
GONE = {"cache.size": 0, "scan.start_wait": "3s", "scan.queue_timeout": "60s"}
GONE_SECONDS = 3


class SmallBodies(Load):
    """Clean and infected in turn; each answer is checked."""

    def __init__(self, stack):
        super().__init__(stack, 2 * START_WAIT)

    def transact(self, client, connection, n):
        if n % 2 == 0:
            reply = client.respmod(HEAD, samples.infected(900 + n % 50))
            expect_block(reply, "infected")
            return reply
        body = samples.text(500) + b"%d %d" % (connection, n)
        reply = client.respmod(HEAD, body)
        expect_clean(reply, HEAD, body, False)
        return reply


def restarts(stack):
    counted = stack.counter("scan_retries")
    with SmallBodies(stack) as load:
        for _ in range(RESTARTS):
            load.await_more(50)
            stack.stop_scand()
            time.sleep(0.3)  # as long as there is nobody, everybody waits
            stack.start_scand()
        load.await_more(50)
    equal(load.faults, [], "transactions that failed")
    longest = max(load.seconds)
    print("# %d transactions over %d restarts, the longest %.2f s" % (len(load.seconds), RESTARTS, longest), flush=True)
    check(longest < START_WAIT, "one took %.1f s", longest)
    equal(stack.counter("scan_retries"), counted, "scans that were counted as a worker's death")


def restart_finishes_what_is_held(stack):
    """A long scan ends with its answer, though its scanner was told to stop; the others wait for the next one."""
    slow, answers = samples.slow(60, samples.eicar()), []

    def ask():
        with stack.client(timeout=2 * START_WAIT) as client:
            answers.append(client.respmod(HEAD, slow))
    asking = threading.Thread(target=ask, daemon=True)
    with SmallBodies(stack) as load:
        load.await_more(50)
        asking.start()
        time.sleep(0.4)
        began = time.monotonic()
        stack.stop_scand()
        stack.start_scand()
        took = time.monotonic() - began
        load.await_more(50)
        asking.join(START_WAIT)
    equal(load.faults, [], "transactions that failed")
    check(answers, "no answer to the long scan")
    expect_block(answers[0], "infected")
    check(max(load.seconds) < took + 20, "one took %.1f s, the restart %.1f s", max(load.seconds), took)


def gone_for_good(stack):
    """The first ones wait for start_wait, who comes later does not; the log says why. People are told at once."""
    body = samples.text(700)
    with stack.client() as client:
        expect_clean(client.respmod(HEAD, body), HEAD, body, False)
        stack.stop_scand()
        first = client.respmod(HEAD, body)
        ident = expect_block(first, "error")
        expect_log(stack, ident, outcome="error", action="block", reason=lambda r: r and "not reachable" in r)
        check(GONE_SECONDS - 0.1 < first.seconds < 20 * GONE_SECONDS, "the first answer took %.2f s", first.seconds)
    with stack.client() as client:
        later = [client.respmod(HEAD, body) for _ in range(5)]
        for reply in later:
            expect_block(reply, "error")
    waited = sum(r.seconds >= GONE_SECONDS - 0.1 for r in later)  # children wait one by one
    check(waited <= 3, "later answers took %s s", [r.seconds for r in later])
    path = stack.dir.write("clean.txt", b"nothing")
    for words, status in ((["scan", "-c", stack.conf_path, path], 2), (["status", "-c", stack.conf_path, "--json"], 2)):
        began = time.monotonic()
        run = stack.cli(*words)
        equal(run.returncode, status, "exit status of sallyport %s (%s)" % (words[0], run.stdout + run.stderr))
        check(time.monotonic() - began < GONE_SECONDS, "sallyport %s waited for start_wait", words[0])
    check(json.loads(stack.cli("status", "-c", stack.conf_path, "--json").stdout), "no JSON")
    stack.start_scand()
    with stack.client() as client:
        expect_clean(client.respmod(HEAD, body), HEAD, body, False)
        expect_block(client.respmod(HEAD, samples.infected(900)), "infected")


def started_without(stack):
    """c-icap before its scanner: a warning at the start, no wait in the start itself."""
    stack.stop_scand()
    stack.stop_cicap()
    stack.write_conf(scan__start_wait="%ds" % START_WAIT)
    offset = len(stack.cicap.server_log())
    began = time.monotonic()
    stack.start_cicap()
    check(time.monotonic() - began < START_WAIT, "c-icap took %.1f s to start", time.monotonic() - began)
    said = stack.cicap.said()[offset:]
    check("the scanner does not answer on %s" % os.path.join(stack.dir.join("run"), "scan.sock") in said, "no warning in %s", said[-500:])
    stack.start_scand()
    with stack.client() as client:
        expect_block(client.respmod(HEAD, samples.infected(900)), "infected")


def cases(stack):
    return [("restart: five times under load", restarts, stack), ("restart: a long scan is finished", restart_finishes_what_is_held, stack)]


def gone_cases(stack):
    return [("restart: gone for good", gone_for_good, stack), ("restart: started without", started_without, stack)]
