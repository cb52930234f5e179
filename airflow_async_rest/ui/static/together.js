/** Several windows, so many at a time: each is let go on, and followed to its end; one that fails stops no other. */

import { pushedValues, taskInstance } from "./api.js";
import { goOn } from "./clearing.js";
import { failuresOf, fetched, hasEnded } from "./delivery_data.js";
import { count } from "./format.js";
import { titleOfFailure } from "./next_step.js";

export const AT_ONCE = 4;
const LOOK_AGAIN_MS = 3_000;

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/**
 * Work on all items, at most so many at a time.
 *
 * @param work `async (item, place) => ` what came of it: `{status, text}`.
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
        note(place, await work(items[place], place));
      } catch (error) {
        note(place, { status: "failed", text: error.message });
      }
    }
  }
  await Promise.all(Array.from({ length: Math.max(1, Math.min(atOnce, items.length)) }, worker));
}

/** What came of a window, of the state that its task has ended with, and its report. */
export function resultOf({ state, report, kind }) {
  const done = state === "success" || (report?.complete === true && failuresOf(report) === 0);
  const status = done ? "done" : "failed";
  const replay = report?.replay;
  if (kind === "replay" && replay) {
    return { status, text: `${count(replay.delivered)} delivered, ${count(replay.failed)} failed again.` };
  }
  if (report?.error && !done) return { status, text: report.error };
  if (!report) return { status, text: done ? "Done." : `The task is ${state.replaceAll("_", " ")}; its log says why.` };
  return { status, text: `${count(report.delivered)} ${fetched(report) ? "fetched" : "delivered"}, ${count(failuresOf(report))} failed.` };
}

/** What stops a window from going on, in words. */
function whyNot(error, kind) {
  const reason = error.status === 403 ? "you may not clear this task." : error.message;
  return new Error(`${titleOfFailure(kind, error.isUnsure)}: ${reason}`);
}

const CALLS = { goOn, taskInstance, pushedValues, pause };

/**
 * Let one window go on, and wait for its end, however long the server is away meanwhile.
 *
 * @param way as `goOn` takes it.
 * @param isGone whether nobody looks any more.
 */
export async function workOn(scope, way, isGone = () => false, calls = CALLS) {
  try {
    await calls.goOn(scope, way);
  } catch (error) {
    throw whyNot(error, way.kind);
  }
  while (!isGone()) {
    try {
      const { state } = await calls.taskInstance(scope);
      if (hasEnded(state)) {
        const { return_value: report } = await calls.pushedValues(scope, ["return_value"]);
        return resultOf({ state, report, kind: way.kind });
      }
    } catch (error) {
      if (!error.isPassing) throw error;
    }
    await calls.pause(LOOK_AGAIN_MS);
  }
  return { status: "left", text: "It goes on by itself." };
}

/** "5 done, 1 failed, 4 at work, 2 to come", of what `note` was told. */
export function sayProgress(results) {
  const numbers = { done: 0, failed: 0, working: 0, waiting: 0, left: 0 };
  for (const { status } of results) numbers[status] += 1;
  const words = { done: "done", failed: "failed", working: "at work", waiting: "to come", left: "not begun" };
  return Object.entries(words)
    .filter(([status]) => numbers[status])
    .map(([status, word]) => `${count(numbers[status])} ${word}`)
    .join(", ");
}
