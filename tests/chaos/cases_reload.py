"""Signatures and rules that change under load: good ones, bad ones, many at once."""

import os
import shutil
import signal
import statistics
import time

import gate
import icap
import memory
import samples
from load import CONNECTIONS, Load
from report import await_true, check, equal

GROWTH_KIB = 16 * 1024  # of the scanner, after any number of reloads
FRESH = b"Sallyport fresh marker"


def _reload(stack):
    os.kill(stack.scand.pid, signal.SIGHUP)


def _pss(stack):
    return sum(memory.pss_kib(pid) for pid in gate.scanner_pids(stack))


def reloads_in_a_row(sizes):
    """Each is begun when the one before has taken over. Memory is back to one engine afterwards."""
    with gate.gate("reloads", signatures=sizes.signatures) as stack:
        with Load(stack, "before") as load:
            load.rest(4)
            before, peak, times = _pss(stack), 0, []
            load.begin("%d reloads in a row" % sizes.reloads)
            for _ in range(sizes.reloads):
                number, began = gate.generation(stack), time.monotonic()
                _reload(stack)
                while gate.generation(stack) == number:
                    peak = max(peak, _pss(stack))
                    check(time.monotonic() - began < 60, "a reload takes more than a minute")
                times.append(time.monotonic() - began)
            load.begin("after")
            load.rest(4)
        print("# p99 while loading / before: %.2f; a reload takes %.0f ms; memory of the scanner %d KiB before, %d at most" % (
            load.phases[1].percentile(0.99) / max(0.001, load.phases[0].percentile(0.99)), 1000 * statistics.median(times), before, peak))
        load.check_none_failed()
        await_true(lambda: _pss(stack) < before + GROWTH_KIB, 10, "memory to be back to one engine")
        print("# memory afterwards %d KiB" % _pss(stack))
        gate.check_nothing_left(stack)


def p99_while_loading(sizes):
    """One connection that does not use up the machine: what people notice of a reload."""
    with gate.gate("p99", signatures=3 * sizes.signatures) as stack:
        with Load(stack, "one connection, nothing loads", 1, 0.002) as load:
            load.rest(5)
            load.begin("one connection, an engine loads")
            for _ in range(3):
                number = gate.generation(stack)
                _reload(stack)
                await_true(lambda: gate.generation(stack) > number, 60, "the new generation", 0.2)
        load.check_none_failed()
        before, loading = (p.percentile(0.99) for p in load.phases)
        print("# p99 while loading / before: %.2f" % (loading / before))


def _refusal(stack, refused, what):
    _reload(stack)
    await_true(lambda: gate.board(stack)["refused"] > refused, 30, "a refusal of %s" % what, 0.05)
    return gate.board(stack)


