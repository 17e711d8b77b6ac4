"""The wrapping matrix: what must come of a payload in each wrapping, and of a harmless body of the same size in the same wrapping.

    Row(name, wrapper, outcome with the payload, outcome without, directions, payloads)

An outcome is one of design.md section 3, or several that are right, joined by |. Outcomes whose default is to block must come
as a block page, all others byte for byte. Directions: BOTH, REQ (upload), RESP (download)."""

import itertools
import tarfile

import codings
import samples
from containers import (bzip2, cab, cpio, docx, encrypted_and_open, encrypted_zip, iso, mail, mail_uu, nest, odt, pdf,
                        self_extracting, seven_zip, tar, test_file, xz, zip_, zip_streamed)
from wrap import (FORM, JSON, TRANSFERS, as_json, base64_broken, base64_escaped, base64_folded, base64_percent, base64_unicode, base64_url,
                  before, behind, body_of, byteranges, coded, cut_end, cut_in_payload, document, encode, flushed, form, form_base64, form_plus,
                  form_quote, framed, gzip_member, gzip_split, json_text, megabyte_before, mime, padded, page, percent_all, raw_mime, sent, spoil_crc,
                  times, with_level, with_window, zip_of, zstd_split)

MAX_OBJECT = 2 << 20  # max_object_size while this table is driven
OVER = MAX_OBJECT + 1

BOTH, REQ, RESP = ("RESPMOD", "REQMOD"), ("REQMOD",), ("RESPMOD",)
EICAR, CLAM = ("eicar",), ("clam",)
INFECTED, CLEAN, PARTIAL, STREAM, NONE = "infected", "clean", "partial", "stream", "none"
OVERSIZE, ENCRYPTED, LIMIT, BROKEN = "oversize", "encrypted", "limit", "undecodable"
# Broken, and the payload can be seen all the same: whichever is told, it does not pass.
SEEN = "infected|undecodable"


class Row:
    """lenient: the outcome with the payload where undecodable and limit are set to pass: None: as it is here."""

    def __init__(self, name, wrapper, infected=INFECTED, clean=CLEAN, directions=BOTH, payloads=("eicar", "clam"), lenient=None):
        self.name, self.wrapper, self.directions, self.payloads = name, wrapper, directions, payloads
        self.expected = {True: infected, False: clean}
        self.lenient = lenient or infected


def br_pieces(data):
    stream = codings.BrotliStream(5, 18)
    return b"".join(stream.write(data[i:i + 5]) for i in range(0, len(data), 5)) + stream.finish()


# --- Content-Encoding ----------------------------------------------------------------------------------------------

CODINGS = [
    Row("plain", sent()),
    Row("gzip", coded("gzip")),
    Row("deflate", coded("deflate")),
    Row("deflate without zlib header", coded("raw")),
    Row("br", coded("br")),
    Row("zstd", coded("zstd")),
    Row("identity", sent(fields=["Content-Encoding: identity"])),
]
CODINGS += [Row("%s, %s" % p, coded(*p)) for p in itertools.product(("gzip", "deflate", "br", "zstd"), repeat=2)]
CODINGS += [Row(", ".join(p), coded(*p)) for p in (
    ("gzip", "br", "zstd"), ("zstd", "br", "gzip"), ("br", "gzip", "br"), ("deflate", "gzip", "zstd"), ("gzip", "gzip", "gzip"),
    ("zstd", "zstd", "zstd"), ("raw", "br", "deflate"), ("br", "br", "br"), ("gzip", "deflate", "br", "zstd"), ("zstd", "br", "deflate", "gzip"),
    ("br", "zstd", "br", "zstd"), ("gzip",) * 4, ("br",) * 4, ("zstd",) * 4, ("raw", "raw", "raw", "raw"))]

