/** Why a task has failed, first: the sentence that its log has, what to do next, and the way to the log. */

import { C, Inner, Notice, h, useTimezone } from "./kit.js";
import { olderThan, withOwnError } from "./delivery_data.js";
import { dateTime } from "./format.js";
import { isDeliveredLater, troubleOf } from "./next_step.js";
import { taskPath } from "./paths.js";

const BEFORE = "The task's state and its figures below are from before that.";

/** @param step as `nextStep` gives it; @param replay the last one by another task; @param actions what can be done, where that is not shown elsewhere. */
export function Why({ task, step, replay, actions }) {
  const { instance, report } = task;
  const figures = withOwnError(task);
  const trouble = troubleOf({
    state: instance.state,
    figures,
    step,
    isDeliveredLater: isDeliveredLater(report ?? figures, replay),
  });
  if (trouble === null) return null;
  return h(
    Notice,
    { status: trouble.status, title: trouble.title },
    trouble.next,
    " ",
    h(Inner, { path: taskPath({ ...instance, run_id: instance.dag_run_id }) }, "Open the log"),
    actions && h(C.Box, { mt: 3 }, actions),
  );
}

/** That the last try has not left what it has come to, as where XCom could not be written. */
export function Older({ task }) {
  const zone = useTimezone();
  const older = olderThan(task);
  if (older === null) return null;
  const title = `What is shown here is older than ${older.what}, which has left no report`;
  return h(Notice, { status: "warning", title }, older.at && `It is from ${dateTime(older.at, zone)}.`);
}

/** That all dead letters were delivered after the task had ended with them, and by whom. */
export function Later({ task, replay }) {
  const report = task.report ?? task.figures;
  if (!task.ended || !isDeliveredLater(report, replay)) return null;
  if (!replay || !report.failed) {
    // The notice of the replay in this tab says as much.
    return task.figures.replay ? null : h(Notice, { status: "success", title: "Delivered later" }, "After a Clear, no dead letter is left.");
  }
  const { by } = replay;
  if (!by) return h(Notice, { status: "success", title: "Delivered later" }, `Another task has delivered what failed. ${BEFORE}`);
  return h(
    Notice,
    { status: "success", title: "Delivered later" },
    "A replay by another task has delivered what failed: ",
    h(Inner, { path: taskPath(by) }, `${by.dag_id}, ${by.run_id}`),
    `. ${BEFORE}`,
  );
}
