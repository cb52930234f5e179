/** The tab "Delivery" of a task instance: how far it is, or what became of it; what failed; and sending that again. */

import { count, counted, dateTime } from "./format.js";
import { C, Empty, Loading, Notice, Page, Panel, React, Trouble, h, useTimezone } from "./kit.js";
import { changesOf, deadLetters } from "./api.js";
import { useExtra, usePolling } from "./polling.js";
import { Failures } from "./failures.js";
import { Figures } from "./figures.js";
import { History } from "./history.js";
import { differences, isDeliveredLater, lastReplay, nextStep } from "./next_step.js";
import { Preview } from "./preview.js";
import { Progress } from "./progress.js";
import { sayFailing } from "./progress_data.js";
import { Actions } from "./replay.js";
import { Later, Older, Why } from "./why.js";
import {
  failuresOf,
  isFetch,
  isLive,
  isOpen,
  isOver,
  isReplay,
  isReplaying,
  isStale,
  lookAtTask,
  nextLook,
  knownOfAll,
  refusesRequests,
  waitOf,
} from "./delivery_data.js";
// What these import is named here as well: the browser asks for all of them at once, not for one after another.
import "./clearing.js";
import "./controls.js";
import "./dialog.js";
import "./elements.js";
import "./letter_groups.js";
import "./letters_table.js";
import "./paths.js";
import "./paused.js";
import "./preview_data.js";
import "./rates.js";
import "./route.js";
import "./selection.js";
import "./sparkline.js";
import "./styles.js";
import "./well_formed.js";

const { useEffect, useMemo, useState } = React;

const AFTER_CLICK_MS = 1_500;

// Airflow shows the tab on every task.
const OTHERS =
  "This tab is for tasks that deliver or fetch rows: SqlToRestOperator, RestToSqlOperator, ReplayDeadLettersOperator.";

/** What came of the last replay, or that one is under way. */
function Replaying({ task, asked }) {
  const replay = task.figures?.replay;
  if (asked?.kind === "resume") return task.ended ? null : h(Notice, { title: "The window is resumed" }, "The task is cleared, and goes on.");
  if (isReplaying(task, asked)) {
    const number = asked?.count ?? task.request?.count;
    const fetches = isFetch(task);
    const what = number ? counted(number, "dead letter") : "dead letters";
    const text = [
      fetches ? "What is loaded stays." : "Nothing else of the window is sent.",
      task.instance.state !== "running" && "The task waits for its turn.",
      isLive(task) && replay && `${count(replay.delivered)} delivered, ${count(replay.failed)} failed so far.`,
    ];
    return h(Notice, { title: `${fetches ? "Trying" : "Sending"} again: ${what}` }, text.filter(Boolean).join(" "));
  }
  if (!task.ended || !replay || isStale(task)) return null;
  if (replay.sent === 0) return h(Notice, { title: "Nothing was sent again" }, "No dead letter was left to send.");
  return h(
    Notice,
    { status: replay.failed ? "warning" : "success", title: `Sent again: ${count(replay.sent)}` },
    `${count(replay.delivered)} delivered, ${count(replay.failed)} failed again.`,
  );
}

/** Since when the quota is gone, until when the task does not run, and why. */
function Waiting({ task }) {
  const zone = useTimezone();
  const wait = waitOf(task);
  if (!wait) return null;
  return h(
    Notice,
    { title: `The quota is gone: the task starts again at ${dateTime(wait.until, zone)}` },
    `Since ${dateTime(wait.since, zone)}: ${wait.why}. The task holds no slot, and no retry is used.`,
  );
}

/** That most of what a task sends fails, while it still runs. */
function Failing({ task }) {
  const said = isLive(task) ? sayFailing(task.figures) : null;
  return said && h(Notice, { status: "warning", title: said.title }, said.text);
}

/** Airflow asks no more for a task that has ended, so the page around this tab still shows the try before. */
const Around = () =>
  h(
    Notice,
    { title: "Airflow's own header shows the previous try", action: h(C.Button, RELOAD, "Reload the page") },
    "It does not refresh by itself.",
  );

const NO_FILTER = { reasons: [], search: "" };
const RELOAD = { size: "xs", variant: "outline", onClick: () => globalThis.location.reload() };

function NotYet({ task }) {
  const state = task.instance.state;
  if (state === "failed") return h(Why, { task });
  if (task.ended) {
    const text = `Its state is ${state.replaceAll("_", " ")}, and it has left no report and no progress.`;
    return h(Empty, { title: "There is no report" }, text);
  }
  return h(
    Empty,
    { title: state === "running" ? "It is starting" : "It has not run yet" },
    state === "running"
      ? "The first figures come about two seconds after it starts to read."
      : "Once it runs, this tab shows how far it is, and afterwards what became of every row.",
  );
}

