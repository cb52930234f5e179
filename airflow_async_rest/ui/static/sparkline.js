/** The throughput of the last minutes: whether it is steady, slows down, or stands still; and how much of it fails. */

import { duration } from "./format.js";
import { C, h } from "./kit.js";
import { failing, speeds, wordsOf } from "./rates.js";

const WIDTH = 600;
const HEIGHT = 64;

export function Sparkline({ history, now, isRunning }) {
  const points = speeds(history);
  if (points.length < 2) return null;
  const [first, last] = [points[0].at, points.at(-1).at];
  const highest = Math.max(...points.map(({ good, bad }) => good + bad), 1);
  const x = (at) => (((at - first) / (last - first || 1)) * WIDTH).toFixed(1);
  const y = (speed) => (HEIGHT - 1 - (speed / highest) * (HEIGHT - 4)).toFixed(1);
  const path = (of, some = points) => some.map((point, place) => `${place ? "L" : "M"}${x(point.at)} ${y(of(point))}`).join("");
  const good = path((point) => point.good);
  function areaOf([from, to]) {
    const some = points.slice(from, to + 1);
    const back = some.toReversed().map((point) => `L${x(point.at)} ${y(point.good)}`).join("");
    return `${path((point) => point.good + point.bad, some)}${back}Z`;
  }
  const long = duration(Math.round(last - first));
  const words = wordsOf(points, isRunning ? now : null);
  const text = { fontSize: "xs", color: "fg.muted", fontVariantNumeric: "tabular-nums" };
  const stroke = { fill: "none", stroke: "currentColor", strokeWidth: 1.75, strokeLinejoin: "round", vectorEffect: "non-scaling-stroke" };
  return h(
    C.Box,
    { mt: 4 },
    h(
      C.Flex,
      { justify: "space-between", wrap: "wrap", columnGap: 4, mb: 1 },
      h(C.Text, text, "Items a second"),
      h(C.Text, text, words),
    ),
    h(
      C.Box,
      { borderBottomWidth: "1px", borderColor: "border.emphasized" },
      h(
        "svg",
        {
          viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
          preserveAspectRatio: "none",
          role: "img",
          "aria-label": `Items a second over ${long}; ${words}`,
          style: { display: "block", width: "100%", height: "4rem" },
        },
        // Upon what is delivered, and only there: the edge of one area over all would be red where nothing fails, too.
        failing(points).map((stretch) =>
          h(Area, { key: stretch[0], color: "failed.solid" }, h("path", { d: areaOf(stretch), fill: "currentColor" })),
        ),
        h(Area, { color: "success.solid" }, [
          h("path", { key: "area", d: `${good}L${WIDTH} ${HEIGHT}L0 ${HEIGHT}Z`, fill: "currentColor", opacity: 0.15 }),
          h("path", { key: "line", d: good, ...stroke }),
        ]),
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

const Area = ({ color, children }) => h(C.Box, { as: "g", color }, children);