HEADER_FORMS = [
    Row("field: GZIP", coded("gzip", says="GZIP")),
    Row("field: x-gzip", coded("gzip", says="x-gzip")),
    Row("field: X-GZip, Br", coded("gzip", "br", says="X-GZip, Br")),
    Row("field: gzip,br without a blank", coded("gzip", "br", says="gzip,br")),
    Row("field: blanks and tabs", coded("gzip", "br", says=" \t gzip \t,\t br \t ")),
    Row("field: empty elements", coded("gzip", "br", says=", ,gzip,, ,br,")),
    Row("field: identity among others", coded("gzip", "br", says="identity, gzip, identity, br, identity")),
    Row("field: twice", coded("gzip", "br", says=["gzip", "br"])),
    Row("field: three times with lists", coded("gzip", "br", "zstd", "deflate", says=["gzip, br", "", "zstd,deflate"])),
    Row("field: names in other cases", coded("zstd", "deflate", says=["ZSTD", "DeFlAtE"])),
    Row("field: folded", coded("gzip", "br", says="gzip,\r\n br")),
    Row("field: lower case name", sent(inner=lambda p: encode(p, "gzip"), fields=["content-encoding: gzip"])),
    Row("field: identity, then plain", sent(fields=["Content-Encoding: identity, identity"])),
    Row("field: empty", sent(fields=["Content-Encoding:"])),
    Row("field: only commas", sent(fields=["Content-Encoding: ,,,"])),
    Row("field: behind many others", sent(inner=lambda p: encode(p, "br"), fields=["X-%d: %d" % (i, i) for i in range(60)] + ["Content-Encoding: br"])),
    Row("five codings", coded(*["gzip"] * 5), LIMIT, LIMIT, lenient="infected|limit"),
    Row("five codings in five fields", coded("br", "zstd", "br", "zstd", "br", says=["br", "zstd", "br", "zstd", "br"]), LIMIT, LIMIT),
    Row("forty codings", sent(fields=["Content-Encoding: " + ", ".join(["gzip"] * 40)]), "limit|infected", LIMIT, lenient=INFECTED),
]

FORMS_OF_CODINGS = [
    Row("gzip: two members", coded(lambda p: gzip_split(p, 2), says="gzip")),
    Row("gzip: a member for each byte", coded(lambda p: gzip_split(p, len(p)), says="gzip")),
    Row("gzip: empty member first", coded(lambda p: encode(b"", "gzip") + encode(p, "gzip"), says="gzip")),
    Row("gzip: name", coded(lambda p: gzip_member(p, name=b"a.com"), says="gzip")),
    Row("gzip: name, comment, extra, head crc", coded(lambda p: gzip_member(p, b"n" * 300, b"c" * 300, b"EX\4\0abcd", True, True), says="gzip")),
    Row("gzip: extra of 60 KB", coded(lambda p: gzip_member(p, extra=samples.noise(60000)), says="gzip")),
    Row("gzip: stored blocks", coded(with_level("gzip", 0), says="gzip")),
    Row("gzip: best", coded(with_level("gzip", 9), says="gzip")),
    Row("gzip: padded with zero bytes", coded("gzip", behind(bytes(512)), says="gzip")),
    Row("deflate: stored blocks", coded(with_level("deflate", 0), says="deflate")),
    Row("deflate: window of 512 bytes", coded(with_window(9), says="deflate")),
    Row("deflate: flushed every 7 bytes", coded(flushed, says="deflate")),
    Row("deflate: bare, stored blocks", coded(with_level("raw", 0), says="deflate")),
    Row("br: quality 0", coded(lambda p: codings.brotli(p, 0), says="br")),
    Row("br: quality 11, window 10", coded(lambda p: codings.brotli(p, 11, 10), says="br")),
    Row("br: quality 9, window 24", coded(lambda p: codings.brotli(p, 9, 24), says="br")),
    Row("br: uncompressed meta-blocks", coded(samples.brotli, says="br")),
    Row("br: pieces of 5 bytes", coded(br_pieces, says="br")),
    Row("br: window of 2^26", coded(lambda p: codings.brotli(p, 5, 26, True), says="br"), BROKEN, BROKEN),
    Row("zstd: checksum", coded(lambda p: codings.zstd(p, checksum=True), says="zstd")),
    Row("zstd: no content size", coded(lambda p: codings.zstd(p, content_size=False), says="zstd")),
    Row("zstd: level 19", coded(lambda p: codings.zstd(p, 19, True), says="zstd")),
    Row("zstd: level -5", coded(lambda p: codings.zstd(p, -5), says="zstd")),
    Row("zstd: raw blocks", coded(samples.zstd, says="zstd")),
    Row("zstd: three frames", coded(lambda p: zstd_split(p, 3), says="zstd")),
    Row("zstd: a frame for each byte", coded(lambda p: zstd_split(p, len(p)), says="zstd")),
    Row("zstd: skippable frames around it", coded(
        "zstd", before(codings.zstd_skippable(samples.noise(99), 5)), behind(codings.zstd_skippable(b"", 15)), says="zstd")),
    Row("zstd: window of 8 MiB", coded(lambda p: codings.zstd_window(p, 23), says="zstd")),
    Row("zstd: window of 256 MiB", coded(lambda p: codings.zstd_window(p, 28), says="zstd"), LIMIT, LIMIT, lenient="infected|limit"),
    Row("gzip within a gzip file", coded(lambda p: encode(p, "gzip", "gzip"), says="gzip")),
    Row("br of a zip", coded(zip_(), "br", says="br")),
    Row("zstd of a tar.gz", coded(tar(coder=samples.gzip_), "zstd", says="zstd")),
]


