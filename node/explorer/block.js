// A block, named behind the # by height or hash; without a name the list of them.

import {ask} from "./ask.js";
import {showBlocks} from "./blocks.js";
import {moment, number} from "./format.js";
import {live, named} from "./frame.js";
import {growing} from "./lists.js";
import {amounts, facts, hash, link, place, put, say, table, toNode, toRound, toWallet, whole} from "./parts.js";
import {showTransactions} from "./transactions.js";

const NAME = /^([1-9][0-9]{0,19}|[0-9a-f]{64})$/, WANTED = "Which block? The address wants #HEIGHT or #HASH behind it.";
const list = growing("blocks", () => "/v1/blocks", "blocks", blocks => showBlocks("blocks", blocks));
let shown = null;

function showAround(height) {
  const before = height > 1 ? [link("/block.html#" + (height - 1), "← block " + number(height - 1)), " "] : [];
  put(place("around"), ...before, link("/block.html#" + (height + 1), "block " + number(height + 1) + " →"), " ", link("/block.html", "All blocks"));
}

function show(b) {
  say("name", number(b.height));
  document.title = "Block " + b.height + " · NeuroShard";
  showAround(b.height);
  facts("facts", [
    ["Time", moment(b.time_ms)], ["Epoch", number(b.epoch)], ["View", number(b.view)], ["Proposed by validator", b.proposer],
    ...amounts([["Minted until then", b.minted_nanos], ["Burned until then", b.burned_nanos]]),
    ["Transactions", number(b.transactions.length)], ["Proofs of work", number(b.proofs.length)],
  ]);
  facts("roots", [
    ["Hash", whole(b.hash)], ["Hash of the block before", whole(link("/block.html#" + (b.height - 1 || 1), b.parent_hash))], ["State root", whole(b.state_root)],
  ]);
  showTransactions("transactions", b.transactions, "No transaction is in this block.");
  table("proofs", "Losses as the node claims them, in nats per token.", ["round", "segment", ["node", "words"], ["wallet", "words"], "batches", "tokens", "loss"],
    b.proofs.map(p => [toRound(p.round), p.segment, toNode(p.node), toWallet(p.wallet), p.batches, number(p.tokens), (p.loss_milli / 1000).toFixed(3)]),
    "No proof of work is in this block.");
  table("inputs", "What nodes and validators said in rounds. A validator is named by its place in the set.",
    ["round", ["what", "words"], ["by", "words"], ["root", "words extra"]],
    b.round_inputs.map(i => [toRound(i.round), i.kind.replaceAll("_", " "), i.by.length === 64 ? toNode(i.by) : "validator " + i.by, hash(i.root)]),
    "Nobody said anything in a round.");
  say("header", b.header);
  say("certificate", b.certificate);
}

async function read() {
  const name = named(NAME, WANTED);
  place("list").hidden = name !== null;
  place("one").hidden = true;
  if (name === null) {
    document.title = "Blocks · NeuroShard";
    return list();
  }
  // What is final does not change.
  if (shown === null || String(shown.height) !== name[0] && shown.hash !== name[0]) {
    shown = null;
    shown = await ask("/v1/blocks/" + name[0]);
    show(shown);
  }
  place("one").hidden = false;
}

live(read);
