// Charts of the installed library. Each has its numbers as a table beside it, which is all that is left if the library is absent.

import {link, make, place} from "./parts.js";

const LIBRARY = "/vendor/lightweight-charts.js", HEIGHT = 260, DASHED = 2;
const drawn = new Map();
let library = null;

function loaded() {
  // It is no module: it leaves its name with the window.
  library = library || import(LIBRARY).then(() => window.LightweightCharts, () => null);
  return library;
}

const color = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

function look() {
  const edge = color("edge");
  return {
    layout: {background: {color: "transparent"}, textColor: color("dim"), fontSize: 12, fontFamily: getComputedStyle(document.body).fontFamily},
    grid: {vertLines: {visible: false}, horzLines: {color: edge}},
    crosshair: {vertLine: {color: color("dim"), labelBackgroundColor: color("tip")}, horzLine: {visible: false, labelVisible: false}},
  };
}

// The figure around a chart: what it is, what is under the pointer, the drawing, the numbers.
function figure(id, title) {
  const at = place(id), name = id + "-name";
  if (!at.querySelector("figure")) {
    at.replaceChildren(make("figure", {"aria-labelledby": name},
      make("figcaption", {id: name}, title), make("p", {class: "readout"}), make("div", {class: "drawing", role: "img"}),
      make("div", {class: "under"},
        make("details", {}, make("summary", {}, "The same as a table"), make("div", {class: "wide", tabindex: "0", role: "region", "aria-labelledby": name})),
        make("p", {class: "credit"}, link("/licences.html", "TradingView Lightweight Charts™")))));
  }
  at.querySelector("figcaption").textContent = title;
  return at;
}

function showNumbers(at, caption, columns, rows) {
  at.querySelector("details .wide").replaceChildren(make("table", {}, make("caption", {}, caption),
    make("thead", {}, make("tr", {}, ...columns.map(column => make("th", {scope: "col"}, column)))),
    make("tbody", {}, ...rows.map(row => make("tr", {}, ...row.map(cell => make("td", {}, cell)))))));
}

// The chart of a place, made at first. Null if there is no library: then the table is open instead.
async function chartOf(id, at, options) {
  const made = drawn.get(id);
  if (made) return made;
  const tools = await loaded();
  if (drawn.get(id)) return drawn.get(id);
  if (!tools) {
    at.querySelector(".drawing").hidden = true;
    at.querySelector("details").open = true;
    return null;
  }
  const chart = tools.createChart(at.querySelector(".drawing"), {
    height: HEIGHT, autoSize: true, handleScroll: false, handleScale: false,
    rightPriceScale: {borderVisible: false}, timeScale: {borderVisible: false, fixLeftEdge: true, fixRightEdge: true, ...options.timeScale},
    localization: options.localization, ...look(),
  });
  const kept = {chart, series: [], recolor: () => {}};
  drawn.set(id, kept);
  return kept;
}

// In dark and light the same chart has other colours.
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const {chart, recolor} of drawn.values()) {
    chart.applyOptions(look());
    recolor();
  }
});

function readOut(kept, at, usual, wordsAt) {
  at.querySelector(".readout").textContent = usual;
  if (kept.hears) return kept.hears(usual, wordsAt);
  let now = usual, say = wordsAt;
  kept.hears = (other, words) => { now = other; say = words; };
  kept.chart.subscribeCrosshairMove(moved => {
    at.querySelector(".readout").textContent = moved.time === undefined ? now : say(moved.time) || now;
  });
}

// A curve over whole numbers. `points` are {at, value}, rising; `yardstick` is null or {value, name}.
export async function curve(id, {title, summary, columns, points, yardstick, format}) {
  const at = figure(id, title), values = new Map(points.map(each => [each.at, each.value]));
  at.querySelector(".drawing").setAttribute("aria-label", summary);
  at.querySelector(".readout").textContent = summary;
  showNumbers(at, title, columns, points.map(each => [each.at.toLocaleString("en"), format(each.value)]));
  const kept = await chartOf(id, at, {
    localization: {timeFormatter: String, priceFormatter: format}, timeScale: {tickMarkFormatter: String},
  });
  if (!kept) return;
  const reach = original => {
    const found = original();
    if (!found || !yardstick) return found;
    const {minValue, maxValue} = found.priceRange;
    return {...found, priceRange: {minValue: Math.min(minValue, yardstick.value), maxValue: Math.max(maxValue, yardstick.value)}};
  };
  if (!kept.series.length) kept.series = [kept.chart.addLineSeries({lineWidth: 2, priceLineVisible: false})];
  const [line] = kept.series;
  line.applyOptions({color: color("curve"), autoscaleInfoProvider: reach});
  line.setData(points.map(each => ({time: each.at, value: each.value})));
  if (kept.mark) line.removePriceLine(kept.mark);
  kept.mark = yardstick && line.createPriceLine({
    price: yardstick.value, title: yardstick.name, color: color("yardstick"), lineWidth: 1, lineStyle: DASHED, axisLabelVisible: true,
  });
  kept.recolor = () => {
    line.applyOptions({color: color("curve")});
    if (kept.mark) kept.mark.applyOptions({color: color("yardstick")});
  };
  kept.chart.timeScale().fitContent();
  readOut(kept, at, summary, round => values.has(round) ? columns[0] + " " + round + ": " + format(values.get(round)) : "");
}

const dayOf = time => typeof time === "string" ? time
  : typeof time === "object" ? [time.year, time.month, time.day].map(part => String(part).padStart(2, "0")).join("-") : "";

// Bars of days, one kind of amount on top of another. `kinds` are {name, color}; `days` are {day, values} in the order of the kinds.
export async function stacks(id, {title, summary, kinds, days, format}) {
  const at = figure(id, title), byDay = new Map(days.map(each => [each.day, each.values]));
  at.querySelector(".drawing").setAttribute("aria-label", summary);
  at.querySelector(".readout").textContent = summary;
  showNumbers(at, title, ["day", ...kinds.map(kind => kind.name)], days.map(each => [each.day, ...each.values.map(format)]));
  const kept = await chartOf(id, at, {localization: {priceFormatter: format, dateFormat: "yyyy-MM-dd"}, timeScale: {}});
  if (!kept) return;
  // The library draws no stacks: the highest sums come first, and lower ones are drawn over them.
  while (kept.series.length < kinds.length) {
    kept.series.push(kept.chart.addHistogramSeries({priceLineVisible: false, lastValueVisible: false, base: 0}));
  }
  kinds.forEach((_, index) => {
    const upTo = kinds.length - index;
    kept.series[index].setData(days.map(each => ({time: each.day, value: each.values.slice(0, upTo).reduce((a, b) => a + b, 0)})));
  });
  kept.recolor = () => kinds.forEach((_, index) => kept.series[index].applyOptions({color: color(kinds[kinds.length - 1 - index].color)}));
  kept.recolor();
  kept.chart.timeScale().fitContent();
  readOut(kept, at, summary, moved => {
    const values = byDay.get(dayOf(moved));
    return values ? dayOf(moved) + ": " + kinds.map((kind, index) => kind.name + " " + format(values[index])).join(", ") : "";
  });
}
