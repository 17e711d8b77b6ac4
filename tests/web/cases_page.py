"""The page in a real browser: it shows the right numbers, what attackers wrote stays text, and everybody can use it. $SHOTS is a folder
for screenshots, to be looked at."""

import json
import os
import time

from browser import Browser
from cases_server import NASTY, TOKEN, TURN, Server
from report import check, equal

ROWS = "return document.querySelectorAll('#list tbody tr').length"
# What a line of the log could hold at worst: in every field markup, quotes, controls, marks that turn text around, and what breaks JSON.
WORST = NASTY + TURN + "\u2066\u200f\u0000\u001b[31m\u0085\u2028</script>]]>--><svg onload=window.ran=1>\ud83d\ude00{{1}}\u00ad\u200b"

# The contrast of every piece of text with what is painted behind it (WCAG 2: 4.5, large or bold and half as large again: 3).
CONTRAST = """
const rgb = (c) => { const m = c.match(/[\\d.]+/g).map(Number); return m.length > 3 ? m : [...m, 1]; };
const over = (a, b) => [0, 1, 2].map((i) => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
const light = (c) => { const l = c.slice(0, 3).map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * l[0] + 0.7152 * l[1] + 0.0722 * l[2]; };
const ground = (e) => { let c = [0, 0, 0, 0]; const all = []; for (; e; e = e.parentElement) all.unshift(rgb(getComputedStyle(e).backgroundColor));
  let at = [255, 255, 255, 1]; for (const b of all) at = over(b, at); return at; };
const bad = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const e = walker.currentNode.parentElement, s = getComputedStyle(e), box = e.getBoundingClientRect();
  if (!walker.currentNode.data.trim() || box.width < 2 || s.visibility !== 'visible' || s.display === 'none' || e.closest('.quiet, option, .skip, noscript')) continue;
  const back = ground(e), fore = over(rgb(e instanceof SVGElement ? s.fill : s.color), back), a = light(fore), b = light(back);
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), size = parseFloat(s.fontSize);
  if (ratio < (size >= 24 || (size >= 18.6 && s.fontWeight >= 700) ? 3 : 4.5)) bad.push(e.tagName + '.' + (e.className.baseVal ?? e.className) + ' ' + walker.currentNode.data.trim().slice(0, 20) + ' ' + ratio.toFixed(2));
}
return [...new Set(bad)];
"""

# Controls without a name, pictures without a text, ids that stand twice, headings out of order.
NAMES = """
const bad = [];
for (const e of document.querySelectorAll('button, input, select, a[href], [tabindex="0"]')) {
  const labels = e.labels ? [...e.labels].map((l) => l.textContent).join('') : '';
  if (!(e.getAttribute('aria-label') || labels || e.textContent || e.ariaLabel || '').trim()) bad.push(e.outerHTML.slice(0, 80));
}
const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
bad.push(...ids.filter((id, i) => ids.indexOf(id) !== i).map((id) => 'twice: ' + id));
for (const e of document.querySelectorAll('[aria-labelledby]')) if (!document.getElementById(e.getAttribute('aria-labelledby'))) bad.push('no label ' + e.id);
let level = 0;
for (const h of document.querySelectorAll('h1, h2, h3')) { const n = +h.tagName[1]; if (n > level + 1 && !h.closest('dialog')) bad.push('heading ' + h.textContent); level = n; }
for (const tag of ['main', 'header', 'footer']) if (document.querySelectorAll('body > ' + tag).length !== 1) bad.push('landmark ' + tag);
if (!document.documentElement.lang) bad.push('no language');
return bad;
"""


class Page:
    """A browser on a server of its own."""

    def __init__(self, gate, driver, server):
        self.gate, self.browser, self.server = gate, driver, server

    def open(self, path="/", width=1280, height=900, dark=False):
        self.browser.metrics(width, height, dark)
        self.browser.open("about:blank")
        self.browser.open(self.server.url + path)
        self.browser.await_js(ROWS + " > 0", what="decisions on the page")
        self.browser.await_js("return document.querySelector('#chart-traffic svg').childElementCount > 3", what="the charts")
        return self.browser

    def shot(self, name, whole=True):
        if os.environ.get("SHOTS"):
            time.sleep(0.5)
            self.browser.screenshot(os.path.join(os.environ["SHOTS"], name + ".png"), whole)

    def quiet(self):
        """Nothing ran that should not, and the page had nothing to complain about."""
        equal(self.browser.run("return window.ran === undefined && document.querySelectorAll('main script, main img, main iframe, dialog script').length"), 0,
              "scripts that ran or markup that came in")
        equal([m for m in self.browser.log() if "/api/decision/" not in m or "Failed to load resource" not in m], [], "what the console says")