BROKEN_CODINGS = [
    Row("says gzip, is plain", coded(says="gzip"), SEEN, BROKEN, lenient=INFECTED),
    Row("says deflate, is plain", coded(says="deflate"), SEEN, BROKEN, lenient=INFECTED),
    Row("says br, is plain", coded(says="br"), SEEN, BROKEN, lenient=INFECTED),
    Row("says zstd, is plain", coded(says="zstd"), SEEN, BROKEN, lenient=INFECTED),
    Row("says br, is gzip", coded("gzip", says="br"), SEEN, BROKEN, lenient=INFECTED),
    Row("says gzip, is br", coded("br", says="gzip"), BROKEN, BROKEN),
    Row("says gzip, is deflate", coded("deflate", says="gzip"), BROKEN, BROKEN),
    Row("says zstd, is gzip", coded("gzip", says="zstd"), SEEN, BROKEN, lenient=INFECTED),
    Row("says nothing, is gzip", sent(inner=lambda p: encode(p, "gzip"))),
    Row("says identity, is gzip", sent(inner=lambda p: encode(p, "gzip"), fields=["Content-Encoding: identity"])),
    Row("says gzip, is gzip of gzip", coded("gzip", "gzip", says="gzip")),
    Row("says gzip twice, is gzip once", coded("gzip", says="gzip, gzip"), SEEN, BROKEN, lenient=INFECTED),
    Row("order of the field reversed", coded("br", "gzip", says="gzip, br"), SEEN, BROKEN, lenient="infected|undecodable"),
    Row("unknown: x-secret", coded(says="x-secret"), SEEN, BROKEN, lenient=INFECTED),
    Row("unknown: compress", coded(says="compress"), SEEN, BROKEN, lenient=INFECTED),
    Row("unknown: dcb", coded("br", says="dcb"), BROKEN, BROKEN),
    Row("unknown behind a known one", coded("gzip", says="gzip, x-secret"), SEEN, BROKEN, lenient=INFECTED),
    Row("unknown before a known one", coded("gzip", says="x-secret, gzip"), SEEN, BROKEN, lenient=INFECTED),
    Row("quoted name", coded("gzip", says='"gzip"'), SEEN, BROKEN, lenient=INFECTED),
    Row("name with parameter", coded("gzip", says="gzip;q=1"), SEEN, BROKEN, lenient=INFECTED),
    Row("gzip: checksum wrong", coded("gzip", spoil_crc, says="gzip"), SEEN, BROKEN, lenient=INFECTED),
    Row("gzip: end missing", coded("gzip", cut_end(8), says="gzip"), SEEN, BROKEN, lenient=INFECTED),
    Row("gzip: cut in the middle", coded(padded(9000), "gzip", cut_end(3000), says="gzip"), SEEN, BROKEN, lenient=INFECTED),
    Row("gzip: garbage behind it", coded("gzip", behind(b"garbage"), says="gzip"), SEEN, BROKEN, lenient=INFECTED),
    Row("gzip: second member is cut", coded("gzip", behind(encode(samples.text(999), "gzip")[:-50]), says="gzip"), SEEN, BROKEN, lenient=INFECTED),
    Row("deflate: cut", coded(padded(9000), "deflate", cut_end(3000), says="deflate"), SEEN, BROKEN, lenient=INFECTED),
    Row("deflate: garbage behind it", coded("deflate", behind(b"garbage"), says="deflate"), SEEN, BROKEN, lenient=INFECTED),
    Row("br: cut", coded(padded(90000), "br", cut_end(30000), says="br"), SEEN, BROKEN, lenient=INFECTED),
    Row("br: garbage behind it", coded("br", behind(b"garbage"), says="br"), SEEN, BROKEN, lenient=INFECTED),
    Row("zstd: cut", coded(padded(400000), "zstd", cut_end(100000), says="zstd"), SEEN, BROKEN, lenient=INFECTED),
    Row("zstd: garbage behind it", coded("zstd", behind(b"garbage"), says="zstd"), SEEN, BROKEN, lenient=INFECTED),
    Row("zstd: checksum wrong", coded(lambda p: codings.zstd(p, checksum=True), lambda d: d[:-1] + bytes([d[-1] ^ 1]), says="zstd"), SEEN, BROKEN,
        lenient=INFECTED),
    Row("decodes to more than max_object_size", coded(behind(bytes(OVER)), "gzip", says="gzip"), "infected|limit", LIMIT, lenient=INFECTED),
    Row("gzip of nothing", sent(inner=lambda p: encode(b"", "gzip"), fields=["Content-Encoding: gzip"]), CLEAN),
]

