/** The rows of the page "Deliveries": what a filter leaves of them, and in which order. Pure decisions over what the endpoint gives. */

import { deliveryOf } from "./well_formed.js";

const EVERY_MS = 60_000;
// The first rows are there soon; then more of them at a time.
const FIRST_DAGS = 20;
const MORE_DAGS = 50;

/** How a task is called, in the order of what to look at first; which of Airflow's colours it has. */
const STATUSES = {
  __proto__: null,
  late: { name: "late", color: "failed" },
  failed: { name: "failed", color: "failed" },
  running: { name: "running", color: "running" },
  on_time: { name: "on time", color: "success" },
  delivered: { name: "delivered", color: "success" },
  paused: { name: "paused", color: "none" },
  none: { name: "no run", color: "none" },
};

const ORDER = Object.keys(STATUSES);

/** A status of another version is shown by its name. */
export const statusOf = ({ freshness }) => STATUSES[freshness.status] ?? { name: String(freshness.status), color: "none" };

const WHY = {
  __proto__: null,
  failed: (when) => `the run that was due ${when} failed`,
  unfinished: (when) => `the run that was due ${when} has not ended`,
  no_run: (when) => `the run that was due ${when} was not made`,
};

/** Why a task is late, against its schedule, or since when it stands as it does; `when` is that in words. */
export const sayWhy = ({ why }, when) => (WHY[why] ?? ((since) => `since ${since}`))(when);

/** Whether nothing has been delivered yet; of what has no window, as a replay, there is no day until when. */
export const isUndelivered = ({ freshness: { status, delivered_until: until }, last: { start, end } }) =>
  !until && Date.parse(end) > Date.parse(start) && status !== "delivered" && status !== "on_time";

export const openLetters = ({ dead_letters: reasons }) => Object.values(reasons).reduce((sum, number) => sum + number, 0);

/** Which page to ask for: after which DAG, and how many. */
export const nextPage = (before) =>
  before && before.next !== null ? { after: before.next, limit: MORE_DAGS } : { after: "", limit: FIRST_DAGS };

/**
 * All pages together: `{rows, next, truncated, wasWhole, coming}`.
 *
 * `rows` are those to be shown. While the list is asked for again, these stay, until all of its pages have come.
 */
export function joined(before, { rows, next, truncated }) {
  const isGoingOn = before !== undefined && before.next !== null;
  const coming = [...(isGoingOn ? before.coming : []), ...rows.map(deliveryOf)];
  const isCut = truncated || (isGoingOn && before.truncated);
  const isWhole = next === null;
  return {
    rows: isWhole || !before?.wasWhole ? coming : before.rows,
    coming: isWhole ? [] : coming,
    next,
    truncated: isCut,
    wasWhole: isWhole || Boolean(before?.wasWhole),
  };
}

/** When to ask again: at once for the next page. */
export const nextLook = ({ next }) => (next === null ? EVERY_MS : 0);

/** What a row can be chosen by, besides its status. */
const MARKS = {
  letters: { name: "dead letters", is: (row) => openLetters(row) > 0 },
  waits: { name: "waiting for a quota", is: ({ wait }) => wait !== null },
};

/** `[{key, name, number}]` of the filters that let something through, and of the one that is chosen: how else would it be let go? */
export function filters(rows, filter = null) {
  const counted = (key, name, is) => ({ key, name, number: rows.filter(is).length });
  return [
    ...ORDER.map((key) => counted(key, STATUSES[key].name, ({ freshness }) => freshness.status === key)),
    ...Object.entries(MARKS).map(([key, { name, is }]) => counted(key, name, is)),
  ].filter(({ key, number }) => number > 0 || key === filter);
}

/** The rows that a filter and a search leave; a search looks at names, task and reasons. */
export function chosen(rows, filter, search) {
  const wanted = search.trim().toLowerCase();
  const is = MARKS[filter]?.is ?? (({ freshness }) => filter === null || freshness.status === filter);
  const texts = (row) => [row.dag_id, row.dag_name, row.task_id, ...Object.keys(row.dead_letters)];
  return rows.filter((row) => is(row) && (!wanted || texts(row).some((text) => text.toLowerCase().includes(wanted))));
}

const place = ({ freshness: { status } }) => (ORDER.includes(status) ? ORDER.indexOf(status) : ORDER.length);

/** What each column is sorted by; nothing is always last. */
const KEYS = {
  task: ({ dag_name: name, dag_id: dag, task_id: task }) => `${name} ${dag} ${task}`.toLowerCase(),
  freshness: (row) => place(row) + (row.freshness.since ? Date.parse(row.freshness.since) / 1e15 : 0),
  last: ({ last }) => Date.parse(last.end) || null,
  day: ({ rows }) => rows.day,
  week: ({ rows }) => rows.week,
  letters: (row) => openLetters(row) || null,
  wait: ({ wait }) => Date.parse(wait?.until) || null,
};

const compare = (one, other) => (one < other ? -1 : one > other ? 1 : 0);

/** The rows in the order of a column. Rows that are equal in it are in the order of their names. */
export function sorted(rows, { by, isDescending }) {
  const sign = isDescending ? -1 : 1;
  return rows.toSorted((one, other) => {
    const [a, b] = [KEYS[by](one), KEYS[by](other)];
    if ((a === null) !== (b === null)) return a === null ? 1 : -1;
    return sign * compare(a, b) || compare(KEYS.task(one), KEYS.task(other));
  });
}

/** The order after a click on a column's name: numbers begin with the largest, names and lateness with the first. */
export const orderAfter = (order, by) =>
  order.by === by
    ? { by, isDescending: !order.isDescending }
    : { by, isDescending: !["task", "freshness"].includes(by) };
