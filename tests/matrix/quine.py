"""A gzip file that unpacks to itself, so that whoever unpacks until nothing is left to unpack never ends.

The idea is R. Cox's ("Zip Files All The Way Down"): a program of two instructions, "print these n bytes" (a stored block) and "print
the last n bytes again" (a block with two matches), both of five bytes, that prints itself. The checksum is part of what is
printed; as CRC-32 is linear, the one that fits is the solution of 32 equations."""

import struct
import zlib

UNIT = 5
LITERAL_CODE = {n: 257 + n - 3 for n in range(3, 11)}  # lengths without extra bits (RFC 1951 3.2.5)


class Bits:
    def __init__(self):
        self.bits = []

    def number(self, value, n):
        self.bits += [value >> i & 1 for i in range(n)]

    def huffman(self, code, n):
        self.bits += [code >> i & 1 for i in reversed(range(n))]

    def bytes(self):
        return bytes(sum(b << i for i, b in enumerate(self.bits[at:at + 8])) for at in range(0, len(self.bits), 8))


def literal(n):
    """Header of a stored block of n bytes."""
    return struct.pack("<BHH", 0, n, n ^ 0xFFFF)


def repeat(n):
    """A block of fixed codes that copies the last n bytes, n from 17 to 20: two matches at distance n."""
    out = Bits()
    out.number(0, 1)
    out.number(1, 2)
    for length in (10, n - 10):
        out.huffman(LITERAL_CODE[length] - 256, 7)
        out.huffman(8, 5)           # distances 17 to 24 ...
        out.number(n - 17, 3)       # ... which of them
    out.huffman(0, 7)
    assert len(out.bits) == 8 * UNIT
    return out.bytes()


def _file(name, crc, size):
    prefix = b"\x1f\x8b\x08\x08\0\0\0\0\0\x03" + name + b"\0"
    suffix = b"\x01\0\0\xff\xff" + struct.pack("<II", crc, size)
    lp, rp = literal(len(prefix) + UNIT), repeat(len(prefix) + UNIT)
    ls, rs = literal(len(suffix) + UNIT), repeat(len(suffix) + UNIT)
    l0, l1, l4, r4 = literal(0), literal(UNIT), literal(4 * UNIT), repeat(4 * UNIT)
    return b"".join([prefix, lp, prefix, lp, rp, l1, rp, l1, l1, l4, rp, l1, l1, l4, r4, l4, r4, l4, r4, l4, r4, l4, r4, l0, l0, ls,
                     r4, l0, l0, ls, rs, suffix, rs, suffix])


def _fixed_point(function, bits=32):
    """x with function(x) == x for a function that is linear but for a constant, or None."""
    constant = function(0)
    rows = []  # (columns of the unknowns in each equation, right side)
    columns = [function(1 << i) ^ constant ^ (1 << i) for i in range(bits)]
    for row in range(bits):
        rows.append([sum((columns[i] >> row & 1) << i for i in range(bits)), constant >> row & 1])
    for i in range(bits):
        pivot = next((k for k in range(i, bits) if rows[k][0] >> i & 1), None)
        if pivot is None:
            return None
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for k in range(bits):
            if k != i and rows[k][0] >> i & 1:
                rows[k] = [rows[k][0] ^ rows[i][0], rows[k][1] ^ rows[i][1]]
    return sum(rows[i][1] << i for i in range(bits))


def gzip_quine():
    for number in range(1000):
        name = b"q%03d" % number
        size = len(_file(name, 0, 0))
        crc = _fixed_point(lambda x, name=name, size=size: zlib.crc32(_file(name, x, size)))
        if crc is not None:
            made = _file(name, crc, size)
            assert zlib.decompress(made, 31) == made
            return made
    raise AssertionError("no name gave a solution")
