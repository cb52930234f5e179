/** The tab "Delivery" of a task instance: how far it is, or what became of it; what failed; and sending that again. */

import { count } from "./format.js";
import { C, Empty, Loading, Notice, Page, Panel, React, h } from "./kit.js";
import { usePolling } from "./polling.js";
import { Failures } from "./failures.js";
import { Figures } from "./figures.js";
import { Progress } from "./progress.js";
import { isReplaying, failuresOf, lookAtTask, nextLook } from "./task.js";

const { useMemo, useState } = React;

/** What came of the last replay, or that one is under way. */
function Replaying({ task, asked }) {
  const replay = task.figures?.replay;
  if (isReplaying(task, asked)) {
    const number = asked?.count ?? task.request?.count;
    const what = number ? `${count(number)} dead letter${number === 1 ? "" : "s"}` : "Dead letters";
    const sofar = !asked && replay ? ` ${count(replay.delivered)} delivered, ${count(replay.failed)} failed so far.` : "";
    const waits = task.instance.state === "running" ? "" : " The task waits for its turn.";
    return h(Notice, { title: `Sending again: ${what}` }, `Nothing else of the window is sent.${waits}${sofar}`);
  }
  if (!task.ended || !replay) return null;
  const sent = replay.sent ?? replay.delivered + replay.failed;
  return h(
    Notice,
    { status: replay.failed ? "warning" : "success", title: `Sent again: ${count(sent)}` },
    `${count(replay.delivered)} delivered, ${count(replay.failed)} failed again.`,
  );
}

function NotYet({ task }) {
  const state = task.instance.state;
  if (task.ended) {
    const title = state === "failed" ? "It failed before it began" : "There is no report";
    const text =
      state === "failed"
        ? "It has read no rows and sent no request. Its log says why."
        : `The task is ${state.replaceAll("_", " ")}, and has left no report and no progress.`;
    return h(Empty, { title }, text);
  }
  return h(
    Empty,
    { title: state === "running" ? "It begins" : "It has not run yet" },
    state === "running"
      ? "The first figures come about two seconds after it has begun to read."
      : "Once it runs, this tab shows how far it is, and afterwards what became of every row.",
  );
}

/** Say that the figures may be old, while the server is away. */
const Away = ({ error }) =>
  h(
    Notice,
    { status: "warning", title: "Reconnecting …" },
    `${error.message} These are the last figures; it is tried again by itself.`,
  );

function Task({ scope, task, refresh }) {
  const [asked, setAsked] = useState(null);
  // A request is answered by the next end of the task: of another try, or at another time.
  const isOver = asked && task.ended && task.instance.end_date !== asked.endedBefore;
  const open = isOver ? null : asked;

  function onAsked(number) {
    setAsked({ count: number, endedBefore: task.instance.end_date });
    refresh();
  }

  const figures = task.figures;
  if (figures === null) return h(NotYet, { task });
  return h(
    React.Fragment,
    null,
    h(Replaying, { task, asked: open }),
    h(Panel, null, h(Progress, { task }), h(Figures, { task })),
    failuresOf(figures) > 0 && h(Failures, { scope, task, asked: open, onAsked }),
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
      h(
        Notice,
        {
          key: "error",
          status: away ? "warning" : "error",
          title: away ? "Reconnecting …" : "This cannot be shown",
          action: !away && h(C.Button, { size: "xs", variant: "outline", onClick: refresh }, "Try again"),
        },
        error.message,
      ),
    !task && (!error || away) && h(Loading, { key: "loading", label: "Loading" }),
    task && !task.isOurs && h(Empty, { key: "other", title: "Nothing to show for this task" }, OTHERS),
    task?.isOurs && h(Task, { key, scope, task, refresh }),
  ]);
}

const OTHERS =
  "This task is not one of async-rest's (SqlToRestOperator, RestToSqlOperator), so it has no rows to account for.";

globalThis.Delivery = Delivery;
