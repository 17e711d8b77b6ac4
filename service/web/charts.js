// Stacked areas and bars as SVG. A chart is told what to show and draws it anew; what it says to the eye it says in a table too.

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { left: 44, right: 8, top: 8, bottom: 22 };

export function element(name, properties, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties || {})) {
    if (key === "class")
      made.className = value;
    else if (key in made)
      made[key] = value;
    else
      made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes))
    made.setAttribute(key, value);
  return made;
}

// 1, 2 or 5 times a power of ten, not below n.
function round_up(n) {
  if (n <= 0)
    return 1;
  const power = 10 ** Math.floor(Math.log10(n));
  return [1, 2, 5, 10].map((step) => step * power).find((value) => value >= n - 1e-9);
}

export function short_number(n) {
  if (n >= 1e9)
    return +(n / 1e9).toPrecision(3) + " G";
  if (n >= 1e6)
    return +(n / 1e6).toPrecision(3) + " M";
  if (n >= 1e4)
    return +(n / 1e3).toPrecision(3) + " k";
  return String(+n.toPrecision(3));
}

export class Chart {
  // series: [{ key, name, class }], drawn from the bottom up. kind: "area" or "bars". format(value) gives text.
  constructor(figure, { title, unit, series, kind, format }) {
    Object.assign(this, { figure, title, unit, series, kind, format, points: [], cursor: -1 });
    this.legend = element("ul", { class: "legend" }, ...series.map((s) => element("li", {}, element("i", { class: s.class }), s.name)));
    this.svg = shape("svg", { role: "img", tabindex: "0" });
    this.plot = element("div", { class: "plot" });
    this.plot.append(this.svg);
    this.readout = element("p", { class: "readout" });
    this.body = element("tbody");
    this.table = element("table", {},
      element("thead", {}, element("tr", {}, ...["From", ...series.map((s) => s.name)].map((name) => element("th", { scope: "col" }, name)))), this.body);
    this.details = element("details", {}, element("summary", {}, "As a table"), element("div", { class: "scroll", tabIndex: 0, role: "region", ariaLabel: title }, this.table));
    figure.replaceChildren(element("figcaption", {}, element("strong", {}, title), this.legend), this.plot, this.readout, this.details);
    this.svg.addEventListener("pointermove", (event) => this.point_at(event));
    this.svg.addEventListener("pointerleave", () => this.move_cursor(-1));
    this.svg.addEventListener("keydown", (event) => this.on_key(event));
    this.svg.addEventListener("blur", () => this.move_cursor(-1));
    this.details.addEventListener("toggle", () => this.fill_table());
    new ResizeObserver(() => this.draw()).observe(this.plot);
  }

  // points: [{ from, to (ms), values: { key: number or null } }], the oldest first.
  show(points, period) {
    this.points = points;
    const known = points.filter((p) => this.total(p) !== null);
    const sum = (key) => known.reduce((n, p) => n + (p.values[key] || 0), 0);
    this.svg.setAttribute("aria-label", this.title + ", " + period + ". " + (known.length === 0 ? "Nothing is known of this time." :
      this.series.map((s) => s.name + ": " + this.summary(s.key, known, sum)).join("; ") + ".") + " Arrow keys read single values.");
    this.draw();
    this.fill_table();
  }

  summary(key, known, sum) {
    if (this.kind === "bars")
      return this.format(sum(key)) + " in all";
    return this.format(sum(key) / known.length) + " on average, " + this.format(Math.max(...known.map((p) => p.values[key] || 0))) + " at most";
  }

  total(point) {
    const values = this.series.map((s) => point.values[s.key]);
    return values.every((v) => v === null || v === undefined) ? null : values.reduce((sum, v) => sum + (v || 0), 0);
  }

  x(i) {
    return MARGIN.left + (this.width - MARGIN.left - MARGIN.right) * i / Math.max(this.points.length, 1);
  }

  y(value) {
    return this.height - MARGIN.bottom - (this.height - MARGIN.top - MARGIN.bottom) * value / this.top;
  }

  draw() {
    this.width = this.plot.clientWidth;
    this.height = this.plot.clientHeight;
    if (this.width < 2 * MARGIN.left || this.points.length === 0)
      return;
    this.top = round_up(Math.max(0, ...this.points.map((p) => this.total(p) || 0)));
    this.top = Math.max(this.top, this.kind === "bars" ? 4 : 1); // a single transaction is no mountain
    this.svg.setAttribute("viewBox", "0 0 " + this.width + " " + this.height);
    const parts = [...this.gaps(), ...this.grid(), ...(this.kind === "bars" ? this.bars() : this.areas())];
    this.line = shape("line", { class: "cursor", y1: MARGIN.top, y2: this.height - MARGIN.bottom, visibility: "hidden" });
    this.svg.replaceChildren(...parts, this.line);
    this.move_cursor(Math.min(this.cursor, this.points.length - 1));
  }