def numbers(page):
    b, want = page.open(), page.gate.expected
    equal(b.text("#tile-refused .figure"), str(want["blocked"]), "refused in the last hour")
    equal(b.text("#health-title"), "No signatures but the built-in test", "health")
    equal(b.run(ROWS), min(25, len(page.gate.stack.log_lines())), "rows")
    rules = b.run("return [...document.querySelectorAll('#top-rules button')].map((e) => [e.querySelector('.name').textContent, e.querySelector('.count').textContent])")
    equal(rules[0], ["sstp-a-version", str(want["rule"])], "top rule")
    hosts = b.run("return [...document.querySelectorAll('#top-hosts .name')].map((e) => e.textContent)")
    equal(hosts[0], "vpn.example.test", "top host")
    outcomes = b.run("return Object.fromEntries([...document.querySelectorAll('#outcomes button')].map((e) => [e.querySelector('strong').textContent, e.querySelector('.count').textContent]))")
    equal(outcomes, {"rule": str(want["rule"]), "infected": "2"}, "outcomes")
    b.click("#chart-refused summary")
    b.await_js("return [...document.querySelectorAll('#chart-refused td:nth-child(2)')].reduce((n, e) => n + (+e.textContent || 0), 0) === arguments[0]",
               want["blocked"], what="the refusals in the chart's table")
    check("Refused: %d in all" % want["blocked"] in b.run("return document.querySelector('#chart-refused svg').getAttribute('aria-label')"), "the chart's description")
    page.shot("desktop")
    page.quiet()


def updates(page):
    """What happens shows by itself."""
    b = page.open()
    before = int(b.text("#tile-refused .figure"))
    top = b.run("return document.querySelector('#list tbody tr').dataset.number")
    with page.gate.stack.client() as client:
        page.gate.connect(client, "fresh.example.test", "192.0.2.99")
    page.gate.expected["blocked"] += 1
    page.gate.expected["rule"] += 1
    b.await_js("return document.querySelector('#list tbody tr').dataset.number !== arguments[0]", top, what="the new decision")
    check("fresh.example.test" in b.text("#list tbody tr"), "the new row: %s", b.text("#list tbody tr"))
    b.await_js("return +document.querySelector('#tile-refused .figure').textContent === arguments[0]", before + 1, seconds=20, what="the new number")
    page.quiet()


def filters(page):
    b = page.open()
    shown = "return [...document.querySelectorAll('#list tbody tr')].map((e) => e.querySelector('.tag').textContent)"
    b.run("const s = document.querySelector('#f-outcome'); s.value = 'infected'; s.dispatchEvent(new Event('input', {bubbles: true}))")
    b.await_js("const s = (() => {%s})(); return s.length === 2 && s.every((t) => t === 'infected')" % shown, what="infected alone")
    b.type("#f-q", "n=1")
    b.await_js(ROWS + " === 1", what="one row")
    b.type("#f-host", "nothing-there")
    b.await_js(ROWS + " === 0 && document.querySelector('#found').textContent.startsWith('Nothing fits')", what="nothing")
    b.click("#clear")
    b.await_js(ROWS + " > 2", what="all again")
    b.click("#top-clients button")
    b.await_js("return document.querySelector('#f-client').value !== '' && document.querySelector('#f-action').value === 'block' && document.activeElement.id === 'decisions'", what="a filter by a click")
    page.quiet()


def lookup(page):
    """The reference of a block page, typed in or in a link."""
    b = page.open()
    b.type("#reference", page.gate.ids["eicar"])
    b.press("enter")
    b.await_js("return document.querySelector('#detail').open")
    for part in (page.gate.ids["eicar"], "http://files.example.test/bad?n=1", "infected: the engine named a signature", "refused"):
        check(part in b.text("#detail"), "the detail lacks %s: %s", part, b.text("#detail"))
    equal(b.run("return document.activeElement.id"), "detail-title", "focus")
    page.shot("detail", False)
    b.press("escape")
    b.await_js("return !document.querySelector('#detail').open && location.hash === ''", what="the end of the dialog")
    page.open("/#id=" + page.gate.ids["sstp"])
    b.await_js("return document.querySelector('#detail').open && document.querySelector('#detail').textContent.includes('vpn.example.test')", what="the link")
    for wrong, text in (("nobody-has-this", "No decision with this reference"), ("%3Cscript%3Ewindow.ran=1%3C/script%3E", "This is no reference"), ("%zz", "")):
        page.open("/#id=" + wrong)
        if text:
            b.await_js("return document.querySelector('#detail').open && document.querySelector('#detail').textContent.includes(arguments[0])", text, what=text)
    page.quiet()


