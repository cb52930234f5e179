/** The counts of a window: of the moment while the task runs, of all its tries once it has ended. */

import { NONE, count, duration, milliseconds, percent, rate } from "./format.js";
import { Copy } from "./controls.js";
import { C, Figure, Figures as Grid, h } from "./kit.js";
import { recentRates } from "./rates.js";
import { DELIVERS, FETCHES, fetched, isFetch, isLive } from "./delivery_data.js";

const per = { 1: "s", 60: "min", 3600: "h" };

const limit = ({ count: number, seconds }) => `${count(number)}/${per[seconds] ?? `${seconds} s`}`;

/** The limit is of requests, of which an item may need several, or a batch of items one. */
function limitHint({ rate_limit: allowed, limit_share_used: share, shared_limit: others }, live) {
  if (live && others) return undefined;
  if (!allowed) return live ? "no limit set" : undefined;
  return live && share != null ? `${percent(share)} of limit ${limit(allowed)}` : `limit ${limit(allowed)}`;
}

const AWAY = {
  closed: "its store cannot be reached: nothing is sent",
  fallback: "its store cannot be reached: the task keeps to a limit of its own",
};

/** A limit that other tasks keep to as well: how much of it is used, by all and by this one. */
function shared({ shared_limit: found }) {
  if (!found) return [];
  const own = [found.used != null && `${percent(found.used)} by this task`, `${count(found.waiting)} waiting`];
  return [
    h(Figure, {
      key: "shared",
      label: "Shared limit used",
      value: found.used_by_all == null ? NONE : percent(found.used_by_all),
      hint: AWAY[found.store] ?? own.filter(Boolean).join(", "),
    }),
  ];
}

const latency = ({ latency_ms: found }) =>
  found?.p50 == null
    ? []
    : [
        h(Figure, { key: "p50", label: "Latency p50", value: milliseconds(found.p50) }),
        h(Figure, { key: "p95", label: "Latency p95", value: milliseconds(found.p95) }),
        h(Figure, { key: "p99", label: "Latency p99", value: milliseconds(found.p99) }),
      ];

function outcomes(figures, words, isLater) {
  const later = isLater && figures.failed > 0;

  return [
    h(Figure, { key: "done", label: words.Done, value: figures.delivered, tone: "success" }),
    h(Figure, {
      key: "failed",
      label: "Failed",
      value: figures.failed,
      tone: later ? "success" : "failed",
      hint: later ? "delivered later" : undefined,
    }),
    h(Figure, { key: "skipped", label: "Skipped", value: figures.skipped, tone: "skipped" }),
  ];
}

function rows(figures) {
  if (!fetched(figures)) return [];
  const ignored = Object.entries(figures.keys_ignored ?? {});
  return [
    h(Figure, { key: "loaded", label: "Rows loaded", value: figures.rows_loaded, tone: "success" }),
    h(Figure, { key: "refused", label: "Rows refused", value: figures.rows_refused, tone: "failed" }),
    figures.rows_staged > 0 &&
      h(Figure, { key: "staged", label: "Rows staged", value: figures.rows_staged, hint: "not in the table yet" }),
    ignored.length > 0 &&
      h(Figure, {
        key: "ignored",
        label: "Keys ignored",
        value: ignored.length,
        hint: ignored.slice(0, 3).map(([key]) => key).join(", ") + (ignored.length > 3 ? ", …" : ""),
      }),
  ];
}

function whileRunning(figures, words) {
  const rates = recentRates(figures);
  const failing = rates?.bad > 0 ? `and ${rate(rates.bad)} failed` : undefined;
  const share = figures.concurrency ? `of ${count(figures.concurrency)}` : undefined;
  return [
    h(Figure, {
      key: "flight",
      label: "In flight",
      value: figures.in_flight ?? NONE,
      hint: share && `${share} at a time`,
    }),
    h(Figure, { key: "rate", label: `${words.Done}/s`, value: rate(rates?.good), hint: failing }),
    ...shared(figures),
  ];
}

/** How often the quota was gone, so that the task did not run. */
const waits = ({ waits: found }) =>
  found?.length ? [h(Figure, { key: "waits", label: "Waits", value: found.length, hint: "for the quota" })] : [];

function ofAll(figures, words) {
  return [
    figures.unfinished > 0 &&
      h(Figure, { key: "open", label: "Unfinished", value: figures.unfinished, tone: "up_for_retry" }),
    h(Figure, { key: "took", label: "Took", value: duration(figures.elapsed_seconds) }),
    h(Figure, { key: "rate", label: `${words.Done}/s`, value: rate(figures.items_per_second) }),
    // A replay reads no rows, so it resumes none.
    figures.resumed_from != null &&
      !figures.replay &&
      h(Figure, { key: "resumed", label: "Resumed from", value: figures.resumed_from, hint: "items" }),
  ];
}

function Folder({ uri }) {
  return h(
    C.Flex,
    { align: "center", gap: 2, mt: 4, fontSize: "sm" },
    h(C.Text, { color: "fg.muted", flexShrink: 0 }, "Dead letters"),
    h(C.Code, { size: "sm", overflowX: "auto", whiteSpace: "nowrap", tabIndex: 0, minW: 0 }, uri),
    h(Copy, { text: uri, label: "Copy the folder" }),
  );
}

/** @param isLater whether what failed was delivered after the task had ended. */
export function Figures({ task, isLater = false }) {
  const { figures } = task;
  const words = isFetch(task) ? FETCHES : DELIVERS;
  return h(
    C.Box,
    { mt: 4, pt: 4, borderTopWidth: "1px" },
    h(Grid, { label: "Figures" }, [
      ...outcomes(figures, words, isLater),
      ...rows(figures),
      h(Figure, { key: "read", label: "Read", value: figures.read }),
      ...(isLive(task) ? whileRunning : ofAll)(figures, words),
      ...waits(figures),
      h(Figure, {
        key: "requests",
        label: "Requests",
        value: figures.requests,
        hint: limitHint(figures, isLive(task)),
      }),
      h(Figure, { key: "retries", label: "Retries", value: figures.retries }),
      ...latency(figures),
    ]),
    // A replay may have several.
    [figures.dead_letters ?? []].flat().map((uri) => h(Folder, { key: uri, uri })),
  );
}
