// Hosts, addresses, users and signatures come from attackers: they become text nodes, never markup, and what would turn text around or
// hide in it is made visible. The server's policy forbids everything else.

import { Chart, clock, element, short_number } from "/charts.js";

const POLL_MS = 3000, POLL_MAX_MS = 60000, STALE_MS = 15000, TOP_EVERY = 4, PAGE_ROWS = 25, URL_SHOWN = 300;
const RANGES = {
  quarter: { range: "hour", steps: 180, group: 2, text: "last 15 minutes", minutes: 15 },
  hour: { range: "hour", steps: 720, group: 6, text: "last hour", minutes: 60 },
  day: { range: "day", steps: 1440, group: 10, text: "last 24 hours", minutes: 1440 },
};
const ACTIONS = { block: "refused", report: "reported", allow: "allowed", none: "no action" };
const byid = (id) => document.getElementById(id);

const state = { status: null, series: {}, range: "hour", newest: 0, rows: [], before: 0, query: "", polls: 0, failures: 0, seen_ms: 0, seen_at: 0, timer: 0, level: "" };

// --- text ----------------------------------------------------------------------------------------------------------------

// Controls, marks of direction, joiners and other invisible characters, lone surrogates.
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202f\u205f-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff]|\p{Cs}|[\u{e0000}-\u{e0fff}]/gu;

function visible(text, most = 4000) {
  const cut = text.length > most ? text.slice(0, most) + "…" : text;
  return cut.replace(HIDDEN, (c) => c === "\ufffd" ? c : "⟨" + c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0") + "⟩");
}

function count(n, one, many) {
  return n.toLocaleString() + " " + (n === 1 ? one : many || one + "s");
}

function span(seconds) {
  if (seconds < 90)
    return count(Math.round(seconds), "second");
  if (seconds < 5400)
    return count(Math.round(seconds / 60), "minute");
  if (seconds < 129600)
    return count(Math.round(seconds / 3600), "hour");
  return count(Math.round(seconds / 86400), "day");
}

function bytes(n) {
  if (n < 1000)
    return count(n, "byte");
  const units = ["kB", "MB", "GB", "TB"];
  let i = -1;
  do {
    n /= 1000;
    i++;
  } while (n >= 999.5 && i < units.length - 1);
  return +n.toPrecision(3) + " " + units[i];
}

function micros(us) {
  return us < 1000 ? us + " µs" : us < 1e6 ? +(us / 1e3).toPrecision(3) + " ms" : +(us / 1e6).toPrecision(3) + " s";
}

function set_text(id, text) {
  const target = typeof id === "string" ? byid(id) : id;
  if (target.textContent !== text) // a live region speaks only when something has changed
    target.textContent = text;
}

// --- the server -------------------------------------------------------------------------------------------------------------

async function ask(path) {
  const reply = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(10000) });
  if (reply.status === 401) {
    location.replace("/login" + location.hash);
    throw new Error("no token");
  }
  const body = await reply.json();
  if (!reply.ok)
    throw Object.assign(new Error(body.error), { status: reply.status });
  return body;
}

// Only what is new is asked for.
async function load_series(range) {
  const have = state.series[range];
  const last = have ? have.start + have.step * (have.rows.length - 1) : 0;
  let got = await ask("/api/series?range=" + range + (last > 0 ? "&since=" + last : ""));
  const is_anew = have && got.clock_set !== have.clock_set; // the server's clock was set: all times are other ones now
  if (is_anew && last > 0)
    got = await ask("/api/series?range=" + range);
  const most = range === "hour" ? 720 : 1440;
  if (have && !is_anew && last > 0 && got.start === last + got.step)
    have.rows.push(...got.rows);
  else if (!have || is_anew || got.rows.length > 0)
    state.series[range] = { ...got, index: Object.fromEntries(got.columns.map((name, i) => [name, i])) };
  const kept = state.series[range], extra = kept.rows.length - most;
  if (extra > 0) {
    kept.rows.splice(0, extra);
    kept.start += extra * kept.step;
  }
}

function column_sum(range, steps, name) {
  const series = state.series[range];
  if (!series)
    return 0;
  return series.rows.slice(-steps).reduce((sum, row) => sum + (row[series.index[name]] || 0), 0);
}

