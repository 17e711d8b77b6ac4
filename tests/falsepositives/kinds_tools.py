"""What programs do: package managers, updates of systems and virus scanners, APIs, uploads, cloud storage. Hosts of package
archives are made up; the paths and fields are those of the programs."""

import gzip

from words import path, query


def packages(m):
    d = m.dice
    for _ in range(14):
        m.say("GET", "http://deb.mirror.example/debian/dists/bookworm/InRelease", ["User-Agent: Debian APT-HTTP/1.3 (2.6.1)", "Cache-Control: max-age=0", "Accept: text/*", "If-Modified-Since: Sat, 01 Jun 2024 10:00:00 GMT"])
        m.say("GET", "http://deb.mirror.example/debian/pool/main/o/openvpn/openvpn_2.6.3-1_amd64.deb", ["User-Agent: Debian APT-HTTP/1.3 (2.6.1)", "Range: bytes=%s-" % d.number(5), "If-Range: x"])
        m.say("GET", "http://archive.example.com/ubuntu/pool/main/o/openconnect/openconnect_9.01-3_amd64.deb", ["User-Agent: Ubuntu APT-HTTP/1.3 (2.7.14)"])
        m.say("GET", "https://mirrors.example.com/metalink?repo=fedora-40&arch=x86_64", ["User-Agent: libdnf (Fedora Linux 40; workstation; Linux.x86_64)", "Accept: */*"])
        m.say("GET", "https://mirrors.example.com/fedora/Packages/s/softether-4.rpm", ["User-Agent: libdnf (Fedora Linux 40; server; Linux.x86_64)", "Accept: */*"])
        m.say("GET", "https://mirrors.example.com/opensuse/repodata/repomd.xml", ["User-Agent: ZYpp 17.31.31 (curl 8.0.1) openSUSE-Leap-15.5-x86_64", "X-ZYpp-AnonymousId: " + d.uuid()])
        m.say("GET", "https://mirrors.example.com/arch/core/os/x86_64/core.db", ["User-Agent: pacman/6.1.0 (Linux x86_64) libalpm/14.0.0"])
        m.say("GET", "https://mirrors.example.com/alpine/v3.20/main/x86_64/APKINDEX.tar.gz", ["User-Agent: apk-tools/2.14.4"])
        m.say("GET", "https://index.example.com/simple/%s/" % d.letters(7), ['User-Agent: pip/24.0 {"ci":null,"cpu":"x86_64","distro":{"name":"Debian GNU/Linux"},"installer":{"name":"pip","version":"24.0"}}',
              "Accept: application/vnd.example.simple.v1+json, text/html; q=0.1", "Cache-Control: max-age=0"])
        m.say("GET", "https://index.example.com/%s" % d.letters(7), ["User-Agent: npm/10.7.0 node/v20.14.0 linux x64 workspaces/false", "Accept: application/vnd.npm.install-v1+json; q=1.0, */*", "npm-command: install", "pacote-req-type: packument"])
        m.say("POST", "https://index.example.com/-/npm/v1/security/advisories/bulk", ["User-Agent: npm/10.7.0 node/v20.14.0 linux x64", "Content-Encoding: gzip", "Content-Type: application/json"], gzip.compress(b"{}", mtime=0))
        m.say("GET", "https://index.example.com/%s/-/%s-1.0.0.tgz" % (d.letters(5), d.letters(5)), ["User-Agent: yarn/1.22.22 npm/? node/v20.14.0 linux x64"])
        m.say("GET", "https://index.example.com/se/rd/serde", ["User-Agent: cargo 1.79.0 (ffa9cf99a 2024-06-03)", "Cargo-Protocol: version=1", "Accept: */*"])
        m.say("GET", "https://images.example.com/v2/library/debian/manifests/12", ["User-Agent: docker/26.1.4 go/go1.21.11 git-commit/de5c9cf kernel/6.1.0 os/linux arch/amd64 UpstreamClient(Docker-Client/26.1.4 \\(linux\\))",
              "Accept: application/vnd.docker.distribution.manifest.v2+json", "Authorization: Bearer " + d.jwt()])
        m.say("HEAD", "https://images.example.com/v2/library/tailscale/blobs/sha256:" + d.hex(64), ["User-Agent: containerd/v1.7.18"])
        m.say("GET", "https://images.example.com/token?account=x&scope=repository%3Alibrary%2Fdebian%3Apull&service=images.example.com", ["User-Agent: docker/26.1.4 go/go1.21.11"])
        m.say("GET", "https://github.com/%s/%s.git/info/refs?service=git-upload-pack" % (d.letters(6), d.letters(8)), ["User-Agent: git/2.39.2", "Accept: */*", "Git-Protocol: version=2", "Pragma: no-cache"])
        m.say("POST", "https://github.com/%s/%s.git/git-upload-pack" % (d.letters(6), d.letters(8)), ["User-Agent: git/2.45.1.windows.1", "Content-Type: application/x-git-upload-pack-request", "Accept: application/x-git-upload-pack-result", "Git-Protocol: version=2"], "0014command=ls-refs\n0000")
        m.say("POST", "https://github.com/%s/%s.git/info/lfs/objects/batch" % (d.letters(6), d.letters(8)), ["User-Agent: git-lfs/3.5.1 (GitHub; linux amd64; go 1.21.7)", "Accept: application/vnd.git-lfs+json", "Content-Type: application/vnd.git-lfs+json"], "{}")
        m.say("GET", "https://modules.example.com/golang.org/x/net/@v/list", ["User-Agent: Go-http-client/1.1"])
        m.say("GET", "https://jars.example.com/maven2/org/apache/maven/maven-metadata.xml", ["User-Agent: Apache-Maven/3.8.7 (Java 17.0.11; Linux 6.1.0)", "Pragma: no-cache"])
        m.say("GET", "https://jars.example.com/m2/a/b/1.0/b-1.0.pom", ["User-Agent: Gradle/8.7 (Linux;6.1.0;amd64) (Debian;17.0.11)"])
        m.say("GET", "https://gems.example.com/info/rails", ["User-Agent: bundler/2.5.9 rubygems/3.5.9 ruby/3.3.1 (x86_64-linux) command/install"])
        m.say("GET", "https://index.example.com/p2/symfony/console.json", ["User-Agent: Composer/2.7.6 (Linux; 6.1.0; PHP 8.2.18; cURL 7.88.1)"])
        m.say("GET", "https://index.example.com/v3/registration5-gz-semver2/newtonsoft.json/index.json", ["User-Agent: NuGet .NET Core MSBuild Task/6.10.0 (Debian GNU/Linux 12)", "X-NuGet-Session-Id: " + d.uuid()])
        m.say("GET", "https://index.example.com/conda-forge/linux-64/repodata.json.zst", ["User-Agent: conda/24.5.0 requests/2.32.2 CPython/3.12.3 Linux/6.1.0 debian/12"])
        m.say("POST", "https://api.example.com/v2/snaps/refresh", ["User-Agent: snapd/2.63 (series 16; classic) debian/12 (amd64) linux/6.1.0", "Snap-Device-Architecture: amd64", "Content-Type: application/json"], "{}")
        m.say("GET", "https://flat.example.com/repo/objects/%s/%s.dirtree" % (d.hex(2), d.hex(62)), ["User-Agent: ostree"])
        m.say("GET", "https://brew.example.com/api/formula.jws.json", ["User-Agent: Homebrew/4.3.5 (Macintosh; arm64 Mac OS X 14.5) curl/8.6.0"])
        m.say("GET", "http://mirror.example.com/wget", ["User-Agent: Wget/1.21.3", "Accept: */*", "Accept-Encoding: identity"])
        m.say("GET", "https://www.example.com/curl", ["User-Agent: curl/7.88.1", "Accept: */*"])


