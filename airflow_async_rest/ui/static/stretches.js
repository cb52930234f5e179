/** Stretches of windows that never ran, and what a backfill of them needs: pure decisions. */

import { dateTime, span } from "./format.js";

const SECOND = 1_000;
const HOUR = 3_600_000;
// A hole of more windows than these is a wall of dashed cells; it is one line instead.
const MOST_CELLS_OF_A_GAP = 10;
// Airflow makes all runs of a backfill in one request.
export const MOST_AT_ONCE = 500;

/**
 * Find the holes between windows.
 *
 * @param known windows in the order of time, with `from` and `to` in ms.
 * @param width of the typical window, in ms.
 * @returns `cells`, the windows and what fills the holes; `stretches`, a `{from, to, holes}` for each hole.
 */
export function withGaps(known, width) {
  const [cells, stretches] = [[], []];
  let end = known[0]?.from;
  for (const window of known) {
    const holes = Math.round((window.from - end) / width);
    if (holes > 0) {
      const stretch = { from: end, to: window.from, holes };
      stretches.push(stretch);
      cells.push(...dashed(stretch));
    }
    cells.push(window);
    end = Math.max(end, window.to);
  }
  return { cells, stretches };
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
const DAY = 24 * HOUR;

/** "6 January to 26 November 2026" for whole days of the zone, else "2026-03-02 03:00 → 09:00". */
export function nameOfStretch({ from, to }, zone) {
  const ends = [from, to].map((time) => dateTime(new Date(time), zone));
  if (!ends.every((text) => text.endsWith(" 00:00:00"))) return span(new Date(from), new Date(to), zone);
  const [first, last] = ends.map((text, place) => new Date(Date.parse(`${text.slice(0, 10)}T00:00:00Z`) - place * DAY));
  const [one, other] = [first, last].map((day) => [days.format(day), day.getUTCFullYear()]);
  if (first >= last) return one.join(" ");
  return `${one[1] === other[1] ? one[0] : one.join(" ")} to ${other.join(" ")}`;
}

const WITHOUT_A_SCHEDULE = new Set(["NullTimetable", "OnceTimetable", "ContinuousTimetable", "AssetTriggeredTimetable", "PartitionedAssetTimetable"]);

/** Why a DAG cannot be backfilled at all, or null; of a timetable that is not known, Airflow says it. */
export const whyNoBackfill = (timetable) =>
  WITHOUT_A_SCHEDULE.has(timetable?.type)
    ? "This DAG has no schedule, so Airflow cannot backfill it: trigger a run with window_start and window_end in its conf."
    : null;

/** What is found most often. */
function mostCommon(numbers) {
  const times = new Map();
  for (const number of numbers) times.set(number, (times.get(number) ?? 0) + 1);
  return [...times].sort(([, one], [, other]) => other - one)[0]?.[0];
}

/**
 * How far the date by which a backfill counts a run lies behind the beginning of the run's window, in ms.
 *
 * A backfill counts a run by the beginning of its data interval; a timetable that triggers, by the end of it.
 */
function shiftOf(windows, { type = "" }, width) {
  const triggers = type.includes("Trigger");
  const first = new Map();
  for (const window of windows) {
    if (!window.run_start || window.run_type === "manual") continue;
    const start = Date.parse(window.start);
    // Of the windows of a mapped task, the first begins with the run.
    if (!(first.get(window.run_id)?.start <= start)) first.set(window.run_id, { start, window });
  }
  const found = [...first.values()].map(({ start, window }) => Date.parse(triggers ? window.run_end : window.run_start) - start);
  return mostCommon(found) ?? (triggers ? width : 0);
}

/** Partitions are counted by what the clocks of the timetable's zone show, which is sent as if it were UTC. */
const onClocks = (time, zone) => `${dateTime(new Date(time), zone).replace(" ", "T")}Z`;

/**
 * Say which dates a backfill needs, so that it makes the runs of a stretch, and no others.
 *
 * @param windows of the task, as the endpoint gives them.
 * @param timetable `{type, zone}` of the DAG, or null where it is not known.
 * @param latest how many of the stretch's windows, counted from its end.
 * @returns `{from_date, to_date}`, both of which belong to it.
 */
export function datesOf({ from, to, holes }, windows, timetable, latest = holes) {
  const { type = "", zone = "UTC" } = timetable ?? {};
  const step = (to - from) / holes;
  const first = latest < holes ? to - latest * step : from;
  const isPartition = type.includes("Partition");
  const shift = isPartition ? 0 : shiftOf(windows, { type }, step);
  const isExact = type.startsWith("Delta") || (shift === 0 && latest === holes);
  // Between a window and the date of its run, clocks may change.
  const slack = isExact ? 0 : Math.min(step / 4, HOUR);
  const ends = [first + shift - slack, to + shift - Math.max(slack, SECOND)].map((time) => Math.round(time / SECOND) * SECOND);
  const [from_date, to_date] = ends.map((time) => (isPartition ? onClocks(time, zone) : new Date(time).toISOString()));
  return { from_date, to_date };
}

/** What Airflow is asked for. */
export const bodyOf = (dagId, dates, { reprocess, atOnce }) => ({
  dag_id: dagId,
  ...dates,
  reprocess_behavior: reprocess,
  max_active_runs: atOnce,
});

/** What a dry run says, in a sentence: how many runs there would be, and of which dates. */
export function sayRuns({ backfills, total_entries: total }, zone) {
  if (!total) return "Airflow would make no run: they are there already, are not over yet, or the schedule has none then.";
  const ends = [backfills[0], backfills.at(-1)].map(({ logical_date: date, partition_key: key }) => key ?? dateTime(date, zone).replace(" 00:00:00", ""));
  return total === 1 ? `Airflow would make 1 run, of ${ends[0]}.` : `Airflow would make ${total} runs, from ${ends[0]} to ${ends[1]}.`;
}

/** Why a backfill was not made, in words; an error without an answer may have made it. */
export function whyNot({ status, message }) {
  if (status === 403) return "You may not start a backfill of this DAG. Ask somebody who may edit it.";
  if (status === 409) return "A backfill of this DAG is running already: wait until it has ended, or cancel it on the DAG's page (Backfills).";
  if (status === 404) return "Airflow does not know this DAG any more.";
  return message;
}
