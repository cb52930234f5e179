/** What became of each window, and which windows never ran: pure decisions over what the endpoint gives. */

/**
 * The outcomes: how they are called, which of Airflow's colours they have, and which sign a cell carries besides.
 * `ink` is what is readable on the filled colour; those without are not filled.
 */
export const OUTCOMES = {
  delivered: { name: "all delivered", color: "success", sign: "", ink: "white" },
  some: { name: "some failed", color: "up_for_retry", sign: "!", ink: "black" },
  failed: { name: "failed", color: "failed", sign: "×", ink: "white" },
  running: { name: "running", color: "running", sign: "▸", ink: "white" },
  waiting: { name: "queued", color: "queued", sign: "…" },
  unknown: { name: "no report", color: "none", sign: "?" },
  never: { name: "never run", color: "none", sign: "" },
};

const RUNNING = new Set(["running", "restarting", "deferred"]);
const WAITING = new Set([null, undefined, "none", "queued", "scheduled", "up_for_retry", "up_for_reschedule"]);
// More cells than these in one gap say nothing that a number does not.
const MOST_CELLS_OF_A_GAP = 400;

/** What became of one window. */
export function outcomeOf({ state, report }) {
  if (RUNNING.has(state)) return "running";
  if (WAITING.has(state)) return "waiting";
  const isComplete = report?.complete === true;
  const failures = (report?.failed ?? 0) + (report?.rows_refused ?? 0);
  if (isComplete && failures > 0) return "some";
  if (state === "failed" || state === "upstream_failed") return "failed";
  return isComplete && state === "success" ? "delivered" : "unknown";
}

const median = (numbers) => numbers.toSorted((one, other) => one - other)[numbers.length >> 1];

/** When a run is newer: the later one by its date, then by its start. */
const isNewer = (one, other) =>
  one.run_after === other.run_after ? (one.started_at ?? "") > (other.started_at ?? "") : one.run_after > other.run_after;

/**
 * Prepare a task's windows.
 *
 * @returns `rows`, all of them with outcome and times, newest first; `cells`, one for each window in the order of
 *   time, of its latest run, with those that never ran where there is a hole; `width` in ms, the typical one;
 *   `missing`, how many never ran.
 */
export function arrange(windows) {
  const rows = windows.map((window) => ({
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
    if (!other || isNewer(row, other)) latest.set(place, { ...row, runs: (other?.runs ?? 0) + 1 });
    else other.runs += 1;
  }
  const known = [...latest.values()].sort((one, other) => one.from - other.from || one.to - other.to);
  const width = known.length ? median(known.map(({ from, to }) => to - from)) : 0;
  const { cells, missing } = withGaps(known, width);
  rows.sort((one, other) => (other.from || 0) - (one.from || 0) || (isNewer(one, other) ? -1 : 1));
  return { rows, cells, width, missing };
}

function withGaps(known, width) {
  const cells = [];
  let missing = 0;
  let end = known[0]?.from;
  for (const window of known) {
    const holes = Math.round((window.from - end) / width);
    if (holes > 0) {
      missing += holes;
      cells.push(...gap(end, window.from, holes));
    }
    cells.push(window);
    end = Math.max(end, window.to);
  }
  return { cells, missing };
}

/** The windows that would fill a hole; a very long one is a single cell that says how many they are. */
function gap(from, to, holes) {
  const shown = holes > MOST_CELLS_OF_A_GAP ? 1 : holes;
  const step = (to - from) / shown;
  return Array.from({ length: shown }, (_, index) => ({
    outcome: "never",
    from: from + index * step,
    to: from + (index + 1) * step,
    holes: holes / shown,
  }));
}

/** outcome -> number, of those that there are, in the order of OUTCOMES. */
export function tally(cells) {
  const counts = Object.fromEntries(Object.keys(OUTCOMES).map((outcome) => [outcome, 0]));
  for (const { outcome, holes } of cells) counts[outcome] += holes ?? 1;
  return Object.entries(counts).filter(([, number]) => number > 0);
}

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const pad = (number) => String(number).padStart(2, "0");

/**
 * How windows of a width are laid out: a row for each period, a cell's label within it, its place in the row.
 * The parts are those of "2026-03-02 14:05:00" in the user's time zone.
 */
export function layoutFor(width) {
  if (width < HOUR / 2) {
    return { row: (text) => text.slice(0, 13) + "h", label: (text) => text.slice(14, 16), place: () => 0 };
  }
  if (width < 0.9 * DAY) {
    const perDay = Math.max(1, Math.round(DAY / width));
    return {
      row: (text) => text.slice(0, 10),
      label: (text) => text.slice(11, 13),
      place: (text) => Math.floor(((Number(text.slice(11, 13)) + Number(text.slice(14, 16)) / 60) / 24) * perDay),
    };
  }
  if (width < 2 * DAY) {
    return { row: (text) => text.slice(0, 7), label: (text) => text.slice(8, 10), place: (text) => text.slice(8, 10) - 1 };
  }
  if (width < 27 * DAY) {
    return { row: (text) => text.slice(0, 7), label: (text) => text.slice(8, 10), place: () => 0 };
  }
  return { row: (text) => text.slice(0, 4), label: (text) => text.slice(5, 7), place: (text) => text.slice(5, 7) - 1 };
}

/** Cells -> rows of a calendar: `[{title, before, cells}]`; `before` is how many places stay free at a row's beginning. */
export function inRows(cells, layout, textOf) {
  const rows = [];
  for (const cell of cells) {
    const text = textOf(cell.from);
    const title = layout.row(text);
    if (rows.at(-1)?.title !== title) rows.push({ title, before: Number(layout.place(text)), cells: [] });
    rows.at(-1).cells.push({ ...cell, label: layout.label(text) || pad(rows.at(-1).cells.length) });
  }
  return rows;
}
