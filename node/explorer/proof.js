"use strict";
// One proof, named behind the # of the address: ROUND/NODE. Everything shown is put in as text, never as markup.

const AGAIN_MS = 3000;
const place = id => document.getElementById(id);
const element = (name, text) => Object.assign(document.createElement(name), {textContent: String(text)});
const number = value => value.toLocaleString("en");
const known = value => value === null ? "–" : value;
const neuro = nanos => {
  const digits = nanos.padStart(10, "0");
  return digits.slice(0, -9) + "." + digits.slice(-9).replace(/0{1,7}$/, "") + " NEURO";
};

// What each kind of statement is called, in the order of the page.
const KINDS = {
  "claimed": "What was claimed",
  "checked": "What was checked",
  "still only claimed": "What is still only claimed",
  "not checkable": "What nobody can check",
};

let timer = null;

function asked() {
  const found = /^#([1-9][0-9]{0,19})\/([0-9a-f]{4,64})$/.exec(location.hash);
  return found && "/v1/rounds/" + found[1] + "/proofs/" + found[2];
}

async function read(path) {
  const answer = await fetch(path), content = await answer.json();
  if (!answer.ok) throw new Error(content.error.message);
  return content;
}

function fill(pairs) {
  place("facts").replaceChildren(...pairs.map(([name, value]) => {
    const box = document.createElement("div");
    box.append(element("dt", name), element("dd", value));
    return box;
  }));
}

function rewardOf(proof) {
  const amount = proof.reward.amount_nanos;
  return proof.reward.state + (amount === null ? "" : ", " + neuro(amount));
}

function show(proof) {
  document.title = "NeuroShard: round " + proof.round + ", node " + proof.node.slice(0, 10);
  place("name").textContent = "round " + proof.round + " · node " + proof.node.slice(0, 16);
  place("headline").textContent = proof.headline;
  place("headline").dataset.phase = proof.audit ? proof.audit.phase : "";
  fill([
    ["Segments", proof.segments + " of " + proof.segments_of_round], ["Inner steps", number(proof.steps)],
    ["Tokens", number(proof.tokens)], ["Payload", proof.payload_root === null ? "–" : proof.payload_root.slice(0, 16)],
    ["Audit", proof.audit ? proof.audit.phase : "none"], ["Segment drawn", proof.audit ? proof.audit.segment : "–"],
    ["Reward", rewardOf(proof)], ["Audits passed since the last failure", known(proof.audited_rounds)],
  ]);
  place("statements").replaceChildren(...Object.entries(KINDS).map(([kind, title]) => {
    const part = document.createElement("section"), list = document.createElement("ul");
    list.className = "statements";
    list.append(...proof.statements.filter(s => s.kind === kind).map(s => element("li", s.text)));
    part.hidden = !list.children.length;
    part.append(element("h2", title), list);
    return part;
  }));
  showAuditors(proof.audit ? proof.audit.auditors : []);
}

function showAuditors(auditors) {
  place("auditors-section").hidden = !auditors.length;
  place("auditors").replaceChildren(...auditors.map(a => {
    const line = document.createElement("tr");
    const planted = a.misled === null ? "not shown" : a.misled ? "yes, unknown to it" : "no, or known to it";
    const cells = [
      a.attempt, a.validator, a.validator_key.slice(0, 16), (a.wallet || "–").slice(0, 16), a.committed ? "yes" : "no",
      a.finding === "none" ? "not shown" : a.finding, planted,
    ];
    line.append(...cells.map(cell => element("td", cell)));
    return line;
  }));
}

async function turn() {
  clearTimeout(timer);
  const path = asked();
  let words = "", isOpen = true;
  try {
    if (path === null) throw new Error("Which proof? The address wants #ROUND/NODE behind it.");
    const proof = await read(path);
    show(proof);
    isOpen = proof.audit !== null && proof.audit.deadline_height !== null;
    if (isOpen) words = "The audit is open; asked again every few seconds.";
  } catch (error) {
    words = error instanceof TypeError ? "The node does not answer. Is it running?" : error.message;
  }
  place("state").textContent = words;
  if (isOpen && path !== null) timer = setTimeout(turn, AGAIN_MS);
}

addEventListener("hashchange", turn);
turn();
