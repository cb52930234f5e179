/** How far a task is: one bar, one sentence, and a line of the last minutes. */

import { count, counted, dateTime, rate, span } from "./format.js";
import { C, React, h, hidden, useTimezone } from "./kit.js";
import { ended, soFar, totalOf } from "./progress_data.js";
import { recentRates } from "./rates.js";
import { routeOf } from "./route.js";
import { Sparkline } from "./sparkline.js";
import { DELIVERS, FETCHES, doneOf, isFetch, isLive, isStale } from "./delivery_data.js";

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
