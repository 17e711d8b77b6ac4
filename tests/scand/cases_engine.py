"""What the engine is told to find, what it cannot open, and what is too much for it."""
import bz2
import gzip
import lzma
import os
import signal
import struct
import time
import zipfile

import bombs
import samples
from cases import *  # noqa: F401,F403

XLM = "Heuristics.OLE2.ContainsMacros.XLM"
BROKEN = "Heuristics.Broken.Executable"


def truncated_elf():
    """Says that its only program header is where the file has ended."""
    return b"\x7fELF\1\1\1" + b"\0" * 9 + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, 0x8048054, 5000, 0, 0, 52, 32, 1, 0, 0, 0) + b"\x90" * 200


def set_engine(d, scan):
    """By a reload."""
    n = d.board().generation
    d.configure("workers = 1; max_workers = 1; " + scan)
    d.process.send_signal(signal.SIGHUP)
    d.await_reload(n + 1)


@case
def options_are_off_then_on_then_off(t):
    pua = {"a.ndu": ndb("PUA.Win.Tool.Test", b"aaaabbbbccccdddd"), "b.ndb": ndb("Test.B", b"eeeeffffgggghhhh")}
    d = t.scand("workers = 1; max_workers = 1;", databases=pua)
    macros, broken, unwanted = samples.excel(has_macro_sheet=True), truncated_elf(), b"x" * 20 + b"aaaabbbbccccdddd"
    found = {"macros": (macros, XLM), "broken_executables": (broken, BROKEN), "pua": (unwanted, "PUA.Win.Tool.Test.UNOFFICIAL")}
    ids = [d.ping().engine_id]
    for how in "start", "reload":
        for on in (), ("macros",), ("broken_executables",), ("pua",), ("macros", "broken_executables", "pua"), ():
            conf = " ".join("%s = true;" % name for name in on)
            if how == "start":
                d.cleanup()
                d = t.scand("workers = 1; max_workers = 1; " + conf, databases=pua)
            else:
                set_engine(d, conf)
            for name, (body, signature) in found.items():
                for _ in range(2):
                    verdict(d.scan(body), *((INFECTED, signature) if name in on else (CLEAN, "")))
                    verdict(d.scan(make_zip([("a", b"a" * 40), ("b", body)])), *((INFECTED, signature) if name in on else (CLEAN, "")))
            verdict(d.scan(samples.excel()), CLEAN, "")
            verdict(d.scan(b"eeeeffffgggghhhh"), INFECTED, "Test.B.UNOFFICIAL")
            ids.append(d.ping().engine_id)
    expect(ids[1:7], ids[7:], "ids after start and reload")
    expect(len(set(ids)), 5)


@case
def limits_and_marks_survive_a_reload(t):
    d = t.scand('workers = 1; max_workers = 1; max_files = 10;')
    many = make_zip([("m%d" % i, b"%d" % i * 100) for i in range(30)])
    for conf, want in ("max_files = 10;", LIMIT), ("max_files = 100;", CLEAN), ("max_files = 10;", LIMIT):
        set_engine(d, conf)
        verdict(d.scan(many), want)
        verdict(d.scan(samples.word(is_encrypted=True)), ENCRYPTED, "Office")
        verdict(d.scan(EICAR), INFECTED, EICAR_NAME)
        expect(d.ping().signatures, 1, "marks are no signatures")


@case
def what_has_a_password_is_encrypted(t):
    d = t.scand("workers = 1; max_workers = 1;")
    secret = flagged_encrypted(make_zip([("secret", os.urandom(500))]))
    for body, detail in (
            (secret, "Zip"),
            (samples.seven_zip("e.com", EICAR, bytes.fromhex("06f10701")), "7Zip"),
            (samples.pdf(is_encrypted=True), "PDF"),
            (samples.word(is_encrypted=True), "Office"),
            (samples.excel(is_encrypted=True), "Office"),
            (samples.excel(is_encrypted=True, write_protected=True), "Office"),
            (samples.powerpoint(is_encrypted=True), "Office"),
            (samples.office_package(), "Office"),
            (samples.opendocument(is_encrypted=True), "OpenDocument")):
        for _ in range(2):  # again: the engine's cache must not forget it
            verdict(d.scan(body), ENCRYPTED, detail)
            verdict(d.scan(make_zip([("a", b"a" * 40), ("b", body)])), ENCRYPTED, detail)
        verdict(d.scan(make_zip([("a", body), ("b", EICAR)])), INFECTED, EICAR_NAME)
        verdict(d.scan(make_zip([("b", EICAR), ("a", body)])), INFECTED, EICAR_NAME)
    for plain in samples.pdf(), samples.word(), samples.excel(), samples.powerpoint(), samples.opendocument():
        verdict(d.scan(plain), CLEAN, "")
    expect(d.board().crashed, 0)