// --- health ------------------------------------------------------------------------------------------------------------------

const MARKS = { good: "m7.5 12.5 3 3 6-6.5", note: "M12 11v6m0-10v.01", warn: "M12 7v6m0 4v.01", bad: "m8.5 8.5 7 7m0-7-7 7" };

function show_health(status) {
  const worst = status.problems[0];
  const level = status.level;
  const title = level === "good" || level === "note" ? "All is well" : worst.what;
  byid("health").dataset.level = level === "note" ? "good" : level;
  byid("health-mark").setAttribute("d", MARKS[level === "note" ? "good" : level]);
  set_text("health-title", title);
  set_text("health-text", level === "good" || level === "note" ? "The scanner answers in " + micros(status.scanner.ping_us) + ", the signatures are in use." : visible(worst.detail));
  const rest = level === "note" ? status.problems : status.problems.slice(1);
  const key = JSON.stringify(rest);
  if (byid("problems").dataset.key !== key) {
    byid("problems").dataset.key = key;
    byid("problems").replaceChildren(...rest.map((p) => {
      const line = element("li", {}, element("i", { class: "dot", "aria-hidden": "true" }), element("span", {}, element("strong", {}, p.what + ". "), visible(p.detail)));
      line.dataset.level = p.level;
      return line;
    }));
  }
  if (state.level && state.level !== level)
    set_text("announce", title);
  state.level = level;
  document.title = (level === "bad" ? "✖ " : level === "warn" ? "⚠ " : "") + "Sallyport";
}

function show_tile(id, figure, unit, note, level) {
  const tile = byid(id), target = tile.querySelector(".figure");
  if (target.textContent !== figure + (unit ? " " + unit : ""))
    target.replaceChildren(figure, ...(unit ? [element("small", {}, " " + unit)] : []));
  set_text(tile.querySelector(".note"), note);
  tile.dataset.level = level || "";
}

function show_signatures(scanner) {
  if (!scanner || scanner.generation === 0)
    return show_tile("tile-signatures", "none", "", "no engine is loaded", "bad");
  if (scanner.database_time === 0)
    return show_tile("tile-signatures", scanner.signatures.toLocaleString(), "", "only the built-in test: run freshclam", "warn");
  const is_old = scanner.database_max_age_s > 0 && scanner.database_age_s > scanner.database_max_age_s;
  show_tile("tile-signatures", span(scanner.database_age_s), "old", scanner.signatures.toLocaleString() + " signatures" + (scanner.loading ? ", newer ones load" : ""), is_old ? "warn" : "");
}

function show_tiles(status) {
  const refused = column_sum("hour", 720, "blocked"), reported = column_sum("hour", 720, "reported");
  show_tile("tile-refused", refused.toLocaleString(), "", "in the last hour" + (reported > 0 ? ", " + reported.toLocaleString() + " reported" : ""));
  const second = (column_sum("hour", 12, "requests") + column_sum("hour", 12, "replies")) / 60;
  show_tile("tile-traffic", second >= 10 ? Math.round(second).toLocaleString() : second.toFixed(1), "per second",
    bytes(column_sum("hour", 12, "bytes")) + " of bodies in the last minute");
  show_signatures(status.scanner);
  const s = status.scanner;
  if (s)
    show_tile("tile-scanner", s.workers_busy + " of " + s.workers_alive, s.workers_alive === 1 ? "worker busy" : "workers busy",
      "up to " + s.workers_max + (s.crashed > 0 ? ", " + s.crashed.toLocaleString() + " crashed" : "") + ", since " + new Date(s.started).toLocaleDateString(), "");
  else
    show_tile("tile-scanner", "none", "", "the scanner does not run", "bad");
}

function show_about(status) {
  set_text("about", "sallyport " + status.version + (status.scanner ? " · engine generation " + status.scanner.generation + " · sandbox: " + status.scanner.sandbox : "") +
    (status.mode === "monitor" ? " · rules only watch" : ""));
}

// --- charts and lists ---------------------------------------------------------------------------------------------------------

