"use strict";
// Everything shown is put in as text, never as markup.

const ROWS = 10, POLL_MS = 2000, RECONNECT_MS = 5000, LOSSES_EVERY_MS = 15000;
const place = id => document.getElementById(id);
const element = (name, text) => Object.assign(document.createElement(name), {textContent: String(text)});
const number = value => value.toLocaleString("en");
const loss = value => value === null || value === undefined ? "–" : value.toFixed(3);
const neuro = nanos => {
  const digits = nanos.padStart(10, "0");
  return digits.slice(0, -9) + "." + digits.slice(-9).replace(/0{1,7}$/, "") + " NEURO";
};
const ask = async path => {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(path + ": " + answer.status);
  return answer.json();
};
const duration = seconds => {
  const hours = Math.floor(seconds / 3600), minutes = Math.floor(seconds / 60) % 60;
  return hours ? hours + " h " + minutes + " min" : minutes + " min " + seconds % 60 + " s";
};

const PHASES = {
  bootstrap: "The founders carry the chain with phantom power, which nobody can spend.",
  handover: "Stake has begun to vote. The founders' phantom power fades as active stake grows.",
  staked: "Stake alone carries the chain. Phantom power is gone for ever.",
};

let status = null, blocks = [], rounds = [], losses = [], members = null, peers = null;

// ---- Drawing

function fill(id, pairs) {
  place(id).replaceChildren(...pairs.map(([name, value]) => {
    const box = document.createElement("div");
    box.append(element("dt", name), element("dd", value));
    return box;
  }));
}

function bar(id, done, all) {
  place(id).max = Math.max(all, 1);
  place(id).value = done;
  place(id + "-text").textContent = done + " of " + all;
}

function showStatus() {
  const s = status;
  place("chain").textContent = s.chain_id.slice(0, 12);
  place("warning").hidden = !s.disk_low;
  place("warning").textContent = s.disk_low ? "The disk will soon be full." : "";
  fill("ledger", [
    ["Phase", s.self_verified ? s.phase + ", self-verified" : s.phase], ["Height", number(s.height)],
    ["Round", number(s.round) + " (" + s.round_phase + ")"], ["Minted", neuro(s.minted_nanos)],
    ["Burned", neuro(s.burned_nanos)], ["Circulating", neuro(s.circulating_nanos)],
    ["Validation loss", loss(s.validation_loss)], ["Bigram loss", loss(s.bigram_loss)],
  ]);
  fill("own", [
    ["Balance", neuro(s.balance_nanos)], ["Vesting reward", neuro(s.vesting_nanos)],
    ["Bonded", neuro(s.bonded_nanos)], ["Unbonding", neuro(s.unbonding_nanos)], ["As a validator", s.validator],
    ["Training loss", loss(s.training_loss)], ["Tokens per second", number(Math.round(s.tokens_per_second))],
    ["Tokens trained", number(s.tokens_trained)], ["Parameters", number(s.parameters)], ["Device", s.device],
    ["Running for", duration(s.uptime_seconds)], ["In all runs", duration(s.total_uptime_seconds)],
  ]);
  place("address").textContent = s.address;
  place("carried").textContent = PHASES[s.phase] || "";
  fill("stakes", [
    ["Epoch", number(s.epoch)], ["Validators", number(s.validators)], ["Bonded by all", neuro(s.total_bonded_nanos)],
    ["Unbonding of all", neuro(s.total_unbonding_nanos)], ["Phantom power of each founder", neuro(s.phantom_nanos)],
    ["Most active stake ever", neuro(s.active_maximum_nanos)], ["Its target", neuro(s.stake_target_nanos)],
    ["Sunset of phantom power", s.latched ? "behind us" : "height " + number(s.sunset_height)],
  ]);
  showProgress();
}

function showProgress() {
  bar("segments", status.segments_proven, status.segments);
  bar("steps", status.step, status.steps);
}

function row(cells) {
  const line = document.createElement("tr");
  line.append(...cells.map(cell => element("td", cell)));
  return line;
}

function showTables() {
  place("blocks").replaceChildren(...blocks.map(b => row([
    b.height, new Date(b.time_ms).toLocaleTimeString(), b.proofs, b.transactions, b.hash.slice(0, 10),
  ])));
  place("rounds").replaceChildren(...rounds.map(r => row([r.round, r.phase, r.payloads.length, loss(r.validation_loss)])));
}

function stateOf(member) {
  if (member.banned) return "banned";
  return member.jailed_until_epoch === null ? "votes" : "in jail until epoch " + member.jailed_until_epoch;
}

function showMembers() {
  place("validators").replaceChildren(...members.validators.map(m => row([
    m.place, m.validator_key.slice(0, 10), (m.founder ? "founder " : "") + (m.wallet || "").slice(0, 12),
    neuro(m.real_power_nanos), neuro(m.phantom_power_nanos), (m.share_basis_points / 100).toFixed(2) + " %",
    m.signed + " of " + members.counted, stateOf(m),
  ])));
}

const size = bytes => bytes < 1e6 ? (bytes / 1e3).toFixed(1) + " kB" : (bytes / 1e6).toFixed(1) + " MB";

