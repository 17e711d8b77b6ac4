"""Ordinary heads: make() yields them, each with the kind it belongs to. A request is as Squid shows it to ICAP: an absolute URL, no
Connection, Keep-Alive, Proxy-Connection, TE. What some rule might take for its own on a bad day is here on purpose: pages about
VPNs, image proxies, WebSockets, opaque tokens, addresses in place of names."""

from words import Dice, HOSTS, LANGUAGES, SEED, browser, cookie_line, path

import kinds_apps
import kinds_connect
import kinds_tools
import kinds_web


class Head:
    """request: bytes. body: of the request or of the response, bytes or None. response: bytes for RESPMOD, else None."""

    def __init__(self, kind, request, body=None, response=None):
        self.kind, self.request, self.body, self.response = kind, request, body, response

    def sni(self):
        """As Squid's adaptation_meta X-SNI "%ssl::>sni" has it: the name in TLS, or "-"."""
        url = self.request.split(b" ", 2)[1].decode("latin-1")
        return url[8:].split("/")[0].split(":")[0] if url.startswith("https://") else "-"

    def text(self):
        return (self.response or self.request).decode("latin-1")


class Maker:
    """Collects heads. say() and answer() add one each."""

    def __init__(self):
        self.dice = Dice(SEED)
        self.heads = []
        self.kind = None

    def say(self, method, url, fields, body=None, version="1.1"):
        """fields: lines; User-Agent among them."""
        host = url.split("/")[2] if "://" in url else url
        lines = ["%s %s HTTP/%s" % (method, url, version), "Host: " + host] + list(fields)
        if body is not None:
            body = body if isinstance(body, bytes) else body.encode()
            lines.append("Content-Length: %d" % len(body))
        request = "\r\n".join(lines).encode("utf-8") + b"\r\n\r\n"
        self.heads.append(Head(self.kind, request, body))
        return request

    def answer(self, request, status, fields, body=None):
        body = body if body is None or isinstance(body, bytes) else body.encode()
        lines = ["HTTP/1.1 " + status] + list(fields) + ["Content-Length: %d" % len(body or b"")]
        self.heads.append(Head(self.kind, request, body, "\r\n".join(lines).encode("utf-8") + b"\r\n\r\n"))

    def host(self):
        return self.dice.choice(HOSTS)

    def browser_fields(self, accept="*/*", referer=None, cookies=0.6):
        dice = self.dice
        family, agent = browser(dice)
        fields = ["User-Agent: " + agent, "Accept: " + accept, "Accept-Language: " + dice.choice(LANGUAGES), "Accept-Encoding: gzip, deflate, br"]
        if family in ("chrome", "edge", "opera"):
            fields += ['sec-ch-ua: "Chromium";v="126", "Not/A)Brand";v="8"', "sec-ch-ua-mobile: ?%d" % dice.randrange(2), 'sec-ch-ua-platform: "Linux"']
        if family not in ("ie", "samsung"):
            fields += ["Sec-Fetch-Site: " + dice.choice(("none", "same-origin", "cross-site")), "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"]
        fields += dice.maybe(0.5, "Referer: " + (referer or "https://%s%s" % (self.host(), path(dice)))) + dice.maybe(cookies, cookie_line(dice))
        return fields + dice.maybe(0.2, "DNT: 1") + dice.maybe(0.3, "Upgrade-Insecure-Requests: 1") + dice.maybe(0.2, "Priority: u=1, i")


def make():
    """All heads, the same ones in each run."""
    maker = Maker()
    for module in (kinds_web, kinds_tools, kinds_apps, kinds_connect):
        for kind, function in module.KINDS:
            maker.kind = kind
            function(maker)
    return maker.heads

