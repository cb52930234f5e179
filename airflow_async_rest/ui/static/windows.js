/** The tab "Windows" of a DAG: which windows are done, which have failures, and which were never run. */

import { windowsOf } from "./api.js";
import { Stretches } from "./backfill.js";
import { Calendar } from "./calendar.js";
import { Charts } from "./charts.js";
import { Choice } from "./controls.js";
import { fetched, hasEnded } from "./delivery_data.js";
import { Filters } from "./filters.js";
import { count, counted } from "./format.js";
import { C, Empty, Loading, Page, Panel, React, Trouble, h, usePages, useTimezone } from "./kit.js";
import { arrange, nameOf, tally } from "./outcomes.js";
import { deliveryPath } from "./paths.js";
import { usePolling } from "./polling.js";
import { NO_FILTER, idOf, shownOf, sumOf } from "./selection.js";
import { Chosen, Together, useWork } from "./together_panel.js";
import { WindowsTable } from "./windows_table.js";
// What these import is named here as well: the browser asks for all of them at once, not for one after another.
import "./calendar_styles.js";
import "./chart_data.js";
import "./clearing.js";
import "./dialog.js";
import "./elements.js";
import "./next_step.js";
import "./paused.js";
import "./replay.js";
import "./stretches.js";
import "./styles.js";
import "./together.js";
import "./well_formed.js";

const { useCallback, useMemo, useState } = React;

const BUSY_MS = 5_000;
const IDLE_MS = 30_000;

/** New runs may be made at any time, so it looks on, but seldom while nothing runs. */
const nextLook = ({ windows }) => (windows.some(({ state }) => state && !hasEnded(state)) ? BUSY_MS : IDLE_MS);

/** The same answer again is the same object, so that nothing is drawn again. */
async function lookAtWindows(dagId, signal, before) {
  const found = await windowsOf(dagId, signal);
  return before && JSON.stringify(found) === JSON.stringify(before) ? before : found;
}

/** Where the tab "Delivery" of a window's task instance is, or of another DAG's, within Airflow's pages. */
const pathOf = (dagId, window) => deliveryPath({ dag_id: dagId, ...window });

function verdict(counts, isFetch) {
  const found = Object.fromEntries(counts);
  const good = (found.delivered ?? 0) + (found.later ?? 0) + (found.empty ?? 0);
  const total = counts.reduce((sum, [, number]) => sum + number, 0);
  if (total === 0) return "No run has a window yet";
  const all = counted(total, "window");
  return `${good === total ? `All ${all}` : `${count(good)} of ${all}`} ${isFetch ? "fetched" : "delivered"}`;
}

/** The ids that are chosen; one that is gone from what is shown is chosen no more. */
function useChosen(shown) {
  const [chosen, setChosen] = useState(() => new Set());
  const there = useMemo(() => new Set(shown.map(idOf).filter((id) => chosen.has(id))), [shown, chosen]);
  const toggle = useCallback(
    (id) =>
      setChosen((before) => {
        const after = new Set(before);
        if (!after.delete(id)) after.add(id);
        return after;
      }),
    [],
  );
  return [there, setChosen, toggle];
}

function Task({ dagId, windows, found: { missing, limits, truncated }, choice, work, refresh }) {
  const zone = useTimezone();
  const { hrefOf, go } = usePages();
  const [filter, setFilter] = useState(NO_FILTER);
  const { rows, cells, width, stretches } = useMemo(() => arrange(windows, missing), [windows, missing]);
  const counts = useMemo(() => tally(cells), [cells]);
  const isFetch = useMemo(() => rows.some(({ report }) => report && fetched(report)), [rows]);
  const linkOf = useCallback((window) => hrefOf(pathOf(dagId, window)), [hrefOf, dagId]);
  const onOpen = useCallback((window) => go(pathOf(dagId, window)), [go, dagId]);
  const shown = useMemo(() => shownOf(rows, filter, zone), [rows, filter, zone]);
  const reasons = useMemo(() => sumOf(rows).reasons, [rows]);
  const [chosen, setChosen, toggle] = useChosen(shown);
  const { outcome, reason } = filter;
  const limit = limits?.[windows[0]?.task_id] ?? null;
  return h(
    C.VStack,
    { align: "stretch", gap: 5 },
    h(
      Panel,
      { title: verdict(counts, isFetch), aside: choice },
      h(Filters, { counts, reasons, isFetch, filter, onFilter: setFilter }),
      h(Stretches, { dagId, stretches, zone, onMade: refresh }),
      h(
        C.Box,
        { maxH: "33rem", overflowY: "auto", p: 1, m: -1 },
        h(Calendar, { cells, width, zone, only: outcome, linkOf, onOpen }),
      ),
      truncated &&
        h(C.Text, { fontSize: "sm", color: "fg.muted", mt: 3 }, "There are more windows; these are of the latest runs."),
    ),
    h(
      Panel,
      { title: `Runs${outcome === null ? "" : `: ${nameOf(outcome, isFetch)}`} (${count(shown.length)})` },
      h(Charts, { rows: shown, known: rows, limit, isFetch, zone }),
      h(Together, { dagId, work, zone }),
      h(Chosen, { dagId, rows: shown, chosen, reason, work, onChoose: setChosen }),
      shown.length
        ? h(WindowsTable, { rows: shown, isFetch, zone, linkOf, onOpen, chosen, onToggle: toggle })
        : h(Empty, { title: "No run" }, "No run of this task matches the filters."),
    ),
  );
}

function Tasks({ dagId, found, refresh }) {
  const [wanted, setWanted] = useState(null);
  const work = useWork(dagId, refresh);
  const { tasks, windows } = found;
  const task = tasks.includes(wanted) ? wanted : tasks[0];
  const its = useMemo(() => windows.filter(({ task_id: id }) => id === task), [windows, task]);
  const choice = tasks.length > 1 && h(Choice, { label: "Task", options: tasks, value: task, onChange: setWanted });
  return h(Task, { key: task, dagId, windows: its, found, choice, work, refresh });
}

export default function Windows({ dagId }) {
  const { data, error, away, refresh } = usePolling(
    (signal, before) => lookAtWindows(dagId, signal, before),
    dagId,
    nextLook,
  );
  return h(Page, { label: "Windows" }, [
    error && h(Trouble, { key: "error", error, away, title: "The windows cannot be shown", refresh }),
    !data && (!error || away) && h(Loading, { key: "loading", label: "Loading" }),
    data &&
      data.tasks.length === 0 &&
      h(Empty, { key: "none", title: "No windows yet" }, "No task of this DAG has delivered or fetched anything."),
    data && data.tasks.length > 0 && h(Tasks, { key: dagId, dagId, found: data, refresh }),
  ]);
}

globalThis.Windows = Windows;