def updates(m):
    d = m.dice
    rows = (
        ("GET", "http://ctldl.windowsupdate.com/msdownload/update/v3/static/trustedr/en/authrootstl.cab?{h}", "Microsoft-CryptoAPI/10.0"),
        ("GET", "http://11.au.download.windowsupdate.com/d/msdownload/update/{h}.cab", "Microsoft-Delivery-Optimization/10.0"),
        ("HEAD", "http://dl.delivery.mp.microsoft.com/filestreamingservice/files/{u}?P1={n}&P2=404", "Microsoft BITS/7.8"),
        ("POST", "https://fe3cr.delivery.mp.microsoft.com/ClientWebService/client.asmx", "Windows-Update-Agent/10.0.10011.16384 Client-Protocol/2.71"),
        ("GET", "http://www.msftconnecttest.com/connecttest.txt", "Microsoft NCSI"),
        ("GET", "http://detectportal.firefox.com/success.txt?ipv4", "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"),
        ("GET", "http://connectivitycheck.gstatic.com/generate_204", "Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/AP1A.240505.005)"),
        ("GET", "http://captive.apple.com/hotspot-detect.html", "CaptiveNetworkSupport-464 wispr"),
        ("GET", "https://gdmf.apple.com/v2/pmv", "com.apple.MobileSoftwareUpdate.UpdateBrainService"),
        ("GET", "http://ocsp.digicert.com/{b}", "com.apple.trustd/3.0"), ("POST", "http://ocsp.example.com/", "Microsoft-CryptoAPI/10.0"),
        ("GET", "http://crl3.example.com/{l}.crl", "Microsoft-CryptoAPI/10.0"), ("GET", "https://database.clamav.net/daily-27000.cdiff", "ClamAV/1.0.5 (OS: Linux, ARCH: x86_64, CPU: x86_64, UUID: {u})"),
        ("GET", "http://update.eset.com/eset_upd/v10/dll/update.ver", "EFSW Update (Windows; U; 64bit; BPC 10.0; UPD)"), ("GET", "http://dnl-01.geo.kaspersky.com/diffs/{h}", "KASPERSKY"),
        ("GET", "http://su.ff.avast.com/R/{b}", "avast! Antivirus"), ("GET", "https://sus.sophosupd.com/v3/{u}", "Sophos AutoUpdate/6.14"), ("POST", "https://update.googleapis.com/service/update2/json?cup2key=14:{u}", "Google Update/1.3.36.372;winhttp"),
        ("GET", "http://edgedl.me.gvt1.com/edgedl/release2/chrome_component/{l}/{l}.crx3", "Google Chrome/126.0"), ("GET", "https://aus5.mozilla.org/update/6/Firefox/127.0/20240606181944/Linux_x86_64-gcc3/en-US/release/Linux/NA/default/default/update.xml", "Mozilla/5.0"),
        ("GET", "https://play.googleapis.com/download/by-token/download?token={u}", "AndroidDownloadManager/14"), ("GET", "http://download.example.com/fw/{h}.bin", "ESP8266-http-Update"), ("GET", "http://ntp.example.com/time", ""))
    for method, url, agent in rows:
        for _ in range(6):
            for key, value in (("{h}", d.hex(32)), ("{u}", d.uuid()), ("{n}", d.number(10)), ("{b}", d.base64url(80)), ("{l}", d.letters(12))):
                url, agent = url.replace(key, value), agent.replace(key, value)
            request = m.say(method, url, (["User-Agent: " + agent] if agent else []) + ["Accept: */*"], b"\x30\x51\x30\x4f" if method == "POST" else None)
            if method == "GET":
                m.answer(request, "200 OK", ["Content-Type: application/octet-stream", "Server: ECAcc", "X-Cache: HIT", "MSRegion: emea"], b"MSCF\x00\x00\x00\x00")


