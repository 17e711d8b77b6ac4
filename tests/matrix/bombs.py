"""Small bodies that unpack to 10 GB or for ever. Each must be answered in a few seconds with `limit`, while memory and spools of all
processes stay within what the configuration says."""

import bz2
import functools
import lzma
import struct
import zlib

import codings
import containers
import icap
import memory
import quine
import samples
import stack
import wrap
from report import await_true, check, equal

TOTAL = 10 << 30
PIECE = 64 << 20
SECONDS = 30.0
MAX_OBJECT = 64 << 20
OPTIONS = {"max_object_size": MAX_OBJECT, "scan.max_file_size": 64 << 20, "scan.max_scan_size": 128 << 20, "scan.workers": 2,
           "scan.max_workers": 2, "scan.timeout": "20s"}
MEMORY = 160 << 20         # above what the processes have when idle: one file that libclamav unpacks, twice, and some
DISK = 2 * MAX_OBJECT      # a body as it came, and decoded


# --- content codings of zeros --------------------------------------------------------------------------------------

@functools.lru_cache(None)
def gzip_zeros(total=TOTAL, mixed=False):
    """Members of 64 MiB each; mixed: with so much noise between that no ratio is remarkable."""
    member = samples.gzip_(bytes(PIECE))
    if mixed:
        member = samples.gzip_(bytes(PIECE // 4) + samples.noise(65536))
        return member * (total // (PIECE // 4))
    return member * (total // PIECE)


@functools.lru_cache(None)
def raw_zeros(total):
    """One bare deflate stream of zeros, and its CRC. The state of a compressor after a full flush is always the same."""
    coder = zlib.compressobj(9, wbits=-15)
    piece = coder.compress(bytes(PIECE)) + coder.flush(zlib.Z_FULL_FLUSH)
    crc = 0
    for _ in range(total // PIECE):
        crc = zlib.crc32(_zeros(), crc) if total <= (1 << 30) else 0  # for the large ones nobody gets to the end
    return piece * (total // PIECE) + b"\x03\x00", crc


@functools.lru_cache(None)
def _zeros():
    return bytes(PIECE)


def deflate_zeros():
    adler = ((TOTAL % 65521) << 16) | 1
    return b"\x78\xda" + raw_zeros(TOTAL)[0] + struct.pack(">I", adler)


def zstd_mixed():
    frame = codings.zstd_zeros(16 << 20) + codings.zstd(samples.noise(65536))
    return frame * (TOTAL // (16 << 20))


def brotli_mixed():
    stream = codings.BrotliStream(5, 22)
    return b"".join(stream.write(bytes(1 << 20) + samples.noise(4096, i)) for i in range(256)) + stream.finish()


CODED = [
    ("gzip", ["gzip"], gzip_zeros), ("gzip, below the ratio", ["gzip"], lambda: gzip_zeros(mixed=True)), ("deflate", ["deflate"], deflate_zeros),
    ("br", ["br"], lambda: codings.brotli_zeros(TOTAL)), ("br, below the ratio", ["br"], brotli_mixed),
    ("zstd", ["zstd"], lambda: codings.zstd_zeros(TOTAL)), ("zstd, below the ratio", ["zstd"], zstd_mixed),
    ("zstd, many frames", ["zstd"], lambda: codings.zstd_zeros(128 << 10) * (TOTAL >> 17)),
    ("gzip of gzip", ["gzip", "gzip"], lambda: samples.gzip_(gzip_zeros())),
    ("br of gzip", ["gzip", "br"], lambda: codings.brotli(gzip_zeros())),
    ("zstd of br of gzip", ["gzip", "br", "zstd"], lambda: codings.zstd(codings.brotli(gzip_zeros()))),
    ("gzip of br", ["br", "gzip"], lambda: samples.gzip_(codings.brotli_zeros(TOTAL))),
    ("empty gzip members", ["gzip"], lambda: samples.gzip_(b"") * 3000000 + gzip_zeros(1 << 30)),
]


# --- files ---------------------------------------------------------------------------------------------------------

def zip_flat(members=10, name="%d.bin"):
    """Each member is a gigabyte."""
    data, crc = raw_zeros(1 << 30)
    return _zip([(name % i, data, 1 << 30, crc) for i in range(members)])


def _zip(members):
    """members: (name, deflated, size, crc)."""
    out, central = b"", b""
    for name, data, size, crc in members:
        fields = struct.pack("<HHHHIIIHH", 0, 8, 0, 0x21, crc, len(data), size, len(name), 0)
        central += b"PK\x01\x02" + struct.pack("<HH", 20, 20) + fields + struct.pack("<HHHII", 0, 0, 0, 0, len(out)) + name.encode()
        out += b"PK\x03\x04" + struct.pack("<H", 20) + fields + name.encode() + data
    return out + central + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(central), len(out), 0)


def zip_overlapping(members=10):
    """All entries of the directory point to the same gigabyte."""
    data, crc = raw_zeros(1 << 30)
    fields = struct.pack("<HHHHIIIHH", 0, 8, 0, 0x21, crc, len(data), 1 << 30, 5, 0)
    out = b"PK\x03\x04" + struct.pack("<H", 20) + fields + b"0.bin" + data
    central = b"".join(b"PK\x01\x02" + struct.pack("<HH", 20, 20) + fields + struct.pack("<HHHII", 0, 0, 0, 0, 0) + b"%d.bin" % i
                       for i in range(members))
    return out + central + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, members, members, len(central), len(out), 0)


def zip_of_zips(width=320, size=32 << 20):
    """Zips in a zip, each with one member below the size limit that is like no other."""
    coder = zlib.compressobj(9, wbits=-15)
    piece = coder.compress(bytes(size)) + coder.flush(zlib.Z_FULL_FLUSH)
    crc = zlib.crc32(bytes(size))
    inner = []
    for i in range(width):
        tail = b"%08d" % i
        data = piece + b"\x01" + struct.pack("<HH", len(tail), len(tail) ^ 0xFFFF) + tail
        inner.append(("%d.zip" % i, _zip([("0.bin", data, size + len(tail), zlib.crc32(tail, crc))])))
    return samples.zipped(inner)


def zip_tree(depth=5, width=10, leaf=1 << 20):
    """width zips in a zip, depth times: width^depth leaves of zeros, 100 GB."""
    data = samples.zipped([("0.bin", bytes(leaf))], True)
    for _ in range(depth):
        data = samples.zipped([("%d.zip" % i, data) for i in range(width)], True)
    return data


def bzip2_zeros():
    return bz2.compress(bytes(PIECE)) * (TOTAL // PIECE)


def xz_zeros():
    return lzma.compress(bytes(PIECE)) * (TOTAL // PIECE)


def xz_one():
    coder = lzma.LZMACompressor(preset=0)
    return b"".join(coder.compress(_zeros()) for _ in range(16)) + coder.flush()  # 1 GB in one stream


def gzip_deep():
    return wrap.times("gzip", 100)(samples.text(100))


def tar_gz():
    head = bytearray(512)
    head[0:5] = b"0.bin"
    head[100:108], head[124:136], head[257:265] = b"0000644\0", b"77777777777\0", b"ustar\00000"
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return samples.gzip_(bytes(head)) + gzip_zeros()


def pdf_zeros():
    data = zlib.compress(bytes(256 << 20), 9)
    return containers.pdf(())(b"").replace(b"/Filter [ ]", b"/Filter [ /FlateDecode ]").replace(
        b"/Length 0 >>\nstream\n", b"/Length %d >>\nstream\n%b" % (len(data), data))


def docx_zeros():
    data, crc = raw_zeros(1 << 30)
    return _zip([("[Content_Types].xml", data, 1 << 30, crc), ("word/document.xml", data, 1 << 30, crc)])


FILES = [
    ("gzip file", gzip_zeros), ("gzip file, a hundred deep", gzip_deep), ("tar.gz", tar_gz), ("bzip2 file", bzip2_zeros),
    ("xz file, many streams", xz_zeros), ("xz file, one stream", xz_one), ("zip, flat", zip_flat), ("zip, overlapping members", zip_overlapping),
    ("zip of zips", zip_of_zips), ("zip in a zip", lambda: samples.zipped([("a.zip", zip_flat())], True)),
    ("zip, a hundred deep", lambda: samples.nested(samples.text(100), 100)), ("docx", docx_zeros), ("pdf", pdf_zeros),
]
# The file that holds itself. Nothing in it is large: the depth is what ends it.
QUINES = [("gzip that holds itself", [], quine.gzip_quine), ("gzip that holds itself, as coding", ["gzip"], quine.gzip_quine)]


def multipart(data, cte="base64"):
    message = wrap.mime(cte=cte)(data)
    return message.body, message.content_type


def send(client, body, fields, content_type, direction):
    length = len(body)
    if direction == "REQMOD":
        head = icap.request_head("POST", "http://bombs.example.test/", ["Content-Type: " + content_type] + fields, length)
        return client.reqmod(head, body, chunk=65536, preview=1024, allow204=True)
    return client.respmod(icap.response_head("200 OK", fields, length, content_type), body, icap.request_head(), chunk=65536, preview=0,
                          allow204=True)


def bomb(running, make, says, content_type, direction):
    body = make()
    check(len(body) <= MAX_OBJECT, "the bomb itself has %d bytes", len(body))
    pids = lambda: memory.tree(running.cicap.process.pid) + memory.tree(running.scand.pid)
    with memory.Watch(pids) as watch, running.client(timeout=60) as client:
        reply = send(client, body, ["Content-Encoding: " + ", ".join(says)] if says else [], content_type, direction)
    check(reply.get("X-Block-Reason"), "it passed: ICAP %d, %.1f s", reply.status, reply.seconds)
    check(reply.get("X-Block-Reason").startswith("limit"), "X-Block-Reason is %r", reply.get("X-Block-Reason"))
    check(reply.seconds < SECONDS, "answered after %.1f s (%s)", reply.seconds, reply.get("X-Block-Reason"))
    running.await_log(id=reply.get("X-Sallyport-Id"), outcome="limit", action="block")
    check(watch.memory - watch.base_memory <= MEMORY, "memory grew by %d MiB", (watch.memory - watch.base_memory) >> 20)
    check(watch.disk <= DISK, "spools of %d MiB", watch.disk >> 20)


def equal_zips(running):
    """Every level holds the same zip ten times. An engine that looks at each only once sees all of it: no limit need be reached."""
    body = zip_tree()
    with running.client(timeout=60) as client:
        reply = send(client, body, [], "application/zip", "RESPMOD")
    check(reply.seconds < SECONDS, "answered after %.1f s", reply.seconds)
    check(reply.status == 204 or (reply.get("X-Block-Reason") or "").startswith("limit"), "ICAP %d", reply.status)


def clean_after(running):
    """The gate is as it was: what it holds is given back, and an object is scanned."""
    pids = memory.tree(running.cicap.process.pid) + memory.tree(running.scand.pid)
    await_true(lambda: sum(n for _, n in memory.nameless_files(pids).values()) < (1 << 20), 5, "all spools to be gone")
    with running.client() as client:
        equal(client.respmod(icap.response_head(), samples.eicar(), icap.request_head()).http_status, 403, "an infected object afterwards")
        equal(client.respmod(icap.response_head(), samples.text(999), icap.request_head(), allow204=True).status, 204, "a clean one")


def cases(running):
    rows = []
    for name, says, make in CODED:
        for direction in ("RESPMOD", "REQMOD"):
            rows.append(("bomb: %s %s" % (name, direction), bomb, running, make, says, "text/html", direction))
    for name, says, make in [(name, [], make) for name, make in FILES] + QUINES:
        rows.append(("bomb: %s RESPMOD" % name, bomb, running, make, says, "application/octet-stream", "RESPMOD"))
    parts = [("part, base64 of a gzip file", gzip_zeros), ("part, base64 of a zip", zip_flat), ("part, base64 of zips in a zip", zip_of_zips)]
    for name, make in parts:
        body_type = "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxk"
        rows.append(("bomb: %s REQMOD" % name, bomb, running, lambda make=make: multipart(make())[0], [], body_type, "REQMOD"))
    rows.append(("bomb: 100 GB in equal zips RESPMOD", equal_zips, running))
    return rows + [("bombs: nothing is left behind", clean_after, running)]


def main(suite):
    wanted = [case for case in cases(None) if suite.wants(case[0])]
    if suite.list_only:
        print("\n".join(case[0] for case in wanted))
    if suite.list_only or not wanted:
        return

    def body():
        with stack.Stack(OPTIONS, name="bombs") as running:
            suite.run_parallel(cases(running), 1)
    suite.run_unnamed("stack of the bombs", body)
