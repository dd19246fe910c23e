// Who owns most.

import {number, plural} from "./format.js";
import {once} from "./frame.js";
import {growing} from "./lists.js";
import {coins, say, share, table, toWallet} from "./parts.js";

const list = growing("list", () => "/v1/rich-list", "accounts", (accounts, found) => {
  say("lead", plural(found.accounts_total, "wallet", "wallets") + " at height " + number(found.height) + ", by all that they own: balance, stake, and stake that is leaving.");
  table("list", "Amounts in NEURO.", ["rank", ["wallet", "words"], "total", ["balance", "extra"], ["bonded", "extra"], ["unbonding", "extra"], ["share", "extra"]],
    accounts.map(a => [
      number(a.rank), toWallet(a.address), coins(a.total_nanos), coins(a.balance_nanos), coins(a.bonded_nanos), coins(a.unbonding_nanos),
      share(a.share_basis_points, "wallet of rank " + a.rank + ": share of all NEURO"),
    ]), "Nobody owns anything yet.");
}, 50);

once(list);
