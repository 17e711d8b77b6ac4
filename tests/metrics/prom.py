"""A real Prometheus on a free port, and the server that it scrapes. Prometheus' own text is read with a parser of our own."""

import json
import os
import re
import urllib.parse
import urllib.request

import proc
import stack as stacks
from report import Failure, await_true, check

SRCDIR = os.path.abspath(os.environ.get("SRCDIR") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
RULES = os.path.join(SRCDIR, "etc", "prometheus", "sallyport.rules.yml")
SAMPLE = re.compile(r"([a-z_]+)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'([a-z_]+)="([^"]*)"')


def get(url):
    """urllib, but never through a proxy that the environment names."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as reply:
        return reply.read().decode()


def parse(text):
    """{(name, frozenset of (label, value)): number} and {name: (type, help)}."""
    samples, families = {}, {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, words = line[7:].split(" ", 1)
            families[name] = (None, words)
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ", 1)
            families[name] = (kind, families[name][1])
        else:
            match = SAMPLE.fullmatch(line)
            check(match, "not a sample: %r", line)
            key = (match[1], frozenset(LABEL.findall(match[2] or "")))
            check(key not in samples, "twice: %r", line)
            samples[key] = float(match[3])
    return samples, families


class Exporter:
    """`sallyport metrics --listen` for one stack."""

    def __init__(self, stack):
        self.port = stacks.free_port()
        self.target = "127.0.0.1:%d" % self.port
        self.process = proc.Process("metrics", [stack.cli_path, "metrics", "-c", stack.conf_path, "--listen", self.target], stack.dir.path)
        await_true(self._serves, 15, "the metrics to be served")

    def _serves(self):
        if not self.process.is_running():
            raise Failure("the metrics server ended: %s" % self.process.output()[-500:])
        try:
            return self.text()
        except OSError:
            return None

    def text(self):
        return get("http://%s/metrics" % self.target)

    def samples(self):
        return parse(self.text())[0]

    def value(self, name, **labels):
        return self.samples().get((name, frozenset(labels.items())))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        status = self.process.stop()
        if kind is None:
            check(status == 0, "the metrics server ended with %s: %s", status, self.process.output()[-500:])


class Prometheus:
    """Scrapes the target each second, with the rules as shipped but for shorter times."""

    def __init__(self, directory, target, window="8s"):
        self.port = stacks.free_port()
        with open(RULES) as f:
            rules = re.sub(r"\bfor: \d+m", "for: 0s", f.read())
        rules = re.sub(r"\[\d+m\]", "[%s]" % window, rules)
        directory.write("rules.yml", rules)
        directory.write("prometheus.yml", json.dumps({  # which is YAML too
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": ["rules.yml"],
            "scrape_configs": [{"job_name": "sallyport", "static_configs": [{"targets": [target]}]}]}))
        argv = ["prometheus", "--config.file=" + directory.join("prometheus.yml"), "--storage.tsdb.path=" + directory.join("tsdb"),
                "--web.listen-address=127.0.0.1:%d" % self.port, "--log.level=warn"]
        self.process = proc.Process("prometheus", argv, directory.path, user=directory.user)
        await_true(self._is_ready, 60, "Prometheus to be ready", 0.2)

    def _is_ready(self):
        if not self.process.is_running():
            raise Failure("Prometheus ended: %s" % self.process.output()[-1500:])
        try:
            return "Ready" in get("http://127.0.0.1:%d/-/ready" % self.port)
        except OSError:
            return None

    def query(self, expression):
        """The result's vector: a list of (labels, number)."""
        url = "http://127.0.0.1:%d/api/v1/query?query=%s" % (self.port, urllib.parse.quote(expression))
        answer = json.loads(get(url))
        check(answer["status"] == "success", "%s: %r", expression, answer)
        return [(row["metric"], float(row["value"][1])) for row in answer["data"]["result"]]

    def number(self, expression):
        rows = self.query(expression)
        return rows[0][1] if rows else None

    def firing(self):
        return {labels["alertname"] for labels, _ in self.query('ALERTS{alertstate="firing"}')}

    def await_firing(self, alert, seconds=45):
        await_true(lambda: alert in self.firing(), seconds, "the alert %s" % alert, 0.3)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.process.stop()
