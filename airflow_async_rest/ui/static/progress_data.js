/** What the tab says of how far a task is, and of what came of it: pure decisions over its figures. */

import { doneOf, failuresOf, isEmpty, isFetch, reasonsOf } from "./delivery_data.js";
import { count, counted, duration, percent } from "./format.js";
import { isHalfDone } from "./next_step.js";
import { lastMinutes, recentRates } from "./rates.js";
import { topReasons } from "./selection.js";

const joined = (...parts) => parts.filter(Boolean).join(" · ");

/** What failed so far, items and rows, where something did. */
function sayFailed({ failed = 0, rows_refused: refused = 0 }) {
  const parts = [failed > 0 && `${count(failed)} failed`, refused > 0 && `${counted(refused, "row")} refused by the database`];
  return parts.filter(Boolean).join(", ");
}

// Of fewer nobody knows yet.
const ENOUGH = 5;
const STOPS = "The task stops by itself once at least 90 % of the last 200 items failed.";

/** That most of what a task has sent lately failed: `{title, text}`; null where it did not. */
export function sayFailing(figures) {
  const { seconds, done, bad } = lastMinutes(figures) ?? { done: 0 };
  if (done < ENOUGH || bad * 2 <= done) return null;
  const reasons = topReasons(reasonsOf(figures), 3);
  return {
    title: `Most of it fails: ${count(bad)} of ${counted(done, "item")} in the last ${duration(Math.ceil(seconds))}`,
    text: reasons ? `So far: ${reasons}. ${STOPS}` : STOPS,
  };
}

/** The expected total, if there is one that the task has not passed already. */
export function totalOf(figures) {
  const items = figures.expected?.items;
  return items == null || items < doneOf(figures) ? null : items;
}

/** How far a task is that has not ended: `{headline, detail}`. */
export function soFar(figures, total, isRunning) {
  const done = doneOf(figures);
  if (!isRunning) return { headline: counted(done, "item"), detail: "done by earlier tries" };
  if (total === null) {
    const passed = figures.expected && `so far; about ${count(figures.expected.items)} were expected`;
    return { headline: counted(done, "item"), detail: joined(sayFailed(figures), passed ?? "so far; how many there are is not known") };
  }
  const about = figures.expected.how === "about" ? "about " : "";
  const left = total - done;
  const rates = recentRates(figures);
  const speed = rates && rates.good + rates.bad;
  return {
    headline: `${count(done)} of ${about}${counted(total, "item")}`,
    detail: joined(
      sayFailed(figures),
      total > 0 && percent(done / total),
      left > 0 && speed > 0 && `about ${duration(Math.max(1, Math.round(left / speed)))} left`,
    ),
  };
}

/** The verdict on a task that has ended, in a sentence: `{headline, detail}`. @param isLater whether what failed was delivered since. */
export function ended(task, words, isLater) {
  const { figures, report, instance } = task;
  const took = figures.elapsed_seconds == null ? "" : `in ${duration(figures.elapsed_seconds)}`;
  const bad = failuresOf(figures);
  if (!(report ?? figures).complete) {
    if (!figures.read) return { headline: "Nothing was read", detail: "" };
    if (isHalfDone(figures)) {
      return { headline: `${count(figures.delivered)} ${words.done} so far`, detail: "the rest of the window was never read" };
    }
    return {
      headline: `Stopped after ${counted(figures.read, "item")}`,
      detail:
        "the rest of the window was never read" +
        (figures.unfinished ? `; ${count(figures.unfinished)} were in flight` : ""),
    };
  }
  if (isLater) {
    const later = bad || figures.delivered_later;
    return { headline: `All ${counted(figures.read, "item")} ${words.done}`, detail: `${count(later)} of them later` };
  }
  if (bad === 0) {
    const all = `All ${counted(figures.read, "item")} ${words.done}`;
    const some = `${count(figures.delivered)} of ${counted(figures.read, "item")} ${words.done}, ${count(figures.skipped)} skipped`;
    if (isEmpty(figures)) {
      const asked = figures.read > 0 && `${counted(figures.read, "item")} asked for, which had no rows`;
      return { headline: isFetch(task) ? "There was nothing to fetch" : "There was nothing to do", detail: joined(asked, took) };
    }
    return { headline: figures.skipped ? some : all, detail: took };
  }
  const failedOnly = figures.failed ? `${count(figures.failed)} of ${counted(figures.read, "item")} failed` : null;
  const refused = figures.rows_refused ? `${counted(figures.rows_refused, "row")} refused by the database` : null;
  return {
    headline: [failedOnly, refused].filter(Boolean).join(", "),
    detail: `${count(figures.delivered)} ${words.done} ${took}${
      instance.state === "success" ? "; the task allows that many failures (max_failures)" : ""
    }`,
  };
}
