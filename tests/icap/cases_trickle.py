"""Replies that begin before their verdict: how much goes out, what is cut, what arrives whole, what never begins early."""

import time

import icap
import samples
from common import expect_block, expect_log, expect_same
from icap import without_via
from report import await_true, check, equal

OPTIONS = {"hold_time": "2s", "trickle_rate": 1 << 20, "spool.memory": 65536, "max_object_size": 4 << 20, "remove_alt_svc": True}
HOLD_SECONDS = 2
URL = "http://trickle.example/%s"


def _began(reply):
    return len(reply.body_so_far) > 0


def _send(stack, name, body, fields=(), **how):
    with stack.client() as client:
        return client.respmod(icap.response_head(fields=fields, length=sum(len(p) for p in body if isinstance(p, bytes))), body,
                              icap.request_head(url=URL % name), **how)


def first_bytes_before_the_last(stack):
    """The origin stalls after the first part and goes on only when some of it has arrived: nothing but a trickle gets there."""
    for size in (2, 1000, 60000, 300000):
        text = samples.text(2 * size)
        began = time.monotonic()
        head = icap.response_head(length=len(text))
        with stack.client() as client:
            reply = client.respmod(head, [text[:size], _began, text[size:]], icap.request_head(url=URL % "stall"), allow204=True)
        check(time.monotonic() - began >= HOLD_SECONDS, "the reply began before hold_time")
        equal(reply.status, 200, "ICAP status")
        equal(without_via(reply.head), head, "head")
        expect_same(reply.body, text)
        expect_log(stack, [r for r in stack.log_lines() if r["bytes"] == len(text)][-1]["id"], outcome="clean")


def half_at_most(stack):
    """Whatever the rate, half of what has arrived stays here until the verdict."""
    text = samples.text(40000)
    most, pauses, pauses_done = [], 100, []

    def pause():
        """Long enough for thousands of bytes; then the next one lets the module look again."""
        until = []

        def is_over(reply):
            most.append(len(reply.body_so_far))
            if not until:
                until.append(time.monotonic() + (0.05 if len(pauses_done) < 9 or max(most) <= 15000 else 0))
                pauses_done.append(1)
            return time.monotonic() > until[0]
        return is_over
    reply = _send(stack, "half", [text, _began] + [piece for _ in range(pauses) for piece in (b".", pause())])
    check(15000 < max(most) <= (len(text) + pauses) / 2, "%d of 40000 bytes went out before the verdict", max(most))
    expect_same(reply.body, text + b"." * pauses)


def infected_is_cut(stack):
    """The client gets some of it and sees that it is incomplete."""
    eicar = samples.eicar()
    got = []

    def gate(reply):
        got.append(reply)
        return _began(reply)
    before = stack.counter("cut")
    try:
        reply = _send(stack, "cut", [eicar[:40], gate, eicar[40:]])
        check(False, "the transfer ended as if it were complete: %r", reply.body)
    except icap.Closed:
        pass
    check(1 <= len(got[-1].body_so_far) <= 34, "%d bytes of an infected object went out", len(got[-1].body_so_far))
    row = stack.await_log(url=URL % "cut")
    equal((row["outcome"], row["action"]), ("infected", "block"), "log line")
    await_true(lambda: stack.counter("cut") == before + 1, 5, "the counter `cut'")


def infected_in_time_has_a_page(stack):
    expect_block(_send(stack, "page", [samples.eicar()]), "infected")


def head_is_edited(stack):
    """What a reply loses, it loses when it trickles too."""
    text = samples.text(5000)
    reply = _send(stack, "edit", [text, _began, text], fields=['Alt-Svc: h3=":443"'])
    equal(reply.http_get("Alt-Svc"), None, "Alt-Svc")
    expect_same(reply.body, text + text)


def uploads_wait(stack):
    """What goes out to a server does not begin before its verdict."""
    text = samples.text(5000)
    waited = []

    def late(reply):
        waited.append(time.monotonic())
        check(not _began(reply) and reply.head is None, "an upload began early")
        return waited[-1] - waited[0] > 2 * HOLD_SECONDS
    head = icap.request_head("POST", url=URL % "up", length=2 * len(text))
    with stack.client() as client:
        expect_same(client.reqmod(head, [text, late, text]).body, text + text)
        check(len(waited) > 1, "nobody looked")


def too_large_flows(stack):
    """It trickles, turns out to be too large, and all of it flows."""
    text = samples.text(6 << 20)
    reply = _send(stack, "large", [text[:3 << 20], _began, text[3 << 20:]])
    expect_same(reply.body, text)
    expect_log(stack, stack.await_log(url=URL % "large")["id"], outcome="oversize", action="allow")


def client_leaves(stack):
    """In mid-trickle: logged, and the thread is free again."""
    text = samples.text(50000)

    class Left(Exception):
        pass

    def leave(reply):
        if _began(reply):
            raise Left
    try:
        _send(stack, "leave", [text, leave, text])
    except Left:
        pass
    equal(stack.await_log(url=URL % "leave")["outcome"], "gone", "outcome")


def cases(stack):
    return [("trickle-" + name, function, stack) for name, function in (
        ("first-bytes-before-the-last", first_bytes_before_the_last), ("half-at-most", half_at_most), ("infected-is-cut", infected_is_cut),
        ("infected-in-time-has-a-page", infected_in_time_has_a_page), ("head-is-edited", head_is_edited), ("uploads-wait", uploads_wait),
        ("too-large-flows", too_large_flows), ("client-leaves", client_leaves))]
