// The home page: the ledger, the learning, the round in progress.

import {ask} from "./ask.js";
import {showBlocks} from "./blocks.js";
import {curve} from "./charts.js";
import {atMost, loss, neuro, number, size} from "./format.js";
import {live} from "./frame.js";
import {amounts, facts, link, make, meter, place, say, table, toBlock, toNode, toRound} from "./parts.js";
import {PHASES, showNodes, showPhases, showProofs, showRounds, showVotes} from "./rounds.js";

const ROWS = 10, PACE_OVER = 10;
let status = null, rounds = [], losses = [];

function showWarnings() {
  const words = [status.disk_low ? "The disk will soon be full." : "", status.model_trouble, status.sync_refusal].filter(each => each).join(" ");
  place("warning").hidden = !words;
  say("warning", words);
}

// Of all nodes together, from what the ledger has counted between two measurements.
function paceOf() {
  const last = losses[losses.length - 1], first = losses[Math.max(0, losses.length - 1 - PACE_OVER)];
  const seconds = last ? (last.time_ms - first.time_ms) / 1000 : 0;
  return seconds > 0 ? number(Math.round((last.tokens - first.tokens) / seconds)) : "–";
}

function showStatus() {
  const s = status;
  showWarnings();
  facts("ledger", [
    ["Phase", s.self_verified ? s.phase + ", self-verified" : s.phase], ["Height", toBlock(s.height)],
    ["Rounds that changed the model", number(s.closed_rounds)],
    ...amounts([["Minted", s.minted_nanos], ["Burned", s.burned_nanos], ["Circulating", s.circulating_nanos]]),
    ["This node's wallet", link("/wallet.html#" + s.address, neuro(s.balance_nanos))],
  ]);
  facts("learning", [
    ["Validation loss", loss(s.validation_loss)], ["Bigram loss", loss(s.bigram_loss)],
    ["Tokens per second, all nodes", paceOf()], ["Tokens per second, this node", number(Math.round(s.tokens_per_second))],
    ["Tokens trained", number(s.tokens_trained)], ["Parameters", number(s.parameters)],
    ["Finality", s.finality_ms === null ? "–" : number(s.finality_ms) + " ms"], ["Validators", link("/validators.html", number(s.validators))],
  ]);
  showProgress();
  showRoundFacts();
}

function showProgress() {
  place("steps-part").hidden = status.round_phase !== "training" || !status.step;
  Object.assign(place("steps"), {max: Math.max(status.steps, 1), value: status.step});
  say("steps-text", status.step + " of " + status.steps);
}

function showRoundFacts() {
  const s = status, left = s.round_blocks_left;
  say("round-words", s.round
    ? "Round " + number(s.round) + ". " + PHASES[s.round_phase] : "No round yet: nobody has registered to train.");
  showPhases(place("phases"), s.round_phase);
  facts("round-facts", [
    ["Round", s.round ? toRound(s.round) : "–"],
    ["Phase closes in at most", left ? atMost(s.round_seconds_left) + ", " + number(left) + (left === 1 ? " block" : " blocks") : "–"],
    ["Participants", number(s.round_participants)], ["Committed", number(s.round_committed)],
    ["Still waited for", number(s.round_awaited)],
    ["Payloads revealed", number(s.round_revealed)], ["Held by > 2/3 of the power", number(s.round_held)],
    ["Loss before the last round", loss(s.previous_validation_loss)],
  ]);
}

async function showCurve() {
  if (!losses.length) return;
  const bigram = status.bigram_loss, first = losses[0], last = losses[losses.length - 1];
  await curve("curve", {
    title: "Loss on text the model never saw, in nats per token, by closed round",
    summary: loss(first.validation_loss) + " after round " + number(first.round) + ", " + loss(last.validation_loss) + " after round "
      + number(last.round) + (bigram === null ? "" : "; a bigram model has " + loss(bigram)),
    columns: ["round", "loss"], format: loss, points: losses.map(l => ({at: l.round, value: l.validation_loss})),
    yardstick: bigram === null ? null : {value: bigram, name: "bigram"},
  });
}

function showLayers(found) {
  const most = Math.max(1, ...found.layers.map(layer => layer.parameters));
  table("layers", "Epoch " + number(found.epoch) + ". Shown: nodes that have proved in this epoch that they store the part, of the seats that are paid for it.",
    [["part", "words"], "parameters", ["", "extra"], ["size", "extra"], "shown", ["by nodes", "long"]],
    found.layers.map(layer => [
      layer.name, number(layer.parameters), meter(layer.parameters, most, layer.name + ": parameters"), size(layer.bytes),
      layer.proven + " of " + layer.seats, nodesOf(layer),
    ]));
}

function nodesOf(layer) {
  const told = layer.nodes.flatMap(each => [toNode(each.node), " "]);
  if (layer.proven > layer.nodes.length) told.push("and " + number(layer.proven - layer.nodes.length) + " more");
  return told.length ? make("span", {}, ...told) : "nobody yet";
}

function showRound() {
  if (!rounds.length) return;
  showNodes(place("nodes"), rounds[0], status.node);
  place("votes-part").hidden = !showVotes(place("votes"), rounds[0]);
}

async function readLists() {
  const found = await Promise.all(["blocks", "rounds"].map(name => ask("/v1/" + name + "?limit=" + ROWS)));
  rounds = found[1].rounds;
  showBlocks("blocks", found[0].blocks);
  showRounds("rounds", rounds);
  place("audits-section").hidden = !showProofs(place("proofs"), rounds);
  showRound();
}

async function readLosses() {
  losses = (await ask("/v1/losses")).losses;
  showStatus();
  await showCurve();
}

async function read() {
  status = status || await ask("/v1/status");
  showStatus();
  await Promise.all([readLists(), readLosses(), ask("/v1/layers").then(showLayers)]);
}

live(read, ["block", "round_phase", "audit", "validated"], {
  status: found => { status = found; showStatus(); },
  progress: found => {
    if (status === null) return;
    Object.assign(status, {step: found.step, training_loss: found.training_loss, tokens_per_second: found.tokens_per_second});
    showProgress();
  },
});
