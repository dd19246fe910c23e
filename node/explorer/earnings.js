// What a wallet earned, day by day and kind by kind.

import {stacks} from "./charts.js";
import {inNeuro, neuro, number, plural} from "./format.js";
import {amounts, facts, make, place, put, say} from "./parts.js";

const KINDS = [
  {key: "training_nanos", name: "training", color: "kind-1"},
  {key: "uptime_nanos", name: "uptime", color: "kind-2"},
  {key: "data_nanos", name: "storage and data", color: "kind-3"},
  {key: "audit_nanos", name: "audits", color: "kind-4"},
  {key: "fraud_reward_nanos", name: "found fraud", color: "kind-5"},
];
const DAY_MS = 86_400_000;

const amount = value => Math.max(0, value).toLocaleString("en", {maximumFractionDigits: value < 1 ? 6 : 2});

// Every day up to the newest block's, whatever this machine's clock says; also those on which nothing was earned, so that equal distances are equal times.
function everyDay(found, count) {
  const told = new Map(found.days.map(day => [day.day, day])), last = Date.parse(found.last_day);
  return Array.from({length: count}, (_, index) => {
    const name = new Date(last - (count - 1 - index) * DAY_MS).toISOString().slice(0, 10), day = told.get(name);
    return {day: name, values: KINDS.map(kind => day ? inNeuro(day[kind.key]) : 0)};
  });
}

export async function showEarnings(found, count) {
  const days = everyDay(found, count), total = found.total;
  const sum = KINDS.reduce((all, kind) => all + BigInt(total[kind.key]), 0n);
  put(place("kinds"), ...KINDS.map(kind => make("li", {class: kind.color}, kind.name)));
  facts("earned", amounts([
    ...KINDS.map(kind => ["By " + kind.name, total[kind.key]]), ["Released", total.released_nanos], ["Forfeited", total.forfeited_nanos],
    ["Burned in fees", total.burned_nanos],
  ]));
  const period = plural(days.length, "day", "days");
  const words = [sum ? "" : "Nothing was earned in these " + period + ".",
    found.from_height > 1 ? "This node's record of earnings begins at height " + number(found.from_height) + "." : ""];
  say("earned-from", words.filter(each => each).join(" "));
  place("earnings").hidden = place("kinds").hidden = !sum;
  if (!sum) return;
  await stacks("earnings", {
    title: "Earned by day, in NEURO", kinds: KINDS, days, format: amount,
    summary: neuro(String(sum)) + " in " + period + " (UTC)",
  });
}
