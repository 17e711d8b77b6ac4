"""A real headless Chromium, driven by WebDriver over HTTP with nothing but the standard library.

    with Browser(directory) as browser:
        browser.open("http://127.0.0.1:9301/")
        browser.run("return document.title")"""

import base64
import http.client
import json
import os
import shutil

import proc
import stack
from report import Failure, await_true

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
KEYS = {"tab": "\ue004", "enter": "\ue007", "escape": "\ue00c", "left": "\ue012", "right": "\ue014", "down": "\ue015", "shift": "\ue008", "space": " "}


def chromium():
    """The programs, or None where they are not installed."""
    found = [next(filter(None, map(shutil.which, names)), None) for names in (("chromium",), ("chromedriver",))]
    return found if all(found) else None


class Browser:
    def __init__(self, directory, width=1280, height=900, dark=False, reduced_motion=False):
        browser, driver = chromium()
        self.session = None
        self.port = stack.free_port()
        self.process = proc.Process("chromedriver", [driver, "--port=%d" % self.port, "--allowed-ips=127.0.0.1"], directory,
                                    env=dict(os.environ, HOME=directory, LC_ALL="C.UTF-8", TZ="UTC"))
        await_true(lambda: stack.accepts(self.port), 20, "chromedriver to listen")
        profile = os.path.join(directory, "profile-%d" % self.port)
        args = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
                "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--no-proxy-server", "--user-data-dir=" + profile,
                "--lang=en-GB", "--window-size=%d,%d" % (width, height)]
        args += ["--blink-settings=preferredColorScheme=0"] if dark else []
        args += ["--force-prefers-reduced-motion"] if reduced_motion else []
        try:
            made = self.call("POST", "", {"capabilities": {"alwaysMatch": {
                "browserName": "chrome", "goog:loggingPrefs": {"browser": "ALL"}, "goog:chromeOptions": {"binary": browser, "args": args}}}})
        except BaseException:
            self.process.stop()
            raise
        self.session = made["sessionId"]
        self.metrics(width, height, dark, reduced_motion)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            self.call("DELETE", "")
        except (OSError, Failure):
            pass
        self.process.stop()

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        where = "/session" + ("/" + self.session if self.session else "") + path
        connection.request(method, where, json.dumps(body or {}) if method == "POST" else None, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        value = json.loads(reply.read())["value"]
        connection.close()
        if reply.status != 200:
            raise Failure("WebDriver %s %s: %s" % (method, where, (value or {}).get("message", value)))
        return value

    def devtools(self, command, **params):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def metrics(self, width, height, dark=False, reduced_motion=False):
        """The size of the page, as on a phone when it is narrow, and what the person has chosen."""
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if width < 600 else 1, mobile=width < 600)
        self.devtools("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if reduced_motion else "no-preference"}])

    def open(self, url):
        self.call("POST", "/url", {"url": url})

    def run(self, script, *args):
        return self.call("POST", "/execute/sync", {"script": script, "args": list(args)})

    def text(self, selector):
        return self.run("const e = document.querySelector(arguments[0]); return e && e.textContent.trim()", selector)

    def await_js(self, script, *args, seconds=15, what=None):
        return await_true(lambda: self.run(script, *args), seconds, what or script)

    def find(self, selector):
        return self.call("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]

    def click(self, selector):
        self.call("POST", "/element/%s/click" % self.find(selector))

    def type(self, selector, text):
        self.call("POST", "/element/%s/value" % self.find(selector), {"text": text})

    def press(self, *keys):
        """Keys by name ("tab") or as they are, one after the other; "shift+tab" together."""
        actions = []
        for key in keys:
            held = [KEYS.get(k, k) for k in (key.split("+") if len(key) > 1 else [key])]
            actions += [{"type": "keyDown", "value": k} for k in held] + [{"type": "keyUp", "value": k} for k in reversed(held)]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def screenshot(self, path, whole=True):
        size = self.run("return [document.documentElement.clientWidth, document.documentElement.scrollHeight]")
        clip = {"clip": {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1}, "captureBeyondViewport": True} if whole else {}
        shot = self.devtools("Page.captureScreenshot", format="png", **clip)
        with open(path, "wb") as f:
            f.write(base64.b64decode(shot["data"]))

    def log(self):
        """What the console has had to say since the last call."""
        return [entry["message"] for entry in self.call("POST", "/se/log", {"type": "browser"})]
