"""Documents with a VBA macro, made here from nothing, and mail whose attachment is too deep, too large or too slow for the engine: refused
by name, and never clean."""

import bz2
import struct

import bombs
import containers
import samples
import stack
from report import await_true, check, equal

SECTOR, MINI, CUTOFF = 512, 64, 4096
FREE, END, FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
VBA = "Heuristics.OLE2.ContainsMacros.VBA"


# --- compound files ([MS-CFB]) -------------------------------------------------------------------------------------

class _Sectors:
    """Data in pieces of one size, and the chain of each."""

    def __init__(self, size):
        self.size, self.chain, self.data = size, [], b""

    def add(self, data):
        start, count = len(self.chain), -(-len(data) // self.size)
        self.chain += [start + i + 1 for i in range(count - 1)] + [END]
        self.data += data + bytes(-len(data) % self.size)
        return start


def _entry(name, kind, start, size, child, right):
    raw = (name + "\0").encode("utf-16-le")
    return struct.pack("<64sHBBIII16sIQQIQ", raw, len(raw), kind, 1, FREE, right, child, b"", 0, 0, 0, start, size)


def compound(tree):
    """tree: name -> bytes, a stream, or a dict, a folder."""
    small, large, entries = _Sectors(MINI), _Sectors(SECTOR), [b""]

    def put(folder):
        """The index of the first of its entries, each of which points to the next one."""
        places = range(len(entries), len(entries) + len(folder))
        entries.extend([b""] * len(folder))
        for at, (name, content) in zip(places, folder.items()):
            after = at + 1 if at + 1 in places else FREE
            if isinstance(content, dict):
                entries[at] = _entry(name, 1, 0, 0, put(content), after)
            else:
                entries[at] = _entry(name, 2, (small if len(content) < CUTOFF else large).add(content), len(content), FREE, after)
        return places[0]

    child = put(tree)
    entries[0] = _entry("Root Entry", 5, large.add(small.data), len(small.data), child, FREE)
    mini = b"".join(struct.pack("<I", n) for n in small.chain)
    mini += b"\xff" * (-len(mini) % SECTOR)
    mini_at, folder_at, table_at = large.add(mini), large.add(b"".join(entries)), len(large.chain)
    table = large.chain + [FAT]
    assert len(table) <= SECTOR // 4, "one sector of it is enough here"
    head = struct.pack("<8s16sHHHHH6sIIIIIIIII", bytes.fromhex("d0cf11e0a1b11ae1"), b"", 0x3E, 3, 0xFFFE, 9, 6, b"", 0, 1, folder_at, 0, CUTOFF,
                       mini_at, len(mini) // SECTOR, END, 0)
    head += struct.pack("<109I", *([table_at] + [FREE] * 108))
    return head + large.data + struct.pack("<128I", *(table + [FREE] * (128 - len(table))))


# --- VBA ([MS-OVBA]) -------------------------------------------------------------------------------------------------

def compressed(data):
    """A container of one chunk that only has literals."""
    tokens = b"".join(b"\0" + data[i:i + 8] for i in range(0, len(data), 8))
    assert len(data) <= 3600
    return b"\x01" + struct.pack("<H", len(tokens) - 1 | 0xB000) + tokens


def _record(kind, data=b""):
    return struct.pack("<HI", kind, len(data)) + data


def _named(kind, name, wide_kind):
    return _record(kind, name.encode()) + _record(wide_kind, name.encode("utf-16-le"))


def vba(source=b'Sub AutoOpen()\r\n    MsgBox "hello"\r\nEnd Sub\r\n', module="Module1"):
    """The folder VBA of a project with one module."""
    number = lambda n: struct.pack("<I", n)
    project = (_record(1, number(1)) + _record(2, number(0x409)) + _record(0x14, number(0x409)) + _record(3, struct.pack("<H", 1252))
               + _record(4, b"Project") + _named(5, "", 0x40) + _named(6, "", 0x3D) + _record(7, number(0)) + _record(8, number(0))
               + struct.pack("<HIIH", 9, 4, 1, 1) + _named(0xC, "", 0x3C))
    modules = (_record(0xF, struct.pack("<H", 1)) + _record(0x13, b"\xff\xff") + _named(0x19, module, 0x47) + _named(0x1A, module, 0x32)
               + _named(0x1C, "", 0x48) + _record(0x31, number(0)) + _record(0x1E, number(0)) + _record(0x2C, b"\xff\xff") + _record(0x21)
               + _record(0x2B) + _record(0x10))
    code = b'Attribute VB_Name = "%b"\r\n' % module.encode() + source
    return {"dir": compressed(project + modules), module: compressed(code), "_VBA_PROJECT": b"\xcc\x61\xff\xff\0\0\0"}


def doc(has_macro):
    """Word before 2007."""
    fib = struct.pack("<HHHHHH", 0xA5EC, 0xC1, 0, 0x407, 0, 0x1200).ljust(CUTOFF, b"\0")
    return compound(dict({"WordDocument": fib, "1Table": b"t"}, **({"Macros": {"VBA": vba(), "PROJECT": b"Module=Module1\r\n"}} if has_macro else {})))


def docm(has_macro):
    """Word since 2007."""
    types = (b'<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" '
             b'ContentType="application/xml"/><Default Extension="bin" ContentType="application/vnd.ms-office.vbaProject"/></Types>')
    text = b'<?xml version="1.0"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"/>'
    members = [("[Content_Types].xml", types), ("word/document.xml", text)]
    if has_macro:
        members.append(("word/vbaProject.bin", compound({"VBA": vba(), "PROJECT": b"Module=Module1\r\n"})))
    return samples.zipped(members, True)


DOCUMENTS = [("doc", doc), ("docm", docm), ("docm in a zip", lambda has: samples.zipped([("a.docm", docm(has))])),
             ("docm attached to a mail", lambda has: containers.mail()(docm(has))), ("docm, gzip file", lambda has: samples.gzip_(docm(has)))]


# --- attachments that are too much -----------------------------------------------------------------------------------

LIMITS = {"scan.max_recursion": 8, "max_object_size": 1 << 20, "scan.max_file_size": 1 << 20, "scan.max_scan_size": 4 << 20, "scan.max_files": 50}


def zeros_in_zips(total, each):
    """Members that are like no other, so that none is known from before."""
    return samples.zipped([("%d.bin" % i, b"%08d" % i + bytes(each)) for i in range(total // each)], True)


LARGE = [
    ("too deep", lambda: samples.nested(samples.text(200), 12), "scan.max_recursion"),
    ("a file too large", lambda: samples.zipped([("a.bin", bytes(2 << 20))], True), "scan.max_file_size"),
    ("too large in all", lambda: zeros_in_zips(8 << 20, 512 << 10), "scan.max_scan_size"),
    ("too many files", lambda: samples.zipped([("%d.txt" % i, b"%d" % i * 100) for i in range(120)], True), "scan.max_files"),
]
# Below every limit of size, which are as by default here.
SLOW = [("too slow", lambda: samples.zipped([("%d.bz2" % i, bz2.compress(b"%d" % i + bytes(60 << 20))) for i in range(6)]), "scan.timeout")]
FITTING = [("shallow", lambda: samples.nested(samples.text(200), 2)), ("small", lambda: samples.zipped([("a.bin", bytes(1 << 19))], True)),
           ("few files", lambda: samples.zipped([("%d.txt" % i, b"%d" % i * 100) for i in range(20)], True))]


def ask(running, body, content_type, direction, **want):
    """The line of the decision log, whose fields are as wanted; and the reply goes with it."""
    before = len(running.log_lines())
    with running.client(timeout=60) as client:
        reply = bombs.send(client, body, [], content_type, direction)
    row = await_true(lambda: running.log_lines()[before:], 5, "the line in the decision log")[0]
    for key, value in want.items():
        equal(row.get(key), value, "%s (%s)" % (key, row.get("reason")))
    if want["action"] == "block":
        equal((reply.http_status, reply.get("X-Block-Reason"), reply.get("X-Sallyport-Id")), (403, want["outcome"], row["id"]), "the refusal")
    else:
        equal(reply.status, 204, "ICAP status of what passes")
    return row


def document(running, make, has_macro, is_on, direction):
    is_infected = has_macro and is_on
    ask(running, make(has_macro), "application/octet-stream", direction, outcome="infected" if is_infected else "clean",
        action="block" if is_infected else "allow", signature=VBA if is_infected else None)


def too_much(running, make, named, direction):
    row = ask(running, containers.mail()(make()), "message/rfc822", direction, outcome="limit", action="block")
    check(named in row["reason"], "the reason does not say %s: %s", named, row["reason"])


def fitting(running, make, direction):
    ask(running, containers.mail()(make()), "message/rfc822", direction, outcome="clean", action="allow")


def stacks():
    """(options, what is asked there: name, function, arguments)"""
    both = ("RESPMOD", "REQMOD")

    def documents(is_on):
        return [("macros %s: %s, %s %s" % ("on" if is_on else "off", name, "one" if has else "none", d), document, make, has, is_on, d)
                for name, make in DOCUMENTS for has in (True, False) for d in both]

    def attachments(rows):
        return [("attachment: %s %s" % (name, d), too_much, make, named, d) for name, make, named in rows for d in both]

    small = [("attachment: %s %s" % (name, d), fitting, make, d) for name, make in FITTING for d in both]
    yield {"scan.macros": False}, documents(False)
    yield dict(LIMITS, **{"scan.macros": True}), documents(True) + attachments(LARGE) + small
    yield {"scan.timeout": "600ms"}, attachments(SLOW)


def main(suite):
    for options, rows in stacks():
        wanted = [row for row in rows if suite.wants(row[0])]
        if suite.list_only:
            print("\n".join(row[0] for row in wanted))
        if suite.list_only or not wanted:
            continue

        def body(options=options, rows=wanted):
            with stack.Stack(dict(options, **{"scan.workers": 1}), name="office") as running:
                for name, function, *args in rows:
                    suite.run(name, function, running, *args)
        suite.run_unnamed("stack of the documents", body)
