// A transaction, named behind the # by its id.

import {Refused, ask} from "./ask.js";
import {moment, neuro, number} from "./format.js";
import {live, named} from "./frame.js";
import {coins, facts, link, place, say, table, toBlock, toWallet, whole} from "./parts.js";
import {actionFacts} from "./transactions.js";

const NAME = /^([0-9a-f]{64})$/, WANTED = "Which transaction? The address wants #ID behind it, 64 digits.";
let shown = null;

function showParts(action) {
  place("payments-part").hidden = action.payments === null;
  if (action.payments !== null) {
    table("payments", "Amounts in NEURO.", [["to", "words"], "amount (NEURO)"], action.payments.map(p => [toWallet(p.payee), coins(p.amount_nanos)]));
  }
  place("evidence-part").hidden = action.evidence === null;
  if (action.evidence !== null) {
    facts("evidence", [["Epoch", action.evidence.epoch], ["View", action.evidence.view], ["Signer", "validator " + action.evidence.signer]]);
    table("votes", "Two votes of one validator in one view.", [["vote", "words"], ["block", "words"]],
      action.evidence.votes.map(v => [v.kind, whole(v.block_hash)]));
  }
}

function show(t) {
  document.title = "Transaction " + t.id.slice(0, 10) + " · NeuroShard";
  say("headline", t.status === "final" ? "Final: it stands in a block and stays there." : "It waits for a block.");
  place("headline").dataset.phase = t.status === "final" ? "passed" : "";
  facts("facts", [
    ...actionFacts(t.action), ["Block", t.height === null ? "none yet" : toBlock(t.height)], ["Place in the block", t.index === null ? "–" : t.index],
    ["Time", t.time_ms === null ? "–" : moment(t.time_ms)], ["Nonce", number(t.nonce)],
    ["Fee per gas at most", neuro(t.max_fee_nanos)], ["Tip per gas", neuro(t.tip_nanos)],
  ]);
  const keys = [["Node's key", t.action.node_key], ["Validator's key", t.action.validator_key]].filter(pair => pair[1] !== null);
  facts("names", [
    ["Id", whole(t.id)], ["Sender", whole(link("/wallet.html#" + t.sender, t.sender))],
    ...(t.action.payee === null ? [] : [["Payee", whole(link("/wallet.html#" + t.action.payee, t.action.payee))]]),
    ...keys.map(([name, key]) => [name, whole(key)]),
  ]);
  showParts(t.action);
  say("bytes", t.transaction);
}

async function read() {
  const name = named(NAME, WANTED);
  if (name === null) throw new Refused(400, "no_name", WANTED);
  if (shown !== null && shown.id === name[0] && shown.status === "final") return;
  shown = await ask("/v1/transactions/" + name[0]);
  show(shown);
}

live(read);
