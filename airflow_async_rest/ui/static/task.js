/** What is known of a task instance, from Airflow's three places for it; and which words fit it. */

import { pushedValues, storedValue, storedValues, taskInstance } from "./api.js";

const OPERATORS = new Set(["SqlToRestOperator", "RestToSqlOperator"]);
const ENDED = new Set(["success", "failed", "skipped", "upstream_failed", "removed"]);
const LOOKS_AFTER_THE_END = 5;

export const hasEnded = (state) => ENDED.has(state);

/** A task that delivers and one that fetches do the same work the other way round. */
export const DELIVERS = { done: "delivered", Done: "Delivered", doing: "Delivering" };
export const FETCHES = { done: "fetched", Done: "Fetched", doing: "Fetching" };

const isReport = (value) => typeof value === "object" && value !== null && "delivered" in value && "read" in value;

/**
 * Look at a task instance.
 *
 * XCom has the report of a try that has ended, and is wiped when the next one begins; the state store has the figures
 * of the try that runs, or else of the last one. `before` saves the calls whose answers are known.
 */
export async function lookAtTask(scope, signal, before) {
  const knows = before?.progress && !hasEnded(before.instance.state);
  const [instance, stored] = await Promise.all([
    taskInstance(scope, signal),
    // The list has the checkpoint, too, of up to 64 KB: while it runs, only the progress.
    knows ? progressOnly(scope, signal) : storedValues(scope, signal),
  ]);
  const ended = hasEnded(instance.state);
  const pushed = ended ? await pushedValues(scope, ["return_value", "failed_items"], signal) : {};
  const progress = isReport(stored.progress) ? stored.progress : null;
  const report = isReport(pushed.return_value) ? pushed.return_value : null;
  return {
    instance,
    ended,
    progress,
    report,
    figures: report ? { ...progress, ...report } : progress,
    sample: Array.isArray(pushed.failed_items) ? pushed.failed_items : [],
    request: stored.replay ?? before?.request ?? null,
    isOurs: Boolean(report ?? progress) || OPERATORS.has(instance.operator) || OPERATORS.has(instance.operator_name),
    looksAfterEnd: ended ? (before?.looksAfterEnd ?? -1) + 1 : 0,
  };
}

async function progressOnly(scope, signal) {
  try {
    return { progress: await storedValue(scope, "progress", signal) };
  } catch (error) {
    if (error.status === 404) return {}; // somebody has deleted it
    throw error;
  }
}

/** When to look again. A task that was marked as failed still writes its report for a few seconds. */
export function nextLook({ instance, ended, report, isOurs, looksAfterEnd }) {
  if (ended) return isOurs && !report && looksAfterEnd < LOOKS_AFTER_THE_END ? 2_000 : null;
  return isOurs && instance.state ? 2_000 : 5_000;
}

export const isFetch = (task) =>
  task.instance.operator === "RestToSqlOperator" || (task.figures !== null && "rows_loaded" in task.figures);

/** Everything that is a dead letter: items, and rows that the database refused. */
export const failuresOf = (figures) => (figures?.failed ?? 0) + (figures?.rows_refused ?? 0);

/** Items that are done with, one way or the other. */
export const doneOf = (figures) => (figures.delivered ?? 0) + (figures.failed ?? 0) + (figures.skipped ?? 0);

/** Whether what runs, or waits to, is a replay: the request is not taken up yet, or the task says so. */
export const isReplaying = (task, asked) =>
  !task.ended &&
  Boolean(
    asked ||
      (task.request && !task.request.accepted) ||
      // While it waits to run, the progress is still that of the try before.
      (task.instance.state === "running" && task.progress?.replay),
  );
