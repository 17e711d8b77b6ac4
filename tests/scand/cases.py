"""What every file of cases uses: the list of cases, checks that tell what they saw, daemons that are removed."""
import os

from scandlib import *  # noqa: F401,F403

BINARY = os.path.join(os.environ.get("BUILDDIR") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."), "sallyport-scand")
NOBODY = "nobody"
CASES = []


def case(function):
    CASES.append(function)
    return function


def expect(got, want, what=""):
    assert got == want, "%s%r, not %r" % (what + ": " if what else "", got, want)


def verdict(reply, want, detail=None):
    assert reply is not None, "no reply"
    assert reply.verdict == want, "%r, not %s" % (reply, VERDICTS[want])
    if detail is not None:
        expect(reply.signature if want == INFECTED else reply.detail, detail)


def ndb(name, text):
    return "%s:0:*:%s\n" % (name, text.hex())


class Suite:
    """Makes daemons for a case and removes them after it."""

    def __init__(self, root):
        self.root, self.made = root, []

    def scand(self, *args, **kw):
        d = Scand(BINARY, self.root, *args, **kw)
        self.made.append(d)
        return d

    def cleanup(self):
        for d in self.made:
            d.cleanup()
        self.made = []
