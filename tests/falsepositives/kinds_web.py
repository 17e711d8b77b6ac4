"""What browsers do: pages, their parts, searches, forms, video, webmail, banking, and answers to it."""

from words import cookie_line, path, query

PAGE = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
PARTS = ((".js", "*/*", "application/javascript"), (".css", "text/css,*/*;q=0.1", "text/css"), (".png", "image/webp,*/*", "image/png"),
         (".jpg", "image/avif,image/webp,*/*;q=0.8", "image/jpeg"), (".woff2", "*/*", "font/woff2"), (".svg", "image/*", "image/svg+xml"),
         (".json", "application/json", "application/json"), (".ico", "image/*", "image/x-icon"), (".wasm", "*/*", "application/wasm"))
TEXTS = ("Weather for tomorrow: sun.", "How a VPN works, and why companies run one (SSTP, AnyConnect, OpenVPN, WireGuard).", "Reset your password",
         "C++ has __cplusplus, __cpp_lib_span and __cpp_concepts.", "var ginf = {lang: 'en'};", "Powered by <a href=\"https://www.example.com/\">Shop</a>",
         "Release notes: the tunnel answers START_TUNNEL late.", "Привет, мир", "こんにちは", "مرحبا", "Our proxies: Glype, PHProxy, miniProxy reviewed",
         "window.__NUXT__={state:{}}", "window.__INITIAL_STATE__={}", "<config-auth> is an element of a login document")
SERVERS = ("nginx", "Apache/2.4.57 (Debian)", "cloudflare", "Microsoft-IIS/10.0", "gws", "AmazonS3", "ESF", "LiteSpeed", "AkamaiGHost", "BigIP",
           "Microsoft-HTTPAPI/2.0", "openresty", "Caddy", "Varnish", "ATS/9.2", "Jetty(9.4.z)", "Werkzeug/3.0 Python/3.11", "envoy")


def common_answer(dice, kind):
    return (["Date: Tue, 04 Jun 2024 10:00:00 GMT", "Server: " + dice.choice(SERVERS), "Content-Type: " + kind]
            + dice.maybe(0.5, "Cache-Control: max-age=%d" % dice.randrange(100000)) + dice.maybe(0.4, 'ETag: W/"%s"' % dice.hex(16))
            + dice.maybe(0.4, "Strict-Transport-Security: max-age=31536000") + dice.maybe(0.3, "X-Content-Type-Options: nosniff")
            + dice.maybe(0.3, "Vary: Accept-Encoding, Origin") + dice.maybe(0.2, "X-Cache: HIT from " + dice.letters(5)) + dice.maybe(0.2, "CF-RAY: %s-FRA" % dice.hex(16))
            + dice.maybe(0.2, "X-Request-Id: " + dice.uuid()) + dice.maybe(0.2, "Alt-Svc: h3=\":443\"; ma=86400")
            + dice.maybe(0.3, "Set-Cookie: %s; Path=/; Secure; HttpOnly" % cookie_line(dice, 2)[8:]) + dice.maybe(0.1, "X-Frame-Options: SAMEORIGIN")
            + dice.maybe(0.1, "Link: </style.css>; rel=preload") + dice.maybe(0.1, "X-Session: " + dice.letters(8)) + dice.maybe(0.1, "X-Client-IP: 192.0.2.1"))


def pages(m):
    for _ in range(320):
        url = "%s://%s%s%s" % (m.dice.choice(("https", "https", "http")), m.host(), path(m.dice), query(m.dice) if m.dice.random() < 0.5 else "")
        request = m.say("GET", url, m.browser_fields(PAGE))
        text = "<!DOCTYPE html>\n<html><head><title>%s</title></head><body><p>%s</p></body></html>\n" % (m.dice.letters(8), m.dice.choice(TEXTS))
        if m.dice.random() < 0.6:
            m.answer(request, "200 OK", common_answer(m.dice, "text/html; charset=utf-8"), text)


