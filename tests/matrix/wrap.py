"""Ways in which HTTP carries a payload. Each function here returns a wrapper: payload bytes -> Message. The rows of table.py
say which are used."""

import base64
import binascii
import functools
import json
import quopri
import struct
import urllib.parse
import zlib

import codings
import samples

TEXT = samples.text(2000, 7)


class Message:
    """What one transaction sends. length: announce the real one (True), none (False), or that number. how: arguments of the
    ICAP client, one transaction for each. cut: the ICAP chunks end at these offsets of the body."""

    def __init__(self, body, content_type="application/octet-stream", fields=(), status="200 OK", length=True, how=None, cut=(),
                 method=None):
        self.body, self.content_type, self.fields, self.status = body, content_type, list(fields), status
        self.length, self.how, self.cut, self.method = length, how, cut, method


def sent(content_type="application/octet-stream", inner=None, **details):
    """The payload as it is, or as inner(payload) makes it."""
    return lambda payload: Message(inner(payload) if inner else payload, content_type, **details)


def body_of(wrapper):
    """Only the body of what wrapper makes, to be wrapped again."""
    return lambda payload: wrapper(payload).body


# --- content codings -----------------------------------------------------------------------------------------------

CODERS = {"gzip": samples.gzip_, "deflate": samples.deflate, "raw": samples.deflate_raw, "br": codings.brotli, "zstd": codings.zstd}


def encode(data, *coders):
    """Coders are names or functions; the first is applied first."""
    for coder in coders:
        data = (CODERS[coder] if isinstance(coder, str) else coder)(data)
    return data


def coded(*coders, says=None, content_type="application/octet-stream", inner=None, **details):
    """says: the Content-Encoding field, or a list of several; by default the names of the coders."""
    if says is None:
        says = ", ".join("deflate" if c == "raw" else c for c in coders)
    fields = ["Content-Encoding: " + s for s in ([says] if isinstance(says, str) else says)]
    more = details.pop("fields", [])
    return lambda payload: Message(encode(inner(payload) if inner else payload, *coders), content_type, fields + more, **details)


def gzip_member(data, name=None, comment=None, extra=None, header_crc=False, text=False, level=6):
    """One member with the optional fields of RFC 1952."""
    flags = (1 if text else 0) | (2 if header_crc else 0) | (4 if extra is not None else 0) | (8 if name else 0) | (16 if comment else 0)
    head = b"\x1f\x8b\x08" + bytes([flags]) + b"\0\0\0\0\0\x03"
    if extra is not None:
        head += struct.pack("<H", len(extra)) + extra
    for value in (name, comment):
        if value:
            head += value + b"\0"
    if header_crc:
        head += struct.pack("<H", zlib.crc32(head) & 0xFFFF)
    coder = zlib.compressobj(level, wbits=-15)
    return head + coder.compress(data) + coder.flush() + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)