@case
def what_cannot_be_opened_is_not_clean(t):
    d = t.scand("workers = 1; max_workers = 1;", databases={"a.ndb": ndb("Test.A", b"aaaabbbbccccdddd")})
    bad = b"aaaabbbbccccdddd"
    streams = [bz2.compress(b"first " * 40), bz2.compress(bad)]
    lzma_zip = bombs.zip_of([(b"e.com", b"\x09\x14\5\0" + lzma.compress(bad, format=lzma.FORMAT_ALONE), len(bad))], zipfile.ZIP_LZMA)
    for body, detail in (
            (samples.seven_zip("e.com", b"not what it unpacks to", b"\4\2\2"), "7Zip with an unknown method"),
            (lzma_zip, "Zip with an unknown method"),
            (b"".join(streams), "bzip2 of several streams"),
            (lzma.compress(bad, format=lzma.FORMAT_ALONE), "LZMA"),
            (b"\x28\xb5\x2f\xfd\4" + b"z" * 50, "zstd"),
            (b"\4\x22\x4d\x18" + b"4" * 50, "LZ4"),
            (b"LZIP\1" + b"l" * 50, "lzip"),
            (b"\x1f\x9d\x90" + b"c" * 50, "compress")):
        for _ in range(2):
            verdict(d.scan(body), ENCRYPTED, detail)
            verdict(d.scan(make_zip([("a", b"a" * 40), ("b", body)])), ENCRYPTED, detail)
    for body in (samples.seven_zip("e.com", bad), bz2.compress(bad), gzip.compress(b"first") + gzip.compress(bad), lzma.compress(bad),
                 b"PK" + b"p" * 300 + bad):
        verdict(d.scan(body), INFECTED, "Test.A.UNOFFICIAL")
    verdict(d.scan(b"not at the start: \x28\xb5\x2f\xfd LZIP\1 \x1f\x9d\x90 \x5d\0\0\x80\0" + b"\xff" * 9), CLEAN, "")
    r = d.scan(samples.rar(b"e", bad))
    assert r.verdict == INFECTED or (r.verdict == ENCRYPTED and "libclamunrar" in r.detail), r
    again = d.scan(make_zip([("r", samples.rar(b"e", bad))]))
    expect((again.verdict, again.detail), (r.verdict, r.detail))


@case
def just_over_each_limit(t):
    limits = 'max_files = 10; max_recursion = 4; max_scan_size = "2M"; max_file_size = "1M";'
    d = t.scand("workers = 1; max_workers = 1; " + limits, 'max_object_size = "1M";')
    mb, block = 1 << 20, 8192

    def nested(depth):
        body = b"under %d layers" % depth * 20  # another in each: what the engine has seen need not be opened again
        for i in range(depth):
            body = make_zip([("n%d" % i, body)])
        return body

    def files(n):
        return make_zip([("m%d" % i, b"%d" % i * 100) for i in range(n)])

    def together(total):
        return make_zip([("m%d" % i, bytes([97 + i]) * (total // 4)) for i in range(4)])

    for _ in range(2):
        verdict(d.scan(b"b" * mb), CLEAN)
        verdict(d.scan(b"b" * (mb + 1)), LIMIT, "a file larger than scan.max_file_size")
        verdict(d.scan(make_zip([("m", b"b" * (mb - block))])), CLEAN)
        verdict(d.scan(make_zip([("m", b"b" * (mb + 1))])), LIMIT, "a file larger than scan.max_file_size")
        verdict(d.scan(gzip.compress(b"b" * (mb + 1))), LIMIT, "a file larger than scan.max_file_size")
        verdict(d.scan(files(9)), CLEAN)
        verdict(d.scan(files(11)), LIMIT, "more files than scan.max_files")
        verdict(d.scan(nested(3)), CLEAN)
        verdict(d.scan(nested(4)), LIMIT, "deeper than scan.max_recursion")
        verdict(d.scan(together(2 * mb - 16384)), CLEAN)
        verdict(d.scan(together(2 * mb + 4)), LIMIT, "more than scan.max_scan_size unpacked")
    expect(d.board().crashed, 0)


@case
def large_pages_are_looked_at_like_small_ones(t):
    """By default libclamav leaves steps out above 8, 20 and 40 MB, and calls the rest clean."""
    d = t.scand("workers = 1; max_workers = 1;", databases={"a.ndb": "Test.Html:3:*:%s\n" % b"evil(1)evil(2)".hex()})
    page = b"<html><body>" + b"<p>text</p>\n" * 3600000 + b"<SCRIPT>EVIL(1)EVIL(2)</SCRIPT></body></html>"
    assert len(page) > 40 << 20
    verdict(d.scan(page[:12] + page[-60:]), INFECTED, "Test.Html.UNOFFICIAL")
    verdict(d.scan(page, deadline_ms=60000), INFECTED, "Test.Html.UNOFFICIAL")


def processor_seconds(pid):
    """Of a process and its children that have ended."""
    with open("/proc/%d/stat" % pid) as f:
        return sum(int(n) for n in f.read().rsplit(")", 1)[1].split()[11:15]) / os.sysconf("SC_CLK_TCK")


def memory_kb(pids):
    total = 0
    for pid in pids:
        try:
            with open("/proc/%d/smaps_rollup" % pid) as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith("Private_"))
        except OSError:
            pass
    return total


@case
def bombs_are_answered_soon(t):
    d = t.scand("workers = 1; max_workers = 1;")
    gz = bombs.gzipped(bombs.TEN_GB)
    made = {
        "flat": bombs.flat_zip(),
        "gzip": gz,
        "gzip in gzip": gzip.compress(gz),
        "gzip in zip": bombs.zip_of([(b"a.gz", bombs.stored(gz), len(gz))]),
        "wide": bombs.wide_zip(),
        "nested": bombs.nested_zip(),
        "bzip2": bz2.compress(b"\0" * (300 << 20)),
        "many": make_zip([("m%d" % i, b"%d" % i) for i in range(60000)]),
    }
    for name, body in made.items():
        running, peak, start = InBackground(d.scan, body, "memfd"), 0, sum(map(processor_seconds, d.descendants()))
        while running.is_alive():
            peak = max(peak, memory_kb(d.descendants()))
            time.sleep(0.05)
        verdict(running.result(), LIMIT)
        used = sum(map(processor_seconds, d.descendants())) - start
        assert used < 5, "%s: %.1f s of a processor" % (name, used)
        assert peak < 128 << 10, "%s: %d KB" % (name, peak)  # all processes; a third of what one scan may unpack
    expect(d.board().crashed, 0)
    verdict(d.scan(make_zip([("zeros", b"\0" * 3000000), ("e", EICAR)])), INFECTED, EICAR_NAME)
