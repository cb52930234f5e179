/** All windows of a task over time, a cell for each: a hole in a backfill is seen at once, among 7 or 2,000. */

import { CELLS } from "./calendar_styles.js";
import { count, counted, dateTime, duration, span } from "./format.js";
import { C, React, h, isPlain } from "./kit.js";
import { fetched } from "./delivery_data.js";
import { OUTCOMES, inRows, keyOf, layoutFor, nameOf } from "./outcomes.js";
import { nameOfStretch } from "./stretches.js";

const { Fragment, memo, startTransition, useEffect, useMemo, useRef, useState } = React;

/** What a cell says when it is looked at: the window, the outcome, the counts. */
function lines(cell, zone) {
  const { outcome, report, from, to, runs, holes } = cell;
  const first = span(new Date(from), new Date(to), zone);
  if (outcome === "never") return [first, holes > 1 ? `${counted(holes, "window")}, never run` : "never run"];
  const found = [first, nameOf(outcome, report && fetched(report))];
  if (report) {
    found.push(
      `${count(report.delivered)} ${fetched(report) ? "fetched" : "delivered"}, ${count(report.failed)} failed` +
        (report.skipped ? `, ${count(report.skipped)} skipped` : "") +
        (fetched(report) ? `, ${counted(report.rows_loaded, "row")} loaded` : "") +
        (report.rows_refused ? `, ${counted(report.rows_refused, "row")} refused` : ""),
      `${duration(report.elapsed_seconds)}`,
    );
  }
  const { replay } = cell;
  if (report?.error && outcome !== "later") found.push(report.error);
  if (replay) found.push(`${count(replay.delivered)} delivered later by ${replay.by?.dag_id ?? "another task"}, ${count(replay.left)} left`);
  if (runs > 1) found.push(`the latest of ${runs} runs`);
  return found;
}

/** The one tooltip of all cells, beside the one that is looked at. */
function Tip({ tip, zone }) {
  if (!tip) return null;
  const [first, ...others] = lines(tip.cell, zone);
  return h(
    C.Portal,
    null,
    h(
      C.Box,
      {
        "aria-hidden": true, // the cell's label says it all
        style: tip.place,
        position: "fixed",
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
    ),
  );
}

const TIP_WIDTH = 290;
const TIP_HEIGHT = 110;

/** Below a cell; above it where there is no room below. */
function beside(element) {
  const { left, top, bottom } = element.getBoundingClientRect();
  const place = { left: Math.max(8, Math.min(left, innerWidth - TIP_WIDTH)) };
  const hasRoom = bottom + TIP_HEIGHT < innerHeight;
  return hasRoom ? { ...place, top: bottom + 6 } : { ...place, bottom: innerHeight - top + 6 };
}

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

const Cell = (cell, zone, link, { isFirst, column }) =>
  h(
    link ? "a" : "span",
    {
      key: `${cell.from}/${cell.to}`,
      className: "cell",
      href: link ?? undefined,
      role: link ? undefined : "img",
      // One stop for the Tab key; arrows lead on from there.
      tabIndex: isFirst ? 0 : -1,
      style: column ? { gridColumnStart: column + 1 } : undefined,
      "aria-label": lines(cell, zone).join(", "),
      "data-outcome": cell.outcome,
      "data-sign": OUTCOMES[cell.outcome].sign || undefined,
      "data-number": cell.number,
    },
    cell.holes > 1 ? `${nameOfStretch(cell, zone)}: never run` : cell.label,
  );

const Row = memo(function Row({ row, isFirst, columns, zone, linkOf }) {
  return h(
    "div",
    { className: row.isStretch ? "row stretch" : "row", role: "group", "aria-label": row.title },
    !row.isStretch && h("div", { className: "title", "aria-hidden": true }, row.title),
    h(
      "div",
      { className: "cells", style: { "--columns": columns } },
      row.cells.map((cell, place) =>
        Cell(cell, zone, cell.outcome === "never" ? null : linkOf(cell), {
          isFirst: isFirst && place === 0,
          column: place === 0 ? row.before : 0,
        }),
      ),
    ),
  );
});

// As many as are seen at first.
const ROWS_AT_ONCE = 20;

/** The rows that are seen are there at once, and the others right after, when the page is not busy. */
function Rows({ cells, width, zone, linkOf }) {
  const layout = useMemo(() => layoutFor(width), [width]);
  const rows = useMemo(
    () => inRows(cells, layout, (time) => dateTime(new Date(time), zone)),
    [cells, layout, zone],
  );
  const [shown, setShown] = useState(ROWS_AT_ONCE);
  useEffect(() => startTransition(() => setShown(Infinity)), []);
  return rows
    .slice(0, shown)
    .map((row, place) =>
      h(Row, { key: keyOf(row), row, isFirst: place === 0, columns: layout.columns, zone, linkOf }),
    );
}

/** The cells with what they do. Showing a tooltip does not draw them again. */
const Cells = memo(function Cells({ cells, width, zone, only, linkOf, onOpen, onLook }) {
  const box = useRef(null);

  useEffect(() => {
    // Of thousands, the ones that are asked for may be far below.
    if (only) box.current.querySelector(`[data-outcome=${only}]`)?.scrollIntoView({ block: "nearest" });
  }, [only]);

  function look(event) {
    const element = event.target.closest(".cell");
    onLook(element && { cell: cells[element.dataset.number], place: beside(element) });
  }

  function onKeyDown(event) {
    if (event.key === "Escape") onLook(null);
    const move = MOVES[event.key];
    const now = event.target.closest(".cell");
    if (!move || !now) return;
    event.preventDefault();
    const next = neighbour([...box.current.querySelectorAll(".cell")], now, move);
    if (!next) return;
    now.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }

  function onClick(event) {
    const link = event.target.closest("a.cell");
    if (!link || !isPlain(event)) return;
    event.preventDefault();
    onOpen(cells[link.dataset.number]);
  }

  return h(
    C.Box,
    {
      ref: box,
      css: CELLS,
      "data-only": only ?? undefined,
      role: "group",
      "aria-label": "Windows over time; arrow keys lead from one to the next",
      display: "flex",
      flexDirection: "column",
      onMouseOver: look,
      onFocus: look, // of a cell: React's focus events rise
      onMouseLeave: () => onLook(null),
      onBlur: () => onLook(null),
      onKeyDown,
      onClick,
    },
    h(Rows, { cells, width, zone, linkOf }),
  );
});

export function Calendar(calendar) {
  const [tip, setTip] = useState(null);

  useEffect(() => {
    if (!tip) return undefined;
    const hide = () => setTip(null);
    document.addEventListener("scroll", hide, { capture: true, passive: true });
    return () => document.removeEventListener("scroll", hide, { capture: true });
  }, [tip]);

  return h(Fragment, null, h(Cells, { ...calendar, onLook: setTip }), h(Tip, { tip, zone: calendar.zone }));
}
