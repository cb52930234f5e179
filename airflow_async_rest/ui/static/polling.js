/** Looking again and again: not while nobody looks, not after the end, and on through an outage. */

import { ApiError } from "./api.js";

const { useEffect, useLayoutEffect, useRef, useState } = globalThis.React;

const FIRST_WAIT_MS = 2_000;
const LONGEST_WAIT_MS = 15_000;
const NOTHING = { data: undefined, error: null, away: false };

/**
 * Load something, and again for as long as `every` says.
 *
 * @param load `(signal, before) => Promise` of what is looked at.
 * @param key  what it is of; another key starts again.
 * @param every `(data) => ` milliseconds until the next look, or null for no more.
 * @returns `{data, error, away, refresh}`: `away` while the server does not answer, with the last data kept.
 */
export function usePolling(load, key, every) {
  const [view, setView] = useState({ key, ...NOTHING });
  const look = useRef(() => {});

  // Before the first paint: what is drawn meanwhile takes longer than the answer.
  useLayoutEffect(() => {
    let timer, controller, data;
    let failures = 0;

    function after(milliseconds) {
      clearTimeout(timer);
      if (milliseconds !== null && !document.hidden) timer = setTimeout(look.current, milliseconds);
    }

    look.current = async () => {
      clearTimeout(timer);
      controller?.abort();
      controller = new AbortController();
      const { signal } = controller;
      try {
        const found = await load(signal, data);
        if (signal.aborted) return;
        data = found;
        failures = 0;
        setView({ key, data, error: null, away: false });
        after(every(data));
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof ApiError)) console.error(error);
        const away = error instanceof ApiError && error.isPassing;
        setView({ key, data, error, away });
        after(away ? Math.min(FIRST_WAIT_MS * 1.5 ** failures++, LONGEST_WAIT_MS) : null);
      }
    };

    function seen() {
      clearTimeout(timer);
      controller?.abort();
      if (!document.hidden) look.current();
    }

    document.addEventListener("visibilitychange", seen);
    globalThis.addEventListener("online", seen);
    look.current();
    return () => {
      clearTimeout(timer);
      controller?.abort();
      document.removeEventListener("visibilitychange", seen);
      globalThis.removeEventListener("online", seen);
    };
  }, [key]);

  const refresh = useRef(() => look.current()).current;
  return { ...(view.key === key ? view : NOTHING), refresh };
}

/** Load something that the tab can do without: null until it is there, and where it cannot be had. */
export function useExtra(load, key) {
  const [found, setFound] = useState({ key: null, value: null });
  useEffect(() => {
    if (key === null) return undefined;
    const controller = new AbortController();
    load(controller.signal)
      .then((value) => setFound({ key, value }))
      .catch(() => {});
    return () => controller.abort();
  }, [key]);
  return found.key === key ? found.value : null;
}

/** The value as it was once it had stayed the same for a while: what is being typed is not searched for yet. */
export function useSettled(value, milliseconds) {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), milliseconds);
    return () => clearTimeout(timer);
  }, [value, milliseconds]);
  return settled;
}