/** Say that the figures may be old, while the server is away. */
const Away = ({ error }) =>
  h(
    Notice,
    { status: "warning", title: "Reconnecting …" },
    `${error.message} These are the last figures; they are asked for again soon.`,
  );

/** After the end nothing is polled any more; but Airflow's own buttons, outside this tab, may let the task run again. */
function useOtherButtons(ended, refresh) {
  useEffect(() => {
    if (!ended) return undefined;
    let timer;
    function look(event) {
      const { target } = event;
      if (!target.closest?.("button") || target.closest("section[aria-label=Delivery]")) return;
      clearTimeout(timer);
      timer = setTimeout(refresh, AFTER_CLICK_MS);
    }
    document.addEventListener("click", look);
    return () => {
      clearTimeout(timer);
      document.removeEventListener("click", look);
    };
  }, [ended, refresh]);
}

function Task({ scope, task, refresh }) {
  useOtherButtons(task.ended, refresh);
  const [asked, setAsked] = useState(null);
  const [letters, setLetters] = useState(null);
  const { ended, figures } = task;
  const end = ended ? task.instance.end_date : null;
  const changes = useExtra((signal) => changesOf(scope, signal), failuresOf(figures) > 0 && ended ? `changes ${end}` : null);
  // Where no dead letter is left, there may have been some.
  const few = useExtra(
    (signal) => deadLetters(scope, null, NO_FILTER, { offset: 0, limit: 1 }, signal),
    ended && figures && failuresOf(figures) === 0 && (figures.delivered_later ?? 0) > 0 ? `letters ${end}` : null,
  );
  const page = failuresOf(figures) > 0 ? letters : few;
  const isGone = ended && failuresOf(figures) > 0 && page?.total === 0;
  const open = isOpen(asked, task) ? asked : null;

  function onAsked(number, kind) {
    setAsked({ count: number, kind, endedBefore: task.instance.end_date, tryBefore: task.instance.try_number });
    refresh();
  }

  const onPage = (found) => setLetters((before) => knownOfAll(before, found));

  if (task.preview) return h(Preview, { preview: task.preview, report: task.report });
  if (figures === null) return h(NotYet, { task });
  const replay = lastReplay(page?.replays, task.instance.end_date) ?? (isGone ? { left: 0 } : null);
  const isLater = task.ended && isDeliveredLater(task.report ?? figures, replay);
  const step = nextStep({
    state: task.instance.state,
    figures,
    differs: differences(changes, page?.records),
    replayable: page?.replayable,
    refuses: refusesRequests(task),
    fetches: isFetch(task),
    replays: isReplay(task),
  });
  // Beside the dead letters, where there are some.
  const actions = (failuresOf(figures) === 0 || isGone) && step?.primary && !open && h(Actions, { scope, task, step, onAsked });
  return h(
    React.Fragment,
    null,
    !open && h(Why, { task, step, replay, actions }),
    h(Older, { task }),
    h(Waiting, { task }),
    h(Failing, { task }),
    h(Replaying, { task, asked: open }),
    h(Later, { task, replay }),
    isOver(asked, task) && h(Around),
    h(Panel, null, h(Progress, { task, isLater }), h(Figures, { task, isLater })),
    failuresOf(figures) > 0 && h(Failures, { scope, task, asked: open, step, onAsked, onPage }),
    h(History, { scope, task, page }),
  );
}

export default function Delivery({ dagId, runId, taskId, mapIndex }) {
  const index = mapIndex === undefined ? -1 : Number(mapIndex);
  const scope = useMemo(() => ({ dagId, runId, taskId, mapIndex: index }), [dagId, runId, taskId, index]);
  const key = JSON.stringify(scope);
  const { data: task, error, away, refresh } = usePolling(
    (signal, before) => lookAtTask(scope, signal, before),
    key,
    nextLook,
  );
  return h(Page, { label: "Delivery" }, [
    error && task && away && h(Away, { key: "away", error }),
    error &&
      !(task && away) &&
      h(Trouble, { key: "error", error, away, title: "This cannot be shown", refresh }),
    !task && (!error || away) && h(Loading, { key: "loading", label: "Loading" }),
    task && !task.isOurs && h(Empty, { key: "other", title: "Nothing to show for this task" }, OTHERS),
    task?.isOurs && h(Task, { key, scope, task, refresh }),
  ]);
}

globalThis.Delivery = Delivery;
