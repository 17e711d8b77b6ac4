"""WebSockets, messengers, meetings, things."""


def sockets(m):
    d = m.dice
    protocols = ("graphql-ws", "graphql-transport-ws", "mqtt", "mqttv3.1", "wamp.2.json", "v12.stomp, v11.stomp", "ocpp1.6, ocpp2.0.1", "xmpp", "soap", "janus-protocol", "sip", "actioncable-v1-json",
                 "v4.channel.k8s.io", "base64url.bearer.authorization.k8s.io.%s, base64.binary.k8s.io", "binary", "chat, superchat", "access_token, %s", "jsonrpc", "vite-hmr", "aws.rekognition", "signalr", "xtermjs")
    for i in range(150):
        site = "https://ws.%s.example.com" % d.letters(5)
        place = d.choice(("/ws", "/socket.io/?EIO=4&transport=websocket&sid=" + d.base64url(20), "/cable", "/signalr/connect?transport=webSockets", "/live/websocket?vsn=2.0.0", "/sockjs-node/%s/%s/websocket" % (d.number(3), d.letters(8)),
                          "/graphql", "/mqtt", "/v1/realtime", "/api/websocket", "/", "/_blazor?id=" + d.base64url(22), "/websocket", "/events", "/stream?token=" + d.jwt(), "/hub", "/wss/chat", "/api/v1/ws", "/subscriptions"))
        fields = m.browser_fields(cookies=0.4) + ["Origin: " + site] if i % 5 else ["User-Agent: " + d.choice(("okhttp/4.12.0", "websocket-sharp/1.0", "Python/3.11 websockets/12.0", "Dart/3.4 (dart:io)", "SocketRocket"))]
        fields += ["Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + d.base64(22) + "==", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"]
        if d.random() < 0.5:
            protocol = d.choice(protocols)
            fields.append("Sec-WebSocket-Protocol: " + (protocol % d.base64url(40) if "%s" in protocol else protocol))
        m.say("GET", site + place, fields)
    for _ in range(6):
        m.say("GET", "http://www.example.com/", ["User-Agent: curl/7.88.1", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"])
        m.say("GET", "http://printer.example.com/", ["User-Agent: CUPS/2.4.2", "Upgrade: TLS/1.0"])


def messengers(m):
    d = m.dice
    for _ in range(12):
        m.say("GET", "https://web.whatsapp.com/ws/chat", m.browser_fields() + ["Origin: https://web.whatsapp.com", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + d.base64(22) + "=="])
        m.say("GET", "https://gateway.discord.gg/?encoding=json&v=9&compress=zlib-stream", m.browser_fields() + ["Origin: https://discord.com", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + d.base64(22) + "=="])
        m.say("GET", "https://wss-primary.slack.com/?token=xoxc-%s&gateway_server=T0" % d.number(12), ["User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Slack/4.38.125 Chrome/124.0.6367.243 Electron/30.1.0 Safari/537.36",
              "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + d.base64(22) + "==", "Origin: https://app.slack.com"])
        m.say("POST", "https://slack.com/api/chat.postMessage?_x_id=%s&slack_route=T0" % d.hex(8), m.browser_fields() + ["Content-Type: multipart/form-data; boundary=x"], "--x--")
        m.say("POST", "http://%s/api" % d.address(), ["Content-Type: application/x-www-form-urlencoded", "User-Agent: Mozilla/5.0 Telegram"], d.base64(60).encode())
        m.say("POST", "https://teams.microsoft.com/api/chatsvc/emea/v1/users/ME/conversations/19%3a" + d.hex(32) + "/messages", m.browser_fields() + ["x-ms-session-id: " + d.uuid(), "ClientInfo: os=linux; osVer=undefined", "behavioroverride: redirectAs404"], "{}")
        m.say("GET", "https://go.trouter.teams.microsoft.com/v4/c?tc=%%7B%%22cv%%22%%3A%%22%s%%22%%7D&con_num=%s" % (d.number(8), d.number(13)), m.browser_fields() + ["Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + d.base64(22) + "==", "Origin: https://teams.microsoft.com"])
        m.say("POST", "https://zoom.us/j/%s?pwd=%s" % (d.number(11), d.base64url(32)), m.browser_fields(), "")
        m.say("GET", "https://rwcfra1.zoom.us/wc/api/%s?type=p&cfs=0" % d.base64url(40), m.browser_fields() + ["Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + d.base64(22) + "==", "Origin: https://app.zoom.us"])
        m.say("PUT", "https://chat.signal.org/v1/messages/" + d.uuid(), ["User-Agent: Signal-Android/7.8.1 Android/34", "X-Signal-Agent: OWA", "X-Signal-Timestamp: " + d.number(13), "Authorization: Basic " + d.base64(40)], "{}")
        m.say("POST", "https://matrix.example.org/_matrix/client/v3/rooms/!%s:example.org/send/m.room.message/m%s.1" % (d.letters(18), d.number(13)), m.browser_fields("application/json") + ["Authorization: Bearer syt_" + d.base64url(40)], "{}")
        m.say("POST", "https://xmpp.example.org/http-bind", m.browser_fields() + ["Content-Type: text/xml; charset=utf-8"], "<body rid='1' xmlns='http://jabber.org/protocol/httpbind'/>")


def things(m):
    d = m.dice
    for _ in range(14):
        m.say("GET", "http://fw.example.com/check?mac=%s&v=1.0.%s" % (d.hex(12), d.number(2)), ["User-Agent: ESP8266HTTPClient", "x-ESP8266-STA-MAC: AA:BB:CC:DD:EE:FF", "x-ESP8266-version: 1"], version="1.0")
        m.say("GET", "http://%s/cgi-bin/hi3510/param.cgi?cmd=getserverinfo" % d.address(), ["Authorization: Digest username=\"admin\", realm=\"x\", nonce=\"%s\", uri=\"/\", response=\"%s\"" % (d.hex(32), d.hex(32))])
        m.say("POST", "http://printer.example.com:631/ipp/print", ["User-Agent: CUPS/2.4.2 (Linux 6.1.0; x86_64) IPP/2.0", "Content-Type: application/ipp"], b"\x02\x00\x00\x0b\x00\x00\x00\x01")
        m.say("POST", "http://tv.example.com/gena", ["User-Agent: Linux/4.9 UPnP/1.0 Cling/2.0", "Content-Type: text/xml; charset=\"utf-8\"", "SOAPACTION: \"urn:schemas-upnp-org:service:AVTransport:1#Play\""], "<s:Envelope/>")
        m.say("NOTIFY", "http://%s:49152/evt" % d.address(), ["NT: upnp:event", "NTS: upnp:propchange", "SID: uuid:" + d.uuid(), "SEQ: 0", "Content-Type: text/xml"], "<e:propertyset/>")
        m.say("POST", "https://api.amazonalexa.example.com/v20160207/events", ["User-Agent: AvsDeviceSDK/1.26", "Authorization: Bearer Atza|" + d.base64(60)], "--x\r\n")
        m.say("GET", "http://heartbeat.example.com/hb?id=" + d.hex(16), [], version="1.0")
        m.say("GET", "http://192.0.2.50/", [], version="1.0")
        m.say("POST", "http://telemetry.example.com/", ["Content-Type: application/octet-stream", "User-Agent: device/1"], d.hex(40).encode())
        m.say("POST", "http://telemetry.example.com/", ["Content-Type: application/octet-stream", "Cookie: s=" + d.hex(20)], b"\x00\x01\x02")
        m.say("GET", "http://homeassistant.example.com:8123/api/websocket", ["Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + d.base64(22) + "=="])
        m.say("GET", "https://samsung.example.com/tv/2.0/apps?duid=" + d.uuid(), ["User-Agent: Mozilla/5.0 (SMART-TV; LINUX; Tizen 7.0) AppleWebKit/537.36 (KHTML, like Gecko) 94.0.4606.31/7.0 TV Safari/537.36"])
        m.say("GET", "http://monitor.example.com/", ["User-Agent: check_http/v2.3.3 (monitoring-plugins 2.3.3)"], version="1.0")


def resolvers(m):
    """Browsers with DNS over HTTPS switched on: reported, not refused."""
    for _ in range(4):
        m.say("POST", "https://mozilla.cloudflare-dns.com/dns-query", ["Accept: application/dns-message", "Content-Type: application/dns-message"], b"\x00\x00\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03com\x00\x00\x01\x00\x01")


KINDS = (("websockets", sockets), ("messengers", messengers), ("things", things), ("resolvers", resolvers))
