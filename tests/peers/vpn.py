"""SSTP, the OpenConnect family and OpenVPN."""

import re

from report import await_true, check
from stack import free_port
from world import EXCEPTED, REFUSED, run

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


# --- SSTP -------------------------------------------------------------------------------------------------------------

def _sstpc(world, host):
    return run(["sstpc", "--proxy", world.proxy, "--cert-warn", "--log-stderr", "--log-level", "4", "--nolaunchpppd", "--user", "u",
                "--password", "p", "%s:%d" % (host, world.tls.port)])


def sstpc_refused(world):
    host = world.name(REFUSED)
    client = _sstpc(world, host)
    world.refused(host, "sstp-a-version", "CONNECT")
    check(client.status not in (0, None), "sstpc: status %s: %s", client.status, client.said)
    world.stopped_in_squid(host, "CONNECT", [403])


def sstpc_excepted(world):
    """The CONNECT passes. What follows, Squid refuses by itself: a Content-Length of 2^64-1."""
    host = world.name(EXCEPTED)
    client = _sstpc(world, host)
    world.passed(host, "sstp-a-version")
    check("via proxy server" in client.said, "sstpc got no connection: %s", client.said)
    world.stopped_in_squid(host, "SSTP_DUPLEX_POST", [400, 411])


# --- openconnect ------------------------------------------------------------------------------------------------------

class Ocserv:
    """A real ocserv with one user, u, and the password pw."""

    def __init__(self, world):
        self.port = free_port()
        made = run(["ocpasswd", "-c", world.path("ocpasswd"), "u"], stdin=b"pw\npw\n")
        check(made.status == 0, "ocpasswd: %s", made.said)
        with open(world.path("ocpasswd"), encoding="ascii") as f:
            world.write("ocpasswd.readable", f.read())
        options = {
            "auth": '"plain[passwd=%s]"' % world.path("ocpasswd.readable"), "listen-host": "127.0.0.1", "tcp-port": self.port,
            "run-as-user": "nobody", "run-as-group": "nogroup", "socket-file": world.path("ocserv.sock"),
            "server-cert": world.certificate.cert, "server-key": world.certificate.key, "isolate-workers": "false",
            "max-clients": 16, "max-same-clients": 16, "device": "vpnsp",
            "ipv4-network": "192.0.2.0", "ipv4-netmask": "255.255.255.0", "cookie-timeout": 60, "auth-timeout": 40, "log-level": 2,
            "max-ban-score": 0, "rate-limit-ms": 0,
        }
        world.write("ocserv.conf", "".join("%s = %s\n" % row for row in options.items()))
        self.process = world.start("ocserv", ["ocserv", "-f", "-d", "2", "-c", world.path("ocserv.conf")], self.port)


def _openconnect(world, host, port, *options, stdin=b"pw\n", direct=False):
    route = ["--cafile", world.squid.ca.cert, "--proxy", world.proxy]
    if direct:
        route = ["--cafile", world.ca.cert, "--resolve", "%s:127.0.0.1" % host]
    return run(["openconnect"] + route + ["--non-inter", "--user", "u"] + list(options) + ["https://%s:%d/" % (host, port)], stdin=stdin)


def _login(world, host, port, *options, direct=False):
    return _openconnect(world, host, port, "--passwd-on-stdin", "--authenticate", *options, direct=direct)


def _cookie(client):
    found = re.search(r"^COOKIE='(.*)'$", client.said, re.M)
    check(client.status == 0 and found, "no login: %s", client.said[-600:])
    return found.group(1)


def openconnect_control(world, ocserv):
    """Without the proxy client and server do agree."""
    _cookie(_login(world, world.name(EXCEPTED), ocserv.port, direct=True))


def openconnect_refused(world, ocserv, rule, method, *options):
    host = world.name(REFUSED)
    client = _login(world, host, ocserv.port, *options)
    world.refused(host, rule, method)
    check(client.status not in (0, None) and "COOKIE=" not in client.said, "openconnect: status %s: %s", client.status, client.said)
    check("403" in client.said, "openconnect did not see the refusal: %s", client.said)


def openconnect_excepted(world, ocserv):
    """The whole login, with form, password and cookie."""
    host = world.name(EXCEPTED)
    _cookie(_login(world, host, ocserv.port))
    world.passed(host, "anyconnect-a-ua")
    world.passed(host, "anyconnect-b-xmlpost")
    world.passed(host, "anyconnect-b-resp")


def openconnect_tunnel(world, ocserv, kind):
    """Someone who brings the cookie of a login made elsewhere and looks like a browser. The CONNECT inside TLS has a path for a
    target; Squid takes it for the host "https", which the server's certificate does not have, and ends it."""
    cookie = _cookie(_login(world, world.name(EXCEPTED), ocserv.port, direct=True))
    host = world.name(kind)
    client = _openconnect(world, host, ocserv.port, "--useragent", BROWSER, "--cookie-on-stdin", "--script-tun", "--script", "/bin/true",
                          stdin=cookie.encode() + b"\n")
    check(client.status not in (0, None), "openconnect: status %s: %s", client.status, client.said)
    check("X-CSTP" not in client.said and "CSTP connected" not in client.said, "there is a tunnel: %s", client.said)
    world.ordinary(host)
    ends = [h for h in world.heads("https") if h[0] == "CONNECT" and h[2] in (403, 503)]
    check(ends, "Squid's log does not have it: %s", world.heads("https"))