# --- multipart -----------------------------------------------------------------------------------------------------

LONG = "b" * 70  # the longest that RFC 2046 allows
MULTIPART = [Row("multipart/%s" % kind, mime(kind)) for kind in ("form-data", "mixed", "related", "alternative", "signed", "x-anything")]
MULTIPART += [Row("part: %s" % cte, mime(cte=cte)) for cte in TRANSFERS if cte != "x-uuencode"]
MULTIPART += [
    Row("part: unknown transfer encoding", mime(says_cte="x-unknown"), SEEN, "clean|undecodable"),
    Row("part: transfer encoding with blanks", mime(cte="base64", says_cte="  base64 \t")),
    Row("part: base64, blanks behind the boundary", mime(cte="base64", padding=b" \t")),
    Row("part: gzip'd by Content-Encoding", mime(coder="gzip")),
    Row("part: br by Content-Encoding", mime(coder="br"), SEEN, "clean|undecodable"),
    Row("part: base64 of a zip", mime(cte="base64", inner=zip_())),
    Row("part: quoted-printable of a tar.gz", mime(cte="quoted-printable", inner=tar(coder=samples.gzip_))),
    Row("part: text/html with a data: URL", mime(content_type="text/html", inner=body_of(page(b'<img src="data:image/png;base64,PAYLOAD">')))),
    Row("part: JSON with base64", mime(content_type=JSON, inner=body_of(as_json(lambda t: {"file": t})))),
    Row("part: urlencoded form", mime(content_type=FORM, inner=body_of(form(form_quote)))),
    Row("part: first of all", mime(first=0)),
    Row("part: the only one", mime(first=0, last=0)),
    Row("part: last", mime(last=0)),
    Row("part: the hundredth", mime(first=99, last=0)),
    Row("part: no head at all", raw_mime("multipart/mixed; boundary=q", b"--q\r\n\r\nPAYLOAD\r\n--q--\r\n")),
    Row("part: long name", mime(cte="base64", name=b"x" * 900)),
    Row("part: field names in other cases", raw_mime("multipart/mixed; boundary=q",
                                                     b"--q\r\ncontent-TYPE: text/plain\r\nX: y\r\n\r\nPAYLOAD\r\n--q--\r\n")),
    Row("boundary: 70 characters", mime(boundary=LONG)),
    Row("boundary: all its characters", mime(boundary="'()+_,-./:=?0aZ x")),
    Row("boundary: one character", mime(boundary="x")),
    Row("boundary: quoted pair", raw_mime('multipart/mixed; boundary="a\\"b"', b'--a"b\r\n\r\nPAYLOAD\r\n--a"b--\r\n'), SEEN,
        "clean|undecodable", lenient="infected|undecodable"),
    Row("boundary: in other case", raw_mime("MULTIPART/Mixed; Charset=x; BOUNDARY=q; z=1", b"--q\r\n\r\nPAYLOAD\r\n--q--\r\n")),
    Row("boundary: behind a quoted semicolon", raw_mime('multipart/mixed; a="; boundary=no"; boundary=q', b"--q\r\n\r\nPAYLOAD\r\n--q--\r\n"), SEEN,
        "clean|undecodable", lenient="infected|undecodable"),
    Row("boundary: looks alike inside a part", mime(boundary="abc", inner=lambda p: p + b"\r\n--abX\r\n--ab")),
    Row("boundary: blanks behind it", mime(padding=b" \t ")),
    Row("LF only", mime(eol=b"\n", cte="base64")),
    Row("LF only, binary", mime(eol=b"\n")),
    Row("preamble and epilogue", mime(preamble=b"This is a message of many parts.", epilogue=b"and this is its end")),
    Row("payload in the preamble", raw_mime("multipart/mixed; boundary=q", b"PAYLOAD\r\n--q\r\n\r\nhello\r\n--q--\r\n")),
    Row("payload in the epilogue", raw_mime("multipart/mixed; boundary=q", b"--q\r\n\r\nhello\r\n--q--\r\nPAYLOAD"), "infected|clean"),
    Row("nested once", mime(nest=1)),
    Row("nested twice, base64", mime(nest=2, cte="base64")),
    Row("nested four times", mime(nest=4)),
    Row("nested nine times", mime(nest=9), "limit|infected", LIMIT, lenient="infected|limit"),
    Row("gzip'd multipart", coded("gzip", content_type="multipart/mixed; boundary=q", inner=body_of(mime(boundary="q", cte="base64")))),
    Row("br'd and zstd'd multipart", coded("br", "zstd", content_type="multipart/form-data; boundary=q", inner=body_of(mime(boundary="q")))),
    Row("end missing", mime(end=False), SEEN, BROKEN, lenient=INFECTED),
    Row("cut within the payload's part", mime(end=False, last=0, inner=padded(5000)), SEEN, BROKEN, lenient=INFECTED),
    Row("boundary missing", mime(says="multipart/form-data"), BROKEN + "|" + INFECTED, BROKEN, lenient="undecodable|infected"),
    Row("boundary empty", mime(says='multipart/mixed; boundary=""'), BROKEN + "|" + INFECTED, BROKEN, lenient="undecodable|infected"),
    Row("boundary never comes", mime(says="multipart/mixed; boundary=other"), BROKEN + "|" + INFECTED, BROKEN, lenient="undecodable|infected"),
    Row("multipart of nothing", sent("multipart/form-data; boundary=q", inner=lambda p: b"--q--\r\n"), CLEAN),
    Row("multipart/byteranges, 206", byteranges, INFECTED, PARTIAL, RESP),
]

