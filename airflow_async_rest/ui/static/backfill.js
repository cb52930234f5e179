/** The stretches of windows that never ran, a line for each, and a backfill of them by Airflow itself. */

import { createBackfill, dryRunOfBackfill } from "./api.js";
import { Choice, NumberField } from "./controls.js";
import { Question } from "./dialog.js";
import { count, counted, numberOf } from "./format.js";
import { C, Notice, React, h } from "./kit.js";
import { usePaused } from "./paused.js";
import { useSettled } from "./polling.js";
import { MOST_AT_ONCE, bodyOf, canBeMade, datesOf, nameOfStretch, sayRuns, whyNot } from "./stretches.js";

const { useEffect, useState } = React;

const AT_FIRST = 5;
const TYPING_MS = 300;
const AGAIN = "Run again what is there";
const REPROCESS = [
  ["none", "no: only what never ran"],
  ["failed", "those that failed"],
  ["completed", "all of them"],
];

/** What a dry run says of a body, as often as the body changes: `{found, error}`. */
function useDryRun(body, isOpen) {
  const [view, setView] = useState({ of: null, found: null, error: null });
  const now = JSON.stringify(body);
  const wanted = useSettled(now, TYPING_MS);
  useEffect(() => {
    if (!isOpen) return undefined;
    const controller = new AbortController();
    dryRunOfBackfill(JSON.parse(wanted), controller.signal)
      .then((found) => setView({ of: wanted, found, error: null }))
      .catch((error) => controller.signal.aborted || setView({ of: wanted, found: null, error }));
    return () => controller.abort();
  }, [wanted, isOpen]);
  return view.of === now && isOpen ? view : { found: null, error: null };
}

/** A sentence whose dates are not broken at their hyphens. */
const unbroken = (text) =>
  text.split(/(\d{4}-[\d-]+)/).map((part, place) => (place % 2 ? h("span", { key: place, style: { whiteSpace: "nowrap" } }, part) : part));

/** What Airflow says: how many runs it would make, or why it makes none. */
function Answer({ found, error, paused, zone }) {
  if (error) return h(Notice, { status: "error", title: "This cannot be backfilled" }, whyNot(error));
  if (!found) return h(C.Text, { role: "status", color: "fg.muted" }, "Asking Airflow what it would run …");
  return h(
    Notice,
    { status: canBeMade(found) ? "info" : "warning" },
    unbroken(sayRuns(found, zone)),
    paused && " The DAG is paused: they begin when it is switched on.",
  );
}

function Backfill({ dagId, stretch, zone, open, onClose, onMade }) {
  const [settings, setSettings] = useState({ latest: Math.min(stretch.holes, MOST_AT_ONCE), atOnce: 4, reprocess: "none" });
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState(null);
  const most = Math.min(stretch.holes, MOST_AT_ONCE);
  const [latest, atOnce] = [numberOf(settings.latest, most), numberOf(settings.atOnce, MOST_AT_ONCE)];
  const dates = datesOf(stretch, latest ?? most);
  const body = bodyOf(dagId, dates, { ...settings, atOnce });
  const { found, error } = useDryRun({ ...body, max_active_runs: 1 }, open && latest !== null); // how many at a time changes no answer
  const paused = usePaused(dagId, open);
  const set = (name) => (value) => setSettings((before) => ({ ...before, [name]: value }));

  async function make() {
    setBusy(true);
    setFailure(null);
    try {
      await createBackfill(body);
      onClose();
      onMade(stretch, found.total_entries, paused);
    } catch (why) {
      setFailure(why);
    } finally {
      setBusy(false);
    }
  }

  const hint = stretch.holes > 1 && `The latest of ${counted(stretch.holes, "window")}; at most ${count(MOST_AT_ONCE)} in one backfill.`;
  return h(
    Question,
    {
      open,
      title: `Backfill ${nameOfStretch(stretch, zone)}?`,
      label: "Backfill",
      busy,
      blocked: !canBeMade(found) || latest === null || atOnce === null,
      onClose,
      onConfirm: make,
      onExit: () => setFailure(null),
    },
    h(
      C.VStack,
      { align: "stretch", gap: 4, fontSize: "sm" },
      latest !== null && h(Answer, { found, error, paused, zone }),
      h(C.Flex, { gap: 4, wrap: "wrap", align: "flex-start" }, [
        stretch.holes > 1 && h(NumberField, { key: "latest", label: "Windows", hint, value: settings.latest, max: most, onChange: set("latest") }),
        h(NumberField, { key: "atOnce", label: "Runs at a time", value: settings.atOnce, max: MOST_AT_ONCE, onChange: set("atOnce") }),
        h(C.Box, { key: "reprocess" }, [
          h(C.Text, { key: "text", "aria-hidden": true }, AGAIN),
          h(Choice, { key: "choice", label: AGAIN, options: REPROCESS, value: settings.reprocess, onChange: set("reprocess") }),
        ]),
      ]),
      failure && h(Notice, { status: "error", title: failure.isPassing ? "It is not known whether the backfill was made" : "No backfill was made" }, whyNot(failure)),
    ),
  );
}

function Line({ stretch, zone, onBackfill }) {
  const name = nameOfStretch(stretch, zone);
  const what = stretch.holes === 1 ? "Backfill this" : "Backfill these";
  return h(
    C.Flex,
    { as: "li", align: "center", gap: 3, wrap: "wrap" },
    h(C.Text, { as: "span" }, `${name}: never run`),
    h(C.Text, { as: "span", color: "fg.muted", fontSize: "sm" }, counted(stretch.holes, "window")),
    h(C.Button, { size: "xs", variant: "outline", "aria-label": `${what}: ${name}`, onClick: onBackfill }, what),
  );
}

/** @param stretches in the order of time; the latest is shown first. */
export function Stretches({ dagId, stretches, zone, onMade }) {
  const [isAll, setAll] = useState(false);
  const [chosen, setChosen] = useState({ stretch: null, open: false });
  const [made, setMade] = useState(null);
  const latest = stretches.toReversed();
  const shown = isAll ? latest : latest.slice(0, AT_FIRST);

  function noteMade(stretch, number, paused) {
    setMade({ stretch, number, paused });
    onMade();
  }

  if (!stretches.length && !made) return null;
  return h(
    C.VStack,
    { align: "stretch", gap: 2, mb: 4 },
    h(C.VStack, { as: "ul", "aria-label": "Never run", align: "stretch", gap: 1, listStyleType: "none" }, [
      ...shown.map((stretch) =>
        h(Line, { key: stretch.from, stretch, zone, onBackfill: () => setChosen({ stretch, open: true }) }),
      ),
    ]),
    latest.length > AT_FIRST &&
      h(
        C.Button,
        { size: "xs", variant: "ghost", alignSelf: "flex-start", "aria-expanded": isAll, onClick: () => setAll(!isAll) },
        isAll ? "Show fewer" : `Show all ${count(latest.length)} stretches`,
      ),
    made &&
      h(
        Notice,
        { status: "success", title: `Backfill of ${nameOfStretch(made.stretch, zone)}: ${counted(made.number, "run")}` },
        made.paused ? "The DAG is paused: they begin when it is switched on." : "They appear here as they run.",
      ),
    chosen.stretch &&
      h(Backfill, {
        key: `${chosen.stretch.from}/${chosen.stretch.to}`,
        dagId,
        stretch: chosen.stretch,
        zone,
        open: chosen.open,
        onClose: () => setChosen({ ...chosen, open: false }),
        onMade: noteMade,
      }),
  );
}
