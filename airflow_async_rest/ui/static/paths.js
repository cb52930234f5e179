/** Where things are within Airflow's own pages. */

/** A part of a path as Airflow's own links have it, with ":" and "+": else its tabs do not know theirs. */
const part = (text) => encodeURIComponent(text).replace(/%(?:2B|3A|40|2C|3D)/g, decodeURIComponent);

/** The page of a task instance, which begins with its log. */
export const taskPath = ({ dag_id: dagId, run_id: runId, task_id: taskId, map_index: index }) =>
  `/dags/${part(dagId)}/runs/${part(runId)}/tasks/${part(taskId)}${index >= 0 ? `/mapped/${index}` : ""}`;

/** The tab "Delivery" of a task instance. */
export const deliveryPath = (instance) => `${taskPath(instance)}/plugin/delivery`;

/** The tab "Windows" of a DAG. */
export const windowsPath = (dagId) => `/dags/${part(dagId)}/plugin/windows`;