# --- forms, JSON ---------------------------------------------------------------------------------------------------

FORMS = [
    Row("form: percent-encoded", form(form_quote)),
    Row("form: percent-encoded, all of it", form(percent_all)),
    Row("form: plus for blanks", form(form_plus)),
    Row("form: base64", form(form_base64)),
    Row("form: the only value", form(form_quote, b"f=", b"")),
    Row("form: without a name", form(form_quote, b"", b"")),
    Row("form: hundredth value", form(form_quote, b"".join(b"k%d=v%d&" % (i, i) for i in range(99)) + b"f=", b"")),
    Row("form: charset in the type", form(form_quote, content_type="Application/X-WWW-Form-URLEncoded; charset=utf-8")),
    Row("form: gzip'd", coded("gzip", content_type=FORM, inner=body_of(form(form_quote)))),
    Row("form: value is a zip", form(lambda p: form_quote(zip_()(p)))),
]

JSONS = [
    Row("json: base64", as_json(lambda t: {"name": "a.com", "content": t})),
    Row("json: base64url without padding", json_text(b'{"content":"PAYLOAD"}', base64_url)),
    Row("json: escaped slashes", json_text(b'{"content":"PAYLOAD"}', base64_escaped)),
    Row("json: every character escaped", json_text(b'{"content":"PAYLOAD"}', base64_unicode)),
    Row("json: lines with \\r\\n", json_text(b'{"content":"PAYLOAD"}', base64_broken)),
    Row("json: array of arrays", as_json(lambda t: [[["hello", [t]], 1.5], None])),
    Row("json: deep object", as_json(lambda t: {"a": {"b": {"c": {"d": [{"e": t}]}}}})),
    Row("json: the whole body", as_json(lambda t: t)),
    Row("json: as a key", as_json(lambda t: {t: 1})),
    Row("json: with blanks and lines", as_json(lambda t: {"x": "y" * 100, "content": t}, indent=4)),
    Row("json: behind 500 strings", as_json(lambda t: ["s%d" % i for i in range(500)] + [t])),
    Row("json: a string of a megabyte", json_text(b'{"content":"PAYLOAD"}', megabyte_before)),
    Row("json: data: URL", json_text(b'{"content":"data:application/octet-stream;base64,PAYLOAD"}')),
    Row("json: application/problem+json", as_json(lambda t: {"content": t}, "application/problem+json; charset=utf-8")),
    Row("json: gzip'd", json_text(b'{"content":"PAYLOAD"}', coder="gzip")),
    Row("json: br'd", json_text(b'{"content":"PAYLOAD"}', coder="br")),
    Row("json: cut in the string", json_text(b'{"content":"PAYLOAD')),
    Row("json: base64 of a zip", lambda p: as_json(lambda t: {"content": t})(zip_()(p))),
]

