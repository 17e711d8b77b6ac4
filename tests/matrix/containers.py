"""Files that hold other files, made here: functions from payload bytes to the bytes of the container. Each holds the payload
besides something harmless where the format allows it."""

import base64
import bz2
import io
import lzma
import struct
import tarfile
import zipfile
import zlib

import samples
import wrap

README = samples.text(700, 3)


def zip_(method="deflated", first=True, comment=b""):
    """method: stored, deflated, bzip2 or lzma."""
    kind = getattr(zipfile, "ZIP_" + method.upper())

    def run(payload):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", kind) as archive:
            members = [("a.com", payload), ("readme.txt", README)]
            for name, data in members if first else members[::-1]:
                archive.writestr(zipfile.ZipInfo(name), data, kind)
            archive.comment = comment
        return out.getvalue()
    return run


def zip_streamed(payload):
    """Sizes stand behind each member, in data descriptors, as programs write that cannot seek."""
    class Pipe(io.RawIOBase):
        def __init__(self):
            super().__init__()
            self.data = b""

        def writable(self):
            return True

        def write(self, data):
            self.data += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in (("readme.txt", README), ("a.com", payload)):
            archive.writestr(name, data)
    return pipe.data


def nest(count, inner):
    """inner(payload), count times put into a zip."""
    return lambda payload: samples.nested(inner(payload), count)


def self_extracting(payload):
    """A zip behind a program."""
    return b"MZ" + bytes(58) + struct.pack("<I", 64) + b"\0" * 64 + samples.zipped([("a.com", payload)])


def encrypted_zip(payload):
    return samples.zip_encrypted(b"a.com", payload, b"secret")


def encrypted_and_open(payload):
    return samples.zipped([("locked.zip", encrypted_zip(samples.text(500))), ("a.com", payload)])


def tar(fmt=tarfile.USTAR_FORMAT, coder=None, depth=1):
    def run(payload):
        data = payload
        for _ in range(depth):
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode="w", format=fmt) as archive:
                for name, content in (("readme.txt", README), ("d/" + "n" * (120 if fmt != tarfile.USTAR_FORMAT else 20), data)):
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
            data = out.getvalue()
        return coder(data) if coder else data
    return run


def xz(payload):
    return lzma.compress(payload)


def bzip2(payload):
    return bz2.compress(payload)


def _align(data, n):
    return data + bytes(-len(data) % n)


