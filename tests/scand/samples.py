"""Documents and archives that the standard library cannot make, by the formats' own descriptions."""
import io
import struct
import zipfile
import zlib

SECTOR = 512
FREE, END, FAT = 0xffffffff, 0xfffffffe, 0xfffffffd


def _entry(name, kind, start=END, size=0, child=FREE, right=FREE):
    raw = (name + "\0").encode("utf-16-le")
    return struct.pack("<64sHBBIII16sIQQIQ", raw, len(raw) if name else 0, kind, 1, FREE, right, child, b"", 0, 0, 0, start, size)


def make_ole2(streams):
    """A compound file ([MS-CFB]) with these streams. Each is filled up to 4096 bytes: then none needs the small ones' sectors."""
    fat, body, entries = [FAT], b"", []
    n_folders = (len(streams) + 1 + 3) // 4
    fat += [i + 2 for i in range(n_folders - 1)] + [END]
    for i, (name, data) in enumerate(streams):
        data = data.ljust(4096, b"\0")
        data += b"\0" * (-len(data) % SECTOR)
        start, count = len(fat), len(data) // SECTOR
        fat += [start + k + 1 for k in range(count - 1)] + [END]
        entries.append(_entry(name, 2, start, len(data), right=i + 2 if i + 1 < len(streams) else FREE))
        body += data
    assert len(fat) <= 128, "one sector of FAT is enough for tests"
    folder = _entry("Root Entry", 5, child=1) + b"".join(entries)
    folder = folder.ljust(n_folders * SECTOR, b"\0")
    head = struct.pack("<8s16sHHHHH6sIIIIIIIII", bytes.fromhex("d0cf11e0a1b11ae1"), b"", 0x3e, 3, 0xfffe, 9, 6, b"", 0, 1, 1, 0, 4096, END, 0, END, 0)
    head += struct.pack("<109I", *([0] + [FREE] * 108))
    return head + struct.pack("<128I", *(fat + [FREE] * (128 - len(fat)))) + folder + body


def _record(kind, data=b""):
    return struct.pack("<HH", kind, len(data)) + data


def _bof():
    return _record(0x809, struct.pack("<HHHHII", 0x600, 5, 0x1234, 1997, 0, 6))


def excel(is_encrypted=False, write_protected=False, has_macro_sheet=False):
    book = _bof() + (_record(0x86) if write_protected else b"") + (_record(0x2f, struct.pack("<H", 1) + b"k" * 52) if is_encrypted else b"")
    book += _record(0x85, struct.pack("<IBBBB", 0x200, 0, 1 if has_macro_sheet else 0, 5, 0) + b"Sheet") + _record(0xa)
    return make_ole2([("Workbook", book)])


def word(is_encrypted=False):
    flags = 0x1200 | (0x100 if is_encrypted else 0)
    return make_ole2([("WordDocument", struct.pack("<HHHHHH", 0xa5ec, 0xc1, 0, 0x407, 0, flags)), ("1Table", b"t")])


def powerpoint(is_encrypted=False):
    user = struct.pack("<HHIII", 0, 0xff6, 28, 0x14, 0xf3d1c4df if is_encrypted else 0xe391c05f)
    return make_ole2([("Current User", user), ("PowerPoint Document", b"p")])


def office_package():
    """What Word, Excel and PowerPoint since 2007 make of a document with a password."""
    return make_ole2([("EncryptionInfo", b"\4\0\4\0\x40\0\0\0"), ("EncryptedPackage", b"\x5a" * 5000)])


def opendocument(is_encrypted=False):
    secret = '<manifest:encryption-data manifest:checksum="a"/>' if is_encrypted else ""
    manifest = ('<?xml version="1.0" encoding="UTF-8"?>\n<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
                '<manifest:file-entry manifest:full-path="content.xml">%s</manifest:file-entry></manifest:manifest>' % secret)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr("mimetype", "application/vnd.oasis.opendocument.text")
        z.writestr("content.xml", "c" * 300, zipfile.ZIP_DEFLATED)
        z.writestr("META-INF/manifest.xml", manifest, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def pdf(is_encrypted=False):
    """The password is not the empty one: the values are just noise."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
               b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >>", b"<< /Length 6 >>\nstream\n0 0 m\n\nendstream",
               b"<< /Filter /Standard /V 2 /R 3 /Length 128 /P -1 /O <%s> /U <%s> >>" % (b"5a" * 32, b"a5" * 32)]
    out, places = b"%PDF-1.4\n", []
    for i, text in enumerate(objects):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (i + 1, text)
    table = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + b"".join(b"%010d 00000 n \n" % p for p in places)
    trailer = b"trailer\n<< /Size %d /Root 1 0 R %s/ID [<%s> <%s>] >>\n" % (
        len(objects) + 1, b"/Encrypt 5 0 R " if is_encrypted else b"", b"11" * 16, b"11" * 16)
    return out + table + trailer + b"startxref\n%d\n%%%%EOF\n" % len(out)


def _rar_block(body):
    return struct.pack("<H", zlib.crc32(body) & 0xffff) + body


def rar(name, data):
    """One member, stored (RAR 3)."""
    head = b"\x74" + struct.pack("<HHIIBIIBBHI", 0x8000, 32 + len(name), len(data), len(data), 3, zlib.crc32(data), 0x210000, 20, 0x30,
                                 len(name), 0o100644) + name
    return b"Rar!\x1a\x07\0" + _rar_block(b"\x73\0\0\x0d\0" + b"\0" * 6) + _rar_block(head) + data + b"\xc4\x3d\x7b\0\x40\x07\0"


def _number(n):
    """A 7z number; so small ones as here take one or two bytes."""
    return bytes([n]) if n < 0x80 else bytes([0x80 | n >> 8, n & 0xff])


def seven_zip(name, data, coder=b"\0"):
    """One member in one folder, packed by the method with this id: \\0 is none at all, others are only said to be."""
    files = b"\x05\1\x11" + _number(3 + 2 * len(name)) + b"\0" + name.encode("utf-16-le") + b"\0\0\0"
    streams = (b"\x06\0\1\x09" + _number(len(data)) + b"\0"
               + b"\x07\x0b\1\0\1" + bytes([len(coder)]) + coder + b"\x0c" + _number(len(data))
               + b"\x0a\1" + struct.pack("<I", zlib.crc32(data)) + b"\0" + b"\x08\0")
    head = b"\1\4" + streams + b"\0" + files + b"\0"
    start = struct.pack("<QQI", len(data), len(head), zlib.crc32(head))
    return b"7z\xbc\xaf\x27\x1c\0\4" + struct.pack("<I", zlib.crc32(start)) + start + data + head
