"""Markdown pages as the test sees them: fenced blocks with their line, links, and code in the text."""

import os
import re

FENCE = re.compile(r"^( *)```(.*)$")


class Block:
    """words: what stands behind the fence. text: the lines. after: the block right before it, with no text between, or None."""

    def __init__(self, page, line, words, after):
        self.page, self.line, self.words, self.after = page, line, words, after
        self.lines = []

    @property
    def name(self):
        return "%s:%d" % (self.page, self.line)

    @property
    def text(self):
        return "\n".join(self.lines) + "\n"


class Page:
    def __init__(self, top, path):
        self.path = path
        self.dir = os.path.join(top, os.path.dirname(path))
        with open(os.path.join(top, path), encoding="utf-8") as f:
            self.lines = f.read().split("\n")
        self.blocks, self.plain = [], []  # plain: (line number, text) outside of blocks
        self._split()

    def _split(self):
        block, last_end = None, -1
        for number, line in enumerate(self.lines, 1):
            fence = FENCE.match(line)
            if fence and block is None:
                words = fence.group(2).split()
                block = Block(self.path, number, words, self.blocks[-1] if self.blocks and last_end == number - 1 else None)
            elif fence:
                self.blocks.append(block)
                block, last_end = None, number
            elif block is not None:
                block.lines.append(line)
            else:
                self.plain.append((number, line))
        if block is not None:
            raise ValueError("%s: the block of line %d has no end" % (self.path, block.line))

    def headings(self):
        """The anchors that a browser of the repository makes of the headings."""
        found = set()
        for _, line in self.plain:
            match = re.match(r"#{1,6} +(.*)$", line)
            if match:
                words = re.sub(r"[`*]", "", match.group(1)).strip().lower()
                found.add(re.sub(r" ", "-", re.sub(r"[^\w\- ]", "", words)))
        return found

    def links(self):
        for number, line in self.plain:
            for target in re.findall(r"\]\(([^)\s]+)\)", line):
                yield number, target

    def code(self):
        """`words` in the text."""
        for number, line in self.plain:
            for words in re.findall(r"`([^`]+)`", line):
                yield number, words


def matches(wanted, got):
    """Each line of wanted comes in got, in this order. "..." stands for anything in a line, alone for any lines."""
    rest = iter(got.split("\n"))
    for line in wanted.rstrip("\n").split("\n"):
        if line == "...":
            continue
        pattern = re.compile(".*".join(re.escape(part) for part in line.split("...")) + r"\s*$")
        if not any(pattern.match(other) for other in rest):
            return line
    return None
