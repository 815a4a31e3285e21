"use strict";
// Text only ever enters the page as text: names and errors come from others.

const PHASES = ["waiting-for-quorum", "sync", "commit", "transfer", "aggregate", "certify", "decrypt", "combine", "apply", "record"];
const EXPLAINED = {
  recovering: "asking the others what this node signed before it started",
  "waiting-for-quorum": "waiting until enough members are ready", sync: "catching up with the others",
  commit: "training and encrypting, then waiting for the others' updates", transfer: "encrypted updates are transferred",
  aggregate: "the committee adds ciphertexts", certify: "all members decide on the sum",
  decrypt: "members release their partial decryptions", combine: "the sum is opened", apply: "the sum goes into the adapter",
  record: "members sign the round", paused: "paused by the operator", done: "all rounds are done",
};
const STATES = {
  idle: "In no federation yet.", draft: "A draft: members may be invited.", joining: "Waiting until the owner founds it.",
  founding: "The list of members is final: every member's operator confirms it.", paused: "Paused by an operator.",
};
const LEFT = { stopped: "stopped", paused: "paused", "sits-out": "sits out", "catches-up": "catches up" };
const REFUSED = { layout: "update has a wrong layout", length: "update has a wrong length", unreadable: "update cannot be read" };
const POLL_MS = 1500;
const ROWS = 100;
const at = (id) => document.getElementById(id);
const set = (id, text) => { if (at(id).textContent !== text) at(id).textContent = text; };

function node(tag, content, attributes = {}) {
  const it = document.createElement(tag);
  if (content instanceof Node) it.append(content);
  else if (content !== undefined) it.textContent = content;
  for (const [name, value] of Object.entries(attributes)) it.setAttribute(name, value);
  return it;
}

function svg(tag, attributes, text) {
  const it = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) it.setAttribute(name, value);
  if (text !== undefined) it.textContent = text;
  return it;
}

function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (count >= 999.5 && unit < units.length - 1) { count /= 1000; unit += 1; }
  return (unit === 0 ? count : count.toPrecision(3)) + " " + units[unit];
}

function duration(seconds) {
  if (seconds < 100) return seconds.toFixed(seconds < 10 ? 1 : 0) + " s";
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return minutes + " min";
  if (minutes < 48 * 60) return Math.floor(minutes / 60) + " h " + minutes % 60 + " min";
  return Math.floor(minutes / 1440) + " d " + Math.floor(minutes % 1440 / 60) + " h";
}

// The same in every organisation.
const clock = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 19) + " UTC";
const total = (map) => Object.values(map).reduce((sum, value) => sum + value, 0);
const wire = (map) => map.transport ?? total(map);
const number = (value) => value == null ? "\u2013" : value.toFixed(4);
const change = (from, to) => `${to < from ? "\u2212" : "+"}${Math.abs(100 * (to / from - 1)).toFixed(1)}%`;

function names(list) {
  const all = document.createDocumentFragment();
  list.forEach((name, index) => all.append(index ? ", " : "", node("bdi", name)));
  return all;
}

function flag(value) {
  const it = node("td");
  it.append(node("span", value ? "\u2713" : "\u2013", { "aria-hidden": "true" }),
    node("span", value ? "yes" : "no", { class: "hidden" }));
  return it;
}

function setBar(bar, percent, text) {
  bar.firstElementChild.style.width = percent + "%";
  bar.setAttribute("aria-valuenow", percent);
  bar.setAttribute("aria-valuetext", text);
}

// When the phase that is shown began, by this page's clock.
let phaseSince = { key: "", at: 0 };

