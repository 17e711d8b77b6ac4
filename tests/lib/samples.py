"""Bodies for tests. The EICAR test string is put together at run time: no file of the project contains it."""

import gzip
import io
import random
import struct
import zipfile
import zlib


def eicar():
    return (b"X5O!P%@AP[4\\PZX54(P^)7CC)7}" + b"$EICAR-STANDARD-" + b"ANTIVIRUS-TEST-FILE!$H+H*")


def noise(n, seed=1):
    """n bytes of no meaning that do not compress, the same each time."""
    return random.Random("%d/%d" % (n, seed)).randbytes(n)


def text(n, seed=1):
    """n bytes of plain text, the same each time."""
    rng = random.Random("text %d/%d" % (n, seed))
    words = ["gate", "port", "letter", "stone", "river", "lamp", "winter", "harbour", "bridge", "paper", "of", "the", "and", "on"]
    out = io.StringIO()
    while out.tell() < n:
        out.write(rng.choice(words))
        out.write(rng.choice([" ", " ", " ", ", ", ".\n"]))
    return out.getvalue()[:n].encode()


def zipped(members, compress=False):
    """members: (name, bytes) pairs."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED)
    return out.getvalue()


def infected(n):
    """About n bytes that a scanner with an EICAR signature must find, exactly n if that is possible."""
    plain = eicar()
    if n <= len(plain):
        return plain
    overhead = len(zipped([("a.com", plain), ("b.bin", b"")]))
    if n < overhead:
        return zipped([("a.com", plain)])
    return zipped([("b.bin", noise(n - overhead)), ("a.com", plain)])


def slow(megabytes, last=b""):
    """A small archive that keeps an engine busy: megabytes of web pages, with last as its last member. An engine reads very
    roughly 30 MB of these in a second."""
    members = [("%04d.html" % i, b"<html><body>" + text(4096, i) * 256) for i in range(megabytes)]
    return zipped(members + ([("last.com", last)] if last else []), compress=True)


# --- content codings -----------------------------------------------------------------------------------------------

def gzip_(data):
    return gzip.compress(data, mtime=0)


def deflate(data):
    return zlib.compress(data)


def deflate_raw(data):
    coder = zlib.compressobj(wbits=-15)
    return coder.compress(data) + coder.flush()


def brotli(data):
    """A brotli stream (RFC 7932) of uncompressed meta-blocks: the standard library has no encoder."""
    out = bytearray()
    head_bits = 1  # WBITS "0": a window of 64 KiB
    for start in range(0, len(data), 65536):
        piece = data[start:start + 65536]
        # ISLAST 0, MNIBBLES 00 (four), MLEN - 1, ISUNCOMPRESSED 1; then padding up to a byte
        value = ((len(piece) - 1) << 3) | (1 << 19)
        bits = 20 + head_bits
        out += (value << head_bits).to_bytes((bits + 7) // 8, "little") + piece
        head_bits = 0
    out += (3 << head_bits).to_bytes(1, "little")  # ISLAST 1, ISLASTEMPTY 1
    return bytes(out)


def zstd(data):
    """A zstd frame (RFC 8878) of raw blocks, single segment with an 8 byte content size."""
    out = bytearray(b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", len(data)))
    blocks = [data[i:i + 65536] for i in range(0, len(data), 65536)] or [b""]
    for i, piece in enumerate(blocks):
        last = 1 if i == len(blocks) - 1 else 0
        out += struct.pack("<I", (len(piece) << 3) | last)[:3] + piece
    return bytes(out)


# --- archives that nobody can open ---------------------------------------------------------------------------------

def zip_encrypted(name, data, password):
    """A zip with one member under the traditional cipher (APPNOTE 6.1), stored."""
    table = [0] * 256
    for i in range(256):
        c = i
        for _ in range(8):
            c = (c >> 1) ^ 0xEDB88320 if c & 1 else c >> 1
        table[i] = c
    keys = [0x12345678, 0x23456789, 0x34567890]

    def update(byte):
        keys[0] = (keys[0] >> 8) ^ table[(keys[0] ^ byte) & 0xFF]
        keys[1] = ((keys[1] + (keys[0] & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
        keys[2] = (keys[2] >> 8) ^ table[(keys[2] ^ (keys[1] >> 24)) & 0xFF]

    def encrypt(plain):
        out = bytearray()
        for byte in plain:
            t = (keys[2] | 2) & 0xFFFF
            out.append(byte ^ (((t * (t ^ 1)) >> 8) & 0xFF))
            update(byte)
        return bytes(out)

    for byte in password:
        update(byte)
    crc = zlib.crc32(data)
    body = encrypt(noise(11) + bytes([crc >> 24])) + encrypt(data)
    fields = struct.pack("<HHHHIIIHH", 1, 0, 0, 0x21, crc, len(body), len(data), len(name), 0)
    local = b"PK\x03\x04" + struct.pack("<H", 20) + fields + name + body
    central = b"PK\x01\x02" + struct.pack("<HH", 20, 20) + fields + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
    return local + central + end


def nested(data, depth):
    """data inside depth zips."""
    for i in range(depth):
        data = zipped([("inner%d.bin" % i, data)])
    return data