def gzip_split(data, parts):
    """So many members, which together are data."""
    step = -(-len(data) // parts)
    return b"".join(gzip_member(data[i:i + step]) for i in range(0, len(data), step))


def zstd_split(data, parts):
    step = -(-len(data) // parts)
    return b"".join(codings.zstd(data[i:i + step]) for i in range(0, len(data), step))


def with_level(coder, level):
    """zlib.compressobj with that level, in the form that coder names."""
    wbits = {"gzip": 31, "deflate": 15, "raw": -15}[coder]

    def run(data):
        made = zlib.compressobj(level, wbits=wbits)
        return made.compress(data) + made.flush()
    return run


def with_window(bits, raw=False):
    def run(data):
        made = zlib.compressobj(9, wbits=-bits if raw else bits)
        return made.compress(data) + made.flush()
    return run


def flushed(data):
    """deflate with an empty stored block after every few bytes."""
    made = zlib.compressobj(9)
    return b"".join(made.compress(data[i:i + 7]) + made.flush(zlib.Z_FULL_FLUSH) for i in range(0, len(data), 7)) + made.flush()


def spoil_crc(data):
    return data[:-8] + bytes(b ^ 0x5A for b in data[-8:-4]) + data[-4:]


def cut_end(n):
    return lambda data: data[:-n]


def behind(tail):
    return lambda data: data + tail


def before(start):
    return lambda data: start + data


def times(coder, n):
    return lambda data: functools.reduce(lambda d, _: encode(d, coder), range(n), data)


# --- multipart -----------------------------------------------------------------------------------------------------

def base64_lines(data, width=76, eol=b"\r\n"):
    text = base64.b64encode(data)
    return eol.join(text[i:i + width] for i in range(0, len(text), width))


def quoted(data):
    """Every byte that may be troublesome in transport is escaped; lines are broken softly."""
    out, line = b"", b""
    for byte in data:
        piece = bytes([byte]) if 0x21 <= byte <= 0x7E and byte != 0x3D else b"=%02X" % byte
        if len(line) + len(piece) > 70:
            out, line = out + line + b"=\r\n", b""
        line += piece
    return out + line


TRANSFERS = {
    "base64": base64_lines, "quoted-printable": quoted, "7bit": bytes, "8bit": bytes, "binary": bytes,
    "BASE64": base64_lines, "Base64": lambda d: base64_lines(d, 20, b"\n"), "Quoted-Printable": lambda d: quopri.encodestring(d, True),
    "x-uuencode": lambda d: b"begin 644 a.com\r\n" + uu(d) + b"`\r\nend\r\n",
}


def uu(data):
    return b"".join(binascii.b2a_uu(data[i:i + 45]) for i in range(0, len(data), 45))


class Part:
    """A part of a multipart body. coder: its Content-Encoding."""

    def __init__(self, payload=None, content_type="application/octet-stream", cte=None, name=b"file", fields=(), coder=None, says_cte=None):
        self.fields = [b'Content-Disposition: form-data; name="%s"; filename="a.com"' % name] if name is not None else []
        if content_type:
            self.fields.append(b"Content-Type: " + content_type.encode())
        data = TEXT if payload is None else payload
        if coder:
            data = encode(data, coder)
            self.fields.append(b"Content-Encoding: " + coder.encode())
        if cte:
            data = TRANSFERS.get(cte, bytes)(data)
        if cte or says_cte:
            self.fields.append(b"Content-Transfer-Encoding: " + (says_cte or cte).encode())
        self.fields += [f.encode("latin-1") for f in fields]
        self.data = data


def join_parts(parts, boundary, eol=b"\r\n", preamble=b"", epilogue=b"", end=True, padding=b""):
    out = preamble
    for i, part in enumerate(parts):
        out += (eol if i or preamble else b"") + b"--" + boundary + padding + eol
        out += eol.join(part.fields + [b"", part.data])
    return out + (eol + b"--" + boundary + b"--" + eol + epilogue if end else b"")


def mime(kind="form-data", boundary="----WebKitFormBoundary7MA4YWxk", says=None, first=1, last=1, nest=0, inner=None, status="200 OK",
         fields=(), eol=b"\r\n", preamble=b"", epilogue=b"", end=True, padding=b"", **part):
    """The payload as one part between so many first and last ones. says: the Content-Type. nest: so many multiparts around it."""
    content_type = says or "multipart/%s; boundary=%s" % (kind, boundary if boundary.replace("-", "").isalnum() else '"%s"' % boundary)

    def run(payload):
        data = inner(payload) if inner else payload
        hit = Part(data, **part)
        others = [Part(name=b"t%d" % i, content_type="text/plain") for i in range(first + last)]
        for level in range(nest):
            mark = "inner-%d" % level
            body = join_parts([hit] + others[:1], mark.encode())
            hit = Part(body, "multipart/mixed; boundary=%s" % mark, name=b"nested")
        parts = others[:first] + [hit] + others[first:]
        body = join_parts(parts, boundary.encode("latin-1"), eol, preamble, epilogue, end, padding)
        return Message(body, content_type, fields, status)
    return run


def raw_mime(content_type, template):
    """template with the payload in place of PAYLOAD."""
    return lambda payload: Message(template.replace(b"PAYLOAD", payload), content_type)


def byteranges(payload):
    """Two ranges of an object; the payload is one of them (RFC 9110 14.6)."""
    parts = [Part(name=None, fields=["Content-Range: bytes 0-1999/90000"]), Part(payload, name=None, fields=["Content-Range: bytes 5000-5999/90000"])]
    return Message(join_parts(parts, b"THIS_SEPARATES"), "multipart/byteranges; boundary=THIS_SEPARATES", status="206 Partial Content")


# --- forms and JSON ------------------------------------------------------------------------------------------------

FORM = "application/x-www-form-urlencoded"


def percent_all(data):
    return b"".join(b"%%%02x" % b for b in data)


def form(encoder, before_it=b"user=alice&note=a+b%20c&file=", after_it=b"&submit=Send", content_type=FORM):
    return lambda payload: Message(before_it + encoder(payload) + after_it, content_type)


def form_quote(payload):
    return urllib.parse.quote_from_bytes(payload, safe="").encode()


def form_plus(payload):
    return urllib.parse.quote_plus(payload).encode()


def form_base64(payload):
    return form_quote(base64.b64encode(payload))


JSON = "application/json"


def as_json(make, content_type=JSON, **how):
    """make: from the base64 text to the value that is sent."""
    return lambda payload: Message(json.dumps(make(base64.b64encode(payload).decode()), **how).encode(), content_type)


def json_text(template, encoder=base64.b64encode, content_type=JSON, coder=None):
    """template with the encoded payload in place of PAYLOAD."""
    def run(payload):
        body = template.replace(b"PAYLOAD", encoder(payload))
        return Message(encode(body, coder) if coder else body, content_type, ["Content-Encoding: " + coder] if coder else [])
    return run


def base64_url(payload):
    return base64.urlsafe_b64encode(payload).rstrip(b"=")


def base64_escaped(payload):
    return base64.b64encode(payload).replace(b"/", b"\\/")


def base64_unicode(payload):
    """Every character as \\u00XX."""
    return b"".join(b"\\u%04x" % c for c in base64.b64encode(payload))


def base64_broken(payload):
    """Lines of 76 characters with escaped ends, as PEM and mail software leaves them in JSON."""
    return base64_lines(payload).replace(b"\r\n", b"\\r\\n")


def megabyte_before(payload):
    """A string of a megabyte of which the payload is the first: what is decoded begins with it."""
    return base64.b64encode(payload + samples.noise(750000 - len(payload)))


# --- data: URLs ----------------------------------------------------------------------------------------------------

def page(template, encoder=base64.b64encode, content_type="text/html", coder=None):
    """template, which is put into a page of some size, with the encoded payload in place of PAYLOAD."""
    def run(payload):
        body = b"<!DOCTYPE html><html><head><title>t</title></head><body><p>%b</p>\n%b\n<p>%b</p></body></html>" % (
            TEXT, template.replace(b"PAYLOAD", encoder(payload)), TEXT)
        return Message(encode(body, coder) if coder else body, content_type, ["Content-Encoding: " + coder] if coder else [])
    return run


def document(template, content_type, encoder=base64.b64encode):
    return lambda payload: Message(template.replace(b"PAYLOAD", encoder(payload)), content_type)


def base64_percent(payload):
    """base64 whose +, / and = are percent-encoded, as scripts do with encodeURIComponent."""
    return urllib.parse.quote(base64.b64encode(payload), safe="").encode()


def base64_folded(payload):
    return base64_lines(payload, 60, b"\n")


# --- framing -------------------------------------------------------------------------------------------------------

def framed(*how, inner=None, content_type="application/octet-stream", **details):
    """One transaction for each how; details as in Message."""
    return lambda payload: Message(inner(payload) if inner else payload, content_type, how=list(how), **details)


def cut_in_payload(payload):
    """Chunks that end in the middle of the payload, and one byte before and after it."""
    whole = samples.zipped([("a.com", payload), ("b.bin", samples.noise(9000))])
    at = whole.index(payload)
    ends = sorted({at - 1, at, at + 1, at + len(payload) // 2, at + len(payload) // 2 + 1, at + len(payload) - 1, at + len(payload)})
    return Message(whole, how=[{}, {"allow204": True}], cut=ends)


def padded(total):
    """The payload and noise behind it, total bytes; what is scanned begins with the payload."""
    return lambda payload: payload + samples.noise(total - len(payload))


def zip_of(total):
    """A zip of exactly total bytes that holds the payload behind noise."""
    def run(payload):
        overhead = len(samples.zipped([("b.bin", b""), ("a.com", payload)]))
        return samples.zipped([("b.bin", samples.noise(total - overhead)), ("a.com", payload)])
    return run