def apis(m):
    d = m.dice
    clients = ("python-requests/2.31.0", "okhttp/4.12.0", "axios/1.7.2", "Go-http-client/1.1", "Apache-HttpClient/4.5.14 (Java/17)", "PostmanRuntime/7.39.0", "Java/17.0.11", "aws-sdk-go/1.53.19",
               "Boto3/1.34.122 md/Botocore#1.34.122", "Faraday v2.9.1", "GuzzleHttp/7", "RestSharp/106.15.0.0", "Dart/3.4 (dart:io)", "CFNetwork/1496.0.7 Darwin/23.5.0", "node-fetch", "reqwest/0.12", "")
    for _ in range(130):
        agent = d.choice(clients)
        base = "https://api.%s.example.com" % d.letters(5)
        fields = (["User-Agent: " + agent] if agent else []) + ["Accept: application/json"] + d.maybe(0.4, "Authorization: Bearer " + d.jwt()) + d.maybe(0.2, "X-Api-Key: " + d.hex(40))
        fields += d.maybe(0.2, "X-Session-Id: " + d.choice((d.uuid(), d.hex(32), d.base64(43) + "="))) + d.maybe(0.2, "X-Request-Id: " + d.uuid()) + d.maybe(0.2, "X-Auth-Token: " + d.base64url(43))
        fields += d.maybe(0.2, "appid: " + d.number(6)) + d.maybe(0.1, "X-Forwarded-For: " + d.address()) + d.maybe(0.1, "hidden: true") + d.maybe(0.1, "traceparent: 00-%s-%s-01" % (d.hex(32), d.hex(16)))
        fields += d.maybe(0.1, "X-Session: " + d.uuid()) + d.maybe(0.1, "X-Client-Version: 3") + d.maybe(0.05, "Padding: none") + d.maybe(0.1, "Idempotency-Key: " + d.uuid()) + d.maybe(0.1, "X-Seq: 3")
        method = d.choice(("GET", "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"))
        body = '{"query":"query Q { me { id } }","p":1,"r":"x","rp":2}' if method in ("POST", "PUT", "PATCH") else None
        request = m.say(method, base + d.choice(("/v1/items/" + d.uuid(), "/v1/events", "/graphql", "/rest/api/2/issue/" + d.number(5), "/oauth/token", "/" + d.uuid() + "/" + d.number(2), "/", path(d) + query(d))),
                        fields + (["Content-Type: application/json"] if body else []), body)
        if d.random() < 0.5:
            m.answer(request, d.choice(("200 OK", "201 Created", "400 Bad Request")), ["Content-Type: application/json", "X-RateLimit-Remaining: 10", "X-Request-Id: " + d.uuid(), "X-Padding: " + d.letters(5)], '{"ok":true}')
    for _ in range(10):
        m.say("POST", "https://grpc.example.com/helloworld.Greeter/SayHello", ["User-Agent: grpc-web-javascript/0.1", "Content-Type: application/grpc-web+proto", "X-Grpc-Web: 1"], b"\x00\x00\x00\x00\x00")
        m.say("POST", "https://soap.example.com/service/gateway", ["User-Agent: Apache-CXF/3.5.5", "SOAPAction: \"\"", "Content-Type: text/xml; charset=UTF-8"], "<?xml version=\"1.0\"?><soap:Envelope><config client=\"vpn\"/></soap:Envelope>")
        m.say("PROPFIND", "https://cal.example.com/dav/bob/", ["User-Agent: DAVx5/4.3.16 (dav4jvm; okhttp/4.12.0) Android/14", "Depth: 1", "Content-Type: application/xml; charset=utf-8"], "<propfind xmlns=\"DAV:\"/>")
        m.say("REPORT", "https://cal.example.com/dav/bob/calendar/", ["User-Agent: macOS/14.5 (23F79) CalendarAgent/954", "Depth: 1", "Content-Type: text/xml"], "<c:calendar-query/>")
        m.say("POST", "https://o%s.ingest.example.io/api/1/envelope/?sentry_key=%s" % (d.number(6), d.hex(32)), m.browser_fields() + ["Content-Type: text/plain;charset=UTF-8"], "{}\n")
        m.say("POST", "https://www.google-analytics.com/g/collect?v=2&tid=G-X&gtm=%s&_p=%s&cid=%s" % (d.letters(6), d.number(9), d.number(9)), m.browser_fields(), "")
        m.say("POST", "https://www.example.com/cdn-cgi/rum?", m.browser_fields() + ["Content-Type: application/json"], "{}")