function showPeers() {
  place("peers-section").hidden = !peers.peers.length && !peers.banned;
  place("peers").replaceChildren(...peers.peers.map(p => row([
    p.key.slice(0, 10), p.address, p.outbound ? "us" : "it", p.validator ? "validator" : p.roles.join(", "), p.score,
    duration(p.connected_seconds), size(p.bytes_in), size(p.bytes_out),
  ])));
  place("banned").textContent = peers.banned + " banned" + peers.bans.slice(0, ROWS).map((b, index) =>
    (index ? "; " : ": ") + b.address + " for " + duration(b.remaining_seconds) + " (" + b.reasons.slice(-1) + ")").join("");
}

function shape(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function showCurve() {
  if (!losses.length) return;
  const bigram = status && status.bigram_loss, last = losses[losses.length - 1];
  const values = losses.map(l => l.validation_loss).concat(bigram === null ? [] : [bigram]);
  const low = Math.floor(Math.min(...values) * 2) / 2, high = Math.max(Math.ceil(Math.max(...values) * 2) / 2, low + .5);
  const first = losses[0].round, span = Math.max(last.round - first, 1);
  const width = Math.max(320, Math.min(900, place("curve").clientWidth || 640)), height = 280;
  const left = 62, right = width - 12, top = 16, bottom = height - 44;
  const x = round => left + (right - left) * (round - first) / span;
  const y = value => bottom - (bottom - top) * (value - low) / (high - low);
  const name = "Validation loss: " + loss(losses[0].validation_loss) + " nats per token after round " + first + ", "
    + loss(last.validation_loss) + " after round " + last.round + (bigram === null ? "" : "; bigram model " + loss(bigram));
  const svg = shape("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": name});
  for (const value of [low, (low + high) / 2, high]) {
    svg.append(shape("line", {class: "axis", x1: left, x2: right, y1: y(value), y2: y(value)}));
    svg.append(shape("text", {x: left - 6, y: y(value) + 4, "text-anchor": "end"}, value.toFixed(2)));
  }
  for (const round of new Set([first, Math.round(first + span / 2), first + span])) {
    svg.append(shape("text", {x: x(round), y: bottom + 18, "text-anchor": round === first ? "start" : "end"}, number(round)));
  }
  svg.append(shape("text", {x: (left + right) / 2, y: height - 6, "text-anchor": "middle"}, "closed rounds"));
  svg.append(shape("text", {x: 14, y: (top + bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 14 ${(top + bottom) / 2})`}, "nats per token"));
  if (bigram !== null) {
    svg.append(shape("line", {class: "yardstick", x1: left, x2: right, y1: y(bigram), y2: y(bigram)}));
    svg.append(shape("text", {class: "yardstick-name", x: right, y: y(bigram) - 6, "text-anchor": "end"}, "bigram model " + loss(bigram)));
  }
  svg.append(shape("polyline", {class: "curve", points: losses.map(l => x(l.round) + "," + y(l.validation_loss)).join(" ")}));
  svg.append(shape("circle", {class: "point", cx: x(last.round), cy: y(last.validation_loss), r: 4}));
  place("curve").replaceChildren(svg);
}

// ---- Reading

async function readLists() {
  const lists = ["blocks", "rounds", "validators"].map(name => ask("/v1/" + name + "?limit=" + ROWS));
  const found = await Promise.all([...lists, ask("/v1/peers")]);
  [blocks, rounds, members, peers] = [found[0].blocks, found[1].rounds, found[2], found[3]];
  showTables();
  showMembers();
  showPeers();
}

async function readLosses() {
  losses = (await ask("/v1/losses")).losses;
  showCurve();
}

async function readAll() {
  status = await ask("/v1/status");
  showStatus();
  await Promise.all([readLists(), readLosses()]);
}

function tell(words) {
  if (place("state").textContent !== words) place("state").textContent = words;
}

// ---- Live by events; while no stream is open, by asking

let stream = null, polling = null, listsWanted = false;

const isLive = () => stream.readyState === EventSource.OPEN;

function poll() {
  if (polling !== null) return;
  const turn = async () => {
    let words = "The node is running; asked every few seconds.";
    try {
      await readAll();
    } catch (error) {
      words = "The node does not answer. Is it running?";
    }
    // The stream may have come back meanwhile.
    if (!isLive()) tell(words);
    polling = isLive() ? null : setTimeout(turn, POLL_MS);
  };
  polling = setTimeout(turn, 0);
}

function soon(work) {
  // Many blocks a second lead to one reading of the lists.
  if (listsWanted) return;
  listsWanted = true;
  setTimeout(() => { listsWanted = false; work().catch(() => tell("The node does not answer. Is it running?")); }, 1000);
}

function hear(kind, act) {
  stream.addEventListener(kind, event => act(JSON.parse(event.data)));
}

function listen() {
  stream = new EventSource("/v1/events");
  stream.onopen = () => {
    clearTimeout(polling);
    polling = null;
    tell("The node is running; live.");
    readAll().catch(() => poll());
  };
  stream.onerror = () => {
    // A refused stream is not tried again by the browser itself.
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, RECONNECT_MS);
    poll();
  };
  hear("status", found => { status = found; showStatus(); });
  hear("progress", found => {
    if (status === null) return;
    Object.assign(status, {step: found.step, training_loss: found.training_loss, tokens_per_second: found.tokens_per_second});
    showProgress();
  });
  hear("block", () => soon(readLists));
  hear("validated", () => readLosses().catch(() => poll()));
  hear("end", () => tell("The node has stopped."));
}

listen();
setInterval(() => { if (isLive()) readLosses().catch(() => poll()); }, LOSSES_EVERY_MS);
addEventListener("resize", () => showCurve());
