"""What a head alone decides: SSTP, marked CONNECTs, fields that a client must not set; and what the service says about itself."""

import icap
import samples
from common import CLIENT_FIELDS, expect_block, expect_clean, expect_log, is_eicar
from icap import without_via
from report import check, equal

SSTP_PATH = "/sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/"
# The end of what SSTP sends: a body of the largest length there is.
SSTP_LENGTH = "Content-Length: 18446744073709551615"


def connect_head(target="vpn.example.test:443", fields=()):
    return icap.request_head("CONNECT", target, fields, host=target)


def sstp_connect(stack):
    """By presence of either header, in any case, with any value, to any port."""
    with stack.client() as client:
        for name, rule in (("SSTPVERSION", "sstp-a-version"), ("SstpVersion", "sstp-a-version"), ("sstpversion", "sstp-a-version"),
                           ("SSTP_VERSION", "sstp-a-version-legacy"), ("Sstp_Version", "sstp-a-version-legacy")):
            for value in ("1.0", "2.7 beta", "", "\"x\", y"):
                for target in ("vpn.example.test:443", "192.0.2.1:8443", "[2001:db8::1]:1", "vpn.example.test:65535"):
                    head = connect_head(target, ["%s: %s" % (name, value), "User-Agent: x"])
                    expect_block(client.reqmod(head, preview=0, allow204=True), "rule", rule)


def sstp_log(stack):
    with stack.client() as client:
        head = connect_head("vpn.example.test:443", ["SSTPVERSION: 1.0"])
        ident = expect_block(client.reqmod(head, allow204=True, fields=CLIENT_FIELDS), "rule", "sstp-a-version")
    expect_log(stack, ident, outcome="rule", action="block", rule="sstp-a-version", category="vpn", direction="REQMOD", method="CONNECT",
               url=lambda u: u and "vpn.example.test:443" in u, client="192.0.2.7", user="alice")


def sstp_framings(stack):
    """Refused whatever the client allows."""
    head = connect_head(fields=["SSTPVERSION: 1.0"])
    with stack.client() as client:
        for preview in (None, 0, 1024):
            for allow204 in (False, True):
                expect_block(client.reqmod(head, preview=preview, allow204=allow204), "rule", "sstp-a-version")


def other_connect(stack):
    """The same without the header, and names that only look like it."""
    with stack.client() as client:
        for fields in ([], ["User-Agent: SSTPVERSION"], ["X-SSTPVERSION: 1.0"], ["SSTPVERSIONS: 1.0"], ["SSTP-VERSION: 1.0"]):
            for allow204 in (False, True):
                head = connect_head(fields=fields)
                expect_clean(client.reqmod(head, allow204=allow204), head, None, allow204)


def sstp_inner(stack):
    with stack.client() as client:
        for method, path in (("SSTP_DUPLEX_POST", "/x"), ("SSTP_DUPLEX_POST", SSTP_PATH), ("GET", SSTP_PATH), ("POST", SSTP_PATH),
                             ("GET", SSTP_PATH.replace("{", "%7B").replace("}", "%7D")), ("GET", "https://vpn.example.test" + SSTP_PATH)):
            head = icap.request_head(method, path, host="vpn.example.test")
            reply = client.reqmod(head, allow204=True)
            expect_block(reply, "rule")
            check("sstp-b-" in reply.get("X-Block-Reason"), "X-Block-Reason is %r", reply.get("X-Block-Reason"))
        head = icap.request_head("SSTP_DUPLEX_POST", SSTP_PATH, [SSTP_LENGTH, "SSTPCORRELATIONID: {0}"], host="vpn.example.test")
        expect_block(client.reqmod(head, samples.noise(100), preview=30, allow204=True), "rule")
        expect_block(client.reqmod(head, samples.noise(40000)), "rule")


def sstp_answer(stack):
    """The server's side of an SSTP set-up."""
    head = icap.response_head("200 OK", [SSTP_LENGTH, "Server: Microsoft-HTTPAPI/2.0"], content_type=None)
    with stack.client() as client:
        expect_block(client.respmod(head, samples.noise(10), icap.request_head(), preview=1024, allow204=True), "rule", "sstp-b-resp")


