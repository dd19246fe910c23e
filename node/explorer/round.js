// A round, named behind the # by its number; without a name the list of them.

import {ask} from "./ask.js";
import {atMost, known, loss, number, percent, plural, signed, size, sum} from "./format.js";
import {live, named} from "./frame.js";
import {growing} from "./lists.js";
import {facts, hash, link, meter, place, put, say, share, table, toBlock, toNode, toRound, whole} from "./parts.js";
import {PHASES, auditLink, endOf, payloadsOf, showPhases, showRounds, showVotes} from "./rounds.js";

const NAME = /^([1-9][0-9]{0,19})$/, WANTED = "Which round? The address wants #NUMBER behind it.";
const list = growing("rounds", () => "/v1/rounds", "rounds", rounds => showRounds("rounds", rounds));
// How the roots of an outcome are called.
const ROOTS = {
  counted_root: "Payloads that counted", outer_root: "All of the outer state", model_root: "Model", weights_root: "Weights",
  momentum_root: "Momentum", aggregate_root: "Sum of the payloads", trust_root: "Records of trust",
};

function showAround(number_) {
  const before = number_ > 1 ? [link("/round.html#" + (number_ - 1), "← round " + number(number_ - 1)), " "] : [];
  put(place("around"), ...before, link("/round.html#" + (number_ + 1), "round " + number(number_ + 1) + " →"), " ", link("/round.html", "All rounds"));
}

function factsOf(r) {
  const left = r.blocks_left;
  return [
    ["Opened at height", r.opened_height === null ? "–" : toBlock(r.opened_height)], ["Ended at height", endOf(r)],
    ["Phase closes in at most", left === null ? "–" : atMost(r.seconds_left) + ", " + plural(left, "block", "blocks")],
    ["Participants", known(r.participants)], ["Committed", known(r.committed)], ["Still waited for", number(r.awaited)],
    ["Payloads that count", payloadsOf(r)], ["Payloads in all", size(sum(r.payloads, p => p.payload_bytes))],
    ["Built on round", r.base_round === null ? "–" : r.base_round === 0 ? "the genesis" : toRound(r.base_round)],
    ["Loss before", loss(r.loss_before)], ["Loss after", loss(r.validation_loss)], ["Change", signed(r.loss_change)],
    ["Tokens trained until then", r.tokens === null ? "–" : number(r.tokens)],
    ["Voted", r.voted_basis_points === null ? "–" : share(r.voted_basis_points, "share of the power that voted")],
    ["Sent by this node", r.bytes_sent === null ? "–" : size(r.bytes_sent)], ["Received", r.bytes_received === null ? "–" : size(r.bytes_received)],
  ];
}

function stateOf(node) {
  if (node.awaited) return "waited for";
  return node.revealed ? "revealed" : node.committed ? "committed" : "proved work";
}

function showNodes(r) {
  table("nodes", "Segments proven, of " + plural(r.segments, "segment", "segments") + " of a whole round. The audit leads to what was checked.",
    [["node", "words"], "segments", ["", "extra"], ["has", "words"], ["audit", "words"], ["passed audits", "extra"]],
    r.nodes.map(n => [
      toNode(n.node), n.segments + " of " + r.segments, meter(n.segments, r.segments, n.node.slice(0, 10) + ": segments"),
      stateOf(n), r.ended_height === null ? known(n.audit) : auditLink(r, n), known(n.audited_rounds),
    ]), "Nobody is known to have worked in it.");
}

function showPayloads(r) {
  table("payloads", "The weight is what a payload counted in the sum; held is the share of the power that keeps it.",
    [["node", "words"], "size", "steps", ["held", "extra"], ["counted", "words"], "weight", ["score", "extra"], ["root", "words extra"]],
    r.payloads.map(p => [
      toNode(p.node), size(p.payload_bytes), number(p.steps), p.held_basis_points === null ? "–" : percent(p.held_basis_points),
      p.counted === null ? "–" : p.counted ? "yes" : "no", p.weight_ppm === null ? "–" : share(Math.round(p.weight_ppm / 100), p.node.slice(0, 10) + ": weight"),
      known(p.score), hash(p.payload_root),
    ]), "No payload has been revealed.");
}

function show(r) {
  say("name", number(r.round));
  document.title = "Round " + r.round + " · NeuroShard";
  showAround(r.round);
  place("phases").hidden = r.ended_height !== null;
  showPhases(place("phases"), r.phase);
  say("words", PHASES[r.phase]);
  place("words").dataset.phase = r.phase === "closed" ? "passed" : "";
  facts("facts", factsOf(r));
  showNodes(r);
  showPayloads(r);
  place("votes-part").hidden = !showVotes(place("votes"), r);
  place("outcome-part").hidden = r.outcome === null;
  if (r.outcome !== null) facts("outcome", Object.entries(ROOTS).map(([key, words]) => [words, whole(known(r.outcome[key]))]));
}

async function read() {
  const name = named(NAME, WANTED);
  place("list").hidden = name !== null;
  if (name === null) {
    place("one").hidden = true;
    document.title = "Rounds · NeuroShard";
    return list();
  }
  try {
    show(await ask("/v1/rounds/" + name[0]));
    place("one").hidden = false;
  } catch (error) {
    place("one").hidden = true;
    throw error;
  }
}

live(read, ["block", "round_phase", "audit", "validated"]);