  grid() {
    const parts = [];
    for (const share of [0, 0.5, 1]) {
      const y = this.y(this.top * share);
      parts.push(shape("line", { class: "grid", x1: MARGIN.left, x2: this.width - MARGIN.right, y1: y, y2: y }));
      const label = shape("text", { x: MARGIN.left - 6, y: y + 4, "text-anchor": "end" });
      label.textContent = short_number(this.top * share);
      parts.push(label);
    }
    const ticks = this.width < 420 ? 3 : 5;
    for (let i = 0; i < ticks; i++) {
      const at = Math.round((this.points.length - 1) * i / (ticks - 1));
      const label = shape("text", { x: this.x(at + (i === ticks - 1 ? 1 : 0)), y: this.height - 5, "text-anchor": i === 0 ? "start" : i === ticks - 1 ? "end" : "middle" });
      label.textContent = clock(i === ticks - 1 ? this.points[at].to : this.points[at].from);
      parts.push(label);
    }
    return parts;
  }

  // Runs of points that satisfy test: [first, after the last].
  runs(test) {
    const found = [];
    for (let i = 0; i < this.points.length; i++) {
      if (!test(this.points[i]))
        continue;
      const last = found[found.length - 1];
      if (last && last[1] === i)
        last[1] = i + 1;
      else
        found.push([i, i + 1]);
    }
    return found;
  }

  gaps() {
    return this.runs((p) => this.total(p) === null).map(([from, to]) => shape("rect", { class: "gap", x: this.x(from), y: MARGIN.top,
      width: this.x(to) - this.x(from), height: this.height - MARGIN.top - MARGIN.bottom }));
  }

  bars() {
    const parts = [];
    const wide = Math.max(1, (this.x(1) - this.x(0)) * 0.8);
    this.points.forEach((point, i) => {
      let below = 0;
      for (const s of this.series) {
        const value = point.values[s.key] || 0;
        if (value > 0)
          parts.push(shape("rect", { class: s.class, x: this.x(i), y: this.y(below + value), width: wide, height: Math.max(1, this.y(below) - this.y(below + value)), rx: Math.min(2, wide / 3) }));
        below += value;
      }
    });
    return parts;
  }

  areas() {
    const parts = [];
    for (const [from, to] of this.runs((p) => this.total(p) !== null)) {
      const below = new Array(to - from).fill(0);
      for (const s of this.series) {
        const above = below.map((base, i) => base + (this.points[from + i].values[s.key] || 0));
        const middle = (i) => (this.x(from + i) + this.x(from + i + 1)) / 2;
        const edge = (values) => values.map((v, i) => [middle(i), this.y(v)]);
        const top = [[this.x(from), this.y(above[0])], ...edge(above), [this.x(to), this.y(above[above.length - 1])]];
        const bottom = [[this.x(from), this.y(below[0])], ...edge(below), [this.x(to), this.y(below[below.length - 1])]].reverse();
        parts.push(shape("path", { class: s.class, d: "M" + [...top, ...bottom].map(([x, y]) => x.toFixed(1) + "," + y.toFixed(1)).join("L") + "Z" }));
        above.forEach((v, i) => { below[i] = v; });
      }
    }
    return parts;
  }

  point_at(event) {
    const box = this.svg.getBoundingClientRect();
    const share = (event.clientX - box.left - MARGIN.left) / (this.width - MARGIN.left - MARGIN.right);
    this.move_cursor(share < 0 || share >= 1 ? -1 : Math.floor(share * this.points.length));
  }

  on_key(event) {
    const last = this.points.length - 1, now = this.cursor < 0 ? last + 1 : this.cursor;
    const to = { ArrowLeft: Math.max(0, now - 1), ArrowRight: Math.min(last, now + 1), Home: 0, End: last, Escape: -1 }[event.key];
    if (to === undefined)
      return;
    event.preventDefault();
    this.move_cursor(to);
  }

  move_cursor(i) {
    this.cursor = i;
    const point = this.points[i];
    if (!this.line)
      return;
    this.line.setAttribute("visibility", point ? "visible" : "hidden");
    if (point) {
      const x = (this.x(i) + this.x(i + 1)) / 2;
      this.line.setAttribute("x1", x);
      this.line.setAttribute("x2", x);
    }
    this.readout.textContent = point ? clock(point.from, true) + ": " + (this.total(point) === null ? "not known" : this.series.map((s) => s.name + " " + this.format(point.values[s.key] || 0)).join(", ")) : this.unit + (this.points.some((p) => this.total(p) === null) ? " Grey: not known." : "");
  }

  fill_table() {
    if (!this.details.open)
      return;
    this.body.replaceChildren(...[...this.points].reverse().map((p) => element("tr", {}, element("td", {}, clock(p.from, true)),
      ...this.series.map((s) => element("td", {}, p.values[s.key] === null || p.values[s.key] === undefined ? "–" : this.format(p.values[s.key]))))));
  }
}

export function clock(ms, has_seconds) {
  return new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", ...(has_seconds ? { second: "2-digit" } : {}), hourCycle: "h23" });
}
