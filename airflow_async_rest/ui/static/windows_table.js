/** The same windows as a table, of every run, the newest first. */

import { NONE, count, duration, rate, span } from "./format.js";
import { C, Pager, React, StateBadge, Table, h, isPlain } from "./kit.js";
import { OUTCOMES } from "./outcomes.js";
import { hasEnded } from "./delivery_data.js";

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

const Row = memo(function Row({ row, zone, link, onOpen }) {
  const { report } = row;
  const failures = report ? report.failed + (report.rows_refused ?? 0) : 0;
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
        ),
      ),
    ),
    h("td", { className: "number wide" }, report ? count(report.rows_loaded ?? report.delivered) : NONE),
    h("td", { className: failures ? "number bad" : "number" }, report ? count(failures) : NONE),
    h("td", { className: "number wide" }, report ? duration(report.elapsed_seconds) : NONE),
    h("td", { className: "number wide" }, report ? rate(speedOf(report)) : NONE),
    h("td", { className: "number" }, h(StateBadge, { state: row.state })),
  );
});

const STYLES = {
  "& .window": { display: "flex", alignItems: "center", gap: 2 },
  "& a": { color: "fg.info" },
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
        .map((row) => h(Row, { key: `${row.run_id} ${row.map_index}`, row, zone, link: linkOf(row), onOpen })),
    ),
    h(Pager, { offset: start, limit: PAGE, total: rows.length, label: "Pages of windows", onMove: setOffset }),
  );
}