function showNow(status, rounds) {
  const { machine, federation } = status;
  const phase = machine ? machine.activity : status.state;
  const current = PHASES.indexOf(phase);
  at("path").replaceChildren(...PHASES.map((name, index) => {
    const item = node("li", name, { title: EXPLAINED[name] });
    if (index === current) item.setAttribute("aria-current", "step");
    else if (index < current) {
      item.className = "done";
      item.append(node("span", " done", { class: "hidden" }));
    }
    return item;
  }));
  at("path").hidden = current < 0;
  const key = machine ? `${machine.round} ${phase}` : phase;
  if (phaseSince.key !== key) phaseSince = { key, at: Date.now() };
  const view = machine && machine.view > 0 ? ` (view ${machine.view}: an earlier proposal did not succeed)` : "";
  set("phase", !machine ? STATES[status.state] ?? status.state
    : phase === "done" ? "All rounds are done."
    : machine.silent_through != null ? `Round ${machine.round}: this node's journal lacks what it has signed. It sits out rounds up to ${machine.silent_through}, then takes part again.`
    : `Round ${machine.round}, ${phase}: ${EXPLAINED[phase]}${view}`);
  showWork(status.progress);
  const known = federation ? federation.members : [];
  const late = machine ? machine.waiting_for.map((index) => known[index] ?? `member ${index}`) : [];
  const wait = status.waiting;
  at("waiting").hidden = late.length === 0 && !wait;
  set("waiting-text", !wait ? "" : wait.text + (wait.until_unix_s ? `, until ${clock(wait.until_unix_s)} at most` : ""));
  at("waiting-names").replaceChildren(...late.map((name) => node("bdi", name, { class: "name" })));
  at("whole").hidden = !machine || !federation;
  if (machine && federation) {
    const recent = rounds.filter((it) => it.outcome === "applied").slice(-5);
    const each = recent.length ? recent.reduce((sum, it) => sum + total(it.seconds), 0) / recent.length : 0;
    const left = federation.rounds - machine.applied;
    // Nobody knows how long it takes until enough members are back, or an operator resumes.
    const goesOn = (wait?.can_go_on ?? true) && !(status.conditions ?? []).some((it) => it.severity === "blocking");
    const eta = goesOn && left > 0 && each > 0 ? `, about ${duration(left * each)} to go at the pace of the last rounds` : "";
    const text = `${machine.applied} of ${federation.rounds} rounds applied${eta}`;
    set("whole-text", text);
    setBar(at("whole-bar"), Math.round(100 * machine.applied / Math.max(1, federation.rounds)), text);
  }
}

function showWork(progress) {
  at("work").hidden = !progress;
  if (!progress) return;
  const percent = Math.round(100 * Math.min(1, Math.max(0, progress.fraction)));
  const parts = [`This node: ${progress.phase}`];
  if (progress.steps) parts.push(`step ${progress.step} of ${progress.steps}`);
  if (progress.loss != null) parts.push("loss " + progress.loss.toFixed(3));
  if (progress.tokens_per_second != null) parts.push(Math.round(progress.tokens_per_second) + " tokens/s");
  set("work-text", parts.join(" \u00b7 "));
  at("bar").hidden = !progress.steps;
  setBar(at("bar"), percent, `${percent} percent`);
}

function showMembers(status) {
  const { federation, machine } = status;
  const list = federation ? federation.members : [];
  at("members").replaceChildren(...list.map((name, index) => {
    const row = node("tr");
    const it = machine ? machine.members[index] : undefined;
    const me = federation.self_index === index;
    const head = node("th", node("bdi", name), { scope: "row", title: name });
    if (me) head.append(node("span", " (this node)", { class: "soft" }));
    row.append(head);
    row.append(node("td", it ? (it.reachable ? "yes" : "no") : "?", { class: "dot" + (it?.reachable ? " up" : "") }));
    const roles = [];
    if (machine?.committee.includes(index)) roles.push("committee");
    if (machine?.proposer === index) roles.push("proposer");
    if (it?.refused) roles.push(REFUSED[it.refused] ?? "update left out");
    if (it?.here === false) roles.push(LEFT[it.left] ?? "no messages");
    if (machine?.waiting_for.includes(index)) roles.push("awaited");
    const role = node("td", roles.join(", "));
    if (roles.includes("awaited")) role.className = "awaited";
    row.append(role, node("td", it?.round ?? "", { class: "n" }));
    for (const field of ["committed", "share_valid", "reported", "answered"]) {
      row.append(it ? flag(it[field]) : node("td"));
    }
    row.append(flag(it ? it.signed : federation.signed.includes(name)));
    return row;
  }));
  showPhrase(federation);
}

function showPhrase(federation) {
  const words = federation?.phrase ? federation.phrase.split(" ") : [];
  at("phrase").hidden = words.length === 0;
  set("phrase-text", "The list of members and the terms in 24 words, the same at every member:");
  at("phrase-words").replaceChildren(...words.map((word) => node("li", word)));
}

function key(word, kind) {
  const it = node("span", undefined, { class: "key" });
  it.append(node("i", undefined, { class: kind, "aria-hidden": "true" }), word);
  return it;
}

