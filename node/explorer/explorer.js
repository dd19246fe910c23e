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
    ["Rounds that changed the model", number(s.closed_rounds)], ["Minted", neuro(s.minted_nanos)],
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
  showRoundFacts();
}

function showProgress() {
  place("steps-part").hidden = status.round_phase !== "training" || !status.step;
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
  place("rounds").replaceChildren(...rounds.map(r => {
    const line = row([
      r.round, r.phase, payloadsOf(r), r.payloads.length ? size(sum(r.payloads, p => p.payload_bytes)) : "–",
      r.payloads.length ? number(sum(r.payloads, p => p.steps)) : "–", loss(r.loss_before), loss(r.validation_loss),
      signed(r.loss_change), auditsOf(r), r.bytes_sent === null ? "–" : size(r.bytes_sent),
      r.bytes_received === null ? "–" : size(r.bytes_received), weightsOf(r),
    ]);
    line.lastChild.className = "words";
    return line;
  }));
  showRound();
  showProofs();
}

// ---- Audits

const PROOF_ROUNDS = 5, PROOFS_SHOWN = 24;
const FAILED = ["fraud", "withheld"];

// How many of a round's nodes were drawn, and what has come of it. Of a released round the list no longer tells.
function auditsOf(round) {
  const phases = new Map();
  for (const node of round.nodes.filter(n => n.audit !== null)) phases.set(node.audit, (phases.get(node.audit) || 0) + 1);
  if (round.nodes.length && round.nodes.every(n => n.audited_rounds === null)) return "released";
  return phases.size ? [...phases].map(([phase, count]) => count + " " + phase).join(", ") : "–";
}

function proofLink(round, node) {
  const link = element("a", short(node.node) + (node.audit ? " " + node.audit : ""));
  link.href = "/proof.html#" + round.round + "/" + node.node;
  if (FAILED.includes(node.audit)) link.className = "bad";
  return link;
}

function showProofs() {
  const ended = rounds.filter(r => r.ended_height !== null && r.nodes.length).slice(0, PROOF_ROUNDS);
  place("audits-section").hidden = !ended.length;
  place("proofs").replaceChildren(...ended.map(round => {
    const drawn = round.nodes.filter(n => n.audit !== null), others = round.nodes.filter(n => n.audit === null);
    const shown = [...drawn, ...others].slice(0, PROOFS_SHOWN), line = element("li", "round " + round.round + ": ");
    line.append(...shown.map(node => proofLink(round, node)));
    if (round.nodes.length > shown.length) line.append("and " + (round.nodes.length - shown.length) + " more");
    return line;
  }));
}

// ---- The round in progress

// Every phase of the ledger in its order, with what happens in it.
const STEPS = {
  opened: "The next block draws what each node trains on.",
  training: "Nodes train alone, prove what they have done, and commit to it.",
  revealing: "Everybody who committed shows the payload.",
  holding: "Validators fetch the payloads and say which they hold.",
  result: "Validators compute the new model and sign what they get.",
  closed: "The round has changed the model.",
  void: "The round has ended without a result: the model stays as it was.",
};
const sum = (list, of) => list.reduce((total, each) => total + of(each), 0);
const percent = points => (points / 100).toFixed(1) + " %";
const short = hex => hex.slice(0, 10);
const signed = value => {
  if (value === null) return "–";
  const digits = Math.abs(value).toFixed(3);
  return (Number(digits) === 0 ? "" : value > 0 ? "+" : "−") + digits;
};
const atMost = seconds => seconds < 120 ? seconds + " s" : duration(seconds);

function payloadsOf(round) {
  const all = round.payloads.length, counted = round.payloads.filter(p => p.counted).length;
  return counted === all || round.payloads.every(p => p.counted === null) ? all : counted + " of " + all;
}

// The weight that most have is told once, and who has another by name: a line for each node would hide the one that matters.
function weightsOf(round) {
  const groups = new Map();
  for (const p of round.payloads.filter(p => p.weight_ppm !== null)) {
    const weight = (p.weight_ppm / 10000).toFixed(1) + " %";
    groups.set(weight, [...groups.get(weight) || [], short(p.node)]);
  }
  const [most, ...others] = [...groups].sort((one, other) => other[1].length - one[1].length);
  if (!most) return "–";
  const named = ([weight, nodes]) => nodes.map(node => node + " " + weight);
  const first = most[1].length === 1 ? named(most) : [most[1].length + " × " + most[0]];
  return [...first, ...others.flatMap(named)].join(", ");
}

function showRoundFacts() {
  const s = status, left = s.round_blocks_left;
  place("round-words").textContent = s.round
    ? "Round " + number(s.round) + ". " + STEPS[s.round_phase] : "No round yet: nobody has registered to train.";
  place("phases").replaceChildren(...Object.keys(STEPS).slice(0, 5).map(phase => {
    const item = element("li", phase);
    if (phase === s.round_phase) item.setAttribute("aria-current", "step");
    return item;
  }));
  fill("round-facts", [
    ["Phase closes in at most", left ? atMost(s.round_seconds_left) + ", " + number(left) + (left === 1 ? " block" : " blocks") : "–"],
    ["Participants", number(s.round_participants)], ["Committed", number(s.round_committed)],
    ["Still waited for", number(s.round_awaited)],
    ["Payloads revealed", number(s.round_revealed)], ["Held by > 2/3 of the power", number(s.round_held)],
    ["Loss before the last round", loss(s.previous_validation_loss)], ["Loss now", loss(s.validation_loss)],
  ]);
}

function barOf(name, own, words, done, all) {
  const item = document.createElement("li"), line = document.createElement("p"), meter = document.createElement("progress");
  const label = element("span", name);
  label.className = "code";
  if (own) label.append(" ", element("strong", "this node"));
  line.append(label, element("span", words));
  Object.assign(meter, {max: Math.max(all, 1), value: done});
  meter.setAttribute("aria-label", name + ": " + words);
  item.append(line, meter);
  return item;
}

function wordsOf(node, round) {
  const payload = round.payloads.find(p => p.node === node.node), words = [node.segments + " of " + round.segments + " segments"];
  if (node.committed) words.push("committed");
  if (payload) words.push("payload " + size(payload.payload_bytes) + ", " + number(payload.steps) + " steps");
  if (payload && payload.held_basis_points !== null) words.push("held by " + percent(payload.held_basis_points));
  if (node.awaited) words.push("waited for");
  return words.join(" · ");
}

function showRound() {
  const round = rounds[0];
  if (!round) return;
  const bars = round.nodes.map(n => barOf(short(n.node), status && n.node === status.node, wordsOf(n, round), n.segments, round.segments));
  const others = round.awaited - round.nodes.filter(n => n.awaited).length;
  if (others > 0) bars.push(element("li", others + (others === 1 ? " more node is" : " more nodes are") + " waited for, of which the ledger has heard nothing in this round."));
  place("nodes").replaceChildren(...bars);
  place("votes-part").hidden = !round.results.length;
  place("votes").replaceChildren(...round.results.map(r =>
    barOf("model " + short(r.model_root), false, percent(r.share_basis_points) + " of the power", r.share_basis_points, 10000)));
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
  hear("round_phase", () => soon(readLists));
  hear("audit", () => soon(readLists));
  hear("validated", () => readLosses().catch(() => poll()));
  hear("end", () => tell("The node has stopped."));
}

listen();
setInterval(() => { if (isLive()) readLosses().catch(() => poll()); }, LOSSES_EVERY_MS);
addEventListener("resize", () => showCurve());
