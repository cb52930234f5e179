/** The same windows as a table, of every run, the newest first. */

import { NONE, count, duration, rate, span } from "./format.js";
import { C, Pager, React, StateBadge, h, narrow } from "./kit.js";
import { OUTCOMES } from "./outcomes.js";

const { useState } = React;

const PAGE = 50;
const NARROW_OUT = narrow({ display: "none" });

function speedOf({ items_per_second: items, rows_loaded: rows, elapsed_seconds: seconds }) {
  return rows === undefined ? items : seconds > 0 ? rows / seconds : null;
}

function Swatch({ outcome }) {
  const { color, ink, name } = OUTCOMES[outcome];
  const look = ink
    ? { bg: `${color}.solid` }
    : { borderWidth: "1px", borderStyle: outcome === "never" ? "dashed" : "solid", borderColor: "border.inverted" };
  return h(C.Box, { as: "span", boxSize: "10px", borderRadius: "3px", flexShrink: 0, title: name, ...look });
}

export { Swatch };

function Row({ row, zone, link, onOpen }) {
  const { report } = row;
  const number = { textAlign: "end", fontVariantNumeric: "tabular-nums", px: 2, py: 1.5 };
  function open(event) {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    onOpen(row);
  }
  return h(
    C.Table.Row,
    { onClick: open, cursor: "pointer", _hover: { bg: "bg.subtle" } },
    h(
      C.Table.Cell,
      { px: 2, py: 1.5, fontVariantNumeric: "tabular-nums" },
      h(
        C.Flex,
        { align: "center", gap: 2 },
        h(Swatch, { outcome: row.outcome }),
        h(
          C.Box,
          { minW: 0 },
          h(
            C.Link,
            { href: link, color: "fg.info", onClick: (event) => (event.stopPropagation(), open(event)) },
            row.to > row.from ? span(row.start, row.end, zone) : "window not known",
          ),
          h(
            C.Text,
            { fontSize: "xs", color: "fg.muted", overflowWrap: "anywhere" },
            row.run_id + (row.map_index >= 0 ? ` [${row.map_index}]` : ""),
          ),
        ),
      ),
    ),
    h(C.Table.Cell, number, report ? count(report.delivered) : NONE),
    h(
      C.Table.Cell,
      { ...number, ...(report?.failed || report?.rows_refused ? { color: "fg.error", fontWeight: "semibold" } : {}) },
      report ? count(report.failed + (report.rows_refused ?? 0)) : NONE,
    ),
    h(C.Table.Cell, { ...number, css: NARROW_OUT, whiteSpace: "nowrap" }, report ? duration(report.elapsed_seconds) : NONE),
    h(C.Table.Cell, { ...number, css: NARROW_OUT }, report ? rate(speedOf(report)) : NONE),
    h(C.Table.Cell, { px: 2, py: 1.5, textAlign: "end" }, h(StateBadge, { state: row.state })),
  );
}

export function WindowsTable({ rows, zone, linkOf, onOpen }) {
  const [offset, setOffset] = useState(0);
  const start = offset < rows.length ? offset : 0; // a filter may have made them fewer
  const isFetch = rows.some(({ report }) => report?.rows_loaded !== undefined);
  const head = (name, rest) => h(C.Table.ColumnHeader, { px: 2, py: 1.5, textAlign: "end", ...rest }, name);
  return h(
    C.Box,
    null,
    h(
      C.Table.Root,
      { size: "sm", "aria-label": "Windows" },
      h(
        C.Table.Header,
        null,
        h(
          C.Table.Row,
          null,
          head("Window", { textAlign: "start" }),
          head(isFetch ? "Fetched" : "Delivered"),
          head("Failed"),
          head("Took", { css: NARROW_OUT }),
          head("Rows/s", { css: NARROW_OUT }),
          head("State"),
        ),
      ),
      h(
        C.Table.Body,
        null,
        rows
          .slice(start, start + PAGE)
          .map((row) =>
            h(Row, { key: `${row.run_id} ${row.map_index}`, row, zone, link: linkOf(row), onOpen }),
          ),
      ),
    ),
    h(Pager, { offset: start, limit: PAGE, total: rows.length, label: "Pages of windows", onMove: setOffset }),
  );
}
