/** Why a task has failed, what to do next, and what has become of it since: pure decisions over what is known of it. */

import { UNREADABLE, countOfLetters, failuresOf, hasEnded, reasonsOf } from "./delivery_data.js";
import { count, counted, duration } from "./format.js";

/** A text without its percent-encoding, however much of it is encoded. */
function decoded(text) {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (codes) => {
    try {
      return decodeURIComponent(codes);
    } catch {
      return codes;
    }
  });
}

/** The segments of a path, decoded one by one: what is encoded in a value is no slash. */
const segmentsOf = (path) => path.split("?")[0].replace(/^\/+/, "").split("/").map(decoded);

// Stands for a placeholder, whose name may have anything in it; an endpoint has no control characters.
const VALUE = "\n";

/** Whether a path was made of an endpoint with placeholders; what a secret was cut out of says nothing. */
export function fits(endpoint, path) {
  if (path.includes("***")) return true;
  const [wanted, found] = [endpoint.replace(/\{[^{}]*\}/g, VALUE), path].map(segmentsOf);
  return wanted.length === found.length && wanted.every((segment, place) => isOf(segment, found[place]));
}

/** Whether a segment is another one with values in it. */
function isOf(wanted, found) {
  const fixed = wanted.split(VALUE).map((text) => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
  return new RegExp(`^${fixed.join(".+")}$`, "s").test(found);
}

const NAMES = {
  sql: "the SQL",
  endpoint: "the endpoint",
  http_conn_id: "the API's connection",
  sql_conn_id: "the database's connection",
};

/** What is another than when the dead letters were sent, as people call it; `changes` is what the endpoint gives. */
export function differences(changes, records = []) {
  const { changed = [], endpoint = null } = changes ?? {};
  const isOther = endpoint !== null && records.some(({ path }) => path != null && !fits(endpoint, path));
  const all = new Set([...changed, ...(isOther ? ["endpoint"] : [])]);
  return Object.keys(NAMES).filter((name) => all.has(name)).map((name) => NAMES[name]);
}

/** What to look at where all failed for one reason: no row is to blame. */
const CAUSES = {
  __proto__: null, // a reason may be called `constructor`
  http_401: "the credentials",
  http_403: "the credentials, or what they may do",
  http_404: "the path, in the endpoint and in the connection's Host",
  http_405: "the method, and the path",
  http_410: "the path, and the version of the API in it",
  proxy: "the proxy's credentials",
  tls: "the connection's schema (http or https), and its verify",
  connection: "whether the API is up, and the connection's Host and Port",
};

// The engine's sentence ends with its question what may be wrong; what an API has said before it is in quotes.
const ASKS_ALREADY = /^at least 90 % of the last .*\?$/s;

/** What to look at where all that was tried failed for one reason, as a sentence; null where it did not. */
function oneCause({ delivered = 0, reasons, error }) {
  const names = reasonsOf({ reasons }).map(([name]) => name);
  if (delivered > 0 || names.length !== 1) return null;
  if (ASKS_ALREADY.test(error ?? "")) return "All failed for one cause: correct it first.";
  const known = Object.hasOwn(CAUSES, names[0]) ? CAUSES[names[0]] : "what the API says";
  return `All failed for one cause, ${names[0]}: look at ${known}.`;
}

/** What is another now, and what that means for a replay: requests as they were, over the connection as it is now. */
function sayChanged(differs, fetches) {
  const them = differs.join(" and ");
  const changed = `${them[0].toUpperCase()}${them.slice(1)} changed since`;
  if (fetches) return `${changed}.`;
  const isApi = differs.includes(NAMES.http_conn_id);
  if (isApi && differs.length === 1) return `${changed}: a replay would use the connection as it is now.`;
  return `${changed}: a replay would send the requests as they were${isApi ? ", over the connection as it is now" : ""}.`;
}

const OF_CREDENTIALS = new Set(["http_401", "http_407", "proxy"]);
// What an API, or a row, says may have any number in it: these are the beginnings of our own sentences.
const SAYS_CREDENTIALS = /^(the API answers 401:|the proxy answers 407\b|the token endpoint of \S+ gives no token:)/;

/** Whether it was the credentials that ended a try. */
function isRefused({ error, reasons }) {
  if (SAYS_CREDENTIALS.test(error ?? "")) return true;
  const [first] = reasonsOf({ reasons });
  return first !== undefined && OF_CREDENTIALS.has(first[0]);
}

/** Why a replay would send none of what failed; null where it sends some. */
function neverSent(figures, replayable, fetches) {
  const failed = failuresOf(figures);
  if (fetches || failed === 0 || replayable !== 0) return null;
  const taken = figures.reasons?.[UNREADABLE] ?? 0;
  const isOne = failed === 1;
  if (taken === failed) {
    return `The API took ${isOne ? "this, but its answer" : "these, but its answers"} could not be read: check there what it has.`;
  }
  if (taken) return "None of these can be sent again as it was: correct the rows or the transform.";
  return isOne ? "This never became a request: correct the row or the transform." : "These never became requests: correct the rows or the transform.";
}

const sayStopped = (read) => (read ? "The window was not read to its end." : "Nothing of the window was read.");

/** Why a Clear is better than sending the same requests again, or all that there is; null where it is not. */
function whyResume({ state, figures, differs, replayable, refuses, fetches }) {
  const { complete, read = 0 } = figures;
  const cause = oneCause(figures);
  const never = neverSent(figures, replayable, fetches);
  if (refuses) return never ?? refuses;
  if (differs.length) return `${sayChanged(differs, fetches)}${complete === true ? "" : ` ${sayStopped(read)}`}`;
  if (complete !== true && isRefused(figures)) return "The credentials were refused: correct them.";
  if (complete !== true) {
    const stopped = sayStopped(read);
    return cause ? `${never ?? cause} ${stopped}` : stopped;
  }
  if (never ?? cause) return never ?? cause;
  if (fetches && failuresOf(figures)) return "Once the cause is gone, what failed can be tried again.";
  return state === "failed" && failuresOf(figures) === 0 ? "No dead letter is left." : null;
}

/** What a Clear is called, what it does, and to how many. */
function resuming({ refuses, fetches, ...known }) {
  if (refuses) return { name: "Clear the task", count: null, size: null, does: "Runs all of the task again." };
  if (!fetches) {
    const { count: number, does } = reading(known);
    return { name: RESUME, count: number, size: sizeOf(number), does };
  }
  const failed = failuresOf(known.figures) || null;
  const { failed: items, rows_refused: rows } = known.figures;
  const size = [items && counted(items, "item"), rows && counted(rows, "row")].filter(Boolean).join(", ") || null;
  return { name: failed ? "Try all again" : RESUME, count: failed, size, does: FETCHES_AGAIN };
}

/** How many of what: a button's number is of items, of rows, or of windows. */
const sizeOf = (number) => (number == null ? null : counted(number, "item"));

/** What the button of a way on says. */
export const labelOf = ({ name, size }) => (size === null ? name : `${name} (${size})`);

const RESUME = "Resume the window";
const FETCHES_AGAIN =
  "Fetches the failed items once more, loads the rows that the database had refused, and goes on where it stopped if " +
  "it had not read everything. What is loaded stays.";

/** What a task that delivers does when it is resumed. */
function reading({ state, figures, differs }) {
  const { complete, read = 0, unfinished = 0, reasons } = figures;
  const taken = reasons?.[UNREADABLE] ?? 0;
  const missing = failuresOf(figures) + unfinished - taken;
  // With these it is another job, which goes on with nothing that the one before has left.
  const isOther = differs.some((name) => name === NAMES.sql || name === NAMES.endpoint);
  if (complete === true && (state === "success" || isOther)) {
    return { count: read, does: `Reads the window from its first row, and delivers all of it: ${counted(read, "item")}.` };
  }
  if (isOther && read) return { count: null, does: "Reads the window from its first row, and delivers all of it." };
  if (complete === true) {
    const does = missing
      ? `Reads the window again, and sends only ${count(missing)}, made again from ${missing === 1 ? "its row" : "their rows"}.`
      : taken
        ? `Sends nothing: the API has taken ${taken === 1 ? "it" : "them"}.`
        : "Sends nothing, and marks the task as done.";
    return { count: missing, does };
  }
  if (!read) return { count: null, does: "Begins with the first row." };
  const first = missing ? `Sends ${count(missing)} again, and goes` : "Goes";
  return { count: missing || null, does: `${first} on after row ${count(read)}, to the end of the window.` };
}

/** What a replay is called, and what it does to so many. */
export function replaying(replayable) {
  const what = replayable === 1 ? "this request as it was, with the same key" : "these requests as they were, with the same keys";
  return { name: "Send the same requests again", count: replayable, size: sizeOf(replayable), does: `Sends ${what}; nothing else of the window.` };
}

/** "Send these 3 items again (filtered)", by how many match, where that is known. */
export function nameOfFiltered(number) {
  const these = number === 1 ? "this one" : number == null ? "these" : `these ${sizeOf(number)}`;
  return `Send ${these} again (filtered)`;
}

/** What can be done about a replay that would send none of what it could not deliver: nothing, in this task. */
function elsewhere({ figures, replayable, replays }) {
  const never = replays && figures.complete !== false && neverSent(figures, replayable, false);
  if (!never) return null;
  const isTaken = figures.reasons?.[UNREADABLE] === failuresOf(figures);
  return { primary: null, why: isTaken ? never : `${never} Then clear the task that delivers them: a replay cannot make requests of them.` };
}

/**
 * What can be done about a task that has ended.
 *
 * @param known `state` and `figures` of the task, `differs` as `differences` gives it, `replayable`: how many dead
 *   letters are requests that can be sent again, `refuses`: why such a task sends none again, or null, `fetches`: whether
 *   it is one that fetches, which is resumed only, `replays`: whether it is a replay of another task's.
 * @returns null where there is nothing to do; else `primary`, "resume" or "replay", or null where it is not done in this
 *   task, `why`, and of both ways its `name`, `count`, the same as `size`, in words, and what it `does`.
 */
export function nextStep({ state, figures, differs = [], replayable = countOfLetters(figures), refuses = null, fetches = false, replays = false }) {
  if (state !== "failed" && !(state === "success" && failuresOf(figures) > 0)) return null;
  const known = { state, figures, differs, replayable, refuses, fetches, replays };
  const other = elsewhere(known);
  if (other) return other;
  const why = whyResume(known);
  return {
    primary: why === null ? "replay" : "resume",
    why: why ?? (failuresOf(figures) === 1 ? ONE_AGAIN : AGAIN),
    resume: resuming(known),
    replay: replaying(replayable),
  };
}

const AGAIN = "If the API would take them now, send the same requests again; if the rows are wrong, correct them and resume.";
const ONE_AGAIN = "If the API would take it now, send the same request again; if the row is wrong, correct it and resume.";

/** The title of the error where a way on could not be gone; `isUnsure`: nobody knows whether the task was cleared. */
export function titleOfFailure(kind, isUnsure) {
  if (isUnsure) return "It is not known whether the task was cleared";
  return kind === "replay" ? "Nothing was sent again" : "The task was not cleared";
}

/** Whether a replay has delivered all dead letters of a window of which rows were never read. */
export const isHalfDone = (figures) =>
  figures?.complete === false && figures.read > 0 && failuresOf(figures) === 0 && (figures.replay?.delivered ?? 0) > 0;

/**
 * What a reader must know first.
 *
 * @param known `state` and `figures` of the task, the `step` that `nextStep` gives, `isDeliveredLater`.
 * @returns null, or `status` of a notice ("error", "warning"), `title`, the error's sentence, and `next`, what to do.
 */
export function troubleOf({ state, figures, step, isDeliveredLater = false }) {
  if (state === "up_for_retry" && figures?.error) {
    return { status: "warning", title: figures.error, next: "Airflow tries it again by itself; it goes on where it stopped." };
  }
  if (state !== "failed" || isDeliveredLater) return null;
  if (isHalfDone(figures)) {
    return {
      status: "warning",
      title: "The dead letters are delivered; the window is not read to its end",
      next: `Resume the window: it goes on after row ${count(figures.read)}.`,
    };
  }
  const title = figures?.error ?? (figures?.read ? "It failed; its log says why" : "It failed before it started");
  if (!figures) return { status: "error", title, next: "It has read no rows and sent no request. Its log says why." };
  if (step.primary === null) return { status: "error", title, next: step.why };
  const { name } = step[step.primary];
  const todo = `${name[0].toLowerCase()}${name.slice(1)}.`;
  const next = figures.read > 0 ? `${step.why} Next: ${todo}` : `Correct that, and ${todo} Nothing was sent.`;
  return { status: "error", title, next };
}

/** Whether all dead letters of a window were delivered after its task had ended with them. */
export function isDeliveredLater(report, replay) {
  if (report?.complete !== true) return false;
  return failuresOf(report) > 0 ? replay?.left === 0 : (report.delivered_later ?? 0) > 0;
}

/** The last replay by another task that came after a task's end; before that, the task's own report knows of it. */
export const lastReplay = (replays, ended) =>
  (replays ?? []).filter(({ at }) => !ended || Date.parse(at) > Date.parse(ended)).at(-1) ?? null;

/** A try that was cleared, and not begun again, is there twice: as it has ended, and as it waits. */
const onceEach = (tries) =>
  tries.filter(({ try_number: which }, place) => {
    const same = tries.filter((other) => other.try_number === which);
    return tries[place] === (same.find(({ state }) => hasEnded(state)) ?? same[0]);
  });

/**
 * What has happened to a window, the latest first.
 *
 * @param tries of Airflow; @param replays by other tasks; @param sent what tries have sent again, by their number;
 * @param waits for a quota, as the report has them.
 * @returns of each `at`, `name`, `state`, `text`, and `by`, the task instance of another task.
 */
export function historyOf(tries, replays, sent, waits) {
  const known = sent ?? {};
  const own = onceEach(tries).map(({ try_number: which, state, start_date: at, end_date: end }) => ({
    at: end ?? at,
    name: `Try ${which}`,
    state,
    text: known[which] ? saySentAgain(known[which]) : "",
    by: null,
  }));
  const others = (replays ?? []).map(({ at, by, left, ...counts }) => ({
    at,
    name: "Replay",
    state: left === 0 ? "success" : "up_for_retry",
    text: `${counts.delivered + counts.failed === 0 ? "nothing sent again" : delivered(counts)}, ${count(left)} left`,
    by,
  }));
  const quotas = (waits ?? []).map(({ since, until, why }) => ({
    at: until ?? since,
    name: "Waited for the quota",
    state: "up_for_reschedule",
    text: `${duration((Date.parse(until) - Date.parse(since)) / 1000)}: ${why}`,
    by: null,
  }));
  return [...own, ...others, ...quotas].filter(({ at }) => at).sort((one, other) => Date.parse(other.at) - Date.parse(one.at));
}

/** What a replay in the task has sent again, and what came of it. */
const saySentAgain = ({ sent, ...counts }) =>
  sent === 0 ? "nothing sent again: no dead letter was left to send" : `${count(sent)} sent again: ${delivered(counts)}`;

const delivered = ({ delivered: done, failed }) => `${count(done)} delivered, ${count(failed)} failed again`;
