// Numbers and names as people read them. All of these give text.

export const number = value => value.toLocaleString("en");
export const known = value => value === null || value === undefined ? "–" : value;
export const loss = value => value === null || value === undefined ? "–" : value.toFixed(3);
export const short = text => String(text).slice(0, 10);
export const percent = points => (points / 100).toFixed(1) + " %";
export const size = bytes => bytes < 1e6 ? (bytes / 1e3).toFixed(1) + " kB" : bytes < 1e9 ? (bytes / 1e6).toFixed(1) + " MB" : (bytes / 1e9).toFixed(1) + " GB";
export const sum = (list, of) => list.reduce((total, each) => total + of(each), 0);
export const atMost = seconds => seconds < 120 ? seconds + " s" : duration(seconds);
export const time = ms => new Date(ms).toLocaleTimeString();
export const moment = ms => new Date(ms).toLocaleString();
export const plural = (count, one, many) => number(count) + " " + (count === 1 ? one : many);

// An address is told apart by its end as well, since all begin alike.
export const shortAddress = text => text.length > 20 ? text.slice(0, 12) + "…" + text.slice(-6) : text;

export function duration(seconds) {
  const hours = Math.floor(seconds / 3600), minutes = Math.floor(seconds / 60) % 60;
  if (hours >= 48) return Math.floor(hours / 24) + " d " + hours % 24 + " h";
  return hours ? hours + " h " + minutes + " min" : minutes + " min " + seconds % 60 + " s";
}

export function signed(value) {
  if (value === null || value === undefined) return "–";
  const digits = Math.abs(value).toFixed(3);
  return (Number(digits) === 0 ? "" : value > 0 ? "+" : "−") + digits;
}

// Nanos are whole numbers that a Number cannot hold: they stay text.
export const grouped = digits => String(digits).replace(/\B(?=(\d{3})+$)/g, ",");

export function split(nanos) {
  const digits = String(nanos).padStart(10, "0");
  return [grouped(digits.slice(0, -9)), digits.slice(-9)];
}

export function neuro(nanos) {
  const [whole, rest] = split(nanos);
  return whole + "." + rest.replace(/0{1,7}$/, "") + " NEURO";
}

export const inNeuro = nanos => Number(nanos) / 1e9;
