"""Archives that unpack to very much more than they are. Ten gigabytes are never made here: a deflate stream that is flushed
fully can be repeated, and so can a block of bzip2."""
import bz2
import struct
import zlib

PIECE = 16 << 20
TEN_GB = 10 << 30


def _piece():
    z = zlib.compressobj(9, zlib.DEFLATED, -15)
    return z.compress(b"\0" * PIECE) + z.flush(zlib.Z_FULL_FLUSH)


ZEROS = _piece()


def deflated(total, start=b""):
    """A raw deflate stream: start, as it is, and then so many zeros (a multiple of 16 MB)."""
    first = struct.pack("<BHH", 0, len(start), len(start) ^ 0xffff) + start if start else b""
    return first + ZEROS * (total // PIECE) + zlib.compressobj(9, zlib.DEFLATED, -15).flush()


def gzipped(total):
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + deflated(total) + struct.pack("<II", 0, total & 0xffffffff)


def bzipped(total):
    return bz2.compress(b"\0" * PIECE) * (total // PIECE)


def zip_of(members, method=8):
    """Members are name, packed bytes, size unpacked. Sums are left out: who looks at them has unpacked already."""
    out, index = b"", b""
    for name, packed, size in members:
        size = min(size, 0xfffffffe)
        fixed = struct.pack("<HHHHHIIIHH", 20, 0, method, 0, 0x21, 0, len(packed), size, len(name), 0)
        index += b"PK\1\2" + struct.pack("<H", 20) + fixed + struct.pack("<HHHII", 0, 0, 0, 0, len(out)) + name
        out += b"PK\3\4" + fixed + name + packed
    return out + index + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(index), len(out), 0)


def stored(data):
    """As a deflate stream, without a search for repetitions."""
    z = zlib.compressobj(1, zlib.DEFLATED, -15)
    return z.compress(data) + z.flush()


def flat_zip():
    return zip_of([(b"zeros", deflated(TEN_GB), TEN_GB)])


def wide_zip():
    """Each member is below every limit for a single file, all together are not."""
    return zip_of([(b"m%d" % i, deflated(160 << 20, b"%d" % i), 160 << 20) for i in range(64)])


def nested_zip(depth=4, width=5):
    """width^depth files of 16 MB, 10 GB in all; no two of them are alike, or the engine would know them."""
    def make(level, path):
        if level == 0:
            return deflated(PIECE, path), PIECE + len(path)
        members = [(b"n%d" % i,) + make(level - 1, path + b"%d" % i) for i in range(width)]
        inner = zip_of(members)
        return stored(inner), len(inner)
    return zip_of([(b"top",) + make(depth, b"")])
