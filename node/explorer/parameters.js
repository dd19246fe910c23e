// What the genesis fixes for ever, and what a transaction costs now.

import {ask} from "./ask.js";
import {grouped, moment, neuro, number} from "./format.js";
import {once} from "./frame.js";
import {amounts, code, coins, facts, make, table, toBlock, toWallet, whole} from "./parts.js";

function showFees(f) {
  facts("fees", [
    ...amounts([["Base fee, for each gas", f.base_fee_nanos], ["The most that the next can be", f.next_base_fee_maximum_nanos],
      ["Suggested highest fee", f.suggested_max_fee_nanos], ["Suggested tip", f.suggested_tip_nanos]]),
    ["Transactions that wait", number(f.waiting_transactions)], ["At height", toBlock(f.height)],
  ]);
  table("gas", "A transaction costs its gas times base fee and tip; each byte takes " + f.gas_of_byte + " gas, each payment of several " + f.gas_of_payment + ".",
    [["action", "words"], "gas", "costs now (NEURO)"],
    f.gas.map(each => [each.type.replaceAll("_", " "), number(each.gas), coins(String(BigInt(each.gas) * BigInt(f.base_fee_nanos)))]));
}

// A large number is easier to read in groups; one that counts nanos also in NEURO.
function worded(parameter) {
  return make("span", {}, grouped(parameter.value), /nanos|stake|reward|minimum_bond/.test(parameter.name) && parameter.value.length > 7 ? " = " + neuro(parameter.value) : "");
}

function show(p) {
  facts("network", [["Name", p.name], ["Made", moment(p.created_ms)], ["Parameters", number(p.parameters.length)]]);
  facts("roots", [
    ["Chain id", whole(p.chain_id)], ["Hash of the parameters", whole(p.params_hash)], ["Seed of the model", whole(p.model_seed)],
    ["First model", whole(p.model_root)], ["Tokenizer", whole(p.tokenizer_hash)], ["Corpus", whole(p.corpus_root)],
  ]);
  table("founders", "Validators of the beginning, with phantom power until stake has grown.", [["validator's key", "words"], ["paid to", "words"]],
    p.founders.map(f => [code(f.validator_key.slice(0, 24) + "…"), toWallet(f.payout)]));
  table("numbers", "Names that begin with chain. are the ledger's rules; the others belong to the training.", [["name", "words"], "value"],
    p.parameters.map(each => [code(each.name), worded(each)]));
}

once(async () => {
  const [parameters, fees] = await Promise.all([ask("/v1/parameters"), ask("/v1/fees")]);
  show(parameters);
  showFees(fees);
});
