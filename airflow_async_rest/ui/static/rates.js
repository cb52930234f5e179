/** How fast it goes, those that are delivered and those that fail apart: for the figures and the chart. Pure. */

import { rate } from "./format.js";

const RATE_OVER_SECONDS = 30;
const MOST_POINTS = 120;
const SHORTEST_SECONDS = 1;

/**
 * Items a second of the last half minute, those delivered and those that failed; of the whole time where there is no
 * history; null where nothing is known.
 */
export function recentRates({ history, elapsed_seconds: took, delivered = 0, skipped = 0, failed = 0 }) {
  const last = history?.at(-1);
  const first = last && history.find(([at]) => at >= last[0] - RATE_OVER_SECONDS);
  const [seconds, done, bad] =
    last && last[0] > first[0]
      ? [last[0] - first[0], last[1] - first[1], (last[2] ?? 0) - (first[2] ?? 0)]
      : [took ?? 0, delivered + skipped + failed, failed];
  if (!(seconds > 0)) return null;
  return { good: Math.max(0, done - bad) / seconds, bad: Math.max(0, bad) / seconds };
}

/** What came of the minutes that the history of a try has: `{seconds, done, bad}` items; null where it has no two looks. */
export function lastMinutes({ history }) {
  const [first, last] = [history?.[0], history?.at(-1)];
  if (!(last?.[0] > first?.[0])) return null;
  return { seconds: last[0] - first[0], done: Math.max(0, last[1] - first[1]), bad: Math.max(0, (last[2] ?? 0) - (first[2] ?? 0)) };
}

/** `[[seconds, items done, of these failed], ...]` -> `[{at, good, bad}, ...]`, items a second, few enough for a line. */
export function speeds(history) {
  const step = Math.max(1, Math.ceil(history.length / MOST_POINTS));
  const kept = history.filter((_, index) => index % step === 0 || index === history.length - 1);
  const found = [];
  let [before, had, hadBad = 0] = kept[0];
  for (const [at, has, bad = 0] of kept) {
    // The last look follows close on the one before it, and so few items tell no speed.
    if (at - before < SHORTEST_SECONDS) continue;
    const rateOf = (more) => Math.max(0, more) / (at - before);
    const badly = rateOf(bad - hadBad);
    found.push({ at, good: Math.max(0, rateOf(has - had) - badly), bad: badly });
    [before, had, hadBad] = [at, has, bad];
  }
  return found;
}

/** Where something fails: `[[first, last], ...]`, places of points, with the one before and the one after it. */
export function failing(points) {
  const found = [];
  points.forEach(({ bad }, place) => {
    if (!(bad > 0)) return;
    const [from, to] = [Math.max(0, place - 1), Math.min(points.length - 1, place + 1)];
    if (found.length && from <= found.at(-1)[1]) found.at(-1)[1] = to;
    else found.push([from, to]);
  });
  return found;
}

/** What the chart says in words: the same numbers as the figures beside it. */
export function wordsOf(points, now) {
  const most = (name) => Math.max(...points.map((point) => point[name]));
  const said = [`delivered: ${now ? `now ${rate(now.good)}, ` : ""}highest ${rate(most("good"))}`];
  if (most("bad") > 0) said.push(`failed: ${now ? `now ${rate(now.bad)}, ` : ""}highest ${rate(most("bad"))}`);
  return said.join(" · ");
}