const per_second = (n) => (n >= 100 ? Math.round(n).toLocaleString() : +n.toPrecision(3)) + "/s";
const charts = {
  traffic: new Chart(byid("chart-traffic"), { title: "Traffic", unit: "Transactions per second.", kind: "area", format: per_second,
    series: [{ key: "requests", name: "Requests", class: "s0" }, { key: "replies", name: "Replies", class: "s1" }] }),
  refused: new Chart(byid("chart-refused"), { title: "Refusals", unit: "Transactions.", kind: "bars", format: (n) => n.toLocaleString(),
    series: [{ key: "blocked", name: "Refused", class: "refused" }, { key: "reported", name: "Reported", class: "reported" }] }),
};

// Groups of steps, so that each has a few pixels; they lie on multiples of their length, so that they do not change as time goes on.
function group_points(series, want, keys, is_rate) {
  const rows = series.rows.slice(-want.steps), length = series.step * want.group;
  const first = series.start + series.step * (series.rows.length - rows.length);
  const points = new Map();
  rows.forEach((row, i) => {
    const at = first + i * series.step, from = Math.floor(at / length) * length;
    if (!points.has(from))
      points.set(from, { from: from * 1000, to: (from + length) * 1000, values: Object.fromEntries(keys.map((key) => [key, null])), steps: 0 });
    const point = points.get(from);
    point.steps++;
    for (const key of keys) {
      const value = row[series.index[key]];
      if (value !== null)
        point.values[key] = (point.values[key] || 0) + value;
    }
  });
  const list = [...points.values()];
  for (const point of list)
    for (const key of keys)
      if (is_rate && point.values[key] !== null)
        point.values[key] /= point.steps * series.step;
  return list;
}

function show_charts() {
  const want = RANGES[state.range], series = state.series[want.range];
  if (!series)
    return;
  charts.traffic.show(group_points(series, want, ["requests", "replies"], true), want.text);
  charts.refused.show(group_points(series, want, ["blocked", "reported"], false), want.text);
}

function meter(share) {
  const bar = element("i");
  bar.style.width = Math.max(2, Math.round(share * 100)) + "%";
  return element("span", { class: "meter", "aria-hidden": "true" }, bar);
}

// Made anew only when it changes: a button that has the focus must not go away.
function fill_list(list, rows, make, nothing) {
  const key = JSON.stringify(rows);
  if (list.dataset.key === key)
    return;
  list.dataset.key = key;
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.value : null;
  list.replaceChildren(...(rows.length > 0 ? rows.map(make) : [element("li", { class: "empty" }, nothing)]));
  if (focused !== null)
    for (const button of list.querySelectorAll("button"))
      if (button.dataset.value === focused)
        button.focus();
}

function top_button(filter, row, most) {
  const button = element("button", { type: "button", title: visible(row.name) }, element("span", { class: "name" }, visible(row.name, 120)), element("span", { class: "count" }, row.n.toLocaleString()), meter(row.n / most));
  button.dataset.value = row.name;
  button.addEventListener("click", () => filter_by({ [filter]: row.name, action: "block" }));
  return element("li", {}, button);
}

function show_top(top) {
  for (const [list, filter] of [["rules", "rule"], ["signatures", "q"], ["hosts", "host"], ["clients", "client"]]) {
    const rows = top[list].slice(0, 7);
    fill_list(byid("top-" + list), rows, (row) => top_button(filter, row, rows[0].n), "None.");
  }
  const want = RANGES[state.range];
  const covers = (state.status.now - top.since) / 60000 > want.minutes * 0.9;
  set_text("top-period", want.text + (covers ? "" : ", decisions since " + clock(top.since)));
}

function show_outcomes(status) {
  const want = RANGES[state.range];
  const rows = status.outcomes.filter((o) => o.name !== "clean" && o.name !== "none")
    .map((o) => ({ ...o, n: column_sum(want.range, want.steps, o.name) }))
    .filter((o) => o.n > 0).sort((a, b) => b.n - a.n);
  set_text("outcomes-period", want.text);
  fill_list(byid("outcomes"), rows, (o) => {
    const button = element("button", { type: "button" }, element("span", {}, element("strong", {}, o.name), element("small", {}, o.when)), element("span", { class: "count" }, o.n.toLocaleString()), meter(o.n / rows[0].n));
    button.dataset.value = o.name;
    button.addEventListener("click", () => filter_by({ outcome: o.name }));
    return element("li", {}, button);
  }, "None: everything was clean, or had nothing to scan.");
}