MARKUP = [
    Row('data: src="..."', page(b'<img src="data:application/octet-stream;base64,PAYLOAD">')),
    Row("data: href='...'", page(b"<a download='a.com' href='data:application/octet-stream;base64,PAYLOAD'>get</a>")),
    Row("data: without quotes", page(b"<a href=data:application/octet-stream;base64,PAYLOAD>get</a>")),
    Row("data: url() of CSS", document(b"body { background: url(data:image/png;base64,PAYLOAD) no-repeat }", "text/css")),
    Row('data: url("") in a style element', page(b'<style>a{background:url("data:image/gif;base64,PAYLOAD")}</style>')),
    Row("data: SVG", document(b'<svg xmlns="http://www.w3.org/2000/svg"><image href="data:image/png;base64,PAYLOAD"/></svg>', "image/svg+xml")),
    Row("data: JavaScript", document(b"location = 'data:application/octet-stream;base64,PAYLOAD';", "text/javascript")),
    Row("data: XHTML", document(b'<?xml version="1.0"?><html><a href="data:a/b;base64,PAYLOAD">x</a></html>', "application/xhtml+xml")),
    Row("data: percent-encoded, no base64", page(b'<a href="data:application/octet-stream,PAYLOAD">x</a>', percent_all)),
    Row("data: base64, percent-encoded", page(b'<a href="data:application/octet-stream;base64,PAYLOAD">x</a>', base64_percent)),
    Row("data: base64 on many lines", page(b'<a href="data:application/octet-stream;base64,PAYLOAD">x</a>', base64_folded)),
    Row("data: upper case", page(b'<A HREF="DATA:APPLICATION/OCTET-STREAM;BASE64,PAYLOAD">X</A>')),
    Row("data: with parameters", page(b'<a href="data:text/plain;charset=utf-8;name=a;base64,PAYLOAD">x</a>')),
    Row("data: without a type", page(b'<a href="data:;base64,PAYLOAD">x</a>')),
    Row("data: two in a page", page(b'<img src="data:image/png;base64,iVBORw0KGgo="><a href="data:a/b;base64,PAYLOAD">x</a>')),
    Row("data: gzip'd page", page(b'<a href="data:a/b;base64,PAYLOAD">x</a>', coder="gzip")),
    Row("data: zstd'd page", page(b'<a href="data:a/b;base64,PAYLOAD">x</a>', coder="zstd")),
    Row("data: of a zip", page(b'<a href="data:a/b;base64,PAYLOAD">x</a>', lambda p: base64_folded(zip_()(p)).replace(b"\n", b""))),
]

# --- files that libclamav opens ------------------------------------------------------------------------------------

ARCHIVES = [
    Row("zip", sent(inner=zip_())),
    Row("zip: stored", sent(inner=zip_("stored"))),
    Row("zip: bzip2", sent(inner=zip_("bzip2"))),
    Row("zip: last member", sent(inner=zip_(first=False))),
    Row("zip: streamed", sent(inner=zip_streamed)),
    Row("zip: long comment", sent(inner=zip_(comment=b"c" * 60000))),
    Row("zip: behind 3000 bytes", sent(inner=lambda p: samples.noise(3000) + zip_()(p))),
    Row("zip: behind a program", sent(inner=self_extracting)),
    Row("zip in zip", sent(inner=nest(2, zip_()))),
    Row("zip, ten deep", sent(inner=nest(10, zip_()))),
    Row("zip, thirty deep", sent(inner=nest(30, zip_())), LIMIT, LIMIT, lenient=LIMIT),
    Row("zip of tar.gz of zip", sent(inner=lambda p: zip_()(tar(coder=samples.gzip_)(zip_()(p))))),
    Row("tar", sent(inner=tar())),
    Row("tar: GNU, long name", sent(inner=tar(tarfile.GNU_FORMAT))),
    Row("tar: pax, long name", sent(inner=tar(tarfile.PAX_FORMAT))),
    Row("tar in tar", sent(inner=tar(depth=2))),
    Row("tar.gz", sent(inner=tar(coder=samples.gzip_))),
    Row("tar.bz2", sent(inner=tar(coder=bzip2))),
    Row("tar.xz", sent(inner=tar(coder=xz))),
    Row("gzip file, six deep", sent(inner=times("gzip", 6))),
    Row("bzip2", sent(inner=bzip2)),
    Row("xz", sent(inner=xz)),
    Row("cpio", sent(inner=cpio)),
    Row("cab", sent(inner=cab)),
    Row("7z", sent(inner=seven_zip)),
    Row("iso", sent(inner=iso)),
    Row("encrypted zip", sent(inner=encrypted_zip), ENCRYPTED, ENCRYPTED),
    Row("encrypted zip beside the payload", sent(inner=encrypted_and_open), INFECTED, ENCRYPTED),
    Row("encrypted zip as a part", mime(inner=encrypted_zip, cte="base64"), ENCRYPTED, ENCRYPTED),
    Row("encrypted zip, br'd", coded(encrypted_zip, "br", says="br"), ENCRYPTED, ENCRYPTED),
]

