/** What became of each window, and which windows never ran: pure decisions over what the endpoint gives. */

import { failuresOf, isEmpty, withComplete } from "./delivery_data.js";
import { isDeliveredLater } from "./next_step.js";
import { withGaps } from "./stretches.js";
import { windowOf } from "./well_formed.js";

/**
 * The outcomes: how they are called, which of Airflow's colours they have, and which sign a cell carries besides.
 * `ink` is what is readable on the filled colour; those without are not filled.
 */
export const OUTCOMES = {
  delivered: { name: "all delivered", color: "success", sign: "", ink: "white" },
  later: { name: "delivered later", color: "success", sign: "↻", ink: "white" },
  empty: { name: "nothing to do", color: "success", sign: "0" },
  some: { name: "some failed", color: "up_for_retry", sign: "!", ink: "black" },
  failed: { name: "failed", color: "failed", sign: "×", ink: "white" },
  running: { name: "running", color: "running", sign: "▸", ink: "black" },
  waiting: { name: "waiting", color: "queued", sign: "…" },
  preview: { name: "preview", color: "skipped", sign: "◦" },
  unknown: { name: "no report", color: "none", sign: "?" },
  never: { name: "never run", color: "none", sign: "" },
};

const NAMES_OF_A_FETCH = { delivered: "all fetched", empty: "nothing to fetch" };

export const nameOf = (outcome, isFetch) => (isFetch && NAMES_OF_A_FETCH[outcome]) || OUTCOMES[outcome].name;

const RUNNING = new Set(["running", "restarting", "deferred"]);
const WAITING = new Set([null, undefined, "none", "queued", "scheduled", "up_for_retry", "up_for_reschedule"]);

/** What became of one window; `replay` is the last one of its dead letters by another task, since it has ended. */
export function outcomeOf({ state, report: given, replay }) {
  if (RUNNING.has(state)) return "running";
  if (WAITING.has(state)) return "waiting";
  const report = withComplete(given, state);
  if (report?.preview && (state === "skipped" || state === "success")) return "preview"; // a replay's succeeds
  const isComplete = report?.complete === true;
  const isLater = isDeliveredLater(report, replay);
  if (isComplete && failuresOf(report) > 0) return isLater ? "later" : "some";
  if (state === "failed" || state === "upstream_failed") return "failed";
  if (!isComplete || state !== "success") return "unknown";
  if (isLater) return "later"; // by a Clear, or a replay in the task itself
  return isEmpty(report) ? "empty" : "delivered"; // a source that was not filled yet looks like this
}

const median = (numbers) => numbers.toSorted((one, other) => one - other)[numbers.length >> 1];

/** Whether a run counts rather than another one of its window: a preview has done nothing, else the newer one does. */
function counts(one, other) {
  const [isPreview, otherIs] = [one, other].map(({ outcome }) => outcome === "preview");
  return isPreview === otherIs ? isNewer(one, other) : otherIs;
}

/** When a run is newer: the later one by its date, then by its start. */
function isNewer(one, other) {
  if (one.run_after !== other.run_after) return one.run_after > other.run_after;
  return (one.started_at ?? "") > (other.started_at ?? "");
}

/**
 * Prepare a task's windows.
 *
 * @param missing runs that never were, as the endpoint gives them.
 * @returns `rows`, all of them with outcome and times, newest first, `isSuperseded` where a later run of the window
 *   counts; `cells`, one for each window in the order of time, of its latest run, with those that never ran where there
 *   is a hole; `width` in ms, the typical one; `stretches`, the holes.
 */
