/** The same windows as a table, of every run, the newest first. */

import { NONE, count, duration, milliseconds, rate, span } from "./format.js";
import { C, Pager, React, StateBadge, Table, h, hidden, isPlain } from "./kit.js";
import { OUTCOMES } from "./outcomes.js";
import { failuresOf, hasEnded, reasonsOf } from "./delivery_data.js";
import { broughtBy, idOf, speedOf, sumOf, topReasons, whyNotTogether } from "./selection.js";

const { memo, useState } = React;

const PAGE = 50;

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
  if (replay && !replay.by) return h("div", { className: "quiet" }, `${count(replay.delivered)} delivered later by another task`);
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

/** The box by which a window is chosen, where it can go on in any way; else why it cannot. */
function Choice({ row, name, isChosen, onToggle }) {
  const { resume, replay } = whyNotTogether(row);
  const isNone = resume !== null && replay !== null;
  return h("input", {
    type: "checkbox",
    "aria-label": `Choose ${name}`,
    title: isNone ? resume : undefined,
    checked: isChosen && !isNone,
    disabled: isNone,
    onChange: () => onToggle(idOf(row)),
  });
}

const Row = memo(function Row({ row, zone, linkOf, onOpen, isChosen, onToggle }) {
  const { report } = row;
  const failures = failuresOf(report);
  const link = linkOf(row);
  const hasWindow = row.to > row.from;
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
      { className: "choice", onClick: (event) => event.stopPropagation() },
      h(Choice, { row, name: hasWindow ? span(row.start, row.end, zone) : row.run_id, isChosen, onToggle }),
    ),
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
          h("a", { href: link }, hasWindow ? spanInParts(row, zone) : hasEnded(row.state) ? "No window" : "Window not known yet"),
          h("div", { className: "quiet wide" }, row.run_id + (row.map_index >= 0 ? ` [${row.map_index}]` : "")),
          h(Later, { row, linkOf, onOpen }),
        ),
      ),
    ),
    h("td", { className: "number wide" }, report ? count(broughtBy(report)) : NONE),
    h(
      "td",
      { className: failures ? `number ${row.outcome === "later" ? "resolved" : "bad"}` : "number" },
      report ? count(failures) : NONE,
    ),
    h("td", { className: "wide reasons" }, topReasons(reasonsOf(report)) || NONE),
    h("td", { className: "number wide" }, milliseconds(report?.latency_ms?.p95)),
    h("td", { className: "number wide" }, report ? rate(speedOf(report)) : NONE),
    h("td", { className: "number wide" }, report ? duration(report.elapsed_seconds) : NONE),
    h("td", { className: "number" }, h(StateBadge, { state: row.state })),
  );
});

/** What the rows come to, of all pages. */
function Sum({ rows }) {
  const { done, failed, reasons, seconds, speed, p95 } = sumOf(rows);
  return h(
    "tr",
    { className: "sum" },
    h("td"),
    h("th", { scope: "row" }, `All ${count(rows.filter(({ isSuperseded }) => !isSuperseded).length)}`),
    h("td", { className: "number wide" }, count(done)),
    h("td", { className: "number" }, count(failed)),
    h("td", { className: "wide reasons" }, topReasons(reasons) || NONE),
    h("td", { className: "number wide", title: "The highest" }, p95 === null ? NONE : `≤ ${milliseconds(p95)}`),
    h("td", { className: "number wide", title: "On average" }, speed === null ? NONE : rate(speed)),
    h("td", { className: "number wide" }, duration(seconds)),
    h("td"),
  );
}

const STYLES = {
  "& .window": { display: "flex", alignItems: "center", gap: 2 },
  "& a": { color: "fg.info" },
  "& .resolved": { color: "fg.muted", textDecoration: "line-through" },
  "& a span": { whiteSpace: "nowrap" },
  "& a:hover": { textDecoration: "underline" },
  "& input:disabled": { opacity: 0.3, cursor: "not-allowed" },
  "& .choice": { width: "1.75rem", cursor: "auto" },
  "& .reasons": { overflowWrap: "anywhere", minWidth: "8rem", maxWidth: "14rem" },
  "& tr.sum > *": { fontWeight: "semibold", color: "inherit", bg: "bg.subtle", cursor: "auto", borderBottomWidth: "1px" },
};

/** @param chosen ids of the windows that are chosen; @param onToggle is told the id of one. */
export function WindowsTable({ rows, isFetch, zone, linkOf, onOpen, chosen, onToggle }) {
  const [offset, setOffset] = useState(0);
  const start = offset < rows.length ? offset : 0; // a filter may have made them fewer
  const columns = [
    [hidden("Choose")],
    ["Window"],
    [isFetch ? "Rows loaded" : "Delivered", "number wide"],
    ["Failed", "number"],
    ["Reasons", "wide"],
    ["p95", "number wide"],
    [isFetch ? "Rows/s" : "Items/s", "number wide"],
    ["Took", "number wide"],
    ["State", "number"],
  ];
  const lines = rows.slice(start, start + PAGE).map((row) => {
    const id = idOf(row);
    return h(Row, { key: id, row, zone, linkOf, onOpen, isChosen: chosen.has(id), onToggle });
  });
  return h(
    C.Box,
    null,
    h(Table, { label: "Windows", columns, css: STYLES }, h(Sum, { key: "sum", rows }), lines),
    h(Pager, { offset: start, limit: PAGE, total: rows.length, label: "Pages of windows", onMove: setOffset }),
  );
}