// --- decisions ------------------------------------------------------------------------------------------------------------------

function tag_of(d) {
  const level = d.action === "block" || d.monitor ? "bad" : d.outcome === "clean" ? "good" : d.outcome === "none" ? "" : "warn";
  return element("span", { class: "tag " + level }, d.outcome);
}

function what_was_done(d) {
  return d.monitor ? "would be refused" : ACTIONS[d.action] || "";
}

function when_text(ms) {
  const at = new Date(ms);
  return at.toDateString() === new Date(state.status ? state.status.now : Date.now()).toDateString() ? clock(ms, true) : at.toLocaleDateString([], { month: "short", day: "numeric" }) + " " + clock(ms);
}

function address_of(d) {
  const url = visible(d.url || "", URL_SHOWN), host = visible(d.host || "", URL_SHOWN);
  const at = host ? url.toLowerCase().indexOf(host.toLowerCase()) : -1;
  const parts = at < 0 ? [url] : [url.slice(0, at), element("b", {}, url.slice(at, at + host.length)), url.slice(at + host.length)];
  return element("span", { class: "address" }, element("span", { class: "sub" }, visible(d.method || "", 20) + " "), ...parts);
}

function row_of(d, is_new) {
  const open = element("button", { type: "button" }, d.time ? when_text(d.time) : "no time");
  open.setAttribute("aria-label", "Decision of " + open.textContent + " in full");
  const why = [d.signature, d.rule, d.reason].filter(Boolean).map((t) => visible(t, 200));
  const row = element("tr", is_new ? { class: "new" } : {},
    element("td", {}, open),
    element("td", {}, tag_of(d), " ", element("span", { class: "sub" }, what_was_done(d))),
    element("td", {}, address_of(d)),
    element("td", {}, visible(d.client || "", 100), ...(d.user ? [element("br"), element("span", { class: "sub" }, visible(d.user, 100))] : [])),
    element("td", {}, ...(why.length > 0 ? [why[0]] : []), ...(why.length > 1 && why[1] !== why[0] ? [element("br"), element("span", { class: "sub" }, why[1])] : [])));
  row.dataset.number = d.number;
  row.addEventListener("click", () => {
    if (getSelection().isCollapsed)
      open_decision(d);
  });
  return row;
}

function query_text() {
  const form = new FormData(byid("filters")), query = new URLSearchParams();
  for (const [name, value] of form)
    if (value.trim() !== "")
      query.set(name, value.trim());
  return query.toString();
}

function show_found(got) {
  const n = state.rows.length, is_filtered = state.query !== "";
  const log = state.status && state.status.log;
  const none = log && is_elsewhere(log) ? sentence(log_note(log)) : is_filtered ? "Nothing fits, among the " + count(got.held, "decision") + " held." : "No decisions yet.";
  set_text("found", n === 0 ? none : "");
  set_text("decisions-note", log ? log_note(log) : "");
}

function not_found_text(id) {
  const log = state.status && state.status.log;
  return log && is_elsewhere(log) ? sentence(log_note(log)) : "No decision with this reference is in the log. In older logs: sallyport find " + visible(id, 64);
}

const is_elsewhere = (log) => !log.on || log.to !== "file";
const sentence = (text) => text[0].toUpperCase() + text.slice(1) + ".";

// What the list cannot show, and why.
function log_note(log) {
  if (!log.on)
    return "the decision log is off";
  if (log.to !== "file")
    return "decisions go to " + (log.to === "syslog" ? "syslog" : "the journal") + " and not to a file: journalctl -t sallyport";
  return [log.all ? "" : "what was clean is not logged", log.hashed ? "clients and users are pseudonyms" : ""].filter(Boolean).join("; ");
}

