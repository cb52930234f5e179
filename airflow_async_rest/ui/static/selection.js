/** Which windows are shown, what they come to, and which of them can go on together: pure decisions. */

import { countOfLetters, failuresOf, fetched, hasEnded, reasonsOf, refusesRequests, withComplete } from "./delivery_data.js";
import { count, dateTime } from "./format.js";
import { nextStep } from "./next_step.js";

/** What names a task instance among those of its task. */
export const idOf = ({ run_id: run, map_index: index }) => `${run} ${index}`;

/** The task instance of a window, as calls take it. */
export const scopeOf = (dagId, { run_id: runId, task_id: taskId, map_index: mapIndex }) => ({ dagId, runId, taskId, mapIndex });

/** "http_422 12, timeout 3, 2 more": the first of them. */
export function topReasons(reasons, most = 2) {
  const named = reasons.slice(0, most).map(([reason, number]) => `${reason} ${count(number)}`);
  return [...named, ...(reasons.length > most ? [`${count(reasons.length - most)} more`] : [])].join(", ");
}

/** The first so many of `[[name, number], ...]`; one that is chosen stays, though none has it any more: how else would it be let go? */
export function withChosen(pairs, chosen, most = pairs.length) {
  const shown = pairs.slice(0, most);
  if (chosen === null || shown.some(([name]) => name === chosen)) return shown;
  return [...shown, pairs.find(([name]) => name === chosen) ?? [chosen, 0]];
}

export const NO_FILTER = { outcome: null, reason: null, from: "", to: "" };

const dayOf = (time, zone) => dateTime(new Date(time), zone).slice(0, 10);

/** Whether a window has something of the days `from` to `to` of the zone, both of which count; "" is no bound. */
function isWithin({ from: start, to: end }, { from, to }, zone) {
  if (!from && !to) return true;
  if (!(end > start)) return false;
  return (!to || dayOf(start, zone) <= to) && (!from || dayOf(end - 1, zone) >= from);
}

/** The rows that a filter lets through. */
export const shownOf = (rows, filter, zone) =>
  rows.filter(
    (row) =>
      (filter.outcome === null || row.outcome === filter.outcome) &&
      (filter.reason === null || row.report?.reasons?.[filter.reason] > 0) &&
      isWithin(row, filter, zone),
  );

/** Rows a second of one window, or null. */
export function speedOf({ items_per_second: items, rows_loaded: rows, elapsed_seconds: seconds }) {
  return rows === undefined ? (items ?? null) : seconds > 0 ? rows / seconds : null;
}

/** What a window has delivered, or loaded. */
export const broughtBy = (report) => report.rows_loaded ?? report.delivered ?? 0;

/** How many of what failed another task has delivered since. */
const laterBy = ({ report, replay }) => Math.max(failuresOf(report) - (replay?.left ?? Infinity), 0);

/**
 * What windows come to: `{done, failed, reasons, seconds, speed, p95}`; p95 is that of the slowest.
 *
 * What failed, and was delivered later, has not failed any more. A run that a later one replaces does not count.
 */
export function sumOf(rows) {
  const all = rows.filter(({ report, isSuperseded }) => report && !isSuperseded);
  const isOpen = ({ outcome }) => outcome !== "later";
  const [reports, open] = [all, all.filter(isOpen)].map((some) => some.map(({ report }) => report));
  const total = (of, some = reports) => some.reduce((sum, report) => sum + (of(report) ?? 0), 0);
  const reasons = Object.create(null); // one may be called `constructor`
  for (const [reason, number] of open.flatMap(reasonsOf)) reasons[reason] = (reasons[reason] ?? 0) + number;
  const later = (some) => some.reduce((sum, row) => sum + laterBy(row), 0);
  const [done, seconds] = [total(broughtBy), total((report) => report.elapsed_seconds)];
  const latencies = reports.map((report) => report.latency_ms?.p95).filter((p95) => p95 != null);
  return {
    done: done + later(all),
    failed: total(failuresOf, open) - later(all.filter(isOpen)),
    reasons: reasonsOf({ reasons }),
    seconds,
    speed: seconds > 0 ? done / seconds : null,
    p95: latencies.length ? latencies.reduce((one, other) => Math.max(one, other)) : null,
  };
}

/** Why neither way can be gone, or null. */
function whyNeither({ state, operator, isSuperseded }) {
  if (!hasEnded(state)) return "It has not ended.";
  if (isSuperseded) return "A later run of this window counts.";
  return refusesRequests({ instance: { operator } }) === null ? null : "Its task is a function or a replay: clear it on its own page.";
}

const NOTHING_LEFT = "Nothing of it is left: all was delivered later.";

/**
 * Say why a window cannot be resumed, and why its dead letters cannot be sent again; null where it can.
 *
 * @param reason of the dead letters that are meant, or null for all.
 */
export function whyNotTogether(row, reason = null) {
  const neither = whyNeither(row);
  if (neither) return { resume: neither, replay: neither };
  const { state, report, outcome } = row;
  const resume = outcome === "later" ? NOTHING_LEFT : state === "failed" ? null : state === "success" ? "It has succeeded: a Clear would run all of it again." : "It has not failed.";
  const replay =
    report && fetched(report)
      ? "A task that fetches can only be resumed."
      : outcome === "later" || countOfLetters(report, reason) === 0
        ? "It has no dead letter to send."
        : null;
  return { resume, replay };
}

/** The rows that can go a way. */
export const thoseThatCan = (rows, kind, reason = null) => rows.filter((row) => whyNotTogether(row, reason)[kind] === null);

/** Which way is the better one for windows together: that of each in its own tab; where they differ, resuming. */
export function primaryOf(rows, reason = null) {
  const can = { resume: thoseThatCan(rows, "resume"), replay: thoseThatCan(rows, "replay", reason) };
  const able = new Set([...can.resume, ...can.replay]);
  const primary = [...able].every((row) => primaryOfOne(row) === "replay") ? "replay" : "resume";
  const other = primary === "replay" ? "resume" : "replay";
  return can[primary].length || !can[other].length ? primary : other;
}

function primaryOfOne({ state, report }) {
  if (!report) return "resume";
  const figures = withComplete(report, state);
  return nextStep({ state, figures, fetches: fetched(report) })?.primary;
}

/** A way on for one of several windows, as `goOn` takes it. */
export function wayOf({ report }, kind, reason = null) {
  if (kind === "resume") return { kind };
  return { kind, request: { reasons: reason === null ? null : [reason], search: "", count: countOfLetters(report, reason) } };
}