def own_field_dropped(stack):
    """Fields that only this service may set are taken out; all else stays as it came, in its order."""
    keep = ["User-Agent: a  b", "Accept: */*", "accept: text/plain", "X-Odd:value", "X-Sally: port", "Cookie: a=1; b=2", "X-Empty:",
            "XX-Sallyport-Block: no", "X-Sallyport: kept"]
    bad = ["X-Sallyport-Block: sstp", "x-SALLYPORT-block:1", "X-Sallyport-Block : blank", "X-Sallyport-Block\t: tab", "X-sallyport-Id: 7",
           "X-Sallyport-Block:"]
    mixed = []
    for i, field in enumerate(keep):
        mixed += [field] + bad[i:i + 1]
    with stack.client() as client:
        for method, body in (("CONNECT", None), ("GET", None), ("POST", b"a=1&b=2")):
            target = "www.example.test:443" if method == "CONNECT" else "http://www.example.test/"
            length = len(body) if body else None
            for preview in (None, 0, 1024):
                for allow204 in (False, True):
                    head = icap.request_head(method, target, mixed, length)
                    reply = client.reqmod(head, body, preview=preview, allow204=allow204)
                    equal(reply.status, 200, "an edited head is a")
                    equal(without_via(reply.head), icap.request_head(method, target, keep, length), "head")
                    equal(reply.body, body, "body")


def connect_page(stack):
    """connect_page: the CONNECT goes on unchanged but for the marks, for Squid to refuse it inside TLS."""
    fields = ["User-Agent: a", "SSTPVERSION: 1.0", "X-Other: 1"]
    with stack.client() as client:
        for preview in (None, 0):
            for allow204 in (False, True):
                head = connect_head(fields=fields + ["X-Sallyport-Block: forged", "x-sallyport-ID: forged", "X-Sallyport-Rule: forged"])
                reply = client.reqmod(head, preview=preview, allow204=allow204)
                equal(reply.status, 200, "ICAP status")
                equal(reply.parts[0], "req-hdr", "what is encapsulated")
                ident = reply.get("X-Sallyport-Id")
                marks = ["X-Sallyport-Block: sstp-a-version", "X-Sallyport-Rule: MS-SSTP through a web proxy", "X-Sallyport-Category: vpn",
                         "X-Sallyport-Id: " + ident]
                equal(without_via(reply.head), connect_head(fields=fields + marks), "marked head")
        expect_log(stack, ident, outcome="rule", action="block", rule="sstp-a-version")
        head = connect_head(fields=["X-Sallyport-Block: forged"])
        equal(without_via(client.reqmod(head, allow204=True).head), connect_head(), "a forged mark on a good CONNECT")
        head = connect_head()
        expect_clean(client.reqmod(head, allow204=True), head, None, True)
        # anything but a CONNECT still gets the page itself
        expect_block(client.reqmod(icap.request_head("GET", SSTP_PATH), allow204=True), "rule")


def json_page(stack):
    with stack.client() as client:
        for accept, page in (("application/json", "json"), ("application/json, */*", "json"),
                             ("text/html,application/xhtml+xml,*/*;q=0.8", "html"), ("*/*", "html"),
                             ("text/html, application/json", "html")):
            request = icap.request_head("GET", fields=["Accept: " + accept])
            expect_block(client.respmod(icap.response_head(), samples.eicar(), request, preview=1024), "infected", page=page)
            request = icap.request_head("POST", fields=["Accept: " + accept])
            expect_block(client.reqmod(request, samples.eicar()), "infected", page=page)


def page_language(stack):
    with stack.client() as client:
        for accept, tag, words in (("de-AT,en;q=0.5", "de", "Schädlicher Inhalt"), ("it, el;q=0.5", "el", "Αποκλείστηκε"), ("it", "en", "Harmful content"),
                                   (None, "en", "Harmful content")):
            request = icap.request_head("GET", fields=["Accept-Language: " + accept] if accept else [])
            reply = client.respmod(icap.response_head(), samples.eicar(), request, preview=1024)
            expect_block(reply, "infected")
            check(words in reply.body.decode(), "%s: no %r in the page", accept, words)
            check(b"\r\nContent-Language: %s\r\n" % tag.encode() in reply.head, "%s: not said to be %s", accept, tag)