// The newest page; rows that are on the screen already stay where they are.
async function load_decisions(is_anew) {
  const query = query_text();
  const got = await ask("/api/decisions?limit=" + PAGE_ROWS + (query ? "&" + query : ""));
  if (query !== query_text())
    return; // somebody typed on; another answer is under way
  const body = byid("list").tBodies[0];
  const known = new Set(state.rows.map((d) => d.number));
  const fresh = got.decisions.filter((d) => !known.has(d.number));
  if (is_anew || query !== state.query || fresh.length === got.decisions.length) {
    state.rows = got.decisions;
    state.before = got.before || 0;
    body.replaceChildren(...got.decisions.map((d) => row_of(d, false)));
  } else {
    state.rows = [...fresh, ...state.rows];
    body.prepend(...fresh.map((d) => row_of(d, true)));
  }
  state.query = query;
  state.newest = got.newest;
  byid("older").hidden = state.before === 0;
  show_found(got);
}

async function load_older() {
  const got = await ask("/api/decisions?limit=" + PAGE_ROWS + "&before=" + state.before + (state.query ? "&" + state.query : ""));
  state.rows.push(...got.decisions);
  state.before = got.before || 0;
  const rows = got.decisions.map((d) => row_of(d, false));
  byid("list").tBodies[0].append(...rows);
  byid("older").hidden = state.before === 0;
  if (rows.length > 0)
    rows[0].querySelector("button").focus();
}

function filter_by(values) {
  byid("filters").reset();
  for (const [name, value] of Object.entries(values)) {
    const input = byid("f-" + name);
    input.value = value;
  }
  load_decisions(true).catch(failed);
  byid("decisions").scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  byid("decisions").focus({ preventScroll: true });
}

// --- one decision -----------------------------------------------------------------------------------------------------------------

const FIELDS = [
  ["id", "Reference"], ["time", "Time", (v) => new Date(v).toLocaleString([], { dateStyle: "full", timeStyle: "long" })], ["outcome", "Outcome", explain_outcome], ["action", "Action"], ["reason", "Reason"],
  ["rule", "Rule"], ["category", "Category"], ["signature", "Signature"], ["excepted", "Exception for"], ["monitor", "Would be refused", () => "yes, but mode is \"monitor\""],
  ["client", "Client"], ["user", "User"], ["host", "Host"], ["method", "Method"], ["direction", "Direction", (v) => v === "REQMOD" ? "request" : v === "RESPMOD" ? "reply" : v],
  ["status", "Status of the reply"], ["bytes", "Body", bytes], ["encoding", "Encoding"], ["cached", "Known", () => "clean before, not scanned again"],
  ["total_us", "Time taken", micros], ["scan_us", "In the scanner", micros], ["generation", "Engine generation"],
];

function explain_outcome(name) {
  const outcome = state.status && state.status.outcomes.find((o) => o.name === name);
  return outcome ? name + ": " + outcome.when : name;
}

function detail_of(d) {
  const list = element("dl");
  for (const [key, name, format] of FIELDS)
    if (d[key] !== undefined && d[key] !== false && d[key] !== "")
      list.append(element("dt", {}, name), element("dd", {}, visible(String(format ? format(d[key]) : d[key]))));
  return [element("p", { class: "said" }, tag_of(d), " ", what_was_done(d) + (d.host ? ": " + visible(d.host, 253) : "")),
    ...(d.url ? [element("p", { class: "detail-url" }, visible(d.url, 100000))] : []), list];
}

function show_detail(title, ...body) {
  set_text("detail-title", title);
  byid("detail-body").replaceChildren(...body);
  if (!byid("detail").open)
    byid("detail").showModal();
  byid("detail-title").focus();
}

// By a link, so that it can be passed on. Entries without a reference are shown as they are.
function open_decision(d) {
  if (d.id)
    location.hash = "id=" + encodeURIComponent(d.id);
  else
    show_detail("Decision", ...detail_of(d));
}

function wanted_id() {
  const found = /^#id=(.+)$/.exec(location.hash);
  try {
    return found ? decodeURIComponent(found[1]) : "";
  } catch {
    return "";
  }
}

