/** Every call that the tabs make: Airflow's public API, and the endpoints beside it. All of the same origin. */

import { lettersPage } from "./well_formed.js";

const PATIENCE_MS = 20_000;
// Airflow makes hundreds of runs before it answers.
const BACKFILL_PATIENCE_MS = 120_000;

/** An answer that is none, or an error. `status` is 0 when there was no answer at all. */
export class ApiError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }

  /** Whether it may pass by itself: the server is away, restarts, or is busy. */
  get isPassing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** Build a URL below the one that Airflow is served from, which may have a path. */
function urlOf(parts, query = {}) {
  const url = new URL(parts.map(encodeURIComponent).join("/"), document.baseURI);
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") url.searchParams.append(name, one);
    }
  }
  return url.href;
}

function detailOf(answer, text) {
  let detail;
  try {
    ({ detail } = JSON.parse(text));
  } catch {
    detail = undefined;
  }
  if (typeof detail === "string") return detail;
  if (detail !== undefined) return JSON.stringify(detail);
  return `Airflow answers with ${answer.status} ${answer.statusText}`.trim();
}

async function call(url, { method = "GET", body, signal, patience: most = PATIENCE_MS } = {}) {
  const patience = AbortSignal.timeout(most);
  let answer, text;
  try {
    answer = await fetch(url, {
      method,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, patience]) : patience,
    });
    text = await answer.text();
  } catch {
    signal?.throwIfAborted();
    throw new ApiError(0, "Airflow does not answer.");
  }
  if (!answer.ok) throw new ApiError(answer.status, detailOf(answer, text));
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    throw new ApiError(0, "Something in front of Airflow answers instead of it.");
  }
}

const taskParts = ({ dagId, runId, taskId }) => ["api", "v2", "dags", dagId, "dagRuns", runId, "taskInstances", taskId];
const mapped = ({ mapIndex }) => ({ map_index: mapIndex });

/** The task instance: state, operator, try number. */
export const taskInstance = (scope, signal) =>
  call(urlOf([...taskParts(scope), ...(scope.mapIndex < 0 ? [] : [scope.mapIndex])]), { signal });

// Airflow's own address has it only where Airflow has a state store, and where that is the one in use.
const stateUrl = (scope, ...key) => urlOf(["async-rest", ...taskParts(scope), "state-store", ...key], mapped(scope));

/** What the task has stored, by key. A list has no answer "404", which a browser would write to its console. */
export async function storedValues(scope, signal) {
  const { task_state_store: entries } = await call(stateUrl(scope), { signal });
  return Object.fromEntries(entries.map(({ key, value }) => [key, value]));
}

/** One value that is known to be stored. */
export const storedValue = async (scope, key, signal) =>
  (await call(stateUrl(scope, key), { signal })).value;

/** What the task has pushed, wherever an XCom backend keeps it: `return_value`, `failed_items`, `preview`. */
export const pushedValues = (scope, signal) =>
  call(urlOf(["async-rest", ...taskParts(scope), "pushed"], mapped(scope)), { signal });

const lettersQuery = ({ dagId, runId, taskId, mapIndex }, folder, { reasons, search, kind }) => ({
  dag_id: dagId,
  run_id: runId,
  task_id: taskId,
  map_index: mapIndex,
  folder,
  reason: reasons,
  search,
  kind,
});

/** A page of dead letters: `{total, matching, replayable, reasons, records}`. */
export const deadLetters = async (scope, folder, filter, { offset, limit }, signal) =>
  lettersPage(await call(urlOf(["async-rest", "dead-letters"], { ...lettersQuery(scope, folder, filter), offset, limit }), { signal }));

/** Dead letters by what the API said of them: `{kinds, others}`. */
export const letterGroups = (scope, folder, filter, signal) =>
  call(urlOf(["async-rest", "dead-letters", "groups"], lettersQuery(scope, folder, filter)), { signal });

/** Where the dead letters are as a file; `format` is "jsonl" or "csv". */
export const downloadUrl = (scope, folder, filter, format) =>
  urlOf(["async-rest", "dead-letters", "download"], { ...lettersQuery(scope, folder, filter), format });

/** A page of what was dead, and is delivered: `{total, records}`. */
export const resolvedLetters = async (scope, folder, { offset, limit }, signal) =>
  lettersPage(await call(urlOf(["async-rest", "dead-letters", "resolved"], { ...lettersQuery(scope, folder, {}), offset, limit }), { signal }));

/** What of the task has changed in its DAG since it ran: `{changed, endpoint}`. */
export const changesOf = (scope, signal) =>
  call(urlOf(["async-rest", ...taskParts(scope), "changes"], mapped(scope)), { signal });

/** The tries of a task instance, as Airflow remembers them. */
export async function triesOf(scope, signal) {
  const place = [...taskParts(scope), ...(scope.mapIndex < 0 ? [] : [scope.mapIndex]), "tries"];
  return (await call(urlOf(place), { signal })).task_instances;
}

/** The windows of a DAG: `{tasks, windows, truncated, timetable, missing, limits}`. */
export const windowsOf = (dagId, signal) => call(urlOf(["async-rest", "windows"], { dag_id: dagId }), { signal });

/** A page of all DAGs' tasks, after a DAG's id: `{rows, next, truncated}`. */
export const deliveriesAfter = ({ after, limit }, signal) =>
  call(urlOf(["async-rest", "deliveries"], { after, limit }), { signal });

/** What a Clear is asked by; a version of Airflow refuses what it does not know. */
export function clearBody({ runId, taskId, mapIndex }, dryRun, version) {
  const [major, minor] = version.split(".").map(Number);
  return {
    dry_run: dryRun,
    dag_run_id: runId,
    task_ids: [mapIndex < 0 ? taskId : [taskId, mapIndex]],
    only_failed: false,
    reset_dag_runs: true,
    ...(major === 3 && minor < 2 ? {} : { prevent_running_task: true }),
  };
}

let version;

/** Which Airflow it is, as "3.1.8": asked once, since it is another only after the page is loaded again. */
async function airflowVersion(signal) {
  version ??= (await call(urlOf(["api", "v2", "version"]), { signal })).version;
  return version;
}

/** Let the task run again; a dry run only tells whether the user may. */
export async function clearTask(scope, { dryRun }, signal) {
  const { dagId } = scope;
  const body = clearBody(scope, dryRun, await airflowVersion(signal));
  // Somebody else may have started it since this page was drawn; before 3.2 Airflow does not look at that itself.
  if (!dryRun && !body.prevent_running_task && (await taskInstance(scope, signal)).state === "running") {
    throw new ApiError(409, "The task is running already.");
  }
  return call(urlOf(["api", "v2", "dags", dagId, "clearTaskInstances"]), { method: "POST", body, signal });
}

/** Leave the task a request to send dead letters again when it runs next. */
export const requestReplay = (scope, request) =>
  call(stateUrl(scope, "replay"), { method: "PUT", body: { value: request } });

export const withdrawReplay = (scope) => call(stateUrl(scope, "replay"), { method: "DELETE" });

/** A DAG, as Airflow shows it: whether it is paused. */
export const dagOf = (dagId, signal) => call(urlOf(["api", "v2", "dags", dagId]), { signal });

const backfill = (body, parts, signal) =>
  call(urlOf(["api", "v2", "backfills", ...parts]), { method: "POST", body, signal, patience: BACKFILL_PATIENCE_MS });

/** Which runs a backfill would make: `{backfills, total_entries}`. */
export const dryRunOfBackfill = (body, signal) => backfill(body, ["dry_run"], signal);

export const createBackfill = (body) => backfill(body, []);
