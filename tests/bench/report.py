"""Numbers to tables: medians over the rounds, and ratios that are formed within a round, because what disturbs a machine disturbs
all contestants of a round about alike. Beside the ratio of rates stands the one of processor time, which other processes hardly
change: on an idle machine with every core in use the two agree."""
import statistics

# What design asks for: row, our number against what, goal.
GOALS = [
    ("reqmod", "echo", 0.90),
    ("35k", "composed", 0.95),
    ("35k", "virus_scan", 1.40),
    ("1k", "composed", 0.90),
    ("1k", "virus_scan", 1.30),
    ("35k-seen", "echo", 1.00),
    ("35k-seen", "virus_scan", 6.00),
]
AGAINST = {"echo": "echo", "composed": "1/(1/libclamav + 1/echo)", "virus_scan": "virus_scan"}


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)} if values else None


def column(cells, row, name, key="tps"):
    """One number a round, None where it was not measured."""
    return [round_.get(row, {}).get(name, {}).get(key) for round_ in cells]


def rate(cells, row, name):
    return column(cells, row, name)


def rate_by_cpu(cells, row, name):
    """What one core would reach if it did nothing else, the load generator's work included."""
    times = column(cells, row, name, "cpu_us_all")
    return [1e6 / t if t else None for t in times]


def reference(cells, row, against, measure):
    if against != "composed":
        return measure(cells, row, against)
    pairs = zip(measure(cells, row, "libclamav"), measure(cells, row, "echo"))
    return [1 / (1 / a + 1 / b) if a and b else None for a, b in pairs]


def quotients(cells, row, subject, against, measure):
    return [a / b for a, b in zip(measure(cells, row, subject), reference(cells, row, against, measure)) if a and b]


def ratios(cells, subject):
    """Of one contestant: every ratio that design names and that was measured."""
    found = []
    for row, against, goal in GOALS:
        values = quotients(cells, row, subject, against, rate)
        if values:
            by_cpu = quotients(cells, row, subject, against, rate_by_cpu)
            found.append({"row": row, "against": against, "goal": goal, "by_cpu": spread(by_cpu), **spread(values)})
    return found


def rate_goals(cells, subject, titles):
    """The ratios that design asks for, in the form of the other goals."""
    return [{"name": f"{x['row']}/{x['against']}", "title": f"{titles[x['row']]}, against {AGAINST[x['against']]}", "value": x["median"],
             "text": f"{x['median']:.2f} x ({x['min']:.2f}-{x['max']:.2f})" + (f", {x['by_cpu']['median']:.2f} x by processor time" if x["by_cpu"] else ""),
             "wanted": f">= {x['goal']:.2f} x", "met": x["median"] >= x["goal"]} for x in ratios(cells, subject)]


def others(cells, rows, names, subject):
    """Ratios to every contestant in every row, for the eye."""
    lines = []
    for r in rows:
        line = [r["title"]]
        for against in names + ["composed"]:
            values = quotients(cells, r["name"], subject, against, rate)
            line.append(f"{statistics.median(values):.2f}" if values else "-")
        lines.append(line)
    return lines


def squid_text(result):
    """Through Squid: latency of each, and what the service adds to it."""
    s = result["squid"]
    out = []
    for title, key in (("median latency", "p50_us"), ("99th percentile", "p99_us")):
        lines = []
        for r in s["rows"]:
            alone = [x for x in column(s["rounds"], r["name"], "squid", key) if x]
            line = [r["title"]]
            for c in s["contestants"]:
                values = [x for x in column(s["rounds"], r["name"], c["name"], key) if x]
                added = f" (+{statistics.median(values) - statistics.median(alone):,.0f})" if values and alone and c["name"] != "squid" else ""
                line.append(f"{statistics.median(values):,.0f} us{added}" if values else "-")
            lines.append(line)
        out += [table([f"through Squid: {title} (added)"] + [c["title"] for c in s["contestants"]], lines), ""]
    head = ["through Squid: transactions per second"] + [c["title"] for c in s["contestants"]]
    out += [table(head, [[r["title"]] + [cell_text(s["rounds"], r["name"], c["name"]) for c in s["contestants"]] for r in s["rows"]]), ""]
    return out


