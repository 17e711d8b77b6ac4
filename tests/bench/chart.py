"""The table as a picture: a group of bars for each row, on a logarithmic scale. Plain SVG that follows the reader's light or dark."""
import math
import statistics
from xml.sax.saxutils import escape

import report

WIDTH, LEFT, RIGHT, TOP, BAR, GAP, FOOT = 960, 260, 90, 96, 14, 18, 48
# Told apart by people who see colours differently too, and with contrast to white and to near black.
COLOURS = ["#7a7a7a", "#9467bd", "#d98200", "#b8860b", "#c0504d", "#1f8fd0", "#2ca02c"]
STYLE = """
  svg { font: 13px system-ui, sans-serif; background: var(--paper); --paper: #ffffff; --ink: #1c1c1c; --line: #d8d8d8; }
  @media (prefers-color-scheme: dark) { svg { --paper: #16181c; --ink: #e6e6e6; --line: #3a3d44; } }
  text { fill: var(--ink); } .paper { fill: var(--paper); } .line { stroke: var(--line); } .title { font-size: 16px; font-weight: 600; }
  .small { font-size: 11px; }
"""


def medians(cells, row, names):
    found = []
    for name in names:
        values = [x for x in report.column(cells, row, name) if x]
        found.append((name, statistics.median(values) if values else None))
    return found


def label(value):
    return f"{value / 1000:.3g} k" if value >= 1000 else f"{value:.3g}"


def draw(result):
    names = [c["name"] for c in result["contestants"]]
    titles = {c["name"]: c["title"] for c in result["contestants"]}
    colour = {name: COLOURS[-1] if name == "sallyport" else COLOURS[i % (len(COLOURS) - 1)] for i, name in enumerate(names)}
    groups = [(r["title"], [(n, v) for n, v in medians(result["rounds"], r["name"], names) if v]) for r in result["rows"]]
    groups = [g for g in groups if g[1]]
    values = [v for _, bars in groups for _, v in bars]
    low = 10 ** math.floor(math.log10(min(values))) if values else 1
    high = 10 ** math.ceil(math.log10(max(values) * 1.01)) if values else 10
    span = math.log10(high / low) or 1
    height = TOP + sum(len(bars) * BAR + GAP for _, bars in groups) + FOOT

    def x(value):
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log10(value / low) / span

    machine, settings = result["machine"], result["settings"]
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
           'aria-labelledby="t d">', "<title id=\"t\">Transactions per second</title>",
           f'<desc id="d">Medians of {len(result["rounds"])} rounds for each kind of body and each contestant; longer is faster; '
           "the scale is logarithmic.</desc>", f"<style>{STYLE}</style>", f'<rect class="paper" width="{WIDTH}" height="{height}"/>',
           '<text class="title" x="16" y="26">Transactions per second (longer is faster; logarithmic)</text>',
           f'<text class="small" x="16" y="44">{escape(str(machine["cores"]))} cores, {escape(str(machine["cpu"]))}, '
           f'{settings["signatures"]:,} signatures, {settings["connections"]} connections</text>']
    out += legend(names, titles, colour)
    out += axis(low, high, x, height)
    y = TOP
    for title, bars in groups:
        out.append(f'<text x="{LEFT - 10}" y="{y + len(bars) * BAR / 2 + 5:.0f}" text-anchor="end">{escape(title)}</text>')
        for name, value in bars:
            out.append(f'<rect x="{LEFT}" y="{y}" width="{max(1, x(value) - LEFT):.1f}" height="{BAR - 2}" fill="{colour[name]}">'
                       f"<title>{escape(titles[name])}: {value:,.0f} a second</title></rect>")
            out.append(f'<text class="small" x="{x(value) + 5:.1f}" y="{y + BAR - 4}">{label(value)}</text>')
            y += BAR
        y += GAP
    return "\n".join(out + ["</svg>", ""])


def legend(names, titles, colour):
    out, at = [], 16
    for name in names:
        out.append(f'<rect x="{at}" y="60" width="12" height="12" fill="{colour[name]}"/>')
        out.append(f'<text x="{at + 17}" y="71">{escape(titles[name])}</text>')
        at += 34 + 7 * len(titles[name])
    return out


def axis(low, high, x, height):
    out, at = [], low
    while at <= high * 1.0001:
        out.append(f'<line class="line" x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{TOP - 8}" y2="{height - FOOT + 4}"/>')
        out.append(f'<text class="small" x="{x(at):.1f}" y="{height - FOOT + 20}" text-anchor="middle">{label(at)}</text>')
        at *= 10
    return out
