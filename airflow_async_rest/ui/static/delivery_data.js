/** What is known of a task instance, from Airflow, its XCom and the store of its state; and which words fit it. */

import { pushedValues, storedValue, storedValues, taskInstance } from "./api.js";
import { lettersOf, previewOf, reportOf, requestOf, text } from "./well_formed.js";

const REPLAYS = "ReplayDeadLettersOperator";
const OPERATORS = new Set(["SqlToRestOperator", "RestToSqlOperator", REPLAYS]);
const ENDED = new Set(["success", "failed", "skipped", "upstream_failed", "removed"]);
const WAITS = "up_for_reschedule";
const LOOKS_AFTER_THE_END = 5;

// The API took these: they are sent again only by the name of their reason.
export const UNREADABLE = "answer_unreadable";
/** Reasons of what never was a request: there is nothing that could be sent again. */
export const NO_REQUESTS = ["encode", "endpoint", "schema", "transform", "value"];

export const hasEnded = (state) => ENDED.has(state);

/** A task that delivers and one that fetches do the same work the other way round. */
export const DELIVERS = { done: "delivered", Done: "Delivered", doing: "Delivering" };
export const FETCHES = { done: "fetched", Done: "Fetched", doing: "Fetching" };

/** The first reports did not say whether the window was read to its end: where the task succeeded, it was. */
export const withComplete = (report, state) =>
  report && report.complete === undefined ? { ...report, complete: state === "success" } : report;

/**
 * Look at a task instance.
 *
 * XCom has the report of a try that has ended, and is wiped when the next one begins; the state store has the figures
 * of the try that runs, or else of the last one. `before` saves the calls whose answers are known.
 */
export async function lookAtTask(scope, signal, before) {
  const knows = before?.progress && !hasEnded(before.instance.state);
  const pushedToo = () => pushedValues(scope, signal);
  const [instance, stored, pushedAlready] = await Promise.all([
    taskInstance(scope, signal),
    // The list has the checkpoint, too, of up to 64 KB: while it runs, only the progress.
    knows ? progressOnly(scope, signal) : storedValues(scope, signal),
    knows ? null : pushedToo(),
  ]);
  const ended = hasEnded(instance.state);
  const pushed = ended ? (pushedAlready ?? (await pushedToo())) : {};
  const progress = reportOf(stored.progress);
  // By another clock than the task's start, which may be ahead; before the first try there was none.
  const pushedAt = instance.try_number === 1 ? null : (text(pushed.pushed_at) ?? null);
  const kept = withComplete(reportOf(pushed.return_value), instance.state);
  // Where XCom cannot be written, it may still have that of an earlier try, and the state store knows better.
  const report = progress && isBefore(pushedAt, instance.start_date) ? null : kept;
  return {
    instance,
    ended,
    progress,
    report,
    pushedAt,
    figures: report ? { ...progress, ...report } : progress,
    preview: previewed(report, pushed),
    sample: lettersOf(pushed.failed_items),
    request: knows ? before.request : requestOf(stored.replay ?? stored.replaying),
    isOurs: Boolean(report ?? progress) || OPERATORS.has(instance.operator) || OPERATORS.has(instance.operator_name),
    looksAfterEnd: ended ? (before?.looksAfterEnd ?? -1) + 1 : 0,
  };
}

/** What a preview has left; one of a replay leaves no requests, but how many it would send. */
const previewed = (report, pushed) =>
  report?.preview ? (previewOf(pushed.preview) ?? { letters: report.read, requests: [] }) : null;

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

/** Whether a report, or figures, are of a task that fetches. */
export const fetched = (figures) => "rows_loaded" in figures;

export const isFetch = (task) =>
  task.instance.operator === "RestToSqlOperator" || (task.figures !== null && fetched(task.figures));

/** Whether a task sends the dead letters of other tasks again. */
export const isReplay = ({ instance: { operator } }) => operator === REPLAYS;

const isBefore = (one, other) => Boolean(one && other && Date.parse(one) < Date.parse(other));

/** Whether the figures are of an earlier try than the task instance's last: this one has not written any yet. */
export function isStale({ instance, report, progress, pushedAt }) {
  const { state, start_date: began } = instance;
  if (report !== null) return isBefore(pushedAt, began);
  if (progress === null) return false;
  if (!hasEnded(state) && state !== "running" && state !== WAITS) return true;
  return isBefore(progress.updated_at, began);
}

/** The figures without the error of an earlier try: it says nothing of the one that has ended, or waits for the next. */
export function withOwnError({ instance, figures, report, progress, pushedAt }) {
  const at = report === null ? progress?.updated_at : pushedAt;
  return isBefore(at, instance.start_date) ? { ...figures, error: null } : figures;
}