def cpio(payload):
    """SVR4 without checksums."""
    out = b""
    for i, (name, data) in enumerate((("readme.txt", README), ("a.com", payload), ("TRAILER!!!", b""))):
        fields = [i, 0o100644, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        out += _align(b"070701" + b"".join(b"%08X" % f for f in fields) + name.encode() + b"\0", 4) + _align(data, 4)
    return _align(out, 512)


def cab(payload):
    """Microsoft Cabinet, one folder, stored."""
    files = (b"readme.txt", README), (b"a.com", payload)
    data = b"".join(content for _, content in files)
    entries, at = b"", 0
    for name, content in files:
        entries += struct.pack("<IIHHHH", len(content), at, 0, 0x5A21, 0, 0x20) + name + b"\0"
        at += len(content)
    data_at = 36 + 8 + len(entries)
    block = struct.pack("<IHH", 0, len(data), len(data)) + data  # checksum 0: none
    head = struct.pack("<4sIIIIIBBHHHHH", b"MSCF", 0, data_at + len(block), 0, 44, 0, 3, 1, 1, len(files), 0, 1, 0)
    return head + struct.pack("<IHH", data_at, 1, 0) + entries + block


def seven_zip(payload):
    """7z, one stored file."""
    name = "a.com".encode("utf-16-le") + b"\0\0"

    def number(n):
        return bytes([n]) if n < 128 else bytes([0x80 | n >> 8, n & 0xFF])  # below 16384

    streams = b"\x06\0\x01\x09" + number(len(payload)) + b"\0" + b"\x07\x0b\x01\0\x01\x01\0" + b"\x0c" + number(len(payload)) + b"\0"
    streams += b"\x08\x0a\x01" + struct.pack("<I", zlib.crc32(payload)) + b"\0\0"
    files = b"\x05\x01\x11" + number(len(name) + 1) + b"\0" + name + b"\0"
    header = b"\x01\x04" + streams + files + b"\0"
    start = struct.pack("<QQI", len(payload), len(header), zlib.crc32(header))
    return b"7z\xbc\xaf\x27\x1c\0\x04" + struct.pack("<I", zlib.crc32(start)) + start + payload + header


def _both(n, size):
    """A number in both byte orders, as ISO 9660 has them."""
    form = {2: "H", 4: "I"}[size]
    return struct.pack("<" + form, n) + struct.pack(">" + form, n)


def iso(payload):
    """ISO 9660: system area, volume descriptors, a root directory, files."""
    def record(name, sector, size, flags):
        body = struct.pack("<B", 0) + _both(sector, 4) + _both(size, 4) + bytes(7) + bytes([flags, 0, 0]) + _both(1, 2)
        body += bytes([len(name)]) + name + (b"\0" if len(name) % 2 == 0 else b"")
        return bytes([len(body) + 1]) + body
    files = ((b"A.COM;1", payload), (b"README.TXT;1", README))
    root_at, sector, root, content = 20, 21, b"", b""
    for name, data in files:
        root += record(name, sector, len(data), 0)
        content += _align(data, 2048)
        sector += len(_align(data, 2048)) // 2048
    root = record(b"\0", root_at, 2048, 2) + record(b"\1", root_at, 2048, 2) + root
    path_table = b"\1\0" + struct.pack("<I", root_at) + b"\1\0\0\0"
    primary = b"\x01CD001\x01\0" + b" " * 64 + bytes(8) + _both(sector, 4) + bytes(32) + _both(1, 2) + _both(1, 2) + _both(2048, 2)
    primary += _both(len(path_table), 4) + struct.pack("<II", 18, 0) + struct.pack(">II", 19, 0) + record(b"\0", root_at, 2048, 2)
    primary += b" " * (813 - len(primary)) + (b"0" * 16 + b"\0") * 4 + b"\x01\0"
    return (bytes(16 * 2048) + _align(primary, 2048) + _align(b"\xffCD001\x01", 2048) + _align(path_table, 2048) * 2 + _align(root, 2048)
            + content)


# --- documents -----------------------------------------------------------------------------------------------------

def docx(payload):
    """An Office document with an embedded object."""
    types = (b'<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" '
             b'ContentType="application/xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-'
             b'officedocument.wordprocessingml.document.main+xml"/></Types>')
    text = (b'<?xml version="1.0"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r>'
            b"<w:t>hello</w:t></w:r></w:p></w:body></w:document>")
    return samples.zipped([("[Content_Types].xml", types), ("word/document.xml", text), ("word/embeddings/oleObject1.bin", payload)], True)


def odt(payload):
    manifest = b'<?xml version="1.0"?><manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
    return samples.zipped([("mimetype", b"application/vnd.oasis.opendocument.text"), ("META-INF/manifest.xml", manifest), ("Object 1", payload)])


def pdf(filters=("FlateDecode",)):
    """A document with one attached file, its stream behind these filters."""
    coders = {"FlateDecode": zlib.compress, "ASCIIHexDecode": lambda d: d.hex().encode() + b">", "ASCII85Decode": lambda d: base64.a85encode(d) + b"~>"}

    def run(payload):
        data = payload
        for name in reversed(filters):
            data = coders[name](data)
        names = b"[ %s ]" % b" ".join(b"/" + f.encode() for f in filters) if filters else b"[ ]"
        objects = [
            b"<< /Type /Catalog /Pages 2 0 R /Names << /EmbeddedFiles << /Names [(a.com) 4 0 R] >> >> >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>",
            b"<< /Type /Filespec /F (a.com) /EF << /F 5 0 R >> >>",
            b"<< /Type /EmbeddedFile /Filter %s /Length %d >>\nstream\n%b\nendstream" % (names, len(data), data),
        ]
        out, places = b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n", []
        for i, body in enumerate(objects):
            places.append(len(out))
            out += b"%d 0 obj\n%b\nendobj\n" % (i + 1, body)
        table = b"".join(b"%010d 00000 n \n" % at for at in places)
        return out + b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
            len(places) + 1, table, len(places) + 1, len(out))
    return run


# --- mail ----------------------------------------------------------------------------------------------------------

MAIL_HEAD = (b"Received: from a.example by b.example; Mon, 2 Mar 2026 10:00:00 +0000\r\nFrom: a@a.example\r\nTo: b@b.example\r\n"
             b"Subject: hello\r\nMIME-Version: 1.0\r\n")


def mail(cte="base64", box=False):
    """A message with the payload attached; box: in a mailbox file behind another message."""
    def run(payload):
        parts = [wrap.Part(content_type="text/plain", name=None), wrap.Part(payload, cte=cte)]
        body = wrap.join_parts(parts, b"mail-mark")
        message = MAIL_HEAD + b'Content-Type: multipart/mixed; boundary="mail-mark"\r\n\r\n' + body
        if not box:
            return message
        first = b"From a@a.example Mon Mar  2 10:00:00 2026\n" + MAIL_HEAD.replace(b"\r\n", b"\n") + b"\nhello\n\n"
        return first + b"From a@a.example Mon Mar  2 10:00:01 2026\n" + message.replace(b"\r\n", b"\n")
    return run


def mail_uu(payload):
    return MAIL_HEAD + b"Content-Type: text/plain\r\n\r\nsee below\r\n\r\nbegin 644 a.com\r\n" + wrap.uu(payload).replace(b"\n", b"\r\n") + b"`\r\nend\r\n"


def test_file(name):
    """A file of Debian's package clamav-testfiles, whatever the payload: formats that nothing here can write."""
    def run(payload):
        with open("/usr/share/clamav-testfiles/" + name, "rb") as f:
            return f.read()
    return run