function showLoss(status, rounds) {
  const by = at("by").value;
  const places = new Map();
  let sum = 0;
  for (const it of rounds) {
    sum += by === "bytes" ? wire(it.bytes) : total(it.seconds);
    places.set(it.round, by === "rounds" ? it.round : sum);
  }
  const pick = (field) => rounds.filter((it) => it[field] != null)
    .map((it) => [places.get(it.round), it[field], it.round]);
  const held = pick("held_out_loss");
  const train = pick("train_loss");
  const measured = status.held_out;
  const base = measured?.base ?? null;
  const worth = status.comparison;
  // Only losses on the same examples belong into one picture.
  const beside = worth && measured?.sample && worth.on_sample.sample === measured.sample ? worth.on_sample : null;
  const lines = [["base model, held out", "base", base], ["alone, held out", "alone", beside?.alone ?? null],
    [`best (${worth?.best}), held out`, "best", worth?.best === "common" ? null : beside?.best ?? null]]
    .filter((it) => it[2] != null);
  const all = held.concat(train);
  at("keys").replaceChildren(...[["held out", "held", held.length], ["training", "train", train.length]]
    .filter((it) => it[2]).concat(lines).map(([word, kind]) => key(word, kind)));
  set("loss-note", measured
    ? `After round ${measured.round}: ${measured.loss.toFixed(4)} on ${measured.examples} held-out examples of this node`
      + (base != null ? `, ${change(base, measured.loss)} against the base model (${base.toFixed(4)}).` : ".")
      + " Held-out data and losses never leave this node."
    : "");
  set("worth", worth
    ? `${worth.headline[0].toUpperCase()}${worth.headline.slice(1)}. Base ${worth.base.toFixed(4)}, `
      + (worth.alone != null ? `alone ${worth.alone.toFixed(4)}, ` : "")
      + `common ${worth.common.toFixed(4)}, best ${worth.best_loss.toFixed(4)} (${worth.best}), on ${worth.examples} `
      + `${worth.measured_on} examples of this node, after ${worth.applied} applied rounds.`
    : "");
  if (all.length === 0) { at("loss").replaceChildren(node("p", "No round has been measured yet.", { class: "soft" })); return; }
  at("loss").replaceChildren(chart(held, train, lines, Math.max(260, at("loss").clientWidth), by));
}

function chart(held, train, lines, width, by) {
  const [height, left, right, top, bottom] = [260, 44, 30, 10, 30];
  const all = held.concat(train);
  const losses = all.map((it) => it[1]).concat(lines.map((it) => it[2]));
  const first = Math.min(...all.map((it) => it[0]));
  const last = Math.max(...all.map((it) => it[0]));
  let [low, high] = [Math.min(...losses), Math.max(...losses)];
  const room = Math.max((high - low) * 0.06, 0.01);
  // Below the lowest line there is room for what is said of the axis.
  low -= 3 * room; high += room;
  if (low < high / 4) low = 0;
  const x = (round) => left + (width - left - right) * (last > first ? (round - first) / (last - first) : 0.5);
  const y = (loss) => top + (height - top - bottom) * (high - loss) / (high - low);
  const words = (name, points) => points.length
    ? `${name} from ${points[0][1].toFixed(3)} to ${points[points.length - 1][1].toFixed(3)} over ${points.length} rounds. ` : "";
  const label = words("Held-out loss", held) + words("Training loss", train)
    + lines.map(([word, , loss]) => `${word[0].toUpperCase()}${word.slice(1)}: ${loss.toFixed(3)}.`).join(" ");
  const it = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  for (let i = 0; i <= 4; i += 1) {
    const loss = low + (high - low) * i / 4;
    it.append(svg("line", { x1: left, x2: width - right, y1: y(loss), y2: y(loss), class: "grid-line" }),
      svg("text", { x: left - 8, y: y(loss) + 4, "text-anchor": "end" }, loss.toFixed(2)));
  }
  if (low > 0) {
    it.append(svg("path", { d: `M ${left - 6} ${y(low) - 4} l 12 -6 m -12 12 l 12 -6`, class: "cut" }),
      svg("text", { x: left + 10, y: y(low) - 6 }, "axis cut: it does not begin at zero"));
  }
  const count = Math.max(1, Math.floor(width / 110));
  const every = by === "rounds" ? Math.max(1, Math.ceil((last - first) / count)) : Math.max((last - first) / count, 1e-9);
  const named = { rounds: (at) => at, bytes, seconds: duration }[by];
  for (let place = first; place <= last; place += every) {
    const word = by === "rounds" && place === first ? `round ${place}` : named(place);
    it.append(svg("text", { x: x(place), y: height - 8, "text-anchor": "middle" }, word));
  }
  for (const [word, kind, loss] of lines) {
    const line = svg("line", { x1: left, x2: width - right, y1: y(loss), y2: y(loss), class: `curve ${kind}` });
    line.append(svg("title", {}, `${word}: ${loss.toFixed(4)}`));
    it.append(line);
  }
  for (const [points, kind, name] of [[train, "train", "training"], [held, "held", "held out"]]) {
    const line = points.map(([round, loss]) => `${x(round).toFixed(1)},${y(loss).toFixed(1)}`).join(" ");
    it.append(svg("polyline", { points: line, class: "curve " + kind }));
    if (points.length > 200) continue;
    for (const [place, loss, round] of points) {
      const point = svg("circle", { cx: x(place).toFixed(1), cy: y(loss).toFixed(1), r: 3.5, class: "point " + kind });
      point.append(svg("title", {}, `round ${round}, ${name}: ${loss.toFixed(4)}`));
      it.append(point);
    }
  }
  return it;
}

