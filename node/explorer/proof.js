// One proof, named behind the # of the address: ROUND/NODE.

import {Refused, ask} from "./ask.js";
import {known, neuro, number, percent} from "./format.js";
import {live, named} from "./frame.js";
import {bar, code, facts, hash, make, place, put, table, toBlock, toNode, toRound, toWallet} from "./parts.js";

const NAME = /^([1-9][0-9]{0,19})\/([0-9a-f]{4,64})$/, WANTED = "Which proof? The address wants #ROUND/NODE behind it.";
// What each kind of statement is called, in the order of the page.
const KINDS = {
  "claimed": "What was claimed",
  "checked": "What was checked",
  "still only claimed": "What is still only claimed",
  "not checkable": "What nobody can check",
};
let settled = null;

function rewardOf(proof) {
  const amount = proof.reward.amount_nanos;
  return proof.reward.state + (amount === null ? "" : ", " + neuro(amount));
}

function show(proof) {
  document.title = "Round " + proof.round + ", node " + proof.node.slice(0, 10) + " · NeuroShard";
  put(place("name"), "round ", toRound(proof.round), " · node ", toNode(proof.node), ...(proof.wallet ? [" · wallet ", toWallet(proof.wallet)] : []));
  put(place("headline"), proof.headline);
  place("headline").dataset.phase = proof.audit ? proof.audit.phase : "";
  facts("facts", [
    ["Segments", proof.segments + " of " + proof.segments_of_round], ["Inner steps", number(proof.steps)],
    ["Tokens", number(proof.tokens)], ["Payload", hash(proof.payload_root)],
    ["Audit", proof.audit ? proof.audit.phase : "none"], ["Segment drawn", proof.audit ? proof.audit.segment : "–"],
    ["Drawn at height", proof.audit ? toBlock(proof.audit.drawn_height) : "–"],
    ["Reward", rewardOf(proof)], ["Audits passed since the last failure", known(proof.audited_rounds)],
    ["Audited now, of its rounds", proof.rate_basis_points === null ? "–" : percent(proof.rate_basis_points)],
  ]);
  put(place("statements"), ...Object.entries(KINDS).map(([kind, title]) => {
    const told = proof.statements.filter(s => s.kind === kind).map(s => make("li", {}, s.text));
    return make("section", {hidden: told.length ? null : ""}, make("h2", {}, title), make("ul", {class: "statements"}, ...told));
  }));
  showAuditors(proof.audit ? proof.audit.auditors : []);
  const votes = proof.audit ? proof.audit.votes : [];
  place("votes-section").hidden = !votes.length;
  put(place("votes"), ...votes.map(v => bar(v.answer, false, percent(v.share_basis_points) + " of the power", v.share_basis_points, 10000)));
}

function showAuditors(auditors) {
  place("auditors-section").hidden = !auditors.length;
  const columns = ["attempt", "validator", ["key", "words extra"], ["wallet", "words"], ["bound itself", "words"], ["finding", "words"], ["planted fault", "words"]];
  table("auditors", "Validators drawn to train the segment again, in the order of their draw.", columns, auditors.map(a => [
    a.attempt, a.validator, code(a.validator_key.slice(0, 16)), toWallet(a.wallet), a.committed ? "yes" : "no",
    a.finding === "none" ? "not shown" : a.finding, a.misled === null ? "not shown" : a.misled ? "yes, unknown to it" : "no, or known to it",
  ]));
}

async function read() {
  const name = named(NAME, WANTED);
  if (name === null) throw new Refused(400, "no_name", WANTED);
  if (settled === location.hash) return;
  const proof = await ask("/v1/rounds/" + name[0] + "/proofs/" + name[1]);
  show(proof);
  // An audit that has ended stays as it is, and so does what was released.
  const isOpen = proof.audit !== null && proof.audit.deadline_height !== null || !["released", "forfeited", "unpaid"].includes(proof.reward.state);
  settled = isOpen ? null : location.hash;
}

live(read, ["block", "audit"]);
