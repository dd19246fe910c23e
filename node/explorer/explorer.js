"use strict";
// Everything shown is put in as text, never as markup.
const neuro = nanos => {
  const digits = nanos.padStart(10, "0");
  return digits.slice(0, -9) + "." + digits.slice(-9).replace(/0{1,7}$/, "") + " NEURO";
};
const loss = value => value === null ? "not measured yet" : value.toFixed(3);
const facts = s => [
  ["Phase", s.self_verified ? s.phase + ", self-verified" : s.phase],
  ["Height", s.height], ["Round", s.round + " (" + s.round_phase + ")"],
  ["Minted", neuro(s.minted_nanos)], ["Burned", neuro(s.burned_nanos)], ["Circulating", neuro(s.circulating_nanos)],
  ["Your balance", neuro(s.balance_nanos)], ["Your vesting reward", neuro(s.vesting_nanos)],
  ["Validation loss", loss(s.validation_loss)], ["Bigram loss", loss(s.bigram_loss)], ["Training loss", loss(s.training_loss)],
  ["Tokens trained", s.tokens_trained.toLocaleString()], ["Tokens per second", Math.round(s.tokens_per_second).toLocaleString()],
  ["Parameters", s.parameters.toLocaleString()], ["Device", s.device], ["Model root", s.model_root.slice(0, 16)],
];
const element = (name, text) => Object.assign(document.createElement(name), {textContent: String(text)});
async function show() {
  try {
    const status = await (await fetch("/v1/status")).json();
    const {rounds} = await (await fetch("/v1/rounds")).json();
    document.getElementById("chain").textContent = status.chain_id.slice(0, 12);
    document.getElementById("state").textContent = "The node is running.";
    document.getElementById("progress").value = status.segments_proven / status.segments;
    document.getElementById("facts").replaceChildren(...facts(status).map(([name, value]) => {
      const box = document.createElement("div");
      box.append(element("dt", name), element("dd", value));
      return box;
    }));
    document.getElementById("rounds").replaceChildren(...rounds.reverse().map(entry => {
      const row = document.createElement("tr");
      row.append(element("td", entry.round), element("td", entry.tokens.toLocaleString()), element("td", entry.validation_loss.toFixed(4)));
      return row;
    }));
  } catch (error) {
    document.getElementById("state").textContent = "The node does not answer. Is it running?";
  }
}
show();
setInterval(show, 2000);