// What the members measured together, from the ledger: the same at all of them.
function showMean(rounds) {
  const points = rounds.filter((it) => it.mean_loss).map((it) => [it.mean_loss.round, it.mean_loss.ratio]);
  const last = rounds.filter((it) => it.mean_loss).pop()?.mean_loss;
  at("mean-of-all").hidden = !last;
  if (!last) return;
  const best = points.reduce((best, it) => it[1] < best[1] ? it : best);
  set("mean-note", `Before round ${last.round}: ${last.ratio.toFixed(4)} of the base model's loss, over ${last.members} members; `
    + `lowest before round ${best[0]}: ${best[1].toFixed(4)}. Opened with the sums, each member counting once.`);
  at("mean").replaceChildren(meanChart(points, Math.max(260, at("mean").clientWidth)));
}

function meanChart(points, width) {
  const [height, left, right, top, bottom] = [180, 44, 30, 10, 30];
  const first = points[0][0];
  const span = Math.max(1, points[points.length - 1][0] - first);
  const high = Math.max(1, ...points.map((it) => it[1])) * 1.05;
  const x = (round) => left + (width - left - right) * (round - first) / span;
  const y = (ratio) => top + (height - top - bottom) * (1 - ratio / high);
  const label = `Mean of loss over base loss from ${points[0][1].toFixed(3)} to ${points[points.length - 1][1].toFixed(3)}`
    + ` over ${points.length} rounds; 1 is the base model.`;
  const it = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  for (const ratio of [0, 0.25, 0.5, 0.75, 1]) {
    it.append(svg("line", { x1: left, x2: width - right, y1: y(ratio), y2: y(ratio), class: ratio === 1 ? "curve base" : "grid-line" }),
      svg("text", { x: left - 8, y: y(ratio) + 4, "text-anchor": "end" }, ratio.toFixed(2)));
  }
  const every = Math.max(1, Math.ceil(span / Math.max(1, Math.floor(width / 110))));
  for (let round = first; round <= first + span; round += every) {
    it.append(svg("text", { x: x(round), y: height - 8, "text-anchor": "middle" }, round === first ? `round ${round}` : round));
  }
  it.append(svg("polyline", { points: points.map(([round, ratio]) => `${x(round).toFixed(1)},${y(ratio).toFixed(1)}`).join(" "), class: "curve held" }));
  for (const [round, ratio] of points.length > 200 ? [] : points) {
    const point = svg("circle", { cx: x(round).toFixed(1), cy: y(ratio).toFixed(1), r: 3.5, class: "point held" });
    point.append(svg("title", {}, `before round ${round}: ${ratio.toFixed(4)}`));
    it.append(point);
  }
  return it;
}

function showTraffic(rounds) {
  const last = rounds[rounds.length - 1];
  const words = last ? [...new Set([...Object.keys(last.bytes), ...Object.keys(last.bytes_in)])] : [];
  const parts = words.filter((word) => word !== "transport");
  const row = (name, word, attributes = {}) => {
    const it = node("tr", undefined, attributes);
    it.append(node("th", name, { scope: "row" }), node("td", bytes(last.bytes[word] ?? 0), { class: "n" }),
      node("td", bytes(last.bytes_in[word] ?? 0), { class: "n" }));
    return it;
  };
  const all = parts.map((word) => row(word, word));
  if (words.includes("transport")) all.push(row("all, on the wire", "transport", { class: "total" }));
  at("bytes").replaceChildren(...all);
  set("ratio", last && last.update_bytes_f32 > 0
    ? `Encrypted update ${bytes(last.sent_bytes)}: ${(last.sent_bytes / last.update_bytes_f32).toFixed(3)} of the pruned`
      + ` update as plain f32 values (${bytes(last.update_bytes_f32)}).` : "");
  const times = last ? Object.entries(last.seconds).sort((a, b) => b[1] - a[1]) : [];
  const most = times.length ? times[0][1] : 1;
  at("seconds").replaceChildren(...times.map(([phase, seconds]) => {
    const it = node("tr");
    const meter = node("td", node("div"), { class: "meter", "aria-hidden": "true" });
    meter.firstElementChild.style.width = 100 * seconds / Math.max(most, 1e-9) + "%";
    it.append(node("th", phase, { scope: "row" }), node("td", seconds.toFixed(2), { class: "n" }), meter);
    return it;
  }));
}