def page_escapes(stack):
    """Nothing of what a client or server sends becomes markup."""
    url = "http://www.example.test/?q=<script>alert(1)</script>'\"&x={{id}}"
    with stack.client() as client:
        for accept in ("text/html", "application/json"):
            request = icap.request_head("GET", url, ["Accept: " + accept], host="<b>.example.test")
            reply = client.respmod(icap.response_head(), samples.eicar(), request)
            if accept == "text/html":
                check(b"<script>alert" not in reply.body and b"<b>" not in reply.body, "the page holds markup of the client")
                expect_infected_name(reply)
            else:
                expect_block(reply, "infected", page="json")


def expect_infected_name(reply):
    check(is_eicar(reply.get("X-Virus-ID")), "signature %r", reply.get("X-Virus-ID"))


def log_fields(stack):
    """Every field that the contract names, of an infected reply."""
    body = samples.gzip_(samples.infected(5000))
    with stack.client() as client:
        request = icap.request_head("GET", "http://www.example.test/mal?a=\u00e9", ["Accept: */*"])
        head = icap.response_head("200 OK", ["Content-Encoding: gzip"], len(body))
        ident = expect_block(client.respmod(head, body, request, preview=1024, fields=CLIENT_FIELDS), "infected")
    row = expect_log(stack, ident, outcome="infected", action="block", direction="RESPMOD", method="GET", status=200, bytes=len(body),
                     client="192.0.2.7", user="alice", encoding="gzip", signature=is_eicar, rule=lambda v: not v,
                     url=lambda u: u and "www.example.test/mal" in u)
    for key in ("generation", "total_us", "scan_us"):
        check(isinstance(row.get(key), int) and row[key] > 0, "log: %s is %r", key, row.get(key))
    for key in ("time", "reason"):
        check(isinstance(row.get(key), str) and row[key], "log: %s is %r", key, row.get(key))
    check(row["scan_us"] <= row["total_us"], "log: scan_us %d > total_us %d", row["scan_us"], row["total_us"])


def options(stack):
    with stack.client() as client:
        reply = client.options()
        equal(reply.status, 200, "OPTIONS")
        equal({m.strip() for m in reply.get("Methods").split(",")}, {"REQMOD", "RESPMOD"}, "Methods")
        check("204" in (reply.get("Allow") or ""), "Allow is %r", reply.get("Allow"))
        check((reply.get("Preview") or "").isdigit(), "Preview is %r", reply.get("Preview"))
        most = reply.get("Max-Connections") or ""
        check(most.isdigit() and int(most) > 0, "Max-Connections is %r", most)
        include = [v.strip() for v in (reply.get("X-Include") or "").split(",")]
        check("X-Client-IP" in include and "X-Authenticated-User" in include, "X-Include is %r", include)
        check((reply.get("Options-TTL") or "").isdigit(), "Options-TTL is %r", reply.get("Options-TTL"))


def istag(stack):
    """One ISTag on every connection, so in every child, and on every kind of reply."""
    tags = set()
    clients = [stack.client() for _ in range(8)]
    try:
        for client in clients:
            client.connect()
        for client in clients:
            head = icap.request_head()
            tags.add(client.options().get("ISTag"))
            tags.add(client.reqmod(head, allow204=True).get("ISTag"))
            tags.add(client.reqmod(head).get("ISTag"))
            tags.add(client.respmod(icap.response_head(), samples.eicar(), head).get("ISTag"))
    finally:
        for client in clients:
            client.close()
    equal(len(tags), 1, "different ISTags: %r" % tags)
    tag = tags.pop()
    check(len(tag) <= 34 and tag[0] == tag[-1] == '"', "ISTag is %r", tag)


def cases(stack):
    return [
        ("policy: SSTP on CONNECT", sstp_connect, stack),
        ("policy: SSTP in every framing", sstp_framings, stack),
        ("policy: SSTP in the log", sstp_log, stack),
        ("policy: CONNECT without SSTP passes", other_connect, stack),
        ("policy: inner SSTP request", sstp_inner, stack),
        ("policy: SSTP answer", sstp_answer, stack),
        ("policy: own fields of a client are dropped", own_field_dropped, stack),
        ("page: JSON where asked for", json_page, stack),
        ("page: in the reader's language", page_language, stack),
        ("page: values are escaped", page_escapes, stack),
        ("log: every field", log_fields, stack),
        ("options", options, stack),
        ("istag: the same everywhere", istag, stack),
    ]


def marking_cases(stack):
    return [("policy: connect_page marks the CONNECT", connect_page, stack)]