def openconnect_speaks(world, protocol, rule):
    """The other protocols of openconnect, against a plain web server: refused before it sees anything of them."""
    host = world.name(REFUSED)
    # --useragent is for the CONNECT; inside TLS most protocols have a name of their own.
    client = _login(world, host, world.tls.port, "--protocol", protocol, "--useragent", BROWSER)
    world.refused(host, rule)
    check(client.status not in (0, None), "openconnect: status %s: %s", client.status, client.said)


# --- OpenVPN ----------------------------------------------------------------------------------------------------------

class Openvpn:
    """Two ends without a network device: they connect, and that is all."""

    def __init__(self, world):
        self.port = free_port()
        self.both = ["--dev", "null", "--verb", "3", "--ca", world.ca.cert, "--cert", world.certificate.cert,
                     "--key", world.certificate.key]
        self.process = world.start("openvpn", ["openvpn", "--tls-server", "--proto", "tcp-server", "--local", "127.0.0.1", "--lport",
                                               str(self.port), "--dh", "none"] + self.both)
        await_true(lambda: "Listening for incoming TCP" in self.process.output(), 10, "openvpn to listen")

    def connect(self, world, host, port, *options):
        proxy = ["--http-proxy", "127.0.0.1", str(world.squid.port)] if host != "127.0.0.1" else []
        return run(["openvpn", "--tls-client", "--proto", "tcp-client", "--nobind", "--remote", host, str(port), "--connect-retry-max", "1",
                    "--connect-retry", "1", "1", "--connect-timeout", "4", "--inactive", "3"] + self.both + proxy + list(options), 12)


def openvpn_control(world, openvpn):
    client = openvpn.connect(world, "127.0.0.1", openvpn.port)
    check("Initialization Sequence Completed" in client.said, "no connection even without the proxy: %s", client.said[-600:])


def openvpn_refused(world, openvpn, rule, prefix, port, *options):
    host = world.name(REFUSED, prefix)
    client = openvpn.connect(world, host, port or openvpn.port, *options)
    world.refused(host, rule, "CONNECT")
    check("403" in client.said, "openvpn did not see the refusal: %s", client.said[-600:])


def openvpn_stopped(world, openvpn, kind, seen, *options):
    """CONNECT passes; what follows is not TLS, and Squid closes."""
    host = world.name(kind)
    client = openvpn.connect(world, host, openvpn.port, *options)
    if kind == EXCEPTED:
        world.passed(host, seen)
    elif seen:
        world.reported(host, seen)
    else:
        world.ordinary(host)
    world.stopped_in_squid(host, "CONNECT", [200])
    check("Peer Connection Initiated" not in client.said, "openvpn got through: %s", client.said[-600:])


# --- all --------------------------------------------------------------------------------------------------------------

def cases(suite, world):
    yield "sstpc refused", sstpc_refused, world
    yield "sstpc excepted (its CONNECT passes, Squid refuses the rest by itself)", sstpc_excepted, world
    names = ["openconnect without the proxy", "openconnect refused", "openconnect with a browser's User-Agent refused",
             "openconnect with a browser's User-Agent and no XML refused", "openconnect excepted logs in",
             "openconnect with a cookie (Squid ends the CONNECT inside TLS by itself)",
             "openconnect with a cookie, excepted (Squid ends the CONNECT inside TLS by itself)"]
    if suite.wants_any(names) or suite.list_only:
        ocserv = None if suite.list_only else Ocserv(world)
        yield names[0], openconnect_control, world, ocserv
        yield names[1], openconnect_refused, world, ocserv, "anyconnect-a-ua", "CONNECT"
        yield names[2], openconnect_refused, world, ocserv, "anyconnect-b-xmlpost", "POST", "--useragent", BROWSER
        yield names[3], openconnect_refused, world, ocserv, "anyconnect-b-transcend", "GET", "--useragent", BROWSER, "--no-xmlpost"
        yield names[4], openconnect_excepted, world, ocserv
        yield names[5], openconnect_tunnel, world, ocserv, REFUSED
        yield names[6], openconnect_tunnel, world, ocserv, EXCEPTED
    for protocol, rule in (("gp", "gp-b-ua"), ("fortinet", "forti-b-config"), ("pulse", "pulse-b-ift"), ("nc", "juniper-b-ncp")):
        yield "openconnect --protocol=%s refused" % protocol, openconnect_speaks, world, protocol, rule
    names = ["openvpn without the proxy", "openvpn that names itself refused", "openvpn to port 1194 refused",
             "openvpn to another port (no HTTP-visible sign but HTTP/1.0: reported, stopped by bumping)",
             "openvpn with HTTP/1.1 (no HTTP-visible sign: stopped by bumping)",
             "openvpn excepted (its CONNECT passes, stopped by bumping)"]
    if suite.wants_any(names) or suite.list_only:
        openvpn = None if suite.list_only else Openvpn(world)
        agent = ("--http-proxy-option", "AGENT", "OpenVPN/2.6")
        yield names[0], openvpn_control, world, openvpn
        yield names[1], openvpn_refused, world, openvpn, "openvpn-a-ua", "h", None, *agent
        yield names[2], openvpn_refused, world, openvpn, "openvpn-a-port", "own", 1194
        yield names[3], openvpn_stopped, world, openvpn, REFUSED, "connect-a-noua10"
        yield names[4], openvpn_stopped, world, openvpn, REFUSED, None, "--http-proxy-option", "VERSION", "1.1"
        yield names[5], openvpn_stopped, world, openvpn, EXCEPTED, "openvpn-a-ua", *agent
