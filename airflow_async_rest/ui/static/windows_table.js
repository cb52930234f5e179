/** The same windows as a table, of every run, the newest first. */

import { NONE, count, duration, rate, span } from "./format.js";
import { C, Pager, React, StateBadge, Table, h, isPlain } from "./kit.js";
import { OUTCOMES } from "./outcomes.js";
import { failuresOf, hasEnded } from "./delivery_data.js";

const { memo, useState } = React;

const PAGE = 50;

function speedOf({ items_per_second: items, rows_loaded: rows, elapsed_seconds: seconds }) {
  return rows === undefined ? items : seconds > 0 ? rows / seconds : null;
}

export function Swatch({ outcome }) {
  const { color, ink, name } = OUTCOMES[outcome];
  const look = ink
    ? { bg: `${color}.solid` }
    : { borderWidth: "1px", borderStyle: outcome === "never" ? "dashed" : "solid", borderColor: "border.inverted" };
  return h(C.Box, { as: "span", boxSize: "10px", borderRadius: "3px", flexShrink: 0, title: name, ...look });
}

/** Where there is no room for both ends in a line, it breaks between them. */
function spanInParts({ start, end }, zone) {
  const [from, to] = span(start, end, zone).split(" → ");
  return [h("span", { key: "from" }, `${from} →`), " ", h("span", { key: "to" }, to)];
}

/** What of the dead letters was delivered later, with a link to the run that did it, where it was another one. */
function Later({ row, linkOf, onOpen }) {
  const { replay, report, outcome } = row;
  if (!replay) return outcome === "later" ? h("div", { className: "quiet" }, `${count(report.delivered_later)} delivered later`) : null;
  function open(event) {
    event.stopPropagation();
    if (!isPlain(event)) return;
    event.preventDefault();
    onOpen(replay.by);
  }
  const link = h("a", { href: linkOf(replay.by), onClick: open }, `${replay.by.dag_id}, ${replay.by.run_id}`);
  return h("div", { className: "quiet" }, `${count(replay.delivered)} delivered later by `, link);
}

const Row = memo(function Row({ row, zone, linkOf, onOpen }) {
  const { report } = row;
  const failures = failuresOf(report);
  const link = linkOf(row);
  function open(event) {
    if (!isPlain(event)) return;
    event.preventDefault();
    onOpen(row);
  }
  return h(
    "tr",
    { onClick: open },
    h(
      "td",
      null,
      h(
        "div",
        { className: "window" },
        h(Swatch, { outcome: row.outcome }),
        h(
          "div",
          null,
          h("a", { href: link }, row.to > row.from ? spanInParts(row, zone) : hasEnded(row.state) ? "No window" : "Window not known yet"),
          h("div", { className: "quiet wide" }, row.run_id + (row.map_index >= 0 ? ` [${row.map_index}]` : "")),
          h(Later, { row, linkOf, onOpen }),
        ),
      ),
    ),
    h("td", { className: "number wide" }, report ? count(report.rows_loaded ?? report.delivered) : NONE),
    h(
      "td",
      { className: failures ? `number ${row.outcome === "later" ? "resolved" : "bad"}` : "number" },
      report ? count(failures) : NONE,
    ),
    h("td", { className: "number wide" }, report ? duration(report.elapsed_seconds) : NONE),
    h("td", { className: "number wide" }, report ? rate(speedOf(report)) : NONE),
    h("td", { className: "number" }, h(StateBadge, { state: row.state })),
  );
});

const STYLES = {
  "& .window": { display: "flex", alignItems: "center", gap: 2 },
  "& a": { color: "fg.info" },
  "& .resolved": { color: "fg.muted", textDecoration: "line-through" },
  "& a span": { whiteSpace: "nowrap" },
  "& a:hover": { textDecoration: "underline" },
};

export function WindowsTable({ rows, isFetch, zone, linkOf, onOpen }) {
  const [offset, setOffset] = useState(0);
  const start = offset < rows.length ? offset : 0; // a filter may have made them fewer
  const columns = [
    ["Window"],
    [isFetch ? "Rows loaded" : "Delivered", "number wide"],
    ["Failed", "number"],
    ["Took", "number wide"],
    ["Rows/s", "number wide"],
    ["State", "number"],
  ];
  return h(
    C.Box,
    null,
    h(
      Table,
      { label: "Windows", columns, css: STYLES },
      rows
        .slice(start, start + PAGE)
        .map((row) => h(Row, { key: `${row.run_id} ${row.map_index}`, row, zone, linkOf, onOpen })),
    ),
    h(Pager, { offset: start, limit: PAGE, total: rows.length, label: "Pages of windows", onMove: setOffset }),
  );
}