def cell_text(cells, row, name):
    values = [x for x in column(cells, row, name) if x]
    if not values:
        return "-"
    s = spread(values)
    return f"{s['median']:,.0f} ({s['min']:,.0f}-{s['max']:,.0f})"


def median_text(cells, row, name, key, unit):
    values = [x for x in column(cells, row, name, key) if x is not None]
    return f"{statistics.median(values):,.0f} {unit}" if values else "-"


def table(head, lines):
    widths = [max(len(str(line[i])) for line in [head] + lines) for i in range(len(head))]
    text = ["| " + " | ".join(str(x).ljust(w) for x, w in zip(line, widths)) + " |" for line in [head] + lines]
    text.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(text)


def render(result):
    m, s, cells = result["machine"], result["settings"], result["rounds"]
    rows, names = result["rows"], result["contestants"]
    out = [f"{m['cores']} cores, {m['cpu']}, {m['memory_mb']} MB, Linux {m['kernel']}, {m['system']}",
           f"c-icap {m['c-icap']}, libclamav {m['libclamav']}, virus_scan {m['virus_scan']}, clamd {m['clamd'] or '-'}, "
           f"e2guardian {m['e2guardian'] or '-'}, Squid {m['squid'] or '-'}, sallyport {m['sallyport']}",
           f"{s['signatures']:,} signatures ({s['patterns']:,} of them patterns), {s['connections']} connections, {s['body']} bodies, "
           f"{len(cells)} rounds of {s['seconds']} s, c-icap: {s['c_icap']['StartServers']} children to begin with, "
           f"{s['c_icap']['ThreadsPerChild']} threads each",
           f"scratch files on {s['work']}; preview: " + ", ".join(f"{name} {n} bytes" for name, n in s["preview"].items()), ""]
    head = ["transactions per second, median (range)"] + [n["title"] for n in names]
    out += [table(head, [[r["title"]] + [cell_text(cells, r["name"], n["name"]) for n in names] for r in rows]), ""]
    for title, key, unit in (("median latency", "p50_us", "us"), ("99th percentile", "p99_us", "us"),
                             ("processor time a transaction, load generator left out", "cpu_us_each", "us")):
        head = [title] + [n["title"] for n in names]
        out += [table(head, [[r["title"]] + [median_text(cells, r["name"], n["name"], key, unit) for n in names] for r in rows]), ""]
    if any(n["name"] == "sallyport" for n in names):
        against = [n["name"] for n in names if n["name"] != "sallyport"]
        titles = {n["name"]: n["title"] for n in names}
        out += [table(["sallyport's rate, in that of"] + [titles[x] for x in against] + [AGAINST["composed"]],
                      others(cells, rows, against, "sallyport")), ""]
    if result["squid"]["rounds"]:
        out += squid_text(result)
    if result["goals"]:
        word = {True: "yes", False: "NO", None: "?"}
        out += [table(["goal", "measured", "wanted", "met"], [[g["title"], g["text"], g["wanted"], word[g["met"]]] for g in result["goals"]]), ""]
    lines = [[n["title"], f"{n['pss_kb'] / 1024:,.0f} MB" if n.get("pss_kb") else "-", n.get("processes", "-"),
              f"{n['largest_private_kb'] / 1024:,.1f} MB" if n.get("largest_private_kb") else "-"] for n in names]
    if result.get("decisions"):
        d = result["decisions"]
        out += [f"One policy decision, {d['rules']} rules, {result['settings']['domains']:,} domains, {d['exceptions']} exceptions: median "
                f"{d['p50_ns'] / 1000:.1f} us, 99 % within {d['p99_ns'] / 1000:.1f} us (goal: 20 us), 99.9 % within {d['p999_ns'] / 1000:.1f} us.", ""]
    out += [table(["memory after the load", "sum of PSS", "processes", "most private to one"], lines), ""]
    out.append(f"Other processes took {result['others']['median']:.0%} of this machine in the median measurement and "
               f"{result['others']['max']:.0%} in the worst. " +
               ("The ratios hold better than the rates; run again on a quiet machine." if result["others"]["max"] > 0.1 else "A quiet machine."))
    out += [f"note: {text}" for text in result["notes"]]
    out += [f"FAILED: {text}" for text in result["failures"]]
    return "\n".join(out)
