/** Three small charts over the windows that are shown: items by what became of them, p95, and items a second. */

import { chartOf, legendOf } from "./chart_data.js";
import { count, milliseconds, rate, span } from "./format.js";
import { C, React, h } from "./kit.js";

const { useMemo } = React;

const [WIDTH, HEIGHT, FAILED_HEIGHT] = [300, 56, 28];
const TEXT = { fontSize: "xs", color: "fg.muted", fontVariantNumeric: "tabular-nums" };
// Of one colour, told apart by how much of it is there, and by the legend's numbers.
const SHADES = [1, 0.65, 0.4, 0.25];

const highestOf = (numbers) => numbers.reduce((one, other) => Math.max(one, other ?? 0), 0);

/** A picture as wide as its place, whose text is for who cannot see it. */
const Picture = ({ label, height, children }) =>
  h(
    "svg",
    {
      viewBox: `0 0 ${WIDTH} ${height}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": label,
      style: { display: "block", width: "100%", height: `${height}px` },
    },
    children,
  );

/** Bars side by side, each of parts upon each other; what is there is never too low to be seen. */
function bars(values, highest, height, isDown = false) {
  const step = WIDTH / values.length;
  const width = Math.min(step * 0.8, 24);
  return values.flatMap((parts, place) => {
    let from = 0;
    return parts.map((number, part) => {
      if (!number) return null;
      const size = Math.max((number / highest) * (height - 2), 1.5);
      const y = isDown ? from : height - from - size;
      from += size;
      return h("rect", { key: `${place} ${part}`, x: place * step + (step - width) / 2, y, width, height: size, fill: "currentColor", opacity: SHADES[part] });
    });
  });
}

/** A line through the numbers that there are; one alone is a short dash. */
function line(values, highest) {
  const step = WIDTH / values.length;
  const y = (value) => (HEIGHT - 2 - (value / highest) * (HEIGHT - 6)).toFixed(1);
  let path = "";
  values.forEach((value, place) => {
    if (value === null) return;
    const x = (place + 0.5) * step;
    const isBegun = place > 0 && values[place - 1] !== null;
    path += `${isBegun ? "L" : "M"}${x.toFixed(1)} ${y(value)}${isBegun ? "" : `h${Math.min(step / 4, 4)}`}`;
  });
  return h("path", { d: path, fill: "none", stroke: "currentColor", strokeWidth: 1.75, strokeLinejoin: "round", vectorEffect: "non-scaling-stroke" });
}

const Chart = ({ title, note, color, children, below }) =>
  h(
    C.Box,
    { as: "figure", m: 0, minW: 0 },
    h(
      C.Flex,
      { as: "figcaption", justify: "space-between", gap: 2, mb: 1 },
      h(C.Text, { fontSize: "xs", fontWeight: "semibold", whiteSpace: "nowrap" }, title),
      h(C.Text, { ...TEXT, textAlign: "end" }, note),
    ),
    h(C.Box, { color, borderBottomWidth: "1px", borderColor: "border.emphasized" }, children),
    below,
  );

function Outcomes({ chart, done }) {
  const legend = legendOf(chart);
  const most = highestOf(chart.bars.map((bar) => bar.done));
  const failed = chart.bars.map((bar) => bar.failed.reduce((sum, number) => sum + number, 0));
  const why = legend.map(([reason, number]) => `${reason} ${count(number)}`).join(", ");
  const below = h(
    C.Box,
    { color: "failed.solid" },
    legend.length > 0 &&
      h(
        Picture,
        { label: `Failed in each window: highest ${count(highestOf(failed))}; ${why}`, height: FAILED_HEIGHT },
        bars(chart.bars.map((bar) => bar.failed), highestOf(failed), FAILED_HEIGHT, true),
      ),
    h(C.Flex, { gap: 3, wrap: "wrap", mt: 1 }, [
      ...legend.map(([reason, number]) =>
        h(C.Flex, { key: reason, align: "center", gap: 1 }, [
          h(C.Box, { key: "mark", boxSize: 2, bg: "failed.solid", opacity: SHADES[chart.reasons.indexOf(reason)] }),
          h(C.Text, { key: "text", ...TEXT }, `${reason} ${count(number)}`),
        ]),
      ),
      // Its bars have a scale of their own: one that fits both would hide what failed.
      legend.length > 0 && h(C.Text, { key: "scale", ...TEXT, marginInlineStart: "auto" }, `highest ${count(highestOf(failed))} failed`),
      legend.length === 0 && h(C.Text, { key: "none", ...TEXT }, "none failed"),
    ]),
  );
  return h(
    Chart,
    { title: `${done}, and failed`, note: `highest ${count(most)}`, color: "success.solid", below },
    h(Picture, { label: `${done} in each window: highest ${count(most)}`, height: HEIGHT }, bars(chart.bars.map((bar) => [bar.done]), most || 1, HEIGHT)),
  );
}

function Latency({ chart }) {
  const values = chart.bars.map(({ p95 }) => p95);
  const known = values.filter((value) => value !== null);
  const note = known.length ? `last ${milliseconds(known.at(-1))}, highest ${milliseconds(highestOf(known))}` : "not measured";
  return h(
    Chart,
    { title: "Latency p95", note, color: "running.solid" },
    h(Picture, { label: `Latency p95 of each window: ${note}`, height: HEIGHT }, line(values, highestOf(known) || 1)),
  );
}

function Speed({ chart: { bars: all, most }, what }) {
  const values = all.map(({ speed }) => speed);
  const known = values.filter((value) => value !== null);
  const limit = most === null ? "no limit known" : `limit about ${rate(most)}`;
  const note = known.length ? `highest ${rate(highestOf(known))}, ${limit}` : "not measured";
  const highest = Math.max(highestOf(known), most ?? 0) || 1;
  const y = most === null ? 0 : HEIGHT - 2 - (most / highest) * (HEIGHT - 6);
  return h(
    Chart,
    { title: what, note, color: "running.solid" },
    h(
      Picture,
      { label: `${what} of each window: ${note}`, height: HEIGHT },
      line(values, highest),
      most !== null &&
        h("line", { x1: 0, x2: WIDTH, y1: y, y2: y, stroke: "currentColor", strokeDasharray: "4 3", opacity: 0.6, vectorEffect: "non-scaling-stroke" }),
    ),
  );
}

/** @param rows that are shown in the table; @param known all of them, which tell what a limit of requests allows. */
export function Charts({ rows, known, limit, isFetch, zone }) {
  const chart = useMemo(() => chartOf(rows, limit, known), [rows, limit, known]);
  const { bars: found, all } = chart;
  if (found.length < 2) return null;
  const ends = span(new Date(found[0].from), new Date(found.at(-1).to), zone);
  const which = found.length < all ? `the latest ${count(found.length)} of ${count(all)} windows` : `${count(all)} windows`;
  return h(
    C.Box,
    { as: "section", "aria-label": "Charts", mb: 5 },
    h(
      C.Box,
      { display: "grid", gridTemplateColumns: "repeat(auto-fit, minmax(15rem, 1fr))", gap: 5 },
      h(Outcomes, { chart, done: isFetch ? "Rows loaded" : "Items delivered" }),
      h(Latency, { chart }),
      h(Speed, { chart, what: isFetch ? "Rows a second" : "Items a second" }),
    ),
    h(C.Text, { ...TEXT, mt: 2 }, `${ends}, ${which}`),
  );
}