def parts(m):
    for _ in range(320):
        extension, accept, kind = m.dice.choice(PARTS)
        request = m.say("GET", "https://%s%s" % (m.host(), path(m.dice, extension)), m.browser_fields(accept))
        if m.dice.random() < 0.5:
            body = "/* %s */\nfunction f(){return %s}\n" % (m.dice.choice(TEXTS), m.dice.number(4))
            m.answer(request, m.dice.choice(("200 OK", "200 OK", "206 Partial Content")), common_answer(m.dice, kind), body)


def conditional(m):
    for status in ("304 Not Modified", "301 Moved Permanently", "302 Found", "307 Temporary Redirect", "404 Not Found", "403 Forbidden",
                   "500 Internal Server Error", "503 Service Unavailable", "204 No Content", "401 Unauthorized", "429 Too Many Requests"):
        for _ in range(6):
            request = m.say("GET", "https://%s%s" % (m.host(), path(m.dice)), m.browser_fields() + ['If-None-Match: "%s"' % m.dice.hex(12)])
            m.answer(request, status, common_answer(m.dice, "text/html") + m.dice.maybe(0.5, "Location: https://%s/vpn/login" % m.host()))


def searches(m):
    for words in ("vpn+client", "how+to+use+a+web+proxy", "croxyproxy", "what+is+sstp", "wetter", "%E5%A4%A9%E6%B0%97", "open+port+1194", "glype+browse.php"):
        for base in ("https://www.google.com/search?q=%s&hl=en", "https://www.bing.com/search?q=%s&form=QBLH", "https://duckduckgo.com/?q=%s&ia=web",
                     "https://yandex.ru/search/?text=%s", "https://www.baidu.com/s?wd=%s", "https://search.yahoo.co.jp/search?p=%s", "https://www.ecosia.org/search?q=%s"):
            m.say("GET", base % words, m.browser_fields(PAGE))


def forms(m):
    for _ in range(60):
        site = "https://" + m.host()
        m.say("POST", site + path(m.dice), m.browser_fields(PAGE) + ["Origin: " + site, "Content-Type: application/x-www-form-urlencoded"],
              "username=bob&password=x&csrf=%s&action=update&u=%s" % (m.dice.base64url(22), m.dice.letters(9)))
        boundary = "----x" + m.dice.hex(8)
        m.say("POST", site + path(m.dice), m.browser_fields() + ["Origin: " + site, "Content-Type: multipart/form-data; boundary=" + boundary],
              "--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jpg\"\r\nContent-Type: image/jpeg\r\n\r\nGIF89a\r\n--%s--\r\n" % (boundary, boundary))


