// A wallet, named behind the # by its address.

import {ask, wordsOf} from "./ask.js";
import {showEarnings} from "./earnings.js";
import {atMost, moment, number, percent} from "./format.js";
import {complain, live, named} from "./frame.js";
import {growing} from "./lists.js";
import {amounts, coins, facts, link, make, place, put, table, toBlock, toNode, toRound, toTransaction, toWallet} from "./parts.js";

const NAME = /^(neuro1[02-9ac-hj-np-z]{6,84})$/, WANTED = "Whose wallet? The address wants #neuro1… behind it, in lower case.";
let address = "", days = 30;

const of = what => "/v1/accounts/" + address + what;

const history = growing("history", () => of("/history"), "entries", entries =>
  table("history", "Amounts in NEURO; what went out has a minus.", ["block", ["time", "extra"], ["what", "words"], "amount", ["with", "words"], ["round", "extra"], ["fee", "extra"]],
    entries.map(e => [
      toBlock(e.height), moment(e.time_ms), e.id ? link("/transaction.html#" + e.id, e.kind.replaceAll("_", " ")) : e.kind.replaceAll("_", " "),
      amountOf(e), e.counterparty ? toWallet(e.counterparty) : e.node ? toNode(e.node) : "–", e.round ? toRound(e.round) : "–", coins(e.fee_nanos),
    ]), "Nothing has happened to this wallet, as far as this node's ledger tells."));

const OUTWARD = ["sent", "slashed", "forfeited"];

function amountOf(entry) {
  const told = coins(entry.amount_nanos);
  if (OUTWARD.includes(entry.kind) && told instanceof Node) told.prepend("−");
  return told;
}

const nodes = growing("nodes", () => of("/nodes"), "nodes", entries => {
  place("nodes-part").hidden = !entries.length;
  table("nodes", "What has been found of their work.", [["node", "words"], ["passed audits", "extra"], "drawn for audit", ["last round", "extra"], "vesting", ["state", "words"]],
    entries.map(n => [
      toNode(n.node), n.passes, percent(n.audit_share_basis_points),
      n.last_round ? toRound(n.last_round) : "–", coins(n.vesting_nanos), stateOf(n),
    ]));
});

function stateOf(node) {
  if (node.retired) return "retired";
  return node.suspended_until_round ? "suspended until round " + number(node.suspended_until_round) : "may work";
}

// How long it takes until that round has ended, if rounds go on as they did.
function inTime(vesting, status) {
  const rounds = vesting.releases_after_round - status.round + 1;
  return status.round_ms === null || rounds < 1 ? "" : ", in about " + atMost(Math.round(rounds * status.round_ms / 1000));
}

function showAccount(a, status) {
  put(place("address"), a.address);
  document.title = "Wallet " + a.address.slice(0, 12) + " · NeuroShard";
  const waiting = a.waiting.flatMap(id => [toTransaction(id), " "]);
  facts("facts", [
    ...amounts([["Balance", a.balance_nanos], ["Vesting rewards", a.vesting_nanos], ["Bonded", a.stake.bonded_nanos], ["Earned", a.earned_nanos]]),
    ["Transactions sent", number(a.nonce)], ["Waiting for a block", waiting.length ? make("span", {}, ...waiting) : "none"],
    ["As of height", toBlock(a.height)],
  ]);
  place("vesting-part").hidden = !a.vesting.length;
  table("vesting", "Amounts in NEURO. A reward is released unless an audit finds fraud until then.",
    ["of round", ["node", "words"], "amount", "released after round"],
    a.vesting.map(v => [toRound(v.round), toNode(v.node), coins(v.amount_nanos), number(v.releases_after_round) + inTime(v, status)]));
  showStake(a.stake);
}

function showStake(stake) {
  facts("stake", [
    ...amounts([["Bonded", stake.bonded_nanos], ["Asked back", stake.leaving_nanos], ["Votes with", stake.power_nanos]]),
    ["State", stake.banned ? "banned" : stake.jailed_until_epoch === null ? "free" : "in jail until epoch " + number(stake.jailed_until_epoch)],
    ["Validator's key", stake.validator_key === null ? "none" : stake.validator_key],
  ]);
  if (!stake.unbonding.length) return put(place("unbonding"));
  table("unbonding", "Stake that has left and can be withdrawn from an epoch on; amounts in NEURO.", ["amount", "from epoch"],
    stake.unbonding.map(u => [coins(u.amount_nanos), number(u.ready_epoch)]));
}

async function readEarnings() {
  await showEarnings(await ask(of("/earnings?days=" + days)), days);
}

for (const count of [30, 90, 366]) {
  place("days-" + count).addEventListener("click", () => {
    days = count;
    for (const each of [30, 90, 366]) place("days-" + each).setAttribute("aria-pressed", each === count);
    readEarnings().catch(error => complain(wordsOf(error)));
  });
}

async function showOwn() {
  const status = await ask("/v1/status");
  put(place("own"), "The wallet of this node is ", link("/wallet.html#" + status.address, status.address), ".");
}

async function read() {
  const name = named(NAME, WANTED);
  place("none").hidden = name !== null;
  // The same wallet stays on the page while it is read again.
  if (name === null || address !== name[0]) place("one").hidden = true;
  if (name === null) return showOwn();
  address = name[0];
  const [account, status] = await Promise.all([ask(of("")), ask("/v1/status")]);
  showAccount(account, status);
  place("one").hidden = false;
  await Promise.all([readEarnings(), nodes(), history()]);
}

live(read);
