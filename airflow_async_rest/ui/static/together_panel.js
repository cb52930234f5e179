/** What is done with several windows: what is chosen, what can be done with it, and what happened to each. */

import { NumberField } from "./controls.js";
import { Question } from "./dialog.js";
import { NONE, count, counted, numberOf, span } from "./format.js";
import { C, Inner, Notice, React, Table, h, hidden } from "./kit.js";
import { labelOf } from "./next_step.js";
import { deliveryPath } from "./paths.js";
import { Paused } from "./paused.js";
import { useMayClear } from "./replay.js";
import { idOf, primaryOf, scopeOf, thoseThatCan } from "./selection.js";
import { AT_ONCE, WORDS, askedOf, begin, close, onWork, sayProgress, stop, workOf } from "./together.js";

const { useEffect, useMemo, useState, useSyncExternalStore } = React;

const MOST_AT_ONCE = 16;
// From then on some of them run, and what is shown is looked at every few seconds.
const AFTER_CLEAR_MS = 2_000;

/** The work on the DAG's windows, or null; what is shown is looked at again after its first Clears, and at its end. */
export function useWork(dagId, refresh) {
  const work = useSyncExternalStore(onWork, () => workOf(dagId));
  const state = work === null ? "none" : work.isOver ? "over" : "busy";
  useEffect(() => {
    if (state === "none") return undefined;
    const timer = setTimeout(refresh, state === "over" ? 0 : AFTER_CLEAR_MS);
    return () => clearTimeout(timer);
  }, [state]);
  return work;
}

const NAMES = {
  resume: (number) => `Resume the windows (${count(number)})`,
  replay: (number) => labelOf({ name: "Send the same requests again", size: counted(number, "window") }),
};
const AT_WORK = { resume: "Resuming", replay: "Sending again:" };
const MARKS = { done: "✓", failed: "×", working: "▸", waiting: "…", left: "–" };

/** How far a work is, and what happened to each of its windows. */
export function Together({ dagId, work, zone }) {
  if (!work) return null;
  const { kind, rows, results, isOver, isStopped } = work;
  const over = results.filter(({ status }) => status !== "waiting" && status !== "working").length;
  const failed = results.some(({ status }) => status === "failed");
  const action = isOver
    ? h(C.Button, { size: "xs", variant: "outline", onClick: () => close(dagId) }, "Close")
    : h(C.Button, { size: "xs", variant: "outline", disabled: isStopped, onClick: () => stop(dagId) }, "Start no more");
  return h(
    C.Box,
    { as: "section", "aria-label": "Windows together", mb: 4 },
    h(
      Notice,
      { status: !isOver ? "info" : failed ? "warning" : "success", title: `${isOver ? "Ended:" : AT_WORK[kind]} ${counted(rows.length, "window")}`, action },
      sayProgress(results),
      !isOver && (isStopped ? ". No more are started." : ". As one ends, the next begins, while Airflow stays open in this browser."),
    ),
    h(C.Box, {
      role: "progressbar",
      "aria-label": "Windows that have ended",
      "aria-valuemin": 0,
      "aria-valuemax": rows.length,
      "aria-valuenow": over,
      height: "0.375rem",
      mt: 2,
      bg: "bg.emphasized",
      borderRadius: "full",
      overflow: "hidden",
      children: h(C.Box, { height: "full", bg: "running.solid", width: `${(over / rows.length) * 100}%` }),
    }),
    h(
      C.Box,
      { maxH: "16rem", overflowY: "auto", mt: 2, tabIndex: 0, role: "region", "aria-label": "What happened to each" },
      h(
        Table,
        { label: "Windows together", columns: [["Window"], ["State"], ["What happened"]], css: { "& tbody tr": { cursor: "auto" } } },
        rows.map((row, place) => {
          const { status, text } = results[place];
          return h(
            "tr",
            { key: idOf(row) },
            h("td", null, h(Inner, { path: deliveryPath({ dag_id: dagId, ...row }) }, nameOfRow(row, zone))),
            h("td", { className: status === "failed" ? "bad" : undefined }, h("span", { "aria-hidden": true }, `${MARKS[status]} `), WORDS[status]),
            h("td", null, text || NONE),
          );
        }),
      ),
    ),
  );
}

