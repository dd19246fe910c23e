// How blocks are listed.

import {short, time} from "./format.js";
import {code, coins, table, toBlock} from "./parts.js";

const COLUMNS = ["height", "time", "proofs", "transactions", ["minted", "extra"], ["burned", "extra"], ["hash", "extra"]];

export function showBlocks(id, blocks) {
  table(id, "Amounts in NEURO are sums since the genesis.", COLUMNS, blocks.map(b => [
    toBlock(b.height), time(b.time_ms), b.proofs, b.transactions, coins(b.minted_nanos), coins(b.burned_nanos), code(short(b.hash)),
  ]), "No block is final yet.");
}
