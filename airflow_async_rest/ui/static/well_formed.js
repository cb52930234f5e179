/**
 * What endpoints give, as `contract.json` describes it: what is of another type is left out, as if it were missing. A
 * function may return anything, and a state store may have been written to by hand. Pure.
 *
 * A part takes a value, and returns it, or what is good of it; undefined where it is of another type.
 */

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const where = (is) => (value) => (is(value) ? value : undefined);

const number = where(Number.isFinite);
const size = where((value) => Number.isFinite(value) && value >= 0);
const count = where((value) => Number.isSafeInteger(value) && value >= 0);
const integer = where(Number.isSafeInteger);
const flag = where((value) => typeof value === "boolean");
export const text = where((value) => typeof value === "string");
const point = where((value) => Array.isArray(value) && value.length > 1 && value.every(Number.isFinite));

const listOf = (part) => (value) =>
  Array.isArray(value) ? value.map((each) => part(each)).filter((each) => each !== undefined) : undefined;

/** Entries as an object that has nothing but them: a reason may be called `constructor`. */
const bare = (entries) => Object.assign(Object.create(null), Object.fromEntries(entries.filter(([, value]) => value !== undefined)));

const named = (part) => (value) =>
  isObject(value) ? bare(Object.entries(value).map(([name, each]) => [name, part(each)])) : undefined;

/** The fields that are described, and no others; nothing where one is missing that it says nothing without. */
const fields = (parts, ...required) => (value) => {
  if (!isObject(value)) return undefined;
  const found = bare(Object.entries(parts).map(([name, part]) => [name, part(Object.hasOwn(value, name) ? value[name] : undefined)]));
  return required.every((name) => name in found) ? found : undefined;
};

const either = (one, other) => (value) => one(value) ?? other(value);

export const counts = named(count);
export const wait = fields({ since: text, until: text, why: text }, "since", "until", "why");
const SENT_AGAIN = { sent: count, delivered: count, failed: count };
const latencies = named(number);

const REPORT = {
  window_start: text,
  window_end: text,
  read: count,
  delivered: count,
  already_there: count,
  delivered_later: count,
  failed: count,
  skipped: count,
  unfinished: count,
  retries: count,
  requests: count,
  elapsed_seconds: size,
  items_per_second: size,
  latency_ms: (value) => (isObject(value) && ["p50", "p95", "p99"].every((name) => name in value) ? latencies(value) : undefined),
  reasons: counts,
  failed_items_omitted: count,
  resumed_from: integer,
  dead_letters: either(text, listOf(text)), // a replay may have several
  complete: flag,
  error: text,
  api: text,
  waits: listOf(wait),
  repeated_keys: count,
  preview: where((value) => value === true),
  rows_loaded: count,
  rows_refused: count,
  rows_staged: count,
  keys_ignored: counts,
  paths_not_found: counts,
  replay: fields(SENT_AGAIN),
  replays: named(fields(SENT_AGAIN, ...Object.keys(SENT_AGAIN))),
};

const PROGRESS = {
  target: text,
  in_flight: count,
  concurrency: count,
  limit_share_used: number,
  rate_limit: fields({ count, seconds: number }, "count", "seconds"),
  shared_limit: fields({ key: text, used: number, used_by_all: number, waiting: count, store: text }),
  expected: fields({ items: count, how: text }, "items", "how"),
  history: listOf(point),
  updated_at: text,
};

const report = fields({ ...REPORT, ...PROGRESS }, "read", "delivered");

/** A report, or progress; null for what is none. */
export const reportOf = (value) => report(value) ?? null;

const instance = fields(
  { dag_id: text, run_id: text, task_id: text, map_index: integer, try_number: integer },
  ...["dag_id", "run_id", "task_id"],
);
const replay = fields({ at: text, by: instance, delivered: count, failed: count, left: count });

const request = fields({ reasons: listOf(text), search: text, count, accepted: flag });

/** Which dead letters a task is asked to send again, or null. */
export const requestOf = (value) => request(value) ?? null;

const anything = (value) => value;
const answer = fields({ status: integer, excerpt: anything });
const first = fields({ method: text, url: text, headers: named(anything), body: anything, answer }, "method", "url");
const preview = fields({ rows: count, seconds: size, requests: listOf(first) }, "requests");

/** The first requests of a preview, or null. */
export const previewOf = (value) => preview(value) ?? null;

const LETTER = {
  index: integer,
  row_number: integer,
  method: text,
  path: text,
  idempotency_key: text,
  reason: text,
  status: integer,
  attempts: count,
  said: text,
  failed_at: text,
};
const OTHERS = Object.fromEntries(Object.keys(LETTER).map((name) => [name, undefined]));
const letter = (value) => (isObject(value) ? { ...value, ...OTHERS, ...fields(LETTER)(value) } : undefined);

/** Dead letters, of which a key, a payload and an answer may be anything. */
export const lettersOf = (value) => listOf(letter)(value) ?? [];

/** A page of dead letters. */
export const lettersPage = (page) => ({
  ...page,
  reasons: counts(page.reasons) ?? {},
  records: lettersOf(page.records),
  replays: listOf(replay)(page.replays) ?? [],
});

/** A window of a DAG; without a good one of its own it is its run's. */
export const windowOf = (window) => ({
  ...window,
  start: text(window.start) ?? window.run_start,
  end: text(window.end) ?? window.run_end,
  report: reportOf(window.report),
  replay: replay(window.replay) ?? null,
});

/** A row of the page "Deliveries". */
export const deliveryOf = (row) => ({ ...row, dead_letters: counts(row.dead_letters) ?? {}, wait: wait(row.wait) ?? null });