/** A window by its ends; by its run where it has none. */
const nameOfRow = ({ from, to, start, end, run_id: run }, zone) => (to > from ? span(start, end, zone) : run);

function Ask({ dagId, asked, rows, reason, onClose, onBegin }) {
  const [atOnce, setAtOnce] = useState(String(AT_ONCE));
  const number = numberOf(atOnce, MOST_AT_ONCE);
  const { kind, open } = asked;
  const { title, does } = askedOf(kind, rows, reason);
  return h(
    Question,
    {
      open,
      title,
      label: kind === "resume" ? `Resume ${counted(rows.length, "window")}` : "Send again",
      blocked: number === null,
      onClose,
      onConfirm: () => {
        onClose();
        onBegin(number);
      },
    },
    h(
      C.VStack,
      { align: "stretch", gap: 3 },
      h(C.Text, null, does),
      h(NumberField, { label: "Windows at a time", value: atOnce, max: MOST_AT_ONCE, onChange: setAtOnce }),
      h(C.Text, { fontSize: "sm", color: "fg.muted" }, "Keep Airflow open in this browser meanwhile. A window that fails does not stop the others."),
      h(Paused, { dagId, what: "they begin" }),
    ),
  );
}

/**
 * What is chosen, and the ways that it can go.
 *
 * @param rows that are shown; @param chosen ids of those that are chosen; @param reason of the filter, or null.
 */
export function Chosen({ dagId, rows, chosen, reason, work, onChoose }) {
  const [asked, setAsked] = useState({ kind: "replay", open: false });
  const able = useMemo(() => ["resume", "replay"].map((kind) => thoseThatCan(rows, kind, reason)), [rows, reason]);
  const any = useMemo(() => [...new Set(able.flat().map(idOf))], [able]);
  const picked = rows.filter((row) => chosen.has(idOf(row)) && any.includes(idOf(row)));
  const ways = { resume: thoseThatCan(picked, "resume", reason), replay: thoseThatCan(picked, "replay", reason) };
  const primary = primaryOf(picked, reason);
  const first = picked[0] ?? null;
  const scope = useMemo(() => first && scopeOf(dagId, first), [dagId, first && idOf(first)]);
  const mayClear = useMayClear(scope, first !== null);
  const isBusy = work !== null && !work.isOver;
  const right = mayClear === "yes" || mayClear === "asking" ? null : mayClear;
  const isAll = any.length > 0 && any.every((id) => chosen.has(id));
  if (any.length === 0) return null;
  const button = (kind) =>
    h(
      C.Button,
      {
        key: kind,
        size: "sm",
        variant: kind === primary ? "solid" : "outline",
        colorPalette: "brand",
        disabled: !ways[kind].length || isBusy || mayClear !== "yes",
        onClick: () => setAsked({ kind, open: true }),
      },
      NAMES[kind](ways[kind].length),
    );
  return h(
    C.Flex,
    { role: "group", "aria-label": "Chosen windows", gap: 3, wrap: "wrap", align: "center", mb: 3 },
    h(
      C.Flex,
      { as: "label", align: "center", gap: 2, fontSize: "sm" },
      h("input", { type: "checkbox", checked: isAll, onChange: () => onChoose(isAll ? new Set() : new Set(any)) }),
      labelOf({ name: "All that can go on", size: counted(any.length, "window") }),
    ),
    h(C.Text, { fontSize: "sm", color: "fg.muted", "aria-live": "polite" }, `${count(picked.length)} chosen`),
    [primary, primary === "replay" ? "resume" : "replay"].map(button),
    right && picked.length > 0 && h(C.Text, { fontSize: "sm" }, right),
    isBusy && hidden("Wait until the windows at work have ended."),
    h(Ask, {
      dagId,
      asked,
      rows: ways[asked.kind],
      reason,
      onClose: () => setAsked({ ...asked, open: false }),
      onBegin: (atOnce) => begin(dagId, asked.kind, ways[asked.kind], reason, atOnce),
    }),
  );
}
