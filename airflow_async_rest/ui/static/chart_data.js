/** What the three charts over the windows draw: pure. */

import { failuresOf, fetched } from "./delivery_data.js";
import { broughtBy, speedOf, sumOf } from "./selection.js";

// More bars than these are too thin to be seen.
const MOST_BARS = 120;
const MOST_REASONS = 3;

/**
 * Prepare the latest windows that have a report, in the order of time.
 *
 * @param rows of the table: of several runs of a window, the one that counts.
 * @param limit `{count, seconds}` of requests, or none.
 * @param known the rows that tell how many items a request has: all of the task's, also where a filter hides some.
 * @returns `bars`, of each `from`, `done`, `failed` (a number for each of `reasons`), `p95` and `speed`; `reasons`, the
 *   most frequent, and "others" where there are more; `most`, rows a second that the limit allows, or null; `all`.
 */
export function chartOf(rows, limit = null, known = rows) {
  const counted = rows.filter(({ report, isSuperseded, from, to }) => report && !report.preview && !isSuperseded && to > from);
  const shown = counted.toSorted((one, other) => one.from - other.from).slice(-MOST_BARS);
  const { reasons: found } = sumOf(shown);
  const named = found.slice(0, MOST_REASONS).map(([reason]) => reason);
  const bars = shown.map(({ from, to, report, outcome }) => {
    const isLater = outcome === "later";
    const known = named.map((reason) => (isLater ? 0 : (report.reasons?.[reason] ?? 0)));
    const rest = (isLater ? 0 : failuresOf(report)) - known.reduce((sum, number) => sum + number, 0);
    return { from, to, done: broughtBy(report), failed: [...known, Math.max(0, rest)], p95: report.latency_ms?.p95 ?? null, speed: speedOf(report) };
  });
  return { bars, reasons: [...named, "others"], most: mostOf(known, limit), all: counted.length };
}

/**
 * A limit is of requests, of which a row may need several, or many rows one. Retries are no rule for the next ones; what
 * failed had its requests as well, and of a fetch it brought no rows.
 */
function mostOf(rows, limit) {
  const reports = rows.map(({ report }) => report).filter((report) => report?.requests > 0);
  const total = (of) => reports.reduce((sum, report) => sum + of(report), 0);
  const isFetch = reports.some(fetched);
  const items = total(isFetch ? rowsOf : (report) => broughtBy(report) + failuresOf(report));
  const requests = total(({ requests: sent, retries = 0, failed = 0 }) => sent - retries - (isFetch ? failed : 0));
  return limit && items > 0 && requests > 0 ? (limit.count / limit.seconds) * (items / requests) : null;
}

const rowsOf = ({ rows_loaded: loaded = 0, rows_refused: refused = 0 }) => loaded + refused;

/** Which of the reasons a chart names: those that any window has, with their numbers. */
export const legendOf = ({ bars, reasons }) =>
  reasons.map((reason, place) => [reason, bars.reduce((sum, { failed }) => sum + failed[place], 0)]).filter(([, number]) => number > 0);
