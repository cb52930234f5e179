/** How far a task is: one bar, one sentence, and a line of the last minutes. */

import { count, counted, dateTime, duration, percent, rate, span } from "./format.js";
import { C, React, h, hidden, useTimezone } from "./kit.js";
import { isHalfDone } from "./next_step.js";
import { recentRates } from "./rates.js";
import { routeOf } from "./route.js";
import { Sparkline } from "./sparkline.js";
import { DELIVERS, FETCHES, doneOf, failuresOf, isFetch, isLive, isStale } from "./delivery_data.js";

const UNREAD_SHARE = 0.25;
const UNREAD = "repeating-linear-gradient(135deg, currentColor 0 1px, transparent 1px 6px)";

const PARTS = [
  ["delivered", "success.solid"],
  ["skipped", "skipped.solid"],
  ["failed", "failed.solid"],
];

/** What is done of what there is, as a bar of its parts. Without a total it is full while it runs: no share. */
function Bar({ figures, total, running, faded, words, isLater, isCut }) {
  const done = doneOf(figures);
  // Of rows that were never read nobody knows how many they are; that they are there is seen.
  const unread = isCut ? Math.max(figures.unfinished ?? 0, done * UNREAD_SHARE, 1) : 0;
  const whole = Math.max(total ?? done, done + unread, 1);
  return h(
    C.Flex,
    {
      role: "progressbar",
      "aria-label": "Items done",
      "aria-valuemin": 0,
      "aria-valuemax": total ?? undefined,
      "aria-valuenow": total === null ? undefined : Math.min(done, total),
      "aria-valuetext": total === null ? counted(done, "item") : `${count(done)} of ${counted(total, "item")}`,
      height: "0.75rem",
      bg: "bg.emphasized",
      borderRadius: "full",
      overflow: "hidden",
      position: "relative",
      opacity: faded ? 0.4 : 1,
      gap: "1px",
    },
    PARTS.filter(([name]) => figures[name] > 0).map(([name, bg]) =>
      h(C.Box, {
        key: name,
        bg: isLater && name === "failed" ? "success.emphasized" : bg,
        // A single failure among a million is still seen.
        minW: "4px",
        width: `${(figures[name] / whole) * 100}%`,
        transition: "width 0.6s ease-out",
        title: `${count(figures[name])} ${name === "delivered" ? words.done : isLater && name === "failed" ? "delivered later" : name}`,
      }),
    ),
    isCut && h(C.Box, { flex: 1, title: "never read", backgroundImage: UNREAD, opacity: 0.6 }),
    running &&
      h(C.Box, {
        "aria-hidden": true,
        position: "absolute",
        inset: 0,
        opacity: total === null ? 0.5 : 0.25,
        backgroundImage:
          "linear-gradient(110deg, transparent 30%, var(--chakra-colors-white, #fff) 50%, transparent 70%)",
        backgroundSize: "200% 100%",
        animation: "async-rest-sheen 1.8s linear infinite",
        css: {
          "@keyframes async-rest-sheen": {
            from: { backgroundPosition: "150% 0" },
            to: { backgroundPosition: "-50% 0" },
          },
          "@media (prefers-reduced-motion: reduce)": { animation: "none", display: "none" },
        },
      }),
  );
}

/** The expected total, if there is one that the task has not passed already. */
function totalOf(figures) {
  const items = figures.expected?.items;
  return items == null || items < doneOf(figures) ? null : items;
}

function soFar(figures, total, isRunning) {
  const done = doneOf(figures);
  if (!isRunning) return { headline: counted(done, "item"), detail: "done by earlier tries" };
  if (total === null) {
    const passed = figures.expected && `so far; about ${count(figures.expected.items)} were expected`;
    return { headline: counted(done, "item"), detail: passed ?? "so far; how many there are is not known" };
  }
  const about = figures.expected.how === "about" ? "about " : "";
  const left = total - done;
  const rates = recentRates(figures);
  const speed = rates && rates.good + rates.bad;
  return {
    headline: `${count(done)} of ${about}${counted(total, "item")}`,
    detail: [
      total > 0 && percent(done / total),
      left > 0 && speed > 0 && `about ${duration(Math.max(1, Math.round(left / speed)))} left`,
    ]
      .filter(Boolean)
      .join(" · "),
  };
}

/** The verdict, in a sentence. */
function ended(task, words, isLater) {
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
    return { headline: figures.read === 0 ? "There was nothing to do" : figures.skipped ? some : all, detail: took };
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

/** From where to where. */
const Route = ({ parts }) =>
  h(
    C.Text,
    { "aria-label": "What goes where", role: "note", fontSize: "sm", overflowWrap: "anywhere", flex: "1 1 20rem" },
    parts.map((part, place) => [
      place > 0 && h(C.Box, { key: `to ${part}`, as: "span", color: "fg.muted" }, " → "),
      h(C.Box, { key: part, as: "span", fontFamily: /:\/\//.test(part) ? "mono" : undefined }, part),
    ]),
  );

/** @param isLater whether what failed was delivered after the task had ended. */
export function Progress({ task, isLater = false }) {
  const zone = useTimezone();
  const { figures, instance } = task;
  const isRunning = isLive(task);
  const words = isFetch(task) ? FETCHES : DELIVERS;
  const total = isRunning ? totalOf(figures) : null;
  const { headline, detail } = task.ended && !isStale(task) ? ended(task, words, isLater) : soFar(figures, total, isRunning);
  const isCut = task.ended && !isStale(task) && !(task.report ?? figures).complete && figures.read > 0;
  const retry = instance.try_number > 1 ? `try ${instance.try_number}` : null;
  const stale = isStale(task) && !task.ended ? "figures of the previous try" : null;
  // Of a task that has ended Airflow's header has the state.
  const state = task.ended || isRunning ? null : (instance.state ?? "not queued yet").replaceAll("_", " ");
  const at = isRunning && figures.updated_at ? `as of ${dateTime(figures.updated_at, zone).slice(11)}` : null;
  const notes = [state, retry, stale, at].filter(Boolean).join(" · ");
  return h(
    React.Fragment,
    null,
    h(
      C.Flex,
      { align: "center", justify: "space-between", wrap: "wrap", gap: 2, mb: 3 },
      h(Route, { parts: routeOf(instance.rendered_fields, figures, isFetch(task)) }),
      figures.window_start &&
        h(
          C.Text,
          { fontSize: "sm", fontVariantNumeric: "tabular-nums", title: `In ${zone}; the end is not part of it` },
          h(C.Box, { as: "span", color: "fg.muted" }, "Window "),
          span(figures.window_start, figures.window_end, zone),
        ),
    ),
    h(
      C.Flex,
      { align: "baseline", justify: "space-between", wrap: "wrap", columnGap: 4, mb: 2 },
      h(C.Heading, { as: "h2", size: "xl", fontVariantNumeric: "tabular-nums" }, headline),
      h(C.Text, { fontSize: "sm", color: "fg.muted", fontVariantNumeric: "tabular-nums" }, detail),
    ),
    notes && h(C.Text, { fontSize: "sm", color: "fg.muted", mb: 2 }, notes),
    h(Bar, { figures, total, running: isRunning, faded: isStale(task), words, isLater, isCut }),
    isRunning && hidden(`${words.doing}, ${rate(recentRates(figures)?.good)} items a second`),
    figures.history?.length > 2 && h(Sparkline, { history: figures.history, now: recentRates(figures), isRunning }),
  );
}
