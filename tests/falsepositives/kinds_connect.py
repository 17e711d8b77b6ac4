"""CONNECTs: of browsers, of programs without a name, to addresses, and those that Squid makes up."""

from words import HOSTS, browser

PROGRAMS = ("curl/7.88.1", "Wget/1.21.3", "Debian APT-HTTP/1.3 (2.6.1)", "git/2.39.2", "pip/24.0", "npm/10.7.0 node/v20.14.0 linux x64", "cargo/1.79.0", "Docker-Client/26.1.4 (linux)", "Go-http-client/1.1",
            "okhttp/4.12.0", "Java/17.0.11", "Apache-HttpClient/4.5.14", "Microsoft-CryptoAPI/10.0", "Windows-Update-Agent/10.0", "Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8)", "CFNetwork/1496.0.7 Darwin/23.5.0",
            "Skype WISPr", "Slack/4.38.125", "Spotify/124200000 Linux/0", "Telegram Desktop", "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)", "WinHTTP", "Citrix Receiver", "Cisco Webex")
PLACES = ("imap.example.com:993", "smtp.example.com:465", "pop.example.com:995", "mtalk.google.com:5228", "chat.example.com:5223", "iot.example.com:8883", "xmpp.example.com:5222", "panel.example.com:8443", "app.example.com:8080",
          "gateway.icloud.com:443", "www.icloud.com:443", "vpn.example.com:443", "www.vpn.example:443", "proxy.example.com:443", "tunnel.example.com:443", "api.cloudflare.com:443", "www.torproject.example:443",
          "hola.example.com:443", "www.holiday.org:443", "theonion.example:443", "login.microsoftonline.com:443", "teams.microsoft.com:443", "login.example.com:443", "d111111abcdef8.cloudfront.net:443", "www.opera.com:443",
          "www.openvpn.example:443", "docs.tailscale.example:443", "www.cisco.com:443", "remote.example.com:443", "derp.example.com:443", "WWW.EXAMPLE.COM:443", "www.example.com.:443")


def named(m):
    for host in HOSTS:
        for _ in range(3):
            m.say("CONNECT", host + ":443", ["User-Agent: " + browser(m.dice)[1]])
    for agent in PROGRAMS:
        for _ in range(5):
            m.say("CONNECT", m.dice.choice(HOSTS) + ":443", ["User-Agent: " + agent])
    for place in PLACES:
        m.say("CONNECT", place, ["User-Agent: " + browser(m.dice)[1]])
        m.say("CONNECT", place, [])


def addresses(m):
    for _ in range(40):
        m.say("CONNECT", "%s:%d" % (m.dice.address(), m.dice.choice((443, 443, 5222, 8443, 80))), ["User-Agent: " + m.dice.choice(PROGRAMS)])
        m.say("CONNECT", "[2001:db8::%s]:443" % m.dice.hex(4), ["User-Agent: " + browser(m.dice)[1]])


def made_up(m):
    """Squid's own: Host and nothing else."""
    for _ in range(40):
        m.say("CONNECT", m.dice.address() + ":443", [])
        m.say("CONNECT", m.dice.choice(HOSTS) + ":443", [])


def old(m):
    for _ in range(10):
        m.say("CONNECT", m.dice.choice(HOSTS) + ":443", [], version="1.0")
        m.say("CONNECT", m.dice.choice(HOSTS) + ":443", ["User-Agent: " + m.dice.choice(PROGRAMS), "Content-Length: 0", "Pragma: no-cache"], version="1.0")
        m.say("CONNECT", m.dice.choice(HOSTS) + ":443", ["User-Agent: x", "X-Forwarded-For: 192.0.2.1", "Via: 1.1 child.example.com (squid/5.7)"])


def logged_in(m):
    """As proxies show it that leave the client's name for them in the head; Squid does not."""
    for _ in range(5):
        m.say("CONNECT", m.dice.choice(HOSTS) + ":443", ["User-Agent: " + browser(m.dice)[1], "Proxy-Authorization: Basic Ym9iOng="])


KINDS = (("connects", named), ("connects-to-addresses", addresses), ("connects-of-squid", made_up), ("connects-of-old-clients", old), ("connects-with-a-login", logged_in))
