/** All windows of a task over time, a cell for each: a hole in a backfill is seen at once, among 7 or 2,000. */

import { count, counted, dateTime, duration, span } from "./format.js";
import { C, React, h, narrow } from "./kit.js";
import { OUTCOMES, inRows, layoutFor } from "./outcomes.js";

const { memo, useCallback, useMemo, useRef, useState } = React;

/**
 * Cells are plain elements with one style sheet: 2,000 components with styles of their own would take a second.
 * Colours are Airflow's tokens, which know light and dark.
 */
const CELLS = {
  "& .row": { display: "flex", gap: "12px", alignItems: "flex-start", ...narrow({ display: "block" }) },
  "& .title": {
    flex: "0 0 auto",
    minWidth: "3.9rem",
    fontSize: "0.75rem",
    lineHeight: "28px",
    color: "fg.muted",
    fontVariantNumeric: "tabular-nums",
    whiteSpace: "nowrap",
  },
  "& .cells": { display: "flex", flexWrap: "wrap", gap: "3px", minWidth: 0 },
  "& .cell, & .free": { width: "28px", height: "28px", flex: "0 0 auto" },
  "& .free": narrow({ display: "none" }),
  "& .cell": {
    display: "flex",
    alignItems: "center",
    justifyContent: "center",
    position: "relative",
    borderRadius: "5px",
    borderWidth: "1px",
    borderColor: "transparent",
    fontSize: "0.6875rem",
    lineHeight: 1,
    fontVariantNumeric: "tabular-nums",
    textDecoration: "none",
    cursor: "pointer",
  },
  "& .cell:hover": { outline: "2px solid", outlineColor: "border.inverted", outlineOffset: "0px" },
  "& .cell:focus-visible": { outline: "2px solid", outlineColor: "fg", outlineOffset: "2px" },
  "& .cell[data-sign]::after": {
    content: "attr(data-sign)",
    position: "absolute",
    top: "1px",
    insetInlineEnd: "3px",
    fontSize: "0.6875rem",
    fontWeight: "bold",
  },
  "& .cell[data-sign]": { alignItems: "flex-end", justifyContent: "flex-start", padding: "4px" },
  ...Object.fromEntries(
    Object.entries(OUTCOMES).map(([outcome, { color, ink }]) => [
      `& .cell[data-outcome=${outcome}]`,
      ink
        ? { bg: `${color}.solid`, color: ink }
        : { bg: `${color}.subtle`, color: `${color}.fg`, borderColor: `${color}.emphasized` },
    ]),
  ),
  // The shape of a window that is not there.
  "& .cell[data-outcome=never]": {
    bg: "transparent",
    color: "fg.muted",
    borderStyle: "dashed",
    borderColor: "border.inverted",
    cursor: "default",
  },
  "& .cell[data-outcome=never][data-many]": { width: "auto", padding: "0 8px" },
  "& .cell[data-outcome=running]": {
    animation: "async-rest-pulse 1.6s ease-in-out infinite",
    "@media (prefers-reduced-motion: reduce)": { animation: "none" },
  },
  "@keyframes async-rest-pulse": { "50%": { opacity: 0.6 } },
};

const fetched = (report) => "rows_loaded" in report;

/** What a cell says when it is looked at: the window, the outcome, the counts. */
function lines(cell, zone) {
  const { outcome, report, from, to, runs, holes } = cell;
  const first = span(new Date(from), new Date(to), zone);
  if (outcome === "never") return [first, holes > 1 ? `${counted(holes, "window")}, never run` : "never run"];
  const found = [first, OUTCOMES[outcome].name];
  if (report) {
    found.push(
      `${count(report.delivered)} ${fetched(report) ? "fetched" : "delivered"}, ${count(report.failed)} failed` +
        (report.skipped ? `, ${count(report.skipped)} skipped` : ""),
      `${duration(report.elapsed_seconds)}`,
    );
  }
  if (runs > 1) found.push(`the latest of ${runs} runs`);
  return found;
}

/** The one tooltip of all cells, below the one that is looked at. */
function Tip({ tip, zone }) {
  if (!tip) return null;
  const [first, ...others] = lines(tip.cell, zone);
  return h(
    C.Box,
    {
      "aria-hidden": true, // the cell's label says it all
      position: "absolute",
      top: `${tip.top}px`,
      left: `${tip.left}px`,
      zIndex: "tooltip",
      pointerEvents: "none",
      width: "max-content",
      maxW: "18rem",
      bg: "bg.inverted",
      color: "fg.inverted",
      borderRadius: "md",
      boxShadow: "md",
      px: 3,
      py: 2,
      fontSize: "xs",
    },
    h(C.Text, { fontWeight: "semibold" }, first),
    others.map((line) => h(C.Text, { key: line }, line)),
  );
}

