/** The two ways on, as they are gone: a task is cleared, with or without a request to send dead letters again. */

import { clearTask, requestReplay, withdrawReplay } from "./api.js";

/** Clear the task. Without an answer, or with a proxy's, it may be cleared all the same: then an error is `isUnsure`. */
async function clear(scope) {
  try {
    await clearTask(scope, { dryRun: false });
  } catch (error) {
    throw Object.assign(error, { isUnsure: error.isPassing });
  }
}

/** Let the task go on; a request that was left to it, and not taken up, would make that a replay. */
async function resume(scope) {
  await withdrawReplay(scope);
  await clear(scope);
}

/** Ask the task to send dead letters again, and let it run. Both, or neither. */
async function sendAgain(scope, request) {
  await requestReplay(scope, request);
  try {
    await clear(scope);
  } catch (error) {
    // A task that may be cleared would send everything without the request.
    if (!error.isUnsure && (await isWithdrawn(scope))) throw error;
    const message =
      `${error.message} The request is still in the task's state store (key "replay"), and the next run takes it up: ` +
      "clear the task, or delete the key.";
    throw Object.assign(new Error(message), { isUnsure: error.isUnsure });
  }
}

const isWithdrawn = (scope) => withdrawReplay(scope).then(() => true, () => false);

/**
 * Let a task go on.
 *
 * @param way `kind`, "resume" or "replay", and of a replay its `request`: `{reasons, search, kind, count}`.
 */
export const goOn = (scope, { kind, request }) => (kind === "resume" ? resume(scope) : sendAgain(scope, request));
