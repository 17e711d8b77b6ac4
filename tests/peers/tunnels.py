"""ssh through programs that speak CONNECT, stunnel, GNU httptunnel."""

from quickstart import curl
from report import check, equal
from stack import free_port
from world import EXCEPTED, REFUSED, run

DENIED = "Permission denied (publickey)"  # what an SSH server says to a stranger: the client did reach it


class Sshd:
    """A real SSH server that lets nobody in."""

    def __init__(self, world):
        self.port = free_port()
        key = world.path("dropbear.key")
        made = run(["dropbearkey", "-t", "ed25519", "-f", key])
        check(made.status == 0, "dropbearkey: %s", made.said)
        # -F -E: in the foreground, log to stderr; -s -j -k: no passwords, no forwarding
        self.process = world.start("dropbear", ["dropbear", "-F", "-E", "-s", "-j", "-k", "-r", key, "-P", world.path("dropbear.pid"),
                                                "-p", "127.0.0.1:%d" % self.port], self.port)


def ssh(host, port, *options):
    return run(["ssh", "-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes",
                "-o", "IdentityFile=/nonexistent", "-o", "IdentityAgent=none", "-o", "PreferredAuthentications=publickey",
                "-o", "ConnectTimeout=4", "-p", str(port)] + list(options) + ["nobody@%s" % host], 10)


def ssh_control(world, sshd):
    client = ssh("127.0.0.1", sshd.port)
    check(DENIED in client.said, "the SSH server does not answer: %s", client.said)


def ssh_stopped(world, sshd, kind, command, rule):
    """Nothing in such a CONNECT tells it from others, and the name of the port is free to choose. But SSH is not TLS."""
    host = world.name(kind)
    client = ssh(host, sshd.port, "-o", "ProxyCommand=" + command % {"address": world.proxy_address, "port": world.squid.port})
    if rule and kind == REFUSED:
        world.reported(host, rule)
    elif rule:
        world.passed(host, rule)
    else:
        world.ordinary(host)
    world.stopped_in_squid(host, "CONNECT", [200])
    check(client.status not in (0, None) and DENIED not in client.said, "ssh got through: %s", client.said)


HELPERS = (
    ("nc -X connect", "nc -X connect -x %(address)s %%h %%p", "connect-a-noua10"),
    ("connect-proxy", "connect-proxy -H %(address)s %%h %%p", "connect-a-noua10"),
    ("corkscrew", "corkscrew 127.0.0.1 %(port)d %%h %%p", "connect-a-noua10"),
    ("proxytunnel", "proxytunnel -q -p %(address)s -d %%h:%%p", None),
)


def ssh_cases(suite, world, sshd):
    yield "ssh without the proxy", ssh_control, world, sshd
    for name, command, rule in HELPERS:
        seen = " but HTTP/1.0: reported," if rule else ":"
        yield "ssh by %s (no HTTP-visible sign%s stopped by bumping)" % (name, seen), ssh_stopped, world, sshd, REFUSED, command, rule
    command, rule = HELPERS[2][1:]
    yield "ssh by corkscrew excepted (its CONNECT passes, stopped by bumping)", ssh_stopped, world, sshd, EXCEPTED, command, rule


# --- stunnel ----------------------------------------------------------------------------------------------------------

def front(world, name, target):
    """A TLS server (stunnel's) in front of a port. Its port."""
    port = free_port()
    _stunnel(world, name, port, ["connect = 127.0.0.1:%d" % target, "cert = " + world.certificate.cert, "key = " + world.certificate.key])
    return port


def _stunnel(world, name, port, lines):
    text = ["foreground = yes", "pid =", "[service]", "accept = 127.0.0.1:%d" % port] + lines
    world.start(name, ["stunnel", world.write(name + ".conf", "\n".join(text) + "\n")], port)


def _stunnel_client(world, name, lines):
    port = free_port()
    _stunnel(world, name, port, ["client = yes"] + lines)
    return port



def _stunnel_through(world, name, host, port):
    return _stunnel_client(world, name, ["connect = %s" % world.proxy_address, "protocol = connect", "protocolHost = %s:%d" % (host, port)])


def stunnel_control(world, server):
    client = ssh("127.0.0.1", _stunnel_client(world, "stunnel-direct", ["connect = 127.0.0.1:%d" % server]))
    check(DENIED in client.said, "no SSH through stunnel even without the proxy: %s", client.said)


def stunnel_ssh(world, server, kind):
    """It speaks TLS as it should; Squid takes that off and finds no HTTP."""
    host = world.name(kind)
    client = ssh("127.0.0.1", _stunnel_through(world, "stunnel-%s" % host, host, server))
    world.ordinary(host)
    world.stopped_in_squid(host, "CONNECT", [200])
    check(client.status not in (0, None) and DENIED not in client.said, "ssh got through: %s", client.said)


def stunnel_http(world):
    """HTTP in stunnel is HTTPS: inspected like any."""
    host = world.name(REFUSED)
    port = _stunnel_through(world, "stunnel-http", host, world.tls.port)
    good = curl(["-H", "Host: %s:%d" % (host, world.tls.port), "http://127.0.0.1:%d/page" % port], 10)
    equal((good.exit_status, good.status), (0, 200), "curl (%s)" % good.stderr)
    world.passed(host)
    bad = curl(["-H", "Host: %s:%d" % (host, world.tls.port), "http://127.0.0.1:%d/vpnsvc/connect.cgi" % port, "-d", "VPNCONNECT"], 10)
    equal((bad.exit_status, bad.status), (0, 403), "curl (%s)" % bad.stderr)
    world.refused(host, "softether-b-connect", "POST")


def stunnel_cases(suite, world, sshd):
    server = None if suite.list_only else front(world, "stunnel-ssh", sshd.port)
    yield "stunnel without the proxy", stunnel_control, world, server
    yield "stunnel with ssh inside (no HTTP-visible sign: stopped by bumping)", stunnel_ssh, world, server, REFUSED
    yield "stunnel with ssh inside, excepted (stopped by bumping)", stunnel_ssh, world, server, EXCEPTED
    yield "stunnel with HTTP inside is inspected", stunnel_http, world


# --- GNU httptunnel ---------------------------------------------------------------------------------------------------

def httptunnel(world, kind):
    """The client against a plain web server: what it would send to its own."""
    host = world.name(kind)
    client = run(["htc", "-s", "-w", "-P", world.proxy_address, "%s:%d" % (host, world.http.port)], 3, stdin=b"hello\n")
    if kind == REFUSED:
        world.refused(host, "httptunnel-b")
        check(not _asked(world, host), "the server was asked: %s", _asked(world, host))
    else:
        check(_asked(world, host), "the server was not asked; %s; %s", client.said, world.brief(host))
        world.passed(host, "httptunnel-b")


def _asked(world, host):
    return [r[1] for r in list(world.http.requests) if ("host", "%s:%d" % (host, world.http.port)) in r[2] and "crap=" in r[1]]


# --- all --------------------------------------------------------------------------------------------------------------

def cases(suite, world, sshd):
    yield from ssh_cases(suite, world, sshd)
    yield from stunnel_cases(suite, world, sshd)
    yield "httptunnel refused", httptunnel, world, REFUSED
    yield "httptunnel excepted reaches the server", httptunnel, world, EXCEPTED
