"""What ordinary heads are made of: names of clients, languages, hosts, cookies. All choices come from one seeded generator, so
that every run makes the same heads."""

import random

SEED = 20240229


class Dice(random.Random):
    """With what heads need."""

    def hex(self, n):
        return "".join(self.choice("0123456789abcdef") for _ in range(n))

    def letters(self, n):
        return "".join(self.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(n))

    def base64(self, n):
        return "".join(self.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") for _ in range(n))

    def base64url(self, n):
        return self.base64(n).replace("+", "-").replace("/", "_")

    def uuid(self):
        h = self.hex(32)
        return "-".join((h[:8], h[8:12], "4" + h[13:16], "a" + h[17:20], h[20:]))

    def number(self, digits):
        return "%d" % self.randrange(10 ** (digits - 1), 10 ** digits)

    def jwt(self):
        return "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI%s.%s" % (self.base64url(90), self.base64url(86))

    def address(self):
        return "%s.%d" % (self.choice(("192.0.2", "198.51.100", "203.0.113")), self.randrange(1, 255))

    def maybe(self, chance, *fields):
        return list(fields) if self.random() < chance else []


FIREFOX_SYSTEMS = ("Windows NT 10.0; Win64; x64", "X11; Linux x86_64", "X11; Ubuntu; Linux x86_64", "Macintosh; Intel Mac OS X 10.15",
                   "Android 14; Mobile", "Windows NT 6.1; WOW64", "X11; FreeBSD amd64")
CHROME_SYSTEMS = ("Windows NT 10.0; Win64; x64", "X11; Linux x86_64", "Macintosh; Intel Mac OS X 10_15_7", "X11; CrOS x86_64 14541.0.0",
                  "Linux; Android 10; K", "Linux; Android 13; SM-A536B", "Windows NT 6.1; Win64; x64")
IOS = ("iPhone; CPU iPhone OS 17_5_1 like Mac OS X", "iPad; CPU OS 16_7 like Mac OS X", "iPhone; CPU iPhone OS 15_8 like Mac OS X")
WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


def browser(dice):
    """(family, User-Agent)"""
    family = dice.choice(("firefox", "firefox", "chrome", "chrome", "chrome", "edge", "safari", "ios", "opera", "samsung", "yandex", "ie"))
    version = dice.randrange(90, 128)
    system = dice.choice(CHROME_SYSTEMS)
    mobile = " Mobile" if "Android" in system else ""
    chrome = "Mozilla/5.0 (%s) %s Chrome/%d.0.0.0%s Safari/537.36" % (system, WEBKIT, version, mobile)
    return family, {
        "firefox": lambda: "Mozilla/5.0 (%s; rv:%d.0) Gecko/20100101 Firefox/%d.0" % (dice.choice(FIREFOX_SYSTEMS), version, version),
        "chrome": lambda: chrome,
        "edge": lambda: "%s Edg/%d.0.%d.%d" % (chrome, version, dice.randrange(1000, 3000), dice.randrange(100)),
        "safari": lambda: "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
        "ios": lambda: "Mozilla/5.0 (%s) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1" % dice.choice(IOS),
        "opera": lambda: "%s OPR/%d.0.0.0" % (chrome, version - 14),
        "samsung": lambda: "Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-S918B) %s SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36" % WEBKIT,
        "yandex": lambda: "%s YaBrowser/24.4.0.0" % chrome,
        "ie": lambda: "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko",
    }[family]()


LANGUAGES = ("en-US,en;q=0.9", "en-GB,en;q=0.5", "de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7", "fr-FR,fr;q=0.9", "ja,en-US;q=0.9,en;q=0.8",
             "zh-CN,zh;q=0.9", "zh-TW,zh;q=0.8,en-US;q=0.5", "ru-RU,ru;q=0.8,en-US;q=0.5,en;q=0.3", "pt-BR,pt;q=0.9", "es-MX,es;q=0.9",
             "it-IT,it;q=0.8", "pl,en-US;q=0.7", "tr-TR,tr;q=0.9", "ar-EG,ar;q=0.9", "he-IL,he;q=0.9", "hi-IN,hi;q=0.9", "ko-KR,ko;q=0.9",
             "vi,en;q=0.9", "th-TH,th;q=0.9", "uk-UA,uk;q=0.9", "cs,sk;q=0.8", "nl,en-US;q=0.7", "sv-SE,sv;q=0.8", "el-GR,el;q=0.9",
             "fa-IR,fa;q=0.9", "id-ID,id;q=0.9")
HOSTS = ("www.google.com", "www.youtube.com", "i.ytimg.com", "en.wikipedia.org", "de.wikipedia.org", "www.bbc.co.uk", "www.lemonde.fr",
         "news.yahoo.co.jp", "www.amazon.de", "m.media-amazon.com", "www.facebook.com", "static.xx.fbcdn.net", "www.instagram.com", "x.com",
         "www.reddit.com", "stackoverflow.com", "github.com", "www.nytimes.com", "www.spiegel.de", "www.asahi.com", "www.baidu.com",
         "www.taobao.com", "yandex.ru", "vk.com", "www.globo.com", "www.elpais.com", "www.corriere.it", "www.booking.com", "www.ebay.com",
         "www.ikea.com", "www.allegro.pl", "www.hurriyet.com.tr", "www.aljazeera.net", "www.naver.com", "www.flipkart.com", "www.wordpress.com",
         "www.microsoft.com", "www.apple.com", "www.mozilla.org", "www.debian.org", "www.python.org", "www.openstreetmap.org",
         "a.tile.openstreetmap.org", "fonts.gstatic.com", "shop.example.com", "intranet.example.org", "blog.example.net", "xn--bcher-kva.example")
WORDS = ("news", "sport", "article", "2024", "products", "item", "search", "help", "about", "blog", "img", "assets", "static", "js", "css",
         "user", "profile", "settings", "category", "shop", "cart", "vpn", "proxy", "tunnel", "remote", "login", "docs", "download", "video",
         "play", "watch", "story", "wiki", "forum", "thread", "gateway", "service", "events", "relay", "api", "v1", "v2", "client", "worker")
COOKIES = ("_ga=GA1.2.{n}.{n}", "_gid=GA1.2.{n}.{n}", "_fbp=fb.1.{n}.{n}", "PHPSESSID={l}", "JSESSIONID={h}.node1", "csrftoken={b}",
           "ASP.NET_SessionId={l}", "cf_clearance={u}-{n}-0-1", "__cf_bm={u}-{n}-1.0.1.1", "NID=511={u}", "CONSENT=YES+cb", "SOCS={u}",
           "OptanonConsent=isGpcEnabled=0&datestamp={n}", "session={j}", "token={j}", "lang=en", "tz=Europe%2FBerlin", "theme=dark",
           "AWSALB={b}", "AWSALBCORS={b}", "BIGipServerpool={n}.36895.0000", "TS01{h}={h}", "NSC_mc_wt_{l}=ffffffff{h}", "incap_ses_123={b}",
           "visid_incap_42={b}", "ARRAffinity={h}", "XSRF-TOKEN={u}", "laravel_session={u}", "wordpress_logged_in_{h}=bob%7C{n}", "wp-settings-1=x",
           "_pk_id.1.1fff={h}.{n}.", "hubspotutk={h}", "ajs_anonymous_id=%22{h}%22", "__Secure-1PSID={u}", "__Host-next-auth.csrf-token={h}",
           "connect.sid=s%3A{u}", "ROUTEID=.1", "SERVERID=web1", "D_IID={h}", "ak_bmsc={h}~{n}", "bm_sz={h}~YAAQ", "utag_main=v_id:{h}",
           "euconsent-v2={u}", "s_cc=true", "mbox=session#{h}#{n}", "intercom-id-x={h}", "vpnc=1", "last=webpage", "proxy=off")


def cookie_line(dice, most=8):
    def fill(text):
        for key, value in (("{n}", dice.number(10)), ("{l}", dice.letters(26)), ("{h}", dice.hex(32)), ("{b}", dice.base64(43) + "="),
                           ("{u}", dice.base64url(48)), ("{j}", dice.jwt())):
            text = text.replace(key, value)
        return text
    return "Cookie: " + "; ".join(fill(dice.choice(COOKIES)) for _ in range(dice.randrange(1, most)))


def path(dice, extension=""):
    steps = [dice.choice(WORDS) for _ in range(dice.randrange(1, 5))]
    text = "/" + "/".join(steps)
    if dice.random() < 0.5:
        text += "-" + dice.number(dice.randrange(2, 9))
    return text + extension


def query(dice):
    names = ("id", "page", "q", "u", "b", "d", "s", "v", "utm_source", "utm_campaign", "lang", "hl", "ref", "sort", "token", "t", "_", "sid",
             "action", "url", "redirect", "next", "session", "client", "prot", "svc")
    values = (dice.number(5), dice.letters(6), dice.hex(16), "true", "en", "https%3A%2F%2Fwww.example.com%2F" + dice.letters(4),
              "%D0%BF%D1%80%D0%B8%D0%B2%D0%B5%D1%82", "a+b", dice.base64url(22), "")
    return "?" + "&".join("%s=%s" % (dice.choice(names), dice.choice(values)) for _ in range(dice.randrange(1, 6)))
