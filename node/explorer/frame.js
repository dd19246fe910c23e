// What every page has: the chain's name, the search, and the way past the navigation.

import {Away, Refused, ask, follow, gathered, inTurn, wordsOf} from "./ask.js";
import {link, make, place, put, say} from "./parts.js";

// Where a search may lead: the explorer's own pages.
const CHAIN = /^[0-9a-f]{64}$/, PAGE = /^\/[a-z-]+\.html(#[0-9a-z/]*)?$/;

function showFound(results) {
  const good = results.filter(each => PAGE.test(each.page));
  if (good.length === 1) {
    location.assign(good[0].page);
    return put(place("found"));
  }
  if (!good.length) return put(place("found"), make("p", {}, "Nothing of that name is known to this node."));
  put(place("found"), make("p", {}, "That may be:"), make("ul", {}, ...good.map(each => make("li", {}, each.kind + " ", link(each.page, each.name)))));
}

async function search(event) {
  event.preventDefault();
  const wanted = place("wanted").value.trim();
  if (!wanted) return place("wanted").focus();
  try {
    showFound((await ask("/v1/search?q=" + encodeURIComponent(wanted))).found);
  } catch (error) {
    put(place("found"), make("p", {}, wordsOf(error)));
  }
}

let chain = "";

// What a page remembers of one chain says nothing of another that a node at this address serves since.
export function showChain(status) {
  if (chain !== status.chain_id && CHAIN.test(chain) && CHAIN.test(status.chain_id)) location.reload();
  chain = status.chain_id;
  say("chain", status.chain_id.slice(0, 12));
}

// How the connection is.
export function tell(words, isLive = false) {
  say("state", words);
  place("state").dataset.live = isLive ? "yes" : "no";
}

// What has gone wrong with what this page shows; nothing takes it away.
export function complain(words) {
  say("trouble", words || "");
  place("trouble").hidden = !words;
}

// Does a part of a page's work, and says below its heading what went wrong with it. Throws Away.
async function tried(work) {
  try {
    await work();
    complain("");
  } catch (error) {
    if (error instanceof Away) throw error;
    complain(wordsOf(error));
  } finally {
    place("main").removeAttribute("aria-busy");
  }
}

// A page that follows the node. `read` reads all of it, also after events of the `kinds`; `on` acts on events with what they hold.
export function live(read, kinds = ["block"], on = {}) {
  const whole = inTurn(() => tried(read)), lost = error => tell(error.message);
  const again = gathered(() => whole().catch(lost));
  const acts = {...on, status: found => {
    showChain(found);
    if (on.status) on.status(found);
  }};
  for (const kind of new Set([...kinds, ...Object.keys(acts)])) {
    const act = acts[kind] || (() => {});
    acts[kind] = found => {
      try {
        act(found);
      } catch (error) {
        complain(wordsOf(error));
      }
      if (kinds.includes(kind)) again();
    };
  }
  addEventListener("hashchange", () => { put(place("found")); whole().catch(lost); });
  follow({read: whole, on: acts, tell});
}

// The words behind # that say what a page shows, as the groups of a pattern; null if there are none. Throws if they are others.
export function named(pattern, wanted) {
  const asked = location.hash.slice(1), found = pattern.exec(asked);
  if (asked && !found) throw new Refused(400, "bad_name", wanted);
  return found && found.slice(1);
}

// A page that is read once, and again for another name behind #.
export function once(read) {
  const whole = inTurn(() => tried(read)), turn = () => whole().catch(error => complain(error.message));
  addEventListener("hashchange", () => { put(place("found")); turn(); });
  ask("/v1/status").then(showChain).catch(() => {});
  return turn();
}

place("search").addEventListener("submit", search);
// The words behind # name what a page shows, so the way to the content is not one of them.
place("skip").addEventListener("click", event => {
  event.preventDefault();
  place("main").focus();
});