export function arrange(windows, missing) {
  const rows = windows.map(windowOf).map((window) => ({
    ...window,
    outcome: outcomeOf(window),
    // A mapped task's window is only known from its report: until then it has its run's, which is all of them.
    from: window.map_index >= 0 && !window.report ? NaN : Date.parse(window.start),
    to: Date.parse(window.end),
  }));
  const latest = new Map();
  for (const row of rows) {
    if (!(row.to > row.from)) continue;
    const place = `${row.from}/${row.to}`;
    const other = latest.get(place);
    const isLatest = !other || counts(row, other.row);
    if (other) (isLatest ? other.row : row).isSuperseded = true;
    latest.set(place, { row: isLatest ? row : other.row, runs: (other?.runs ?? 0) + 1 });
  }
  const known = [...latest.values()].map(({ row, runs }) => ({ ...row, runs }));
  known.sort((one, other) => one.from - other.from || one.to - other.to);
  const width = known.length ? median(known.map(({ from, to }) => to - from)) : 0;
  const { cells, stretches } = withGaps(known, missing);
  rows.sort((one, other) => (other.from || 0) - (one.from || 0) || (isNewer(one, other) ? -1 : 1));
  return { rows, cells, width, stretches };
}

/** outcome -> number, of the windows that ran, in the order of OUTCOMES. */
export function tally(cells) {
  const counts = Object.fromEntries(Object.keys(OUTCOMES).map((outcome) => [outcome, 0]));
  for (const { outcome } of cells) counts[outcome] += 1;
  return Object.entries(counts).filter(([outcome, number]) => number > 0 && outcome !== "never");
}

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

// A row for a day, or for as many hours of one as there is room for: no more cells than a month has days.
const HOURS_OF_A_ROW = [24, 12, 6, 3, 2, 1];
const MOST_COLUMNS = 31;

function layoutOfHours(width) {
  const perHour = HOUR / width;
  const hours = HOURS_OF_A_ROW.find((some) => some * perHour <= MOST_COLUMNS) ?? 1;
  const columns = Math.min(MOST_COLUMNS, Math.max(1, Math.round(hours * perHour)));
  const hourOf = (text) => Number(text.slice(11, 13));
  const minute = (text) => text.slice(14, 16);
  const begin = (text) => String(hourOf(text) - (hourOf(text) % hours)).padStart(2, "0");
  return {
    columns,
    row: (text) => (hours === 24 ? text.slice(0, 10) : `${text.slice(5, 10)} ${begin(text)} h`),
    column: (text) => Math.min(columns - 1, Math.floor(((hourOf(text) % hours) + minute(text) / 60) * perHour)),
    label: (text) => (width >= HOUR || minute(text) === "00" ? text.slice(11, 13) : `:${minute(text)}`),
  };
}

/**
 * How windows of a width are laid out: a row for each period, at most so many columns, a cell's label, and its column.
 * The parts are those of "2026-03-02 14:05:00" in the user's time zone.
 */
export function layoutFor(width) {
  if (width < 0.9 * DAY) return layoutOfHours(width);
  const [month, day] = [(text) => text.slice(5, 7), (text) => text.slice(8, 10)];
  if (width < 27 * DAY) {
    const column = (text) => (width < 2 * DAY ? day(text) - 1 : 0);
    return { columns: MOST_COLUMNS, row: (text) => text.slice(0, 7), column, label: day };
  }
  return { columns: 12, row: (text) => text.slice(0, 4), column: (text) => month(text) - 1, label: month };
}

/**
 * Cells -> rows of a calendar, the latest first: `[{title, before, cells}]`.
 *
 * `before` is how many columns stay free at a row's beginning, a cell's `number` its place among all cells. A long
 * stretch that never ran is a row of its own, `isStretch`.
 */
export function inRows(cells, layout, textOf) {
  const rows = [];
  cells.forEach((cell, number) => {
    const text = textOf(cell.from);
    const title = layout.row(text);
    const isStretch = cell.holes > 1;
    const last = rows.at(-1);
    if (isStretch || last?.title !== title || last.isStretch) {
      rows.push({ title, before: isStretch ? 0 : layout.column(text), isStretch, cells: [] });
    }
    rows.at(-1).cells.push({ ...cell, number, label: layout.label(text) });
  });
  return rows.reverse();
}

/** What tells a row of a calendar from all others: a stretch may begin when a window does. */
export const keyOf = ({ cells, isStretch }) => `${cells[0].from} ${isStretch}`;
