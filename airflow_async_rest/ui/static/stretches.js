/** Stretches of windows that never ran, and what a backfill of them needs: pure decisions. */

import { counted, dateTime, span } from "./format.js";

// A hole of more windows than these is a wall of dashed cells; it is one line instead.
const MOST_CELLS_OF_A_GAP = 10;
// Airflow makes all runs of a backfill in one request.
export const MOST_AT_ONCE = 500;

/**
 * Find what never ran.
 *
 * Runs that are missing make a stretch where the windows of the runs before and after them leave a hole between them, or
 * overlap as those of each run do. Where these touch, another schedule has covered it.
 *
 * @param known windows in the order of time, with `from` and `to` in ms.
 * @param missing runs that the schedule has asked for, in the order of time: `{start, end, date}`.
 * @returns `cells`, the windows and what fills the holes; `stretches`, a `{from, to, holes, dates}` for each hole.
 */
export function withGaps(known, missing = []) {
  const runs = runsOf(known);
  const covered = coveredBy(known);
  const stretches = [];
  let [open, place] = [null, 0];
  for (const due of missing.map(inMilliseconds)) {
    while (place < runs.length && runs[place].at <= due.start) place += 1;
    const [before, after] = [runs[place - 1], runs[place]];
    if (!before || !after || isCovered(due, before, after, covered)) open = null;
    else {
      if (open?.after !== after) stretches.push((open = { before, after, all: [] }));
      open.all.push(due);
    }
  }
  const found = stretches.map(stretchOf);
  const cells = [...known, ...found.flatMap(dashed)].sort((one, other) => one.from - other.from);
  return { cells, stretches: found };
}

const inMilliseconds = ({ start, end, date }) => ({ start: Date.parse(start), end: Date.parse(end), date });

/** The runs of a schedule, by when their data intervals begin, with what their windows span: a mapped task has several. */
function runsOf(known) {
  const runs = new Map();
  for (const { run_id: id, run_type: type, run_start: start, run_end: end, from, to } of known) {
    if (type === "manual") continue;
    const at = start ? Date.parse(start) : from;
    const run = runs.get(id) ?? { at, end: end ? Date.parse(end) : to, from, to };
    runs.set(id, { ...run, from: Math.min(run.from, from), to: Math.max(run.to, to) });
  }
  return [...runs.values()].sort((one, other) => one.at - other.at);
}

/** The stretches of time that windows cover, whoever ran them. */
function coveredBy(known) {
  const covered = [];
  for (const { from, to } of known) {
    const last = covered.at(-1);
    if (last && from <= last.to) last.to = Math.max(last.to, to);
    else covered.push({ from, to });
  }
  return covered;
}

/** Whether a run's windows are its data interval, so that those of a run that is missing are known, too. */
const isOwn = ({ at, end, from, to }) => from === at && to === end;

function isCovered(due, before, after, covered) {
  if (after.from <= before.to) return after.from === before.to;
  const { start, end } = isOwn(before) ? due : { start: before.to, end: after.from };
  return covered.some(({ from, to }) => from <= start && end <= to);
}

function stretchOf({ before, after, all }) {
  const [first, last] = [all[0], all.at(-1)];
  const dates = all.map(({ date }) => date);
  if (isOwn(before)) return { from: first.start, to: last.end, holes: all.length, dates };
  const hole = after.from > before.to ? { from: before.to, to: after.from } : { from: before.at, to: last.end };
  return { ...hole, holes: all.length, dates };
}

/** The cells of a hole; those of a long one are a single cell. */
function dashed({ from, to, holes }) {
  const shown = holes > MOST_CELLS_OF_A_GAP ? 1 : holes;
  const step = (to - from) / shown;
  return Array.from({ length: shown }, (_, index) => ({
    outcome: "never",
    from: from + index * step,
    to: from + (index + 1) * step,
    holes: holes / shown,
  }));
}

const days = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", day: "numeric", month: "long" });
const DAY = 86_400_000;

/** "6 January to 26 November 2026" for whole days of the zone, else "2026-03-02 03:00 → 09:00". */
export function nameOfStretch({ from, to }, zone) {
  const ends = [from, to].map((time) => dateTime(new Date(time), zone));
  if (!ends.every((text) => text.endsWith(" 00:00:00"))) return span(new Date(from), new Date(to), zone);
  const [first, last] = ends.map((text, place) => new Date(Date.parse(`${text.slice(0, 10)}T00:00:00Z`) - place * DAY));
  const [one, other] = [first, last].map((day) => [days.format(day), day.getUTCFullYear()]);
  if (first >= last) return one.join(" ");
  return `${one[1] === other[1] ? one[0] : one.join(" ")} to ${other.join(" ")}`;
}

/**
 * Say which dates a backfill needs, so that it makes the runs of a stretch, and no others.
 *
 * @param latest how many of the stretch's runs, counted from its end.
 * @returns `{from_date, to_date}`, both of which belong to it.
 */
export const datesOf = ({ dates }, latest = dates.length) => ({ from_date: dates.at(-latest), to_date: dates.at(-1) });

/** What Airflow is asked for. */
export const bodyOf = (dagId, dates, { reprocess, atOnce }) => ({
  dag_id: dagId,
  ...dates,
  reprocess_behavior: reprocess,
  max_active_runs: atOnce,
});

/** What a dry run says, in a sentence: how many runs there would be, and of which dates. */
export function sayRuns({ backfills, total_entries: total }, zone) {
  if (!total) return "Airflow would make no run: these runs are there already, their windows are not over yet, or the schedule has none then.";
  const ends = [backfills[0], backfills.at(-1)].map(({ logical_date: date, partition_key: key }) => key ?? dateTime(date, zone).replace(" 00:00:00", ""));
  const tooMany = total > MOST_AT_ONCE ? ` That is more than ${MOST_AT_ONCE}: choose fewer windows.` : "";
  return `Airflow would make ${counted(total, "run")}, ${total === 1 ? `of ${ends[0]}` : `from ${ends[0]} to ${ends[1]}`}.${tooMany}`;
}

/** Whether Airflow is asked to make what a dry run says: it makes all runs in one request. */
export const canBeMade = (found) => found !== null && found.total_entries > 0 && found.total_entries <= MOST_AT_ONCE;

/** Why a backfill was not made, in words; an error without an answer may have made it. */
export function whyNot({ status, message }) {
  if (status === 403) return "You may not start a backfill of this DAG. Ask somebody who may edit it.";
  if (status === 409) return "A backfill of this DAG is running already: wait until it has ended, or cancel it on the DAG's page (Backfills).";
  if (status === 404) return "Airflow does not know this DAG any more.";
  return message;
}
