/** Whether a DAG is paused: what is asked of it then waits until it is switched on, and this is said before. */

import { dagOf } from "./api.js";
import { C, Notice, React, h } from "./kit.js";

const { useEffect, useState } = React;

/** Whether the DAG is paused, so that runs would wait; null while that is not known. */
export function usePaused(dagId, isOpen) {
  const [paused, setPaused] = useState(null);
  useEffect(() => {
    if (!isOpen) return undefined;
    const controller = new AbortController();
    dagOf(dagId, controller.signal)
      .then(({ is_paused: is }) => setPaused(is))
      .catch(() => {}); // it is a hint, and no more
    return () => controller.abort();
  }, [dagId, isOpen]);
  return paused;
}

/** @param what waits, as "the task runs". */
export function Paused({ dagId, what }) {
  const paused = usePaused(dagId, true);
  return paused ? h(C.Box, { mt: 3 }, h(Notice, { status: "warning", title: "The DAG is paused" }, `Switch it on: ${what} only then.`)) : null;
}
