/** The table of the page "Deliveries": a row for each task. */

import { isUndelivered, openLetters, orderAfter, sayWhy, statusOf } from "./deliveries_data.js";
import { NONE, count, dateTime, span } from "./format.js";
import { C, Inner, StateBadge, Table, h, narrow } from "./kit.js";
import { deliveryPath, windowsPath } from "./paths.js";

const BARS = { width: 70, height: 20, gap: 2 };

/** Of each column what it is sorted by, its name, its class, and what its name does not say. */
const COLUMNS = [
  ["task", "Task"],
  ["freshness", "Freshness", undefined, "By what the schedule has asked for"],
  ["last", "Last window"],
  ["day", "Rows, 24 h", "number", "Delivered, or loaded, by tries that ended in the last 24 hours; replays in the task count by themselves"],
  ["week", "Rows, 7 days", "number wide", "Delivered, or loaded, by tries that ended in the last 7 days, and of each day"],
  ["letters", "Dead letters", "number", "Those that are open"],
  ["wait", "Waits until", "wide", "For the API's quota"],
];

/** The rows of the last seven days, one bar for each. */
function Trend({ days }) {
  const { width, height, gap } = BARS;
  const highest = Math.max(...days, 1);
  const step = width / days.length;
  const label = `Rows of each of the last ${days.length} days, the latest last: ${days.map(count).join(", ")}`;
  return h(
    C.Box,
    { as: "span", display: "inline-block", color: "fg.muted", verticalAlign: "middle", marginInlineStart: "0.5rem" },
    h(
      "svg",
      { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label },
      days.map((rows, day) => {
        const tall = rows ? Math.max(1.5, (rows / highest) * height) : 0.5;
        const box = { x: day * step, y: height - tall, width: step - gap, height: tall };
        return h("rect", { key: day, ...box, fill: "currentColor" });
      }),
    ),
  );
}

function Freshness({ row, zone }) {
  const { name, color } = statusOf(row);
  const { since, delivered_until: until } = row.freshness;
  return h(
    "td",
    null,
    h(C.Badge, { colorPalette: color, variant: "subtle", borderRadius: "full", px: 2 }, name),
    since && h("div", { className: "quiet" }, sayWhy(row.freshness, dateTime(since, zone))),
    until && h("div", { className: "quiet wide" }, `newest delivered window ends ${dateTime(until, zone)}`),
    isUndelivered(row) && h("div", { className: "quiet wide" }, "no window delivered yet"),
  );
}

/** The dead letters by reason: a reason is whatever an API, or an author, has called it. */
function Letters({ row }) {
  const reasons = Object.entries(row.dead_letters);
  if (reasons.length === 0) return h("td", { className: "number" }, NONE);
  return h(
    "td",
    { className: "number" },
    h("div", { className: "bad" }, count(openLetters(row))),
    reasons.map(([reason, number]) => h("div", { key: reason, className: "quiet reason" }, `${reason || "no reason"} ${count(number)}`)),
  );
}

function Row({ row, zone }) {
  const { dag_id: dagId, dag_name: name, task_id: taskId, last, rows, since, wait } = row;
  // Where a run's interval has no width, and the report no window of its own, the run says more.
  const hasWindow = Date.parse(last.end) > Date.parse(last.start);
  return h(
    "tr",
    null,
    h(
      "td",
      null,
      h(Inner, { path: windowsPath(dagId) }, name),
      h("div", { className: "quiet" }, name === dagId ? taskId : `${dagId}, ${taskId}`),
    ),
    h(Freshness, { row, zone }),
    h(
      "td",
      null,
      h(Inner, { path: deliveryPath({ dag_id: dagId, task_id: taskId, ...last }) }, hasWindow ? span(last.start, last.end, zone) : last.run_id),
      h(C.Box, { mt: 1 }, h(StateBadge, { state: last.state })),
    ),
    h("td", { className: "number" }, count(rows.day)),
    h(
      "td",
      { className: "number wide" },
      count(rows.week),
      h(Trend, { days: rows.by_day }),
      since && h("div", { className: "quiet" }, `of the runs since ${dateTime(since, zone)}`),
    ),
    h(Letters, { row }),
    h("td", { className: "wide" }, wait ? dateTime(wait.until, zone) : NONE, wait && h("div", { className: "quiet" }, wait.why)),
  );
}

const STYLES = {
  "& tbody tr": { cursor: "auto" },
  "& td": { borderBottomWidth: "1px", fontVariantNumeric: "tabular-nums", verticalAlign: "top" },
  "& .reason": { maxWidth: "14rem", marginInlineStart: "auto", whiteSpace: "normal" },
  // The button is all of its cell.
  "& thead th": { p: 0 },
  "& th button": { display: "block", width: "full", px: 2, py: 1.5, textAlign: "inherit", font: "inherit", color: "inherit", cursor: "pointer", background: "none", border: 0 },
  "& .wide": narrow({ display: "none" }),
};

/** A column's name is a button that sorts; a screen reader is told by `aria-sort`, everybody else by the arrow. */
function heading([by, name, , title], order, onSort) {
  const isIt = order.by === by;
  const arrow = isIt ? (order.isDescending ? " ↓" : " ↑") : "";
  const label = h("button", { type: "button", title, onClick: () => onSort(orderAfter(order, by)) }, name, h("span", { "aria-hidden": true }, arrow));
  return { label, sort: isIt ? (order.isDescending ? "descending" : "ascending") : undefined };
}

/** @param order `{by, isDescending}`; @param onSort is called with another one. */
export const DeliveriesTable = ({ rows, zone, order, onSort }) =>
  h(
    Table,
    {
      label: "Deliveries",
      columns: COLUMNS.map((column) => [column[1], column[2], heading(column, order, onSort)]),
      css: STYLES,
    },
    rows.map((row) => h(Row, { key: JSON.stringify([row.dag_id, row.task_id]), row, zone })),
  );