# Addresses that look a little like those of rules.
LOOKALIKES = (
    "https://img.example.com/proxy/image?url=https%3A%2F%2Fwww.example.org%2Fa.png", "https://camo.example.com/0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d/68747470733a2f2f",
    "https://images.example.com/unsafe/300x200/smart/https%3A//www.example.org/a.jpg", "https://i0.wp.com/www.example.org/wp-content/a.jpg?resize=300%2C200&ssl=1",
    "https://img.example.com/insecure/rs:fill:300:400/plain/s3://bucket/a.jpg@png", "https://images.weserv.nl/?url=www.example.org/a.jpg&w=300",
    "https://external-content.duckduckgo.com/iu/?u=https%3A%2F%2Fwww.example.org%2Fa.jpg&f=1&nofb=1", "https://cdn.example.com/0123456789abcdef0123456789abcdef/https/www.example.org/a.png",
    "https://cdn.example.com/0123456789abcdef0123456789abcdef/https://www.example.org/a.png", "https://www.example.com/vpn", "https://www.example.com/vpn/what-is-a-vpn",
    "https://www.example.com/vpntunnel", "https://www.example.com/remote/jobs", "https://www.example.com/remote/work", "https://www.example.com/svpn/",
    "https://shop.example.com/browse.php?cat=4&b=2", "https://shop.example.com/browse.php?u=books", "https://www.example.com/includes/process.php",
    "https://www.example.com/includes/ajax.php?action=update", "https://www.example.com/index.php?q=node/12", "https://www.example.com/index.php?q=books&page=2", "https://www.example.com/index.php?q=books&hl=de",
    "https://archive.example.edu/cgi-bin/nph-bib_query?bibcode=2024A", "https://archive.example.edu/cgi-bin/nph-iers_data.pl", "https://archive.example.edu/cgi-bin/nph-objsearch.cgi?name=m31",
    "https://library.example.org/uv/uv.js", "https://library.example.org/uv/lib/bundle.min.js", "https://library.example.org/uv/uv-config.json", "https://cdn.example.com/lib/scramjet.min.js",
    "https://cdn.example.com/scramjet/4.36/scramjet.js", "https://www.example.com/derp", "https://www.example.com/relay", "https://www.example.com/tunnel", "https://www.example.com/go.php?u=1",
    "https://www.example.com/process.php?d=1", "https://www.example.com/service/gateway?wsdl", "https://api.example.com/gateway/?url=1", "https://www.example.com/wisp/",
    "https://www.example.com/bare/", "https://www.example.com/bare/v1/", "https://www.example.com/bare/v3/", "https://img.example.com/proxy/http://10.1.2.3/cam.jpg", "https://www.example.com/get/gateway", "https://www.example.com/clients/", "https://www.example.com/por/index.html",
    "https://www.example.com/dana/", "https://www.example.com/myvpn?lang=de", "https://www.example.com/default/show.do", "https://www.example.com/prx/1", "https://www.example.com/passport/v1/login",
    "https://accounts.example.com/passport/v1/auth/login", "https://www.example.com/ssl-vpn/", "https://www.example.com/global-protect/", "https://www.example.com/+CSS+/a.css",
    "https://www.example.com/?crap=yes", "https://www.example.com/?new", "https://www.example.com/?_proxy=1", "https://www.example.com/?__cp=1", "https://www.example.com/watch?v=__cpo",
    "https://www.example.com/110/010110/http/page", "https://bits.example.com/010101/http/x", "https://www.example.com/task/1.js", "https://www.example.com/js/hammer.min.js",
    "https://www.example.com/v1/events", "https://www.example.com/push?token=abc", "https://www.example.com/events", "https://www.example.com/Tun", "https://www.example.com/client",
    "https://www.example.com/amp/", "https://news.example.com/amp/client/story", "https://web.archive.org/web/20240101000000/https://www.example.org/",
    "https://www-example-org.translate.goog/?_x_tr_sl=en&_x_tr_tl=de", "https://www.example.com/rpc/", "https://www.example.com/go/https://www.example.org/", "https://www.example.com/screens/wms/",
    "https://www.example.com/link/https://www.example.org", "https://www.example.com/login?next=https://www.example.org/", "https://www.example.com/.well-known/security.txt",
    "https://www.example.com/.well-known/openid-configuration", "https://www.example.com/.well-known/acme-challenge/abc", "https://www.example.com/~frp", "https://www.example.com/~bob/",
    "https://www.example.com/nf/", "https://www.example.com/cgi/search", "https://www.example.com/epa/reports", "https://www.example.com/servlet/redirect?u=1", "https://www.example.com/din.aspx?s=1")


def lookalikes(m):
    for url in LOOKALIKES:
        for _ in range(2):
            request = m.say("GET", url, m.browser_fields(PAGE))
        m.answer(request, "200 OK", common_answer(m.dice, "text/html"), "<html><body>%s</body></html>" % m.dice.choice(TEXTS))


def video(m):
    for _ in range(25):
        vod = "https://vod-%s.example.net/hls/%s" % (m.dice.letters(3), m.dice.uuid())
        m.say("GET", vod + "/master.m3u8?token=" + m.dice.jwt(), m.browser_fields())
        request = m.say("GET", vod + "/seg-%s.ts" % m.dice.number(3), m.browser_fields() + ["Range: bytes=0-1048575", "Origin: https://www.example.com"])
        m.answer(request, "206 Partial Content", common_answer(m.dice, "video/mp2t") + ["Content-Range: bytes 0-9/10"], b"\x47\x40\x00\x10\x00\x00\xb0\x0d\x00\x01")
        m.say("GET", "https://rr3---sn-%s.googlevideo.com/videoplayback?expire=%s&ei=%s&ip=192.0.2.1&id=o-%s&itag=248&sig=%s" % (
            m.dice.letters(8), m.dice.number(10), m.dice.base64url(22), m.dice.base64url(43), m.dice.base64url(96)), m.browser_fields())
        m.say("POST", "https://ipv4-c001.1.oca.nflxvideo.net/range/0-65535?o=1&v=5&e=%s&t=%s" % (m.dice.number(10), m.dice.base64url(27)), m.browser_fields(), b"")


