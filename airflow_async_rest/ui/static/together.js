/** Several windows, so many at a time: each is let go on, and followed to its end; one that fails stops no other. */

import { dagOf, pushedValues, taskInstance } from "./api.js";
import { goOn } from "./clearing.js";
import { countOfLetters, failuresOf, fetched, hasEnded } from "./delivery_data.js";
import { count, counted } from "./format.js";
import { titleOfFailure } from "./next_step.js";
import { scopeOf, wayOf } from "./selection.js";
import { reportOf } from "./well_formed.js";

export const AT_ONCE = 4;
const LOOK_AGAIN_MS = 3_000;

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/**
 * Work on all items, at most so many at a time.
 *
 * @param work `async (item, place, say) => ` what came of it: `{status, text}`; `say` is told what it waits for.
 * @param note `(place, {status, text})`, at each change: "working", then what came of it, or "failed" for what was thrown;
 *   "left" where it was stopped before.
 * @param isStopped whether nothing more is begun.
 */
export async function workThrough(items, work, atOnce, note, isStopped = () => false) {
  const places = items.keys();
  async function worker() {
    for (const place of places) {
      if (isStopped()) {
        note(place, { status: "left", text: "Not begun." });
        continue;
      }
      note(place, { status: "working", text: "" });
      try {
        note(place, await work(items[place], place, (text) => note(place, { status: "working", text })));
      } catch (error) {
        note(place, { status: "failed", text: error.message });
      }
    }
  }
  await Promise.all(Array.from({ length: Math.max(1, Math.min(atOnce, items.length)) }, worker));
}

/** What a report says of a failure, besides its numbers; those of what failed say enough where all was read. */
function whyFailed(report) {
  if (report?.error) return report.error;
  if (report?.complete === false) return "The window was not read to its end.";
  return failuresOf(report) ? "" : "Its log says why.";
}

/** What came of a window, of the state that its task has ended with, and its report. */
export function resultOf({ state, report, kind }) {
  const done = state === "success" || (report?.complete === true && failuresOf(report) === 0);
  const status = done ? "done" : "failed";
  const replay = report?.replay;
  const why = done ? "" : whyFailed(report);
  if (kind === "replay" && replay) {
    return { status, text: `${count(replay.delivered)} delivered, ${count(replay.failed)} failed again. ${why}`.trim() };
  }
  if (report?.error && !done) return { status, text: report.error };
  if (!report) return { status, text: done ? "Done." : `Its state is ${state.replaceAll("_", " ")}; its log says why.` };
  const counts = `${count(report.delivered)} ${fetched(report) ? "fetched" : "delivered"}, ${count(failuresOf(report))} failed.`;
  return { status, text: `${counts} ${why}`.trim() };
}

/** What is asked before windows go a way: its `title`, and what it `does` to them. */
export function askedOf(kind, rows, reason = null) {
  const isOne = rows.length === 1;
  const tasks = isOne ? "Its task is cleared" : "Their tasks are cleared";
  if (kind === "resume") {
    const does = `${tasks}: ${isOne ? "it" : "each"} reads its window again, and goes on where it stopped. What is delivered stays.`;
    return { title: `Resume ${counted(rows.length, "window")}?`, does };
  }
  const number = rows.reduce((sum, { report }) => sum + countOfLetters(report, reason), 0);
  const what = `${counted(number, "request")}${reason ? ` that failed for ${reason}` : ""}`;
  const as = number === 1 ? "as it was, with the same key" : "as they were, with the same keys";
  return {
    title: `Send the ${number === 1 ? "request" : "requests"} of ${counted(rows.length, "window")} again?`,
    does: `${tasks}, and ${isOne ? "sends" : "send"} ${what} ${as}. Nothing else of the ${isOne ? "window" : "windows"} is sent.`,
  };
}

/** What stops a window from going on, in words. */
function whyNot(error, kind) {
  const reason = error.status === 403 ? "you may not clear this task." : error.message;
  return new Error(`${titleOfFailure(kind, error.isUnsure)}: ${reason}`);
}

let turn = Promise.resolve();

/** Clears are asked for one after another: a database like SQLite refuses who writes while another does. */
function inTurn(step) {
  const mine = turn.then(step);
  turn = mine.catch(() => {});
  return mine;
}

const CALLS = { goOn, taskInstance, pushedValues, dagOf, pause };

const PAUSED = "The DAG is paused: switch it on, and this goes on.";

/** What a task waits for that does not run, where somebody must do something; it is a hint, and no more. */
async function whyItWaits({ dagId }, state, calls) {
  if (state === "running") return "";
  try {
    return (await calls.dagOf(dagId)).is_paused ? PAUSED : "";
  } catch {
    return "";
  }
}

/**
 * Let one window go on, and wait for its end, however long the server is away meanwhile.
 *
 * @param way as `goOn` takes it; @param say is told what it waits for, each time that this is another.
 */
export async function workOn(scope, way, calls = CALLS, say = () => {}) {
  try {
    await inTurn(() => calls.goOn(scope, way));
  } catch (error) {
    throw whyNot(error, way.kind);
  }
  for (let said = ""; ; ) {
    try {
      const { state } = await calls.taskInstance(scope);
      if (hasEnded(state)) {
        const { return_value: report } = await calls.pushedValues(scope);
        return resultOf({ state, report: reportOf(report), kind: way.kind });
      }
      const waits = await whyItWaits(scope, state, calls);
      if (waits !== said) say((said = waits));
    } catch (error) {
      if (!error.isPassing) throw error;
    }
    await calls.pause(LOOK_AGAIN_MS);
  }
}

/** The work on the windows of a DAG, one at a time; it goes on while other pages of Airflow are looked at. */
const works = new Map();
const listeners = new Set();

function show(dagId, work) {
  works.set(dagId, work);
  listeners.forEach((listener) => listener());
}

/** @returns null, or `{kind, rows, results, isStopped, isOver}`. */
export const workOf = (dagId) => works.get(dagId) ?? null;

export function onWork(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

const isBusy = () => [...works.values()].some((work) => work && !work.isOver);

// With the page, what has not begun would be lost.
globalThis.addEventListener?.("beforeunload", (event) => isBusy() && event.preventDefault());

/** Let windows go on, so many at a time, and only what failed for the reason, if there is one. */
export async function begin(dagId, kind, rows, reason, atOnce, work = workOn) {
  const results = rows.map(() => ({ status: "waiting", text: "" }));
  const update = (more) => show(dagId, { kind, rows, isStopped: false, isOver: false, ...workOf(dagId), ...more, results: [...results] });
  const note = (place, result) => {
    results[place] = result;
    update();
  };
  show(dagId, null);
  update();
  const one = (row, place, say) => work(scopeOf(dagId, row), wayOf(row, kind, reason), CALLS, say);
  await workThrough(rows, one, atOnce, note, () => workOf(dagId).isStopped);
  update({ isOver: true });
}

/** Begin with no more windows; those at work go on. */
export const stop = (dagId) => show(dagId, { ...workOf(dagId), isStopped: true });

export const close = (dagId) => show(dagId, null);

/** What a window's status is called. */
export const WORDS = { done: "done", failed: "failed", working: "at work", waiting: "to come", left: "not begun" };

/** "5 done, 1 failed, 4 at work, 2 to come", of what `note` was told. */
export function sayProgress(results) {
  const numbers = { done: 0, failed: 0, working: 0, waiting: 0, left: 0 };
  for (const { status } of results) numbers[status] += 1;
  return Object.entries(WORDS)
    .filter(([status]) => numbers[status])
    .map(([status, word]) => `${count(numbers[status])} ${word}`)
    .join(", ");
}