def injection(page):
    """The worst line that a log could hold, and what a client really can send."""
    line = {"time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + ".000000Z", "direction": "REQMOD", "outcome": "infected", "action": "block", "id": "worst-of-all"}
    for key in ("client", "user", "method", "reason", "rule", "category", "excepted", "signature", "encoding"):
        line[key] = WORST
    more = [json.dumps(dict(line, url="http://" + WORST.replace("/", "") + "/" + WORST)), json.dumps(dict(line, url=WORST * 100, outcome=WORST, action=WORST, id=WORST)),
            json.dumps(dict(line, id="no-time", time=WORST, bytes=-5, total_us=1e300, status="x"))]
    with open(page.gate.stack.log_path, "a", encoding="utf-8") as f:
        f.write("\n".join(more) + "\n")
    try:
        b = page.open()
        b.await_js("return [...document.querySelectorAll('#list tbody tr')].some((e) => e.textContent.includes('<svg onload'))", what="the worst line")
        b.await_js("return document.querySelector('#top-rules').textContent.includes('<script>')", seconds=20, what="the worst rule in the list")
        check("⟨202E⟩" in b.text("#list tbody"), "a mark that turns text around is not made visible")
        shown = b.run("return document.body.innerText")
        for sign in (TURN, "\u2066", "\u200f", "\x1b", "\u2028", "\u200b", "\u00ad"):
            check(sign not in shown, "U+%04X is on the page", ord(sign))
        check(b.run("return document.querySelector('#top-hosts').textContent.includes('<script>')"), "the host that a client sent is not text")
        for ident in ("worst-of-all", page.gate.ids["nasty"]):
            page.open("/#id=" + ident)
            b.await_js("return document.querySelector('#detail').open && document.querySelector('#detail').textContent.includes('<script>')", what="the detail of " + ident)
        check(TURN not in b.run("return document.body.innerText"), "a mark in the detail")
        b.press("escape")
        for button in ("#top-rules li:last-child button", "#top-hosts li:last-child button", "#top-signatures button"):
            if b.run("return !!document.querySelector(arguments[0])", button):
                b.run("document.querySelector(arguments[0]).click()", button)
                time.sleep(0.5)
        b.open(page.server.url + "/?q=<script>window.ran=1</script>")
        b.metrics(360, 800)
        page.open(width=360, height=800)
        equal(b.run("return document.documentElement.scrollWidth"), 360, "width of the page on a phone with the worst lines")
        page.shot("worst")
        page.quiet()
    finally:
        lines = open(page.gate.stack.log_path, "rb").read().split(b"\n")
        with open(page.gate.stack.log_path, "r+b") as f:
            f.write(b"\n".join(r for r in lines if r.decode() not in more))
            f.truncate()


def keyboard(page):
    b = page.open()
    seen = []
    for _ in range(60):
        b.press("tab")
        seen.append(b.run("const e = document.activeElement; return e.id || e.name || e.className.baseVal || e.className || e.closest('[id]')?.id"))
        check(b.run("const e = document.activeElement; const s = getComputedStyle(e.matches('.ranges input') ? e.nextElementSibling : e); return e === document.body || s.outlineStyle !== 'none'"), "the focus on %s cannot be seen", seen[-1])
        if b.run("return !!document.activeElement.closest('#list')"):
            break
    for part in ("reference", "range", "f-q", "f-outcome", "clear"):
        check(part in seen, "%s is not reached: %s", part, seen)
    check(b.run("return document.querySelector('#list').contains(document.activeElement)"), "the list is not reached in %d steps", len(seen))
    b.press("enter")
    b.await_js("return document.querySelector('#detail').open", what="a decision by Enter")
    for _ in range(4):
        b.press("tab")
        check(b.run("return document.querySelector('#detail').contains(document.activeElement) || document.activeElement === document.body"), "the focus leaves the dialog")
    b.press("escape")
    b.await_js("return !document.querySelector('#detail').open && document.querySelector('#list').contains(document.activeElement)", what="the focus back in the list")
    b.run("document.querySelector('#chart-refused svg').focus()")
    b.press("left")
    check(":" in b.text("#chart-refused .readout"), "arrow keys do not read the chart: %s", b.text("#chart-refused .readout"))
    b.run("document.querySelector('.skip').focus()")
    b.press("enter")
    equal(b.run("return document.activeElement.id"), "decisions", "the skip link")
    b.run("document.querySelector('#ranges input[value=hour]').focus()")
    b.press("right")
    b.await_js("return document.querySelector('#top-period').textContent.startsWith('last 24 hours')", what="another period by the arrow keys")
    page.quiet()


def reader(page):
    b = page.open()
    equal(b.run(NAMES), [], "names and landmarks")
    regions = "return [...document.querySelectorAll('[role=status], [role=alert], [aria-live]')].map((e) => e.textContent)"
    said = b.run(regions)
    time.sleep(7)  # two polls without news
    equal(b.run(regions), said, "live regions while nothing happens")
    page.quiet()


def widths(page):
    for width in (320, 360, 414, 768, 1024, 1280, 1920):
        b = page.open(width=width, height=800)
        check(b.run("return document.documentElement.scrollWidth") <= width, "%d: the page is %s wide", width, b.run("return document.documentElement.scrollWidth"))
        if width == 360:
            page.shot("phone")
            small = b.run("return [...document.querySelectorAll('button, select, input:not([type=radio])')].filter((e) => e.offsetHeight > 0 && e.offsetHeight < 24).map((e) => e.outerHTML.slice(0, 60))")
            equal(small, [], "what a finger cannot hit")
            b.click("#list button")
            b.await_js("return document.querySelector('#detail').open", what="the detail")
            check(b.run("const r = document.querySelector('#detail').getBoundingClientRect(); return r.left >= 0 && r.right <= 360"), "the detail is too wide")
            page.shot("phone-detail", False)
    page.quiet()


def contrast(page):
    for dark in (False, True):
        b = page.open(dark=dark)
        equal(b.run("return matchMedia('(prefers-color-scheme: dark)').matches"), dark, "the scheme")
        equal(b.run(CONTRAST), [], "text too faint, dark: %s" % dark)
        page.shot("dark" if dark else "light")
        for level in ("good", "warn", "bad"):
            b.run("document.querySelector('#health').dataset.level = arguments[0]", level)
            equal(b.run(CONTRAST), [], "text too faint with health %s, dark: %s" % (level, dark))
        b.click("#list button")
        b.await_js("return document.querySelector('#detail').open", what="the detail")
        equal(b.run(CONTRAST), [], "text too faint in the detail, dark: %s" % dark)


def motion(page):
    b = page.open()
    b.metrics(1280, 900, reduced_motion=True)
    b.run("document.querySelector('#list tbody tr').className = 'new'")
    equal(b.run("return document.getAnimations().length"), 0, "animations")


def gone(page):
    """A server that goes away and comes back; a scanner that dies."""
    with Server(page.gate.stack, name="metrics-gone") as server:
        b = page.browser
        b.metrics(1280, 900)
        b.open(server.url)
        b.await_js(ROWS + " > 0")
        page.gate.stack.stop_scand()
        try:
            b.await_js("return document.querySelector('#health').dataset.level === 'bad' && document.title.startsWith('✖')", seconds=20, what="the alarm")
            equal(b.text("#health-title"), "The scanner was stopped", "the alarm")
            page.shot("bad", False)
        finally:
            page.gate.stack.start_scand()
        b.await_js("return document.querySelector('#health').dataset.level === 'warn'", seconds=20, what="the end of the alarm")
        check(b.text("#announce"), "the change is not said aloud")
        os.kill(server.process.pid, 19)  # it hangs
        try:
            b.await_js("return !document.querySelector('#stale').hidden && document.documentElement.classList.contains('is-stale')", seconds=40, what="the banner")
            page.shot("stale", False)
        finally:
            os.kill(server.process.pid, 18)
        b.await_js("return document.querySelector('#stale').hidden", seconds=40, what="the end of the banner")
        b.open("about:blank")


# Answers as after the server's clock was set back by an hour.
SET_BACK = """const asked = window.fetch;
window.fetch = async (path, ...rest) => {
  const since = /^(.*&since=)([0-9]+)$/.exec(path);
  const reply = await asked(since ? since[1] + (+since[2] + 3600) : path, ...rest);
  if (!path.startsWith('/api/series'))
    return reply;
  const got = await reply.json();
  got.start -= 3600;
  got.clock_set++;
  return new Response(JSON.stringify(got));
};"""
CHART = "[...document.querySelectorAll('#chart-refused tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"


def clocks(page):
    """The server's clock is set back: charts have the new times at once, and go on. This machine's is set: nobody cares."""
    b = page.open()
    b.click("#chart-refused summary")
    b.await_js("return %s.length > 0" % CHART, what="the chart's table")
    minutes = lambda text: int(text[:2]) * 60 + int(text[3:5])
    total = lambda: sum(int(row[1]) for row in b.run("return " + CHART) if row[1].isdigit())
    newest, before = b.run("return %s[0][0]" % CHART), total()
    b.run(SET_BACK)
    b.await_js("return Math.abs((arguments[0] + 1440 - %s.map((t) => +t.slice(0, 2) * 60 + +t.slice(3, 5))[0]) %% 1440 - 60) <= 2"
               % ("[%s[0][0]]" % CHART), minutes(newest), what="times of an hour ago")
    equal(total(), before, "refusals in the chart, behind the setting of the clock")
    with page.gate.stack.client() as client:
        page.gate.connect(client, "clock.example.test", "192.0.2.99")
    page.gate.expected["blocked"] += 1
    page.gate.expected["rule"] += 1
    b.await_js("return %s.reduce((n, row) => n + (+row[1] || 0), 0) === arguments[0]" % CHART, before + 1, seconds=20, what="the next refusal")
    period = b.text("#top-period")
    check("decisions since" in period, "the list's period: %s", period)
    b.run("const now = Date.now; Date.now = () => now() + 86400e3; const r = document.querySelector('#ranges input:checked'); "
          "document.querySelector('#top-period').textContent = ''; r.dispatchEvent(new Event('change', {bubbles: true}))")
    b.await_js("return document.querySelector('#top-period').textContent === arguments[0]", period, what="the same period")
    equal(b.run("return document.querySelector('#stale').hidden"), True, "no banner")
    page.quiet()


def hidden(page):
    """A page that nobody sees asks nothing."""
    b = page.open()
    b.run("Object.defineProperty(document, 'hidden', {configurable: true, get: () => true}); window.asked = 0; const f = window.fetch; window.fetch = (...a) => { window.asked++; return f(...a); }")
    time.sleep(3.5)  # the poll that was due
    b.run("window.asked = 0")
    time.sleep(4)
    equal(b.run("return window.asked"), 0, "requests of a hidden page")
    b.run("Object.defineProperty(document, 'hidden', {configurable: true, get: () => false}); document.dispatchEvent(new Event('visibilitychange'))")
    b.await_js("return window.asked > 0", what="a request when it is seen again")


def login(page):
    with Server(page.gate.stack, "--token-file", page.gate.token_file(), name="metrics-login") as server:
        b = page.browser
        b.metrics(1280, 900)
        b.open(server.url + "/#id=" + page.gate.ids["sstp"])
        b.await_js("return !!document.querySelector('#login')", what="the form")
        equal(b.run(CONTRAST), [], "text too faint")
        page.shot("login", False)
        b.type("#token", "wrong-wrong-wrong-wrong")
        b.press("enter")
        b.await_js("return document.querySelector('#fault').textContent === 'This is not the token.'", what="the refusal")
        b.type("#token", TOKEN)
        b.press("enter")
        b.await_js("return document.querySelector('#detail')?.open", what="the dashboard, with the decision of the link")
        equal(b.run("return document.cookie"), "", "a cookie that scripts can read")
        check(TOKEN not in b.run("return location.href"), "the token in the address")
        b.log()
        b.open(server.url + "/")
        b.await_js(ROWS + " > 0", what="the dashboard with the cookie")
        equal(b.log(), [], "what the console says")


def policy(page):
    """Even a script that somebody smuggled in would not run, and no text can become markup."""
    b = page.open()
    equal(b.run("const s = document.createElement('div'); try { s.innerHTML = '<b>x</b>'; return 'markup'; } catch { return 'refused'; }"), "refused", "innerHTML")
    b.run("const s = document.createElement('script'); try { s.textContent = 'window.smuggled = 1'; } catch { } document.body.append(s)")
    b.run("const s = document.createElement('div'); s.setAttribute('style', 'color: red'); document.body.append(s); s.id = 'styled'")
    equal(b.run("return window.smuggled === undefined && getComputedStyle(document.querySelector('#styled')).color !== 'rgb(255, 0, 0)'"), True, "a script and a style")
    b.run("fetch('http://127.0.0.1:1/').catch(() => { window.blocked = 1; })")
    b.await_js("return window.blocked === 1", what="a request to elsewhere to fail")
    check(any("Content Security Policy" in m for m in b.log()), "not by the policy")


CASES = [("page " + f.__name__, f) for f in (numbers, updates, filters, lookup, injection, keyboard, reader, widths, contrast, motion, clocks, hidden, policy, login, gone)]


def run(suite, gate):
    gate.traffic()
    directory = gate.stack.dir.mkdir("browser")
    os.chmod(directory, 0o777)
    with Server(gate.stack, name="metrics-page") as server, Browser(directory) as driver:
        page = Page(gate, driver, server)
        for name, function in CASES:
            suite.run(name, function, page)