def webmail(m):
    for _ in range(12):
        mail = "https://mail.example.com"
        m.say("POST", mail + "/owa/service.svc?action=FindItem&EP=1&ID=-1&AC=1", m.browser_fields() + ["X-OWA-CANARY: " + m.dice.base64url(70), "Content-Type: application/json; charset=utf-8", "Action: FindItem"], "{}")
        m.say("POST", mail + "/EWS/Exchange.asmx", ["User-Agent: MacOutlook/16.86 (Intelx64 Mac OS X 14.5)", "Content-Type: text/xml; charset=utf-8", "SOAPAction: x"], "<soap:Envelope/>")
        m.say("POST", mail + "/Microsoft-Server-ActiveSync?Cmd=Sync&User=bob&DeviceId=%s&DeviceType=iPhone" % m.dice.hex(26),
              ["User-Agent: Apple-iPhone14C2/2105.236", "MS-ASProtocolVersion: 16.1", "X-MS-PolicyKey: 1", "Content-Type: application/vnd.ms-sync.wbxml"], b"\x03\x01\x6a\x00")
        m.say("POST", mail + "/mapi/emsmdb/?MailboxId=%s@example.com" % m.dice.uuid(), ["User-Agent: Microsoft Office/16.0", "Content-Type: application/mapi-http", "X-RequestType: Execute",
              "X-RequestId: {%s}:1" % m.dice.uuid(), "X-ClientInfo: {%s}:1" % m.dice.uuid()], b"\x00\x00\x00\x00")
        m.say("GET", mail + "/roundcube/?_task=mail&_mbox=INBOX&_uid=1&_action=show", m.browser_fields(PAGE))
        m.say("POST", mail + "/service/soap/SearchRequest", m.browser_fields() + ["Content-Type: application/soap+xml; charset=UTF-8"], "{}")
        m.say("GET", "https://mail.google.com/mail/u/0/?ik=%s&at=%s&view=up&act=md" % (m.dice.hex(10), m.dice.base64url(30)), m.browser_fields())
        m.say("POST", "https://autodiscover.example.com/autodiscover/autodiscover.xml", ["User-Agent: Microsoft Office/16.0", "Content-Type: text/xml"], "<Autodiscover/>")


def banking(m):
    for _ in range(25):
        bank = "https://banking.%s.example" % m.dice.letters(6)
        request = m.say("POST", bank + "/ebanking/login;jsessionid=%s" % m.dice.hex(32), m.browser_fields(PAGE) + ["Origin: " + bank, "Content-Type: application/x-www-form-urlencoded"], "pin=00000")
        m.answer(request, "302 Found", common_answer(m.dice, "text/html") + ["Location: /vdesk", "Set-Cookie: TS01%s=%s; Path=/; Secure" % (m.dice.hex(6), m.dice.hex(60)), "Set-Cookie: F5_fullWT=1; Path=/"])
        m.say("POST", bank + "/api/payments", m.browser_fields("application/json") + ["X-Session-Id: " + m.dice.uuid(), "X-Request-Id: " + m.dice.uuid(), "X-Signature: " + m.dice.base64(43) + "=",
              "Authorization: Bearer " + m.dice.jwt(), "Content-Type: application/json"], '{"iban":"DE00","amount":"1.00"}')


KINDS = (("pages", pages), ("parts-of-pages", parts), ("conditional", conditional), ("searches", searches), ("forms", forms), ("lookalikes", lookalikes),
         ("video", video), ("webmail", webmail), ("banking", banking))
