/** The throughput of the last minutes, as a line: whether it is steady, slows down, or stands still. */

import { duration, rate } from "./format.js";
import { C, h } from "./kit.js";

const WIDTH = 600;
const HEIGHT = 64;
const MOST_POINTS = 120;
const SHORTEST_SECONDS = 1;

/** `[[seconds, items done], ...]` -> `[[seconds, items a second], ...]`, few enough for a line. */
function speeds(history) {
  const step = Math.max(1, Math.ceil(history.length / MOST_POINTS));
  const kept = history.filter((_, index) => index % step === 0 || index === history.length - 1);
  const found = [];
  let [before, had] = kept[0];
  for (const [at, has] of kept) {
    // The last look follows close on the one before it, and so few items tell no speed.
    if (at - before < SHORTEST_SECONDS) continue;
    found.push([at, Math.max(0, has - had) / (at - before)]);
    [before, had] = [at, has];
  }
  return found;
}

export function Sparkline({ history, now, isRunning }) {
  const points = speeds(history);
  if (points.length < 2) return null;
  const [first, last] = [points[0][0], points.at(-1)[0]];
  const highest = Math.max(...points.map(([, speed]) => speed), 1);
  const x = (at) => ((at - first) / (last - first || 1)) * WIDTH;
  const y = (speed) => HEIGHT - 1 - (speed / highest) * (HEIGHT - 4);
  const line = points.reduce(
    (path, [at, speed]) => `${path}${path ? "L" : "M"}${x(at).toFixed(1)} ${y(speed).toFixed(1)}`,
    "",
  );
  const long = duration(Math.round(last - first));
  const text = { fontSize: "xs", color: "fg.muted", fontVariantNumeric: "tabular-nums" };
  return h(
    C.Box,
    { mt: 4 },
    h(
      C.Flex,
      { justify: "space-between", mb: 1 },
      h(C.Text, text, "Items a second"),
      h(C.Text, text, `${isRunning ? `now ${rate(now)} · ` : ""}highest ${rate(highest)}`),
    ),
    h(
      C.Box,
      { color: "running.solid", borderBottomWidth: "1px", borderColor: "border.emphasized" },
      h(
        "svg",
        {
          viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
          preserveAspectRatio: "none",
          role: "img",
          "aria-label": `Items a second over ${long}: now ${rate(points.at(-1)[1])}, highest ${rate(highest)}`,
          style: { display: "block", width: "100%", height: "4rem" },
        },
        h("path", { d: `${line}L${WIDTH} ${HEIGHT}L0 ${HEIGHT}Z`, fill: "currentColor", opacity: 0.15 }),
        h("path", {
          d: line,
          fill: "none",
          stroke: "currentColor",
          strokeWidth: 1.75,
          strokeLinejoin: "round",
          vectorEffect: "non-scaling-stroke",
        }),
      ),
    ),
    h(
      C.Flex,
      { justify: "space-between", mt: 1 },
      h(C.Text, text, `${long} ${isRunning ? "ago" : "before the end"}`),
      h(C.Text, text, isRunning ? "now" : "end"),
    ),
  );
}