/** What figures are older than, that should be of the end of the last try, and when they were written; null: nothing. */
export function olderThan(task) {
  const { ended, figures, report, pushedAt } = task;
  if (!ended || figures === null || nextLook(task) !== null) return null;
  const at = (report === null ? figures.updated_at : pushedAt) ?? null;
  if (isStale(task)) return { what: "the last try", at };
  const isLast = report !== null || figures.complete || figures.error;
  return isLast ? null : { what: "the end of the last try", at };
}

/** What the task waits for, as it is started again by itself, or null. */
export const waitOf = ({ instance, figures }) => (instance.state === WAITS && figures?.waits?.at(-1)) || null;

/** What replays in the task have sent again, by the number of their try; not of the one that runs. */
export function replaysOf(task) {
  const { figures, instance, ended } = task;
  const last = instance.try_number;
  // The first reports knew of their own only.
  const known = figures.replays ?? (figures.replay && !isStale(task) ? { [last]: figures.replay } : {});
  return Object.fromEntries(Object.entries(known).filter(([number]) => ended || Number(number) !== last));
}

/** Whether the figures are of this moment. */
export const isLive = (task) => task.instance.state === "running" && !isStale(task);

// A dead letter waits for so many others, or so long, and a little for being written and shown.
const WRITTEN_AT = 100;
const WRITTEN_AFTER_SECONDS = 35;

/** Whether the first dead letters of a task that runs are not written yet, so that nobody can have them. */
export function isUnwritten(task) {
  const { figures, instance } = task;
  if (!isLive(task) || failuresOf(figures) >= WRITTEN_AT) return false;
  const history = figures.history ?? [];
  const fails = ([, , failed = 0]) => failed > 0;
  const first = history.find(fails);
  const isEarlier = instance.try_number > 1 || figures.waits?.length > 0;
  if (!first || (isEarlier && fails(history[0]))) return false; // of an earlier try, or of the time before a wait
  return history.at(-1)[0] - first[0] < WRITTEN_AFTER_SECONDS;
}

/**
 * Why a task does not take up a request to send again, or null.
 *
 * Those of other operators may have a report, too: a function that calls `deliver()`, a replay. Cleared, they do all of
 * what they do.
 */
export function refusesRequests(task) {
  const { operator } = task.instance;
  if (isReplay(task)) return "Clear this task to send them again: that is all it does.";
  if (!operator || operator.startsWith("_") || operator.startsWith("Python")) {
    return "This task is a function: clear it, or send them with ReplayDeadLettersOperator.";
  }
  return null;
}

/** Whether there was nothing to do: no rows, or, of a task that fetches, none in what was asked for. */
export const isEmpty = (report) =>
  report.read === 0 || (fetched(report) && report.rows_loaded === 0 && failuresOf(report) === 0);

/** Everything that is a dead letter: items, and rows that the database refused. */
export const failuresOf = (figures) => (figures?.failed ?? 0) + (figures?.rows_refused ?? 0);

/** Why dead letters are there, the most frequent first: `[[reason, number], ...]`. */
export const reasonsOf = (report) =>
  Object.entries(report?.reasons ?? {}).filter(([, number]) => number > 0).sort(([, one], [, other]) => other - one);

/** How many dead letters a replay sends, of all or of one reason: requests, and of what the API took only those of its name. */
export function countOfLetters(report, reason = null) {
  const of = (name) => report?.reasons?.[name] ?? 0;
  if (reason !== null) return NO_REQUESTS.includes(reason) ? 0 : of(reason);
  return Math.max(0, [UNREADABLE, ...NO_REQUESTS].reduce((left, name) => left - of(name), failuresOf(report)));
}

/** What is known of all dead letters, once a page is there: of those that a filter leaves, only what is said of all. */
export function knownOfAll(before, page) {
  if (!page || page.matching === page.total) return page;
  return { ...page, records: before?.records ?? [], replayable: before?.replayable };
}

/** Items that are done with, one way or the other. */
export const doneOf = (figures) => (figures.delivered ?? 0) + (figures.failed ?? 0) + (figures.skipped ?? 0);

/** Whether a request is answered: by the next end of the task, of another try, or at another time. */
export const isOver = (asked, { ended, instance }) => Boolean(asked && ended && instance.end_date !== asked.endedBefore);

/** Whether what was asked for is on its way. Between two tries it is the last one's error that counts. */
export function isOpen(asked, task) {
  const { state, try_number: number } = task.instance;
  return Boolean(asked) && !isOver(asked, task) && !(state === "up_for_retry" && number > asked.tryBefore);
}

/** Whether what runs, or waits to, is a replay: the request is not taken up yet, or the task says so. */
export const isReplaying = (task, asked) =>
  !task.ended &&
  Boolean(asked || (task.request && !task.request.accepted) || (isLive(task) && task.progress.replay));