const TIP_WIDTH = 250;
const MOVES = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: "below", ArrowUp: "above", Home: "first", End: "last" };

/** Where a key leads to: the cell beside, or the nearest one in the line above or below. */
function neighbour(all, now, move) {
  const place = all.indexOf(now);
  if (typeof move === "number") return all[place + move];
  if (move === "first") return all[0];
  if (move === "last") return all.at(-1);
  const here = now.getBoundingClientRect();
  const way = move === "below" ? 1 : -1;
  let best;
  for (let index = place + way; all[index]; index += way) {
    const there = all[index].getBoundingClientRect();
    if ((there.top - here.top) * way < 4) continue;
    if (best && Math.abs(there.top - best.top) > 4) break;
    const off = Math.abs(there.left - here.left);
    if (!best || off < best.off) best = { off, top: there.top, cell: all[index] };
  }
  return best?.cell;
}

/** The cells themselves, which stay as they are while tooltips come and go. */
const Rows = memo(function Rows({ cells, width, zone, linkOf }) {
  const rows = useMemo(
    () => inRows(cells, layoutFor(width), (time) => dateTime(new Date(time), zone)),
    [cells, width, zone],
  );
  let number = -1;
  return rows.map((row) =>
    h(
      "div",
      { key: row.cells[0].from, className: "row", role: "group", "aria-label": row.title },
      h("div", { className: "title", "aria-hidden": true }, row.title),
      h(
        "div",
        { className: "cells" },
        Array.from({ length: row.before }, (_, place) => h("span", { key: `free ${place}`, className: "free" })),
        row.cells.map((cell) => {
          number += 1;
          const link = cell.outcome === "never" ? null : linkOf(cell);
          return h(
            link ? "a" : "span",
            {
              key: `${cell.from}/${cell.to}`,
              className: "cell",
              href: link ?? undefined,
              role: link ? undefined : "img",
              // One stop for the Tab key; arrows lead on from there.
              tabIndex: number === 0 ? 0 : -1,
              "aria-label": lines(cell, zone).join(", "),
              "data-outcome": cell.outcome,
              "data-sign": OUTCOMES[cell.outcome].sign || undefined,
              "data-many": cell.holes > 1 ? "" : undefined,
              "data-number": number,
            },
            cell.holes > 1 ? `${count(cell.holes)} never run` : cell.label,
          );
        }),
      ),
    ),
  );
});

export function Calendar({ cells, width, zone, linkOf, onOpen }) {
  const box = useRef(null);
  const [tip, setTip] = useState(null);

  const show = useCallback(
    (event) => {
      const element = event.target.closest(".cell");
      if (!element) return setTip(null);
      const [outer, inner] = [box.current.getBoundingClientRect(), element.getBoundingClientRect()];
      return setTip({
        cell: cells[element.dataset.number],
        top: inner.bottom - outer.top + 6,
        left: Math.max(0, Math.min(inner.left - outer.left, outer.width - TIP_WIDTH)),
      });
    },
    [cells],
  );

  function onKeyDown(event) {
    if (event.key === "Escape") return setTip(null);
    const move = MOVES[event.key];
    const now = event.target.closest(".cell");
    if (!move || !now) return undefined;
    event.preventDefault();
    const next = neighbour([...box.current.querySelectorAll(".cell")], now, move);
    if (!next) return undefined;
    now.tabIndex = -1;
    next.tabIndex = 0;
    return next.focus();
  }

  function onClick(event) {
    const link = event.target.closest("a.cell");
    // A new tab, or a new window, is the browser's.
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    onOpen(cells[link.dataset.number]);
  }

  return h(
    C.Box,
    {
      ref: box,
      position: "relative",
      css: CELLS,
      role: "group",
      "aria-label": "Windows over time; arrow keys lead from one to the next",
      display: "flex",
      flexDirection: "column",
      gap: "3px",
      onMouseOver: show,
      onFocus: show,
      onMouseLeave: () => setTip(null),
      onBlur: () => setTip(null),
      onKeyDown,
      onClick,
    },
    h(Rows, { cells, width, zone, linkOf }),
    h(Tip, { tip, zone }),
  );
}
