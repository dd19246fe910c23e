// Pieces of pages. Everything shown is put in as text, never as markup.

import {known, neuro, percent, short, shortAddress, split} from "./format.js";

export const place = id => document.getElementById(id);

// An element; attributes that are null are left out, children are elements or text.
export function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value);
  }
  made.append(...children.map(child => child instanceof Node ? child : String(known(child))));
  return made;
}

// New contents. What is the same as before stays, so that marked text and the keyboard's place are not taken from the reader;
// who stands on a link or button that is made anew stands there afterwards.
export function put(container, ...children) {
  const fresh = children.map(child => child instanceof Node ? child : document.createTextNode(String(child)));
  const old = [...container.childNodes], active = document.activeElement;
  const nameOf = each => each.getAttribute("href") || each.id;
  const name = active && active !== container && container.contains(active) ? nameOf(active) : null;
  if (fresh.length !== old.length) container.replaceChildren(...fresh);
  else fresh.forEach((each, index) => { if (!each.isEqualNode(old[index])) old[index].replaceWith(each); });
  if (!name || container.contains(document.activeElement)) return;
  const again = [...container.querySelectorAll("a, button")].find(each => nameOf(each) === name);
  if (again) again.focus({preventScroll: true});
}

export function say(id, words) {
  const at = place(id);
  if (at.textContent !== words) at.textContent = words;
}

// ---- Links

export const link = (href, words, kind = null) => make("a", {href, class: kind}, words);
export const toBlock = height => link("/block.html#" + height, Number(height).toLocaleString("en"));
export const toRound = round => link("/round.html#" + round, Number(round).toLocaleString("en"));
export const toWallet = address => address ? code(link("/wallet.html#" + address, shortAddress(address))) : "–";
export const toNode = node => node ? code(link("/node.html#" + node, short(node))) : "–";
export const toTransaction = id => code(link("/transaction.html#" + id, short(id)));
export const toProof = (round, node, words) => link("/proof.html#" + round + "/" + node, words);

export const code = child => make("span", {class: "code"}, child);
export const hash = text => make("span", {class: "code", title: known(text)}, text ? short(text) + "…" : "–");
export const whole = text => make("span", {class: "code whole"}, text);

// ---- Amounts and bars

// All digits, so that a column is aligned at its point; those that matter least are the dimmest.
export function coins(nanos) {
  if (nanos === null || nanos === undefined) return "–";
  const [before, after] = split(nanos);
  return make("span", {class: "coins"}, before + "." + after.slice(0, 2), make("span", {class: "rest"}, after.slice(2)));
}

export function meter(done, all, name) {
  return make("progress", {max: Math.max(all, 1), value: Math.min(Math.max(done, 0), Math.max(all, 1)), "aria-label": name});
}

// A share as words and as a bar beside them.
export function share(points, name) {
  return make("span", {class: "share"}, meter(points, 10000, name), percent(points));
}

export function bar(label, own, words, done, all) {
  const name = code(label), text = typeof label === "string" ? label : label.textContent;
  const line = make("p", {}, make("span", {}, name, ...(own ? [" ", make("strong", {}, "this node")] : [])), make("span", {}, words));
  return make("li", {}, line, meter(done, all, text + ": " + words));
}

// ---- Facts and tables

export function facts(id, pairs) {
  put(place(id), ...pairs.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

export const amounts = pairs => pairs.map(([name, nanos]) => [name, nanos === null || nanos === undefined ? "–" : neuro(nanos)]);

// A table with its caption. A column is a name, or [name, kinds]: "words" for text, "extra" for what a narrow screen leaves out.
// Of a table that is there already only the rows are new, so that its place and scroll stay.
export function table(id, caption, columns, rows, empty = "None.") {
  const at = place(id), kinds = columns.map(column => Array.isArray(column) ? column[1] : null);
  if (!rows.length) return put(at, make("p", {class: "empty"}, empty));
  if (!at.querySelector("table")) put(at, framed(id, caption, columns, kinds));
  at.querySelector("caption").textContent = caption;
  put(at.querySelector("tbody"), ...rows.map(row => make("tr", {}, ...row.map((cell, index) => make("td", {class: kinds[index]}, cell)))));
}

function framed(id, caption, columns, kinds) {
  // A column of bars has no name: the bars have.
  const head = (name, kind) => name ? make("th", {scope: "col", class: kind}, name) : make("td", {class: kind});
  const heads = columns.map((column, index) => head(Array.isArray(column) ? column[0] : column, kinds[index]));
  const made = make("table", {}, make("caption", {id: id + "-caption"}, caption), make("thead", {}, make("tr", {}, ...heads)), make("tbody"));
  return make("div", {class: "wide", tabindex: "0", role: "region", "aria-labelledby": id + "-caption"}, made);
}
