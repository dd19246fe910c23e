// How transactions are told.

import {grouped, neuro, plural, time} from "./format.js";
import {code, coins, make, table, toBlock, toTransaction, toWallet} from "./parts.js";

// What an action does, in words; keys and addresses are shown beside it.
const WORDS = {
  transfer: "pays", multi_transfer: "pays several", register_node: "registers a node", retire_node: "retires a node", bond: "bonds stake",
  unbond: "asks stake back", withdraw: "withdraws stake that has left", unjail: "leaves jail", evidence: "shows evidence of two votes",
  service_payment: "pays for a service",
};
export const wordsOf = action => WORDS[action.type] || String(action.type);

function payeeOf(action) {
  if (action.payee !== null) return toWallet(action.payee);
  return action.payments !== null ? plural(action.payments.length, "payee", "payees") : "–";
}

// Sums of nanos as whole numbers, since they may be larger than a Number holds.
export function amountOf(action) {
  if (action.amount_nanos !== null) return action.amount_nanos;
  return action.payments === null ? null : String(action.payments.reduce((total, each) => total + BigInt(each.amount_nanos), 0n));
}

const COLUMNS = [["transaction", "words"], "block", ["time", "extra"], ["sender", "words extra"], ["what", "words"], ["to", "words"], "amount (NEURO)", ["tip", "extra"]];

export function showTransactions(id, transactions, empty) {
  table(id, "Amounts in NEURO.", COLUMNS, transactions.map(t => [
    toTransaction(t.id), t.height === null ? "waiting" : toBlock(t.height), t.time_ms === null ? "–" : time(t.time_ms), toWallet(t.sender),
    wordsOf(t.action), payeeOf(t.action), coins(amountOf(t.action)), grouped(t.tip_nanos),
  ]), empty);
}

// Everything that an action says, for its own page.
export function actionFacts(action) {
  const found = [["What it does", wordsOf(action)]];
  if (action.payee !== null) found.push(["Payee", code(toWallet(action.payee))]);
  if (amountOf(action) !== null) found.push(["Amount", neuro(amountOf(action))]);
  if (action.reference !== null) found.push(["Reference", make("span", {class: "code whole"}, action.reference)]);
  if (action.validator_intent !== null) found.push(["Wants to be a validator", action.validator_intent ? "yes" : "no"]);
  return found;
}

