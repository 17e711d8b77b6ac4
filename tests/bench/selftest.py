"""The benchmark in a few seconds, with few signatures: not how fast, but that it measures, and that what it writes is whole. Cases for a
suite of tests/; make bench is the real run."""
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
TINY = {"BENCH_SECONDS": "0.05", "BENCH_ROUNDS": "1", "BENCH_SIGS": "400", "BENCH_DOMAINS": "100", "BENCH_CONNS": "2",
        "BENCH_ROWS": "reqmod,1k,35k,35k-seen,mixed,squid-1k-calm", "BENCH_GOALS": "kill,memory",
        "BENCH_CONTESTANTS": "echo,libclamav,virus_scan,sallyport"}
SVG = "{http://www.w3.org/2000/svg}"


class Wrong(Exception):
    pass


def want(condition, what):
    if not condition:
        raise Wrong(what)


def tiny_run():
    """One short run; its output, JSON and chart."""
    env = dict(os.environ, **TINY)
    with tempfile.TemporaryDirectory(prefix="sallyport-bench.") as out:
        done = subprocess.run([sys.executable, os.path.join(HERE, "run")], env=dict(env, BENCH_OUT=out), capture_output=True, text=True, timeout=240,
                              check=False)
        want(os.path.exists(os.path.join(out, "bench.json")), "no result, status %d: %s" % (done.returncode, (done.stdout + done.stderr)[-600:]))
        with open(os.path.join(out, "bench.json"), encoding="utf-8") as f:
            result = json.load(f)
        with open(os.path.join(out, "bench.svg"), encoding="utf-8") as f:
            chart = f.read()
        with open(os.path.join(out, "bench.txt"), encoding="utf-8") as f:
            text = f.read()
    want(done.returncode == 0, "status %d: %s" % (done.returncode, "; ".join(result["failures"])))
    return result, chart, text


def check_result(result):
    """What others may rely on in bench.json."""
    for key, kind in {"machine": dict, "settings": dict, "rows": list, "contestants": list, "rounds": list, "squid": dict, "goals": list,
                      "ratios": dict, "others": dict, "notes": list, "failures": list}.items():
        want(isinstance(result.get(key), kind), "bench.json: %s is no %s" % (key, kind.__name__))
    for key in ("cores", "cpu", "kernel", "system", "c-icap", "libclamav"):
        want(result["machine"].get(key), "bench.json: machine.%s is not there" % key)
    names = [c["name"] for c in result["contestants"]]
    want(names == TINY["BENCH_CONTESTANTS"].split(","), "contestants: %s" % names)
    cells = result["rounds"][0]
    want(set(cells) == {"reqmod", "1k", "35k", "35k-seen", "mixed"}, "rows: %s" % sorted(cells))
    for row, got in cells.items():
        for name, cell in got.items():
            want(cell["all"] > 0 and cell["failed"] == 0, "%s, %s: %s" % (row, name, cell))
            want(all(isinstance(cell[key], (int, float)) for key in ("tps", "p50_us", "p99_us", "cpu_us_each")), "%s, %s: %s" % (row, name, cell))
    want("libclamav" not in cells["reqmod"] and set(cells["35k"]) == set(names), "who took which row")
    want(set(result["squid"]["rounds"][0]["squid-1k-calm"]) == {"squid", "squid-echo", "squid-virus_scan", "squid-sallyport"}, "rows through Squid")


def check_goals(result):
    """Every goal that was wanted has a row that says whether it is met."""
    found = {g["name"]: g for g in result["goals"]}
    for name in ("reqmod/echo", "1k/composed", "1k/virus_scan", "35k/composed", "35k/virus_scan", "35k-seen/echo", "35k-seen/virus_scan", "memory",
                 "memory-loading", "kill-failed"):
        want(name in found, "goal %s is missing: %s" % (name, sorted(found)))
        want(found[name]["met"] in (True, False) and found[name]["text"] and found[name]["wanted"], "goal %s: %s" % (name, found[name]))
    want(found["kill-failed"]["met"], "killed workers: %s" % found["kill-failed"])


def check_chart(result, chart):
    root = ElementTree.fromstring(chart)
    want(root.tag == SVG + "svg" and root.get("viewBox"), "bench.svg is no SVG with a viewBox")
    said = " ".join("".join(t.itertext()) for t in root.iter(SVG + "text"))
    for name in [r["title"] for r in result["rows"]] + [c["title"] for c in result["contestants"]]:
        want(name in said, "bench.svg does not name %s" % name)
    bars = [r for r in root.iter(SVG + "rect") if r.find(SVG + "title") is not None]
    drawn = sum(1 for cells in result["rounds"][0].values() for cell in cells.values() if cell["tps"])
    want(len(bars) == drawn and drawn > 0, "bench.svg has %d bars of %d" % (len(bars), drawn))
    want("prefers-color-scheme: dark" in chart, "bench.svg does not follow the dark")
    want(root.find(SVG + "title") is not None and root.find(SVG + "desc") is not None, "bench.svg has no title and description")


def check_text(result, text):
    for part in [r["title"] for r in result["rows"]] + [g["title"] for g in result["goals"]] + ["through Squid", "FAILED" if result["failures"] else "goal"]:
        want(part in text, "bench.txt does not have: %s" % part)


def bodies_are_whole():
    """Documents and packages as they are sent: an archive that unpacks, with right checksums after the stamp; and no two alike."""
    with tempfile.TemporaryDirectory(prefix="sallyport-bodies.") as directory:
        open(os.path.join(directory, "config.h"), "w", encoding="utf-8").close()
        program = os.path.join(directory, "dump")
        sources = [os.path.join(HERE, s) for s in ("dump.c", "bodies.c", "common.c")]
        done = subprocess.run(["cc", "-std=gnu11", "-O1", "-D_GNU_SOURCE", "-I" + directory, "-o", program] + sources + ["-lz"], capture_output=True,
                              text=True, check=False)
        want(done.returncode == 0, "does not build: %s" % done.stderr[-400:])
        seen = set()
        for form in range(5):
            for serial in (7, 8):
                path = os.path.join(directory, "body")
                with open(path, "wb") as f:
                    subprocess.run([program, str(form), str(1 << 20), str(serial)], stdout=f, check=True)
                with open(path, "rb") as f:
                    body = f.read()
                want(len(body) == 1 << 20, "form %d: %d bytes" % (form, len(body)))
                want(body not in seen, "form %d: twice the same" % form)
                seen.add(body)
                if form == 4:
                    want(zipfile.ZipFile(path).testzip() is None, "the package does not unpack")
                if form == 3:
                    want(pdf_streams(body) > 10, "the PDF has no streams")


def pdf_streams(body):
    import re
    import zlib
    return sum(1 for m in re.finditer(rb"stream\n(\x78\x9c.*?)\nendstream", body, re.S) if zlib.decompress(m.group(1)))


def main(suite):
    names = ["bench-run", "bench-json", "bench-goals", "bench-chart", "bench-text"]
    if suite.list_only:
        for name in names + ["bench-bodies"]:
            print(name)
        return
    suite.run("bench-bodies", bodies_are_whole)
    if not any(suite.wants(n) for n in names):
        return
    made = []
    suite.run("bench-run", lambda: made.append(tiny_run()))
    if made:
        result, chart, text = made[0]
        suite.run("bench-json", check_result, result)
        suite.run("bench-goals", check_goals, result)
        suite.run("bench-chart", check_chart, result, chart)
        suite.run("bench-text", check_text, result, text)