def _bad_databases(stack):
    """(what, function that makes it bad)"""
    path = gate.database(stack)
    compressed = samples.noise(60000, 11)

    def empty_folder():
        for name in os.listdir(path):
            os.unlink(os.path.join(path, name))

    def write(name, content):
        return lambda: stack.dir.write(os.path.join("db", name), content)

    def cut():
        with open(os.path.join(path, "others.hsb"), "r+b") as f:
            f.truncate(os.path.getsize(f.name) // 3 - 20)

    def unreadable():
        os.chmod(os.path.join(path, "others.hsb"), 0)

    return [
        ("a broken database", write("bad.ndb", "this is no signature\n")), ("a truncated database", cut),
        ("an update cut short", write("daily.cvd", b"ClamAV-VDB:01 Jan 2026 00-00 +0000:1:1:90:x:x:builder:1\n".ljust(512) + compressed)),
        ("an unreadable database", unreadable), ("an emptied folder", empty_folder),
    ]


def bad_databases(sizes):
    """Refused, and the old signatures serve on; mended, it is taken."""
    with gate.gate("bad", signatures=1000) as stack:
        with Load(stack, "reloads of bad databases") as load:
            for what, spoil in _bad_databases(stack):
                before = gate.board(stack)
                spoil()
                if what == "an unreadable database" and stack.dir.user is None:
                    continue
                now = _refusal(stack, before["refused"], what)
                equal(now["generation"], before["generation"], "generation after %s" % what)
                check(now["last_error"], "%s: nobody says why", what)
                print("# %s: %s" % (what, now["last_error"].replace(stack.dir.path, "")))
                load.rest(0.5)
                shutil.rmtree(gate.database(stack))
                stack.dir.mkdir("db")
                gate.write_signatures(stack, 1000)
                _reload(stack)
                gate.await_generation(stack, before["generation"] + 1)
                load.check_answers()
        load.check_none_failed()
        gate.check_nothing_left(stack)


def empty_file(sizes):
    """A database without a line is one signature fewer, not a fault."""
    with gate.gate("empty", signatures=1000) as stack:
        with Load(stack, "an empty file in the folder") as load:
            def loads():
                now = gate.board(stack)
                return now["generation"] + now["refused"]
            stack.dir.write("db/empty.ndb", b"")
            before = loads()
            _reload(stack)
            await_true(lambda: loads() > before, 30, "an answer to an empty file", 0.05)
            load.rest(1)
        load.check_none_failed()


def _is_found(stack, body):
    with stack.client() as client:
        return client.respmod(icap.response_head(), body, allow204=True).http_status == 403


def folder_replaced(sizes):
    """The folder of databases is moved away and another put in its place: the next reload takes the new one."""
    with gate.gate("replaced", signatures=1000) as stack:
        with Load(stack, "folder of databases replaced") as load:
            for i in range(sizes.rounds):
                check(_is_found(stack, FRESH + b"%d" % i) is False, "signature %d is known before it is there", i)
                path = gate.database(stack)
                os.rename(path, path + ".old%d" % i)
                stack.dir.mkdir("db")
                gate.write_signatures(stack, 1000)
                stack.dir.write("db/fresh.ndb", "Sallyport.Test.Fresh:0:*:%s\n" % (FRESH + b"%d" % i).hex())
                number = gate.generation(stack)
                _reload(stack)
                gate.await_generation(stack, number + 1)
                await_true(lambda: _is_found(stack, FRESH + b"%d" % i), 10, "the new signature to be enforced")
                load.check_answers()
        load.check_none_failed()
        gate.check_nothing_left(stack)


def reload_during_reload(sizes):
    """Many requests at once, while one loads: the last state of the files is what serves in the end."""
    with gate.gate("during", signatures=sizes.signatures) as stack:
        with Load(stack, "reloads while a reload runs") as load:
            for i in range(sizes.rounds):
                stack.dir.write("db/fresh.ndb", "Sallyport.Test.Fresh:0:*:%s\n" % (FRESH + b" of round %d" % i).hex())
                for _ in range(20):
                    _reload(stack)
                    time.sleep(0.01)
                await_true(lambda: _is_found(stack, FRESH + b" of round %d" % i), 60, "the last state to serve", 0.05)
                load.check_answers()
        load.check_none_failed()
        await_true(lambda: len(gate.generation_pids(stack)) == 1, 10, "old generations to leave")
        gate.check_nothing_left(stack)


def rules_and_signatures(sizes):
    """Both change at the same time, again and again, while workers die."""
    with gate.gate("storm", signatures=2000) as stack:
        with Load(stack, "rules and signatures change, workers die", CONNECTIONS) as load:
            end, i = time.monotonic() + sizes.kill_seconds, 0
            while time.monotonic() < end:
                i += 1
                stack.write_conf(outcomes__encrypted="block" if i % 2 else "allow")
                _reload(stack)
                load.rest(0.3)
                workers = stack.workers()
                if workers:
                    _kill(workers[i % len(workers)])
                load.settle()
                load.rest(0.3)
        load.check_none_failed()
        gate.check_nothing_left(stack)


def _kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


CASES = [
    ("reload-in-a-row", reloads_in_a_row), ("reload-p99", p99_while_loading), ("reload-bad-databases", bad_databases),
    ("reload-empty-file", empty_file), ("reload-folder-replaced", folder_replaced), ("reload-during-reload", reload_during_reload),
    ("reload-storm", rules_and_signatures),
]
