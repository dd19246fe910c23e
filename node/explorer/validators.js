// The validator set, who of it is in jail or banned, and what happens to stakes meanwhile.

import {ask} from "./ask.js";
import {known, neuro, number, short, shortAddress} from "./format.js";
import {live} from "./frame.js";
import {growing} from "./lists.js";
import {amounts, code, coins, facts, make, place, say, share, table, toWallet} from "./parts.js";

const PHASES = {
  bootstrap: "The founders carry the chain with phantom power, which nobody can spend.",
  handover: "Stake has begun to vote. The founders' phantom power fades as active stake grows.",
  staked: "Stake alone carries the chain. Phantom power is gone for ever.",
};
const CHANGES_SHOWN = 20;

function stateOf(member) {
  if (member.banned) return "banned";
  return member.jailed_until_epoch === null ? "votes" : "in jail until epoch " + member.jailed_until_epoch;
}

function signedOf(member, counted) {
  const name = "validator " + member.place + ": signed", points = counted ? Math.round(member.signed * 10000 / counted) : 0;
  return make("span", {}, member.signed + " of " + counted + " ", counted ? share(points, name) : "");
}

const whose = member => make("span", {}, member.founder ? "founder " : "", member.wallet === null ? "" : toWallet(member.wallet));

function showSet(members, {counted}) {
  table("validators", "Stakes in NEURO. Signed: of the notarizations that the running epoch's blocks carry so far.",
    ["place", ["key", "words"], ["whose", "words"], "stake", ["phantom power", "extra"], "share", ["signed", "extra"], ["state", "words"]],
    members.map(m => [
      m.place, code(short(m.validator_key)), whose(m), coins(m.real_power_nanos), coins(m.phantom_power_nanos),
      share(m.share_basis_points, "validator " + m.place + ": share of the power"), signedOf(m, counted), stateOf(m),
    ]), "There is no validator.");
  const fallen = members.filter(m => m.banned || m.jailed_until_epoch !== null);
  table("fallen", "Of the set of this epoch.", ["place", ["whose", "words"], ["state", "words"]],
    fallen.map(m => [m.place, whose(m), stateOf(m)]), "Nobody of this set is in jail or banned.");
}

const list = growing("validators", () => "/v1/validators", "validators", showSet, 100);

function showStakes(s) {
  say("carried", PHASES[s.phase] || "");
  facts("stakes", [
    ["Phase", s.phase], ["Epoch", number(s.epoch)], ["Validators", number(s.validators)],
    ...amounts([["Bonded by all", s.total_bonded_nanos], ["Unbonding of all", s.total_unbonding_nanos],
      ["Phantom power of each founder", s.phantom_nanos], ["Most active stake ever", s.active_maximum_nanos], ["Its target", s.stake_target_nanos]]),
    ["Sunset of phantom power", s.latched ? "behind us" : "height " + number(s.sunset_height)],
  ]);
}

const WORDS = {
  auto_bonded: c => neuro(c.amount_nanos) + " of rewards were bonded by " + shortAddress(c.wallet),
  stake_left: c => neuro(c.amount_nanos) + " left the stake of " + shortAddress(c.wallet),
  jailed: c => shortAddress(c.wallet) + " is in jail until epoch " + c.until_epoch,
  banned: c => "the validator " + short(c.validator_key) + " was banned and lost " + neuro(c.lost_nanos),
};

function hear(found) {
  const told = found.changes.map(change => make("li", {}, "Block " + number(found.height) + ": " + (WORDS[change.kind] ? WORDS[change.kind](change) : known(change.kind)) + "."));
  place("changes").prepend(...told);
  while (place("changes").children.length > CHANGES_SHOWN) place("changes").lastChild.remove();
}

async function read() {
  showStakes(await ask("/v1/status"));
  await list();
}

live(read, ["block"], {status: showStakes, stake: hear});
