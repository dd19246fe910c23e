// How rounds are told: what their phases mean, who has done what, what was weighed and audited.

import {loss, number, percent, plural, short, signed, size, sum} from "./format.js";
import {bar, link, make, put, table, toBlock, toProof, toRound} from "./parts.js";

// Every phase of the ledger in its order, with what happens in it.
export const PHASES = {
  opened: "The next block draws what each node trains on.",
  training: "Nodes train alone, prove what they have done, and commit to it.",
  revealing: "Everybody who committed shows the payload.",
  holding: "Validators fetch the payloads and say which they hold.",
  result: "Validators compute the new model and sign what they get.",
  closed: "The round has changed the model.",
  void: "The round has ended without a result: the model stays as it was.",
};
const FAILED = ["fraud", "withheld"];
const PROOF_ROUNDS = 5, PROOFS_SHOWN = 24;

export function showPhases(container, now) {
  put(container, ...Object.keys(PHASES).slice(0, 5).map(phase => make("li", {"aria-current": phase === now ? "step" : null}, phase)));
}

export function payloadsOf(round) {
  const all = round.payloads.length, counted = round.payloads.filter(p => p.counted).length;
  return counted === all || round.payloads.every(p => p.counted === null) ? String(all) : counted + " of " + all;
}

// The weight that most have is told once, and who has another by name: a line for each node would hide the one that matters.
export function weightsOf(round) {
  const groups = new Map();
  for (const p of round.payloads.filter(p => p.weight_ppm !== null)) {
    const weight = (p.weight_ppm / 10000).toFixed(1) + " %";
    groups.set(weight, [...(groups.get(weight) || []), short(p.node)]);
  }
  const [most, ...others] = [...groups].sort((one, other) => other[1].length - one[1].length);
  if (!most) return "–";
  const named = ([weight, nodes]) => nodes.map(node => node + " " + weight);
  const first = most[1].length === 1 ? named(most) : [most[1].length + " × " + most[0]];
  return [...first, ...others.flatMap(named)].join(", ");
}

// How many of a round's nodes were drawn, and what has come of it. Of a released round the list no longer tells.
export function auditsOf(round) {
  const phases = new Map();
  for (const node of round.nodes.filter(n => n.audit !== null)) phases.set(node.audit, (phases.get(node.audit) || 0) + 1);
  if (round.nodes.length && round.nodes.every(n => n.audited_rounds === null)) return "released";
  return phases.size ? [...phases].map(([phase, count]) => count + " " + phase).join(", ") : "–";
}

export function auditLink(round, node) {
  const made = toProof(round.round, node.node, short(node.node) + (node.audit ? " " + node.audit : ""));
  if (FAILED.includes(node.audit)) made.className = "bad";
  return made;
}

const bytes = value => value === null ? "–" : size(value);
const COLUMNS = [
  "round", ["phase", "words"], "payloads", ["size", "extra"], ["steps", "extra"], ["loss before", "extra"], "after", "change",
  ["audits", "words"], ["sent", "extra"], ["received", "extra"], ["weights of the nodes", "long extra"],
];

export function showRounds(id, rounds) {
  const caption = "Losses are in nats per token and this node's own measurement; weights are known for rounds whose model it has made.";
  table(id, caption, COLUMNS, rounds.map(r => [
    toRound(r.round), r.phase, payloadsOf(r), r.payloads.length ? size(sum(r.payloads, p => p.payload_bytes)) : "–",
    r.payloads.length ? number(sum(r.payloads, p => p.steps)) : "–", loss(r.loss_before), loss(r.validation_loss),
    signed(r.loss_change), auditsOf(r), bytes(r.bytes_sent), bytes(r.bytes_received), weightsOf(r),
  ]), "No round yet: nobody has registered to train.");
}

export function showProofs(container, rounds) {
  const ended = rounds.filter(r => r.ended_height !== null && r.nodes.length).slice(0, PROOF_ROUNDS);
  put(container, ...ended.map(round => {
    const drawn = round.nodes.filter(n => n.audit !== null), others = round.nodes.filter(n => n.audit === null);
    const shown = [...drawn, ...others].slice(0, PROOFS_SHOWN), line = make("li", {}, "round " + number(round.round) + ": ");
    for (const node of shown) line.append(auditLink(round, node), " ");
    if (round.nodes.length > shown.length) line.append("and " + (round.nodes.length - shown.length) + " more");
    return line;
  }));
  return ended.length > 0;
}

function wordsOf(node, round) {
  const payload = round.payloads.find(p => p.node === node.node), words = [node.segments + " of " + round.segments + " segments"];
  if (node.committed) words.push("committed");
  if (payload) words.push("payload " + size(payload.payload_bytes) + ", " + number(payload.steps) + " steps");
  if (payload && payload.held_basis_points !== null) words.push("held by " + percent(payload.held_basis_points));
  if (node.awaited) words.push("waited for");
  return words.join(" · ");
}

export function showNodes(container, round, own) {
  const bars = round.nodes.map(n =>
    bar(link("/node.html#" + n.node, short(n.node)), n.node === own, wordsOf(n, round), n.segments, round.segments));
  const others = round.awaited - round.nodes.filter(n => n.awaited).length;
  if (others > 0) {
    const words = plural(others, "more node is", "more nodes are") + " waited for, of which the ledger has heard nothing in this round.";
    bars.push(make("li", {}, words));
  }
  put(container, ...bars);
}

export function showVotes(container, round) {
  put(container, ...round.results.map(r =>
    bar("model " + short(r.model_root), false, percent(r.share_basis_points) + " of the power", r.share_basis_points, 10000)));
  return round.results.length > 0;
}

export const endOf = round => round.ended_height === null ? "–" : toBlock(round.ended_height);