async function follow_hash() {
  const id = wanted_id();
  if (!id) {
    byid("detail").close();
    return;
  }
  byid("reference").value = id;
  try {
    const got = await ask("/api/decision/" + encodeURIComponent(id));
    if (id === wanted_id())
      show_detail(got.decisions.length > 1 ? count(got.decisions.length, "decision") + " with this reference" : "Decision", ...got.decisions.flatMap((d, i) => i > 0 ? [element("hr"), ...detail_of(d)] : detail_of(d)));
  } catch (fault) {
    if (id === wanted_id())
      show_detail("Not found", element("p", { class: "said" }, fault.status === 404 ? not_found_text(id) :
        fault.status === 400 ? "This is no reference: " + visible(id, 64) : "The server does not answer."));
  }
}

// --- the clockwork -----------------------------------------------------------------------------------------------------------------

function show_freshness() {
  const age = performance.now() - state.seen_at, is_gone = state.seen_ms > 0 && age > STALE_MS && state.failures > 0;
  const is_old = state.status && state.status.now - state.status.taken > STALE_MS;
  set_text("freshness", state.seen_ms === 0 ? (state.failures > 0 ? "No answer" : "Loading…") : "Updated " + clock(state.seen_ms, true));
  const text = is_gone ? "No news from the server since " + clock(state.seen_ms, true) + ". Trying again." :
    state.seen_ms === 0 && state.failures > 1 ? "The server does not answer. Trying again." :
    is_old ? "The server itself has not looked since " + clock(state.status.taken, true) + "." : "";
  byid("stale").hidden = text === "";
  set_text("stale", text);
  document.documentElement.classList.toggle("is-stale", text !== "");
}

async function refresh() {
  const status = await ask("/api/status");
  state.status = status;
  await load_series("hour");
  if (RANGES[state.range].range === "day")
    await load_series("day");
  if (state.polls % TOP_EVERY === 0)
    show_top(await ask("/api/top?minutes=" + RANGES[state.range].minutes));
  show_health(status);
  show_tiles(status);
  show_charts();
  show_outcomes(status);
  show_about(status);
  if (byid("f-outcome").options.length < 3)
    byid("f-outcome").append(...status.outcomes.map((o) => element("option", { value: o.name }, o.name)));
  if (state.polls === 0 || status.log.newest !== state.newest)
    await load_decisions(false);
  state.polls++;
}

function failed() {
  state.failures++;
  show_freshness();
}

async function poll() {
  clearTimeout(state.timer);
  try {
    await refresh();
    state.seen_ms = Date.now();
    state.seen_at = performance.now(); // which goes on evenly when this machine's clock is set
    state.failures = 0;
  } catch (fault) {
    failed();
  }
  show_freshness();
  clearTimeout(state.timer);
  if (!document.hidden)
    state.timer = setTimeout(poll, Math.min(POLL_MAX_MS, POLL_MS * 2 ** Math.min(state.failures, 6)));
}

function start() {
  let typing = 0;
  byid("filters").addEventListener("submit", (event) => event.preventDefault());
  byid("filters").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => load_decisions(true).catch(failed), 250);
  });
  byid("filters").addEventListener("reset", () => setTimeout(() => load_decisions(true).catch(failed), 0));
  byid("older").addEventListener("click", () => load_older().catch(failed));
  byid("ranges").addEventListener("change", (event) => {
    state.range = event.target.value;
    state.polls = 0;
    poll();
  });
  byid("lookup").addEventListener("submit", (event) => {
    event.preventDefault();
    const id = byid("reference").value.trim();
    if (location.hash === "#id=" + encodeURIComponent(id))
      follow_hash();
    else
      location.hash = "id=" + encodeURIComponent(id);
  });
  byid("detail-close").addEventListener("click", () => byid("detail").close());
  byid("detail").addEventListener("click", (event) => {
    if (event.target === byid("detail"))
      byid("detail").close();
  });
  byid("detail").addEventListener("close", () => {
    if (wanted_id())
      history.replaceState(null, "", location.pathname);
  });
  addEventListener("hashchange", follow_hash);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden)
      poll();
  });
  setInterval(show_freshness, 1000);
  poll();
  if (wanted_id())
    follow_hash();
}

start();