DOCUMENTS = [
    Row("docx", sent(inner=docx)),
    Row("odt", sent(inner=odt)),
    Row("pdf", sent("application/pdf", inner=pdf())),
    Row("pdf: no filter", sent("application/pdf", inner=pdf(()))),
    Row("pdf: hex over deflate", sent("application/pdf", inner=pdf(("ASCIIHexDecode", "FlateDecode")))),
    Row("mail", sent("message/rfc822", inner=mail())),
    Row("mail: quoted-printable", sent("message/rfc822", inner=mail("quoted-printable"))),
    Row("mailbox", sent(inner=mail(box=True))),
    Row("mail: uuencoded", sent(inner=mail_uu)),
    Row("mail as a part", mime(content_type="message/rfc822", inner=mail())),
    Row("mail, gzip'd", coded(mail(), "gzip", says="gzip")),
]
DOCUMENTS += [Row("file: " + name, sent(inner=test_file(name)), INFECTED, INFECTED, payloads=CLAM) for name in (
    "clam.arj", "clam.bz2.zip", "clam.chm", "clam.exe.binhex", "clam.exe.html", "clam.exe.mbox.uu", "clam.exe.rtf", "clam.exe.szdd",
    "clam.ole.doc", "clam.ppt", "clam.tnef", "clam.7z", "clam.cab", "clam-nsis.exe")]

# --- sizes, framing, kinds of message ------------------------------------------------------------------------------

SIZES = [
    Row("size: payload alone", sent()),
    Row("size: 64 KiB", sent(inner=padded(65536))),
    Row("size: 64 KiB and a byte", sent(inner=zip_of(65537))),
    Row("size: a megabyte, no length", sent(inner=zip_of(1 << 20), length=False)),
    Row("size: max_object_size", sent(inner=zip_of(MAX_OBJECT))),
    Row("size: max_object_size, no length", sent(inner=zip_of(MAX_OBJECT), length=False)),
    Row("size: a byte more", sent(inner=zip_of(OVER)), OVERSIZE, OVERSIZE),
    Row("size: a byte more, no length", sent(inner=zip_of(OVER), length=False), OVERSIZE, OVERSIZE),
    Row("size: a megabyte more, no length", sent(inner=zip_of(OVER + (1 << 20)), length=False), OVERSIZE, OVERSIZE),
    Row("size: small, announced as too large", framed({"allow204": True}, length=OVER), OVERSIZE, OVERSIZE),
    Row("length: none", sent(length=False)),
    Row("length: 0 is a lie", framed({"allow204": True}, {"preview": 1024, "allow204": True}, length=0)),
    Row("length: 5 is a lie", framed({"allow204": True}, {"preview": 30, "allow204": True}, length=5)),
    Row("length: more than comes", framed({"allow204": True}, {"preview": 0, "allow204": True}, length=1 << 20)),
]

def with_how(wrapper, *how):
    def run(payload):
        message = wrapper(payload)
        message.how = list(how)
        return message
    return run


# Each is {preview, allow204, chunk, ieof, pace} of tests/lib/icap.py.
FRAMING = [Row("preview %s, 204 %s" % (p, "yes" if a else "no"), framed({"preview": p, "allow204": a}, inner=i))
           for p in (0, 1, 30, 4096) for a in (True, False) for i in ((None,) if p < 4096 else (zip_of(9000),))]
