// The API as people read it, from the document that the node makes for programs.

import {ask} from "./ask.js";
import {number} from "./format.js";
import {once} from "./frame.js";
import {code, link, make, place, put, say} from "./parts.js";

let schemas = {};

const nameOf = form => form.$ref ? form.$ref.split("/").pop() : null;

// A form in a word or two: its type, its choices or bounds.
function formOf(form) {
  if (!form) return "";
  if (form.$ref) return nameOf(form);
  const several = form.anyOf || form.allOf || form.oneOf;
  if (several) return several.map(formOf).filter(words => words).join(" or ");
  if (form.enum) return form.enum.filter(each => each !== null).join(", ");
  const type = [].concat(form.type || []).map(each => each === "array" ? "list of " + formOf(form.items) : each).join(" or ");
  const bounds = form.minimum !== undefined && form.maximum !== undefined ? " " + number(form.minimum) + "–" + number(form.maximum) : "";
  return type + bounds + (form.default !== undefined && form.default !== null ? ", " + form.default + " if not given" : "");
}

function grid(caption, columns, rows) {
  const name = "caption-" + grid.made++;
  const made = make("table", {}, make("caption", {id: name}, caption),
    make("thead", {}, make("tr", {}, ...columns.map(column => make("th", {scope: "col", class: column === "meaning" || column === "form" ? "long" : "words"}, column)))),
    make("tbody", {}, ...rows.map(row => make("tr", {}, ...row.map((cell, index) => make("td", {class: index ? "long" : "words"}, cell))))));
  return make("div", {class: "wide", tabindex: "0", role: "region", "aria-labelledby": name}, made);
}
grid.made = 0;

// The fields of a form, and of every form inside it, each form once.
function fieldsOf(form, seen = new Set()) {
  const name = form && (nameOf(form) || nameOf(form.items || {}) || [...form.anyOf || [], ...form.allOf || []].map(nameOf).find(each => each));
  const found = schemas[name];
  if (!found || seen.has(name)) return [];
  seen.add(name);
  const rows = Object.entries(found.properties || {});
  const own = grid(name + (found.description ? ": " + found.description : ""), ["field", "form", "meaning"],
    rows.map(([field, each]) => [code(field), formOf(each), each.description || ""]));
  return [own, ...rows.flatMap(([, each]) => fieldsOf(each, seen))];
}

const contentOf = answer => Object.entries(answer.content || {})[0] || ["", {}];

function answersOf(answers) {
  return Object.entries(answers).map(([status, answer]) =>
    status + (Number(status) < 400 ? " " + contentOf(answer)[0] : " " + (answer.description || ""))).join(" · ");
}

function partsOf(path, method, operation) {
  const parameters = operation.parameters || [], good = Object.entries(operation.responses).find(([status]) => Number(status) < 400);
  const [, {schema}] = contentOf(good[1]), body = operation.requestBody && contentOf(operation.requestBody)[1].schema;
  const parts = [];
  if (operation.description) parts.push(make("p", {}, operation.description));
  if (method === "get" && !parameters.some(each => each.required)) parts.push(make("p", {}, link(path, "Ask it")));
  if (parameters.length) {
    parts.push(grid("What may be asked", ["field", "form", "meaning"], parameters.map(each =>
      [code(each.name + (each.in === "path" ? " (in the path)" : "")), formOf(each.schema), each.description || each.schema.description || ""])));
  }
  if (body) parts.push(make("h3", {}, "Body"), ...fieldsOf(body));
  parts.push(make("h3", {}, "Answers"), make("p", {}, answersOf(operation.responses)), ...fieldsOf(schema));
  return parts;
}

function shown(path, method, operation) {
  const title = make("summary", {}, code(method.toUpperCase() + " " + path), " ", operation.summary || "");
  const box = make("details", {class: "operation"}, title);
  // A hundred tables are made when they are wanted.
  box.addEventListener("toggle", () => {
    if (box.children.length === 1) box.append(...partsOf(path, method, operation));
  });
  return box;
}

function show(document_) {
  schemas = document_.components ? document_.components.schemas : {};
  say("lead", document_.info.description || "");
  put(place("operations"), ...Object.entries(document_.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => shown(path, method, operation))));
}

place("all").addEventListener("click", () => {
  const boxes = [...document.querySelectorAll(".operation")], isOpen = boxes.every(box => box.open);
  for (const box of boxes) box.open = !isOpen;
  say("all", isOpen ? "Open all" : "Close all");
});

once(async () => show(await ask("/openapi.json")));