function showLedger(rounds) {
  const shown = rounds.slice(-ROWS).reverse();
  at("ledger").replaceChildren(...shown.map((it) => {
    const row = node("tr");
    const adapter = node("td");
    if (it.adapter_digest) adapter.append(node("code", it.adapter_digest.slice(0, 12), { title: it.adapter_digest }));
    row.append(node("th", it.round, { class: "n", scope: "row" }),
      node("td", it.outcome, ["applied", "measured"].includes(it.outcome) ? {} : { class: "bad" }), adapter,
      node("td", names(it.contributors), { class: "people" }), node("td", names(it.committee), { class: "people" }),
      node("td", number(it.train_loss), { class: "n" }), node("td", number(it.held_out_loss), { class: "n" }),
      node("td", total(it.seconds).toFixed(1), { class: "n" }), node("td", bytes(wire(it.bytes)), { class: "n" }));
    return row;
  }));
  set("ledger-note", rounds.length === 0 ? "No round has finished yet."
    : rounds.length > ROWS ? `The newest ${ROWS} of ${rounds.length}; fedshield-cli rounds lists them all.` : "");
}

function showAlerts(status) {
  const lines = [];
  for (const it of status.conditions ?? []) {
    const message = it.until_unix_s ? `${it.message}, until ${clock(it.until_unix_s)} at most` : it.message;
    const kind = it.severity === "notice" ? "alert note" : "alert";
    lines.push([[message, it.hint].filter(Boolean).join(" \u2013 "), kind]);
  }
  if (status.last_error) lines.push([status.last_error, "alert"]);
  for (const line of status.misbehaviour ?? []) lines.push(["Proven misbehaviour: " + line, "alert"]);
  const key = JSON.stringify(lines);
  if (at("alerts").dataset.key === key) return;
  at("alerts").dataset.key = key;
  at("alerts").replaceChildren(...lines.map(([line, kind]) => node("p", line, { class: kind })));
}

async function read(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

let shown = { status: "", rounds: [], roundsKey: null };

async function refresh() {
  const status = await read("/v1/status");
  // Reports change when a round ends and when its loss has been measured.
  const roundsKey = JSON.stringify([status.machine?.head, status.held_out, status.comparison]);
  if (roundsKey !== shown.roundsKey) {
    shown.rounds = await read("/v1/rounds");
    shown.roundsKey = roundsKey;
    shown.status = "";
  }
  const name = status.federation?.name ?? "FedShield";
  set("title", name);
  document.title = status.federation ? `${name} \u2013 FedShield` : "FedShield";
  set("node", `${status.name} \u00b7 ${status.identity_key.slice(0, 8)} \u00b7 version ${status.version}`);
  set("state", status.state);
  set("live", "");
  const now = JSON.stringify(status);
  if (now === shown.status) return;
  const first = shown.status === "";
  shown.status = now;
  showAlerts(status);
  showNow(status, shown.rounds);
  showMembers(status);
  if (first) { showLoss(status, shown.rounds); showMean(shown.rounds); showTraffic(shown.rounds); showLedger(shown.rounds); }
}

async function poll() {
  if (!document.hidden) {
    await refresh().catch(() => set("live", "The daemon does not answer; what is below may be old."));
  }
  setTimeout(poll, POLL_MS);
}

let resizing;
at("by").addEventListener("change", () => {
  if (shown.status) showLoss(JSON.parse(shown.status), shown.rounds);
});

addEventListener("resize", () => {
  clearTimeout(resizing);
  resizing = setTimeout(() => {
    if (shown.status) { showLoss(JSON.parse(shown.status), shown.rounds); showMean(shown.rounds); }
  }, 150);
});
poll();