def storage(m):
    d = m.dice
    for _ in range(14):
        m.say("PUT", "https://bucket-%s.s3.eu-central-1.amazonaws.com/%s" % (d.letters(4), d.uuid()), ["User-Agent: aws-cli/2.16.4 md/awscrt", "x-amz-content-sha256: " + d.hex(64), "x-amz-date: 20240604T100000Z",
              "Authorization: AWS4-HMAC-SHA256 Credential=AKIA/20240604/eu-central-1/s3/aws4_request, SignedHeaders=host, Signature=" + d.hex(64), "Content-Type: image/jpeg"], b"GIF89a\x01\x00\x01\x00")
        m.say("PUT", "https://acct.blob.core.windows.net/c/%s?sv=2023-11-03&sig=%s&comp=block&blockid=%s" % (d.hex(8), d.base64url(44), d.base64url(20)), ["User-Agent: azsdk-python-storage-blob/12.20.0", "x-ms-version: 2023-11-03", "x-ms-client-request-id: " + d.uuid()], b"\x00\x01")
        m.say("POST", "https://content.dropboxapi.com/2/files/upload_session/append_v2", ["User-Agent: DropboxDesktopClient/200.4.7134", "Dropbox-API-Arg: {}", "Content-Type: application/octet-stream"], b"\x00" * 20)
        m.say("PUT", "https://graph.microsoft.com/v1.0/me/drive/root:/a.docx:/content", ["User-Agent: Microsoft SkyDriveSync 24.091.0505.0003 ship; Windows NT 10.0 (22631)", "Authorization: Bearer " + d.jwt()], b"PK\x03\x04")
        m.say("POST", "https://www.googleapis.com/upload/drive/v3/files?uploadType=resumable", ["User-Agent: google-api-nodejs-client/7.2.0 (gzip)", "X-Upload-Content-Type: image/png", "Content-Type: application/json"], "{}")
        m.say("PROPFIND", "https://cloud.example.com/remote.php/dav/files/bob/", ["User-Agent: Mozilla/5.0 (Linux) mirall/3.13.0 (Nextcloud, debian-6.1.0 ClientArchitecture: x86_64)", "OCS-APIRequest: true", "X-Request-ID: " + d.uuid(), "Depth: 1"], "<d:propfind/>")
        m.say("GET", "https://cloud.example.com/remote.php/dav/files/bob/tunnel.conf", ["User-Agent: rclone/v1.66.0"])
        m.say("MKCOL", "https://cloud.example.com/remote.php/dav/uploads/bob/" + d.number(9), ["User-Agent: Nextcloud-iOS/5.3.0"])
        m.say("POST", "https://p42-content.icloud.com/%s/files/upload" % d.hex(16), ["User-Agent: CloudKit/2200 (23F79)", "X-Apple-Request-UUID: " + d.uuid(), "X-CloudKit-ProtocolVersion: client=1;comments=1"], b"\x0a\x02")


KINDS = (("package-managers", packages), ("updates", updates), ("apis", apis), ("cloud-storage", storage))
