// A node, named behind the # by its id; without a name the node that serves this page.

import {ask} from "./ask.js";
import {duration, loss, moment, number, percent, plural, size} from "./format.js";
import {live, named} from "./frame.js";
import {growing} from "./lists.js";
import {amounts, code, facts, link, place, say, table, toBlock, toProof, toRound, whole} from "./parts.js";

const NAME = /^([0-9a-f]{4,64})$/, WANTED = "Which node? The address wants #ID behind it, 4 digits or more.";
const BANS_SHOWN = 10;
let node = "", asked = "";

// ---- Any node

const work = growing("work", () => "/v1/proofs?node=" + encodeURIComponent(node), "proofs", proofs =>
  table("work", "Losses as the node claims them, in nats per token.", ["round", "segment", "block", ["time", "extra"], ["batches", "extra"], "tokens", "loss", ["checks", "words"]],
    proofs.map(p => [
      toRound(p.round), p.segment, toBlock(p.height), moment(p.time_ms), p.batches, number(p.tokens), (p.loss_milli / 1000).toFixed(3), toProof(p.round, p.node, "audit"),
    ]), "It has proved no work in the latest blocks."));

function showNode(n) {
  facts("names", [["Node", whole(n.node)], ["Wallet", whole(link("/wallet.html#" + n.wallet, n.wallet))], ["Key", whole(n.public_key)]]);
  facts("facts", [
    ["Registered at height", toBlock(n.registered_height)], ["Retired", n.retired_height === null ? "no" : toBlock(n.retired_height)],
    ["Wants to be a validator", n.validator_intent ? "yes" : "no"], ["Proofs of work", number(n.proofs)],
    ["Rounds in which it counted", number(n.counted_rounds)], ["Last round", n.last_round ? toRound(n.last_round) : "–"],
    ["Audits passed since the last failure", number(n.passes)], ["Audited, of its rounds", percent(n.audit_share_basis_points)],
    ["Suspended", n.suspended_until_round ? "until round " + number(n.suspended_until_round) : "no"],
    ...amounts([["Vesting rewards", n.vesting_nanos]]),
  ]);
}

async function readNode(name) {
  // The same node stays on the page while it is read again.
  if (asked !== name) place("one").hidden = true;
  asked = name;
  const found = await ask("/v1/nodes/" + name);
  node = found.node;
  document.title = "Node " + node.slice(0, 10) + " · NeuroShard";
  showNode(found);
  place("one").hidden = false;
  await work();
}

// ---- This node

function showOwn(s) {
  facts("own", [
    ...amounts([["Balance", s.balance_nanos], ["Vesting reward", s.vesting_nanos], ["Bonded", s.bonded_nanos], ["Unbonding", s.unbonding_nanos]]),
    ["As a validator", s.validator], ["Training loss", loss(s.training_loss)], ["Tokens per second", number(Math.round(s.tokens_per_second))],
    ["Tokens trained", number(s.tokens_trained)], ["Parameters", number(s.parameters)], ["Device", s.device],
    ["Running for", duration(s.uptime_seconds)], ["In all runs", duration(s.total_uptime_seconds)],
    ["Transactions that wait", number(s.waiting_transactions)], ["Memory", size(s.memory_bytes)],
    ["Disk space left", s.disk_free_bytes === null ? "–" : size(s.disk_free_bytes)], ["Restarts of the trainer", number(s.trainer_restarts)],
    ["Audits for others, answered", number(s.audits_answered)], ["Audits at fault", number(s.audit_faults)],
  ]);
  facts("own-names", [
    ["Wallet", whole(link("/wallet.html#" + s.address, s.address))], ["Node", whole(link("/node.html#" + s.node, s.node))],
    ["Network", whole(s.chain_id)],
  ]);
}

function showPeers(found) {
  say("banned", found.banned + " banned" + found.bans.slice(0, BANS_SHOWN).map((b, index) =>
    (index ? "; " : ": ") + b.address + " for " + duration(b.remaining_seconds) + " (" + b.reasons.slice(-1) + ")").join(""));
  table("peers", plural(found.peers.length, "peer is", "peers are") + " connected. What they are is what they say of themselves, but for validators, who have proved it.",
    [["key", "words"], ["address", "words"], ["dialled by", "words extra"], ["what", "words"], "score", ["connected for", "extra"], ["received", "extra"], ["sent", "extra"]],
    found.peers.map(p => [
      code(p.key.slice(0, 10)), p.address, p.outbound ? "us" : "it", p.validator ? "validator" : p.roles.join(", "), p.score,
      duration(p.connected_seconds), size(p.bytes_in), size(p.bytes_out),
    ]), "No peer is connected.");
}

async function read() {
  const name = named(NAME, WANTED), here = document.querySelector('nav a[href="/node.html"]');
  // The navigation leads to this node, and another one is not it.
  if (name === null) here.setAttribute("aria-current", "page");
  else here.removeAttribute("aria-current");
  place("this").hidden = name !== null;
  if (name !== null) return readNode(name[0]);
  place("one").hidden = true;
  document.title = "This node · NeuroShard";
  const [status, peers] = await Promise.all([ask("/v1/status"), ask("/v1/peers")]);
  showOwn(status);
  showPeers(peers);
}

live(read, ["block"], {status: found => { if (!location.hash) showOwn(found); }});