FRAMING += [
    Row("preview 4096 holds all of it", framed({"preview": 4096}, {"preview": 4096, "allow204": True})),
    Row("preview filled, more is unknown", lambda p: framed({"preview": len(p), "ieof": False}, {"preview": len(p), "ieof": False, "allow204": True})(p)),
    Row("preview filled, ieof", lambda p: framed({"preview": len(p)}, {"preview": len(p), "allow204": True})(p)),
    Row("preview ends in the payload", lambda p: framed({"preview": len(p) // 2}, {"preview": len(p) // 2, "allow204": True})(p)),
    Row("chunks of 1 byte", framed({"chunk": 1}, {"chunk": 1, "preview": 30})),
    Row("chunks of 1 byte, gzip'd zip", framed({"chunk": 1}, inner=lambda p: encode(zip_()(p), "gzip"), fields=["Content-Encoding: gzip"])),
    Row("chunks of 3 bytes, multipart", with_how(mime(cte="base64"), {"chunk": 3})),
    Row("chunks of 1 byte, json", with_how(as_json(lambda t: {"x": t}), {"chunk": 1})),
    Row("chunks of 1 byte, data: URL", with_how(page(b'<a href="data:a/b;base64,PAYLOAD">x</a>'), {"chunk": 1})),
    Row("chunks of 1 byte, form", with_how(form(form_quote), {"chunk": 1})),
    Row("chunks that end in the payload", cut_in_payload),
    Row("a byte in a packet", framed({"pace": 1, "chunk": 40})),
    Row("no Allow, no preview", framed({})),
]


KINDS = [
    Row("206", sent(status="206 Partial Content", fields=["Content-Range: bytes 100-999/9000"]), INFECTED, PARTIAL, RESP),
    Row("206, gzip'd", coded("gzip", status="206 Partial Content", fields=["Content-Range: bytes 0-99/9000"]), INFECTED, PARTIAL, RESP),
    Row("206 of an encrypted zip", sent(inner=encrypted_zip, status="206 Partial Content", fields=["Content-Range: bytes 0-9/99"]),
        "encrypted|partial", "encrypted|partial", RESP),
    Row("HEAD", sent(inner=lambda p: None, method="HEAD", length=4000), NONE, NONE, RESP),
    Row("304", sent(inner=lambda p: None, status="304 Not Modified", length=False), NONE, NONE, RESP),
    Row("204", sent(inner=lambda p: None, status="204 No Content", length=False), NONE, NONE, RESP),
    Row("301 with a body", sent("text/html", status="301 Moved Permanently", fields=["Location: /x"]), INFECTED, CLEAN, RESP),
    Row("404 with a body", sent(status="404 Not Found"), INFECTED, CLEAN, RESP),
    Row("500 with a body, br'd", coded("br", status="500 Oops"), INFECTED, CLEAN, RESP),
    Row("empty body", sent(inner=lambda p: b""), NONE, NONE),
    Row("text/event-stream reply", sent("text/event-stream", length=False), STREAM, STREAM, RESP),
    Row("text/event-stream upload", sent("text/event-stream"), INFECTED, CLEAN, REQ),
    Row("multipart/x-mixed-replace reply", sent("multipart/x-mixed-replace; boundary=q", length=False), STREAM, STREAM, RESP),
    Row("POST", sent(method="POST"), INFECTED, CLEAN, REQ),
    Row("PUT", sent(method="PUT"), INFECTED, CLEAN, REQ),
    Row("GET with a body", sent(method="GET"), INFECTED, CLEAN, REQ),
    Row("PROPFIND with a body", sent("text/xml", method="PROPFIND"), INFECTED, CLEAN, REQ),
] + [Row("type: %s" % t, sent(t)) for t in ("text/plain", "text/html", "image/png", "video/mp4", "font/woff2", "application/javascript", "x", "")]

GROUPS = (
    ("codings", CODINGS), ("field", HEADER_FORMS), ("forms of codings", FORMS_OF_CODINGS), ("broken codings", BROKEN_CODINGS),
    ("multipart", MULTIPART), ("forms", FORMS), ("json", JSONS), ("data: URLs", MARKUP), ("archives", ARCHIVES), ("documents", DOCUMENTS),
    ("sizes", SIZES), ("framing", FRAMING), ("kinds of message", KINDS),
)
ROWS = [row for _, rows in GROUPS for row in rows]
