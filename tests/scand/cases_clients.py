"""Who may ask, and what a client that means harm can do: nothing but lose its turn."""
import os
import subprocess
import time

from cases import *  # noqa: F401,F403

ASK = """
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.settimeout(90)
s.connect(sys.argv[1])
try:
    s.send(bytes.fromhex(sys.argv[2]))
    print(s.recv(4096).hex())
except ConnectionError as e:
    print(type(e).__name__)
"""
DAEMON, BIN = 1, 2  # users that every Debian has


def ask_as(d, uid, gid, groups=()):
    """What a process of that user gets for a ping: its Reply, or the name of an exception. And its process id."""
    p = subprocess.Popen(["/usr/bin/env", "python3", "-c", ASK, d.socket_path, request(kind=PING).hex()], stdout=subprocess.PIPE, text=True,
                         user=uid, group=gid, extra_groups=list(groups), cwd="/")
    out = p.communicate(timeout=PATIENCE)[0].strip()
    try:
        return Reply(bytes.fromhex(out)), p.pid
    except ValueError:
        return out, p.pid


def opened(t, scan=""):
    """A daemon of the user nobody, whose socket somebody has opened to all."""
    import pwd
    d = t.scand("workers = 1; max_workers = 1; " + scan, user=NOBODY)
    os.chmod(d.socket_path, 0o666)
    return d, pwd.getpwnam(NOBODY)


@case
def wrong_user_is_refused(t):
    if os.geteuid() != 0:
        return "not root"
    d, nobody = opened(t)
    start = time.monotonic()
    for _ in range(20):  # before it has sent, or after: refused all the same
        reply, pid = ask_as(d, DAEMON, DAEMON)
        if isinstance(reply, Reply):
            verdict(reply, ERROR)
            assert "user 1 may not ask" in reply.detail and reply.engine_id == 0, reply
        else:
            assert reply in ("BrokenPipeError", "ConnectionResetError"), reply
    lines = [line for line in d.log().splitlines() if "warn: refused: not one of scan.clients, from process " in line]
    assert 1 <= len(lines) <= 2 + time.monotonic() - start and " of user 1" in lines[0], lines
    for uid, gid, groups in ((0, 0, ()), (nobody.pw_uid, 7, ()), (DAEMON, nobody.pw_gid, ()), (DAEMON, DAEMON, (7, nobody.pw_gid))):
        verdict(ask_as(d, uid, gid, groups)[0], CLEAN)
    expect(d.board().crashed, 0)


@case
def listed_users_may_ask(t):
    if os.geteuid() != 0:
        return "not root"
    d, nobody = opened(t, 'clients = [ "daemon" ];')
    for uid, want in ((0, CLEAN), (nobody.pw_uid, CLEAN), (DAEMON, CLEAN), (BIN, None)):
        reply, _ = ask_as(d, uid, nobody.pw_gid)  # the group does not count any more
        if want:
            verdict(reply, want)
        else:
            assert not isinstance(reply, Reply) or reply.verdict == ERROR, reply
    d.configure('workers = 1; max_workers = 1; clients = [ "no-such-user" ];')
    d.process.send_signal(1)
    d.until(lambda: d.board().refused == 1, "not refused")
    assert "no-such-user" in d.board().last_error
    verdict(ask_as(d, DAEMON, DAEMON)[0], CLEAN)
    expect(d.stop(), 0)
    d.start(wait=False)
    expect(d.process.wait(PATIENCE), 1)


@case
def silent_clients_lose_their_turn(t):
    d = t.scand("workers = 1; max_workers = 1;")
    (pid,) = [w[0] for w in d.workers()]
    start, silent = time.monotonic(), [d.connect() for _ in range(100)]
    verdict(d.ping(), CLEAN)  # behind all of them
    waited = time.monotonic() - start
    assert 0.4 < waited < 45, "waited %.1f s behind 100 silent clients" % waited  # half a second for each would be 50
    for s in silent:
        expect(s.recv(100), b"")
        s.close()
    (line,) = [line for line in d.log().splitlines() if "warn: refused: a client that connected and sent nothing" in line][:1]
    assert "process %d of user %d" % (os.getpid(), os.geteuid()) in line, line
    start = time.monotonic()
    with d.connect():  # one that has sent since has the others be waited for as before
        verdict(d.ping(), CLEAN)
        assert time.monotonic() - start > 0.4
    expect([w[0] for w in d.workers()], [pid])
    verdict(d.scan(EICAR), INFECTED)


@case
def malformed_ones_are_named(t):
    d = t.scand("workers = 1; max_workers = 1;")
    expect(d.raw(b"x"), b"")
    (line,) = [line for line in d.log().splitlines() if "warn: refused: " in line]
    assert "process %d of user %d" % (os.getpid(), os.geteuid()) in line, line


@case
def who_waits_is_sent_away_at_once(t):
    """When scand is told to stop, who has not been taken learns it now, and not when the scans under way have ended."""
    d = t.scand("workers = 1; max_workers = 1;")
    running = InBackground(d.scan, slow_body(40))
    d.until(lambda: d.busy(), "not busy")
    with d.connect() as waiting:
        waiting.send(request(kind=PING))
        d.process.terminate()
        try:
            expect(waiting.recv(4096), None, "an answer")
        except ConnectionResetError:  # nobody has read it
            pass
        assert running.is_alive(), "only after the scan"
    verdict(running.result(), CLEAN)
    expect(d.process.wait(PATIENCE), 0)
