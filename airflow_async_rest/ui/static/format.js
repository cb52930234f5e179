/** Numbers, spans of time and dates as people read them. Pure, but for the time zone that Airflow keeps. */

const numbers = new Intl.NumberFormat("en-US");
const decimals = new Intl.NumberFormat("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

export const NONE = "–";

/** 12345 -> "12,345". */
export const count = (number) => (number == null ? NONE : numbers.format(number));

/** "1 item", "2 items". */
export const counted = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

/** A whole number from 1 to the most, as somebody writes it; null for anything else. */
export function numberOf(text, most) {
  const number = /^\s*\d+\s*$/.test(text) ? Number(text) : 0;
  return number >= 1 && number <= most ? number : null;
}

/** A number a second, with a digit after the point only where it tells something. */
export const rate = (number) =>
  number == null ? NONE : number >= 100 ? numbers.format(Math.round(number)) : decimals.format(number);

export const milliseconds = (number) =>
  number == null
    ? NONE
    : number >= 1000
      ? `${decimals.format(number / 1000)} s`
      : number >= 10
        ? `${Math.round(number)} ms`
        : `${decimals.format(number)} ms`;

export function percent(share) {
  // Not "100 %" before it is all, nor "0 %" once something is done.
  if (share > 0 && share < 0.01) return "< 1 %";
  if (share > 0.99 && share < 1) return "> 99 %";
  return `${Math.round(share * 100)} %`;
}

/** 3725 -> "1 h 2 min": two units are as exact as anybody reads. */
export function duration(seconds) {
  if (seconds == null || !Number.isFinite(seconds)) return NONE;
  if (seconds < 10 && !Number.isInteger(seconds)) return `${decimals.format(seconds)} s`;
  const units = [
    ["d", 86_400],
    ["h", 3_600],
    ["min", 60],
    ["s", 1],
  ];
  let left = Math.round(seconds);
  const parts = [];
  for (const [name, size] of units) {
    const number = Math.floor(left / size);
    left -= number * size;
    if (number || parts.length) parts.push([number, name]);
    if (parts.length === 2) break;
  }
  if (!parts.length) return "0 s";
  return parts
    .filter(([number], index) => index === 0 || number)
    .map(([number, name]) => `${number} ${name}`)
    .join(" ");
}

/** Airflow keeps the chosen time zone as JSON in localStorage; nothing there means the browser's. */
export function timezone() {
  const browsers = Intl.DateTimeFormat().resolvedOptions().timeZone;
  try {
    const chosen = JSON.parse(localStorage.getItem("timezone") ?? "null") ?? browsers;
    Intl.DateTimeFormat("en", { timeZone: chosen });
    return chosen;
  } catch {
    return browsers;
  }
}

const formats = new Map();

/** Making an Intl.DateTimeFormat costs more than using one a hundred times. */
function dateFormat(zone) {
  if (!formats.has(zone)) {
    // The Swedish way of writing dates is Airflow's: 2026-03-02 14:05:00.
    formats.set(zone, new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short", timeStyle: "medium" }));
  }
  return formats.get(zone);
}

/** "2026-03-02 14:05:00" in the zone. */
export function dateTime(iso, zone) {
  const date = iso instanceof Date ? iso : new Date(iso ?? NaN);
  return Number.isNaN(date.getTime()) ? NONE : dateFormat(zone).format(date);
}

/** The time without what says nothing: "2026-03-02", "2026-03-02 14:05", "2026-03-02 14:05:30". */
const short = (text) => text.replace(/ 00:00:00$/, "").replace(/(:\d\d):00$/, "$1");

/** "2026-03-02 → 2026-03-03": the end is not part of the window. */
export function span(start, end, zone) {
  if (!start || !end) return NONE;
  let [from, to] = [dateTime(start, zone), dateTime(end, zone)];
  if (from === NONE || to === NONE) return NONE;
  const whole = from.endsWith(" 00:00:00") && to.endsWith(" 00:00:00");
  if (whole) return `${short(from)} → ${short(to)}`;
  [from, to] = [from.replace(/:00$/, ""), to.replace(/:00$/, "")];
  return from.slice(0, 10) === to.slice(0, 10) ? `${from} → ${to.slice(11)}` : `${from} → ${to}`;
}

/** Pretty JSON; a text that holds JSON is taken for it, any other text stays as it is. */
export function pretty(value) {
  if (typeof value !== "string") return JSON.stringify(value, null, 2);
  try {
    const parsed = JSON.parse(value);
    return typeof parsed === "object" && parsed !== null ? JSON.stringify(parsed, null, 2) : value;
  } catch {
    return value;
  }
}
