/** What failed: counts by reason to choose from, a search, a page of dead letters, and all of them as a file. */

import { ApiError, deadLetters, downloadUrl } from "./api.js";
import { count } from "./format.js";
import { C, Chip, Empty, Notice, Pager, Panel, React, h } from "./kit.js";
import { LetterGroups } from "./letter_groups.js";
import { LettersTable } from "./letters_table.js";
import { useSettled } from "./polling.js";
import { replaying } from "./next_step.js";
import { Actions, saidOf } from "./replay.js";
import { UNREADABLE, failuresOf, isUnwritten } from "./delivery_data.js";

const { useEffect, useLayoutEffect, useMemo, useRef, useState } = React;

const PAGE = 50;
const TYPING_MS = 300;
const FRESH_MS = 5_000;
// Not allowed, not there, not reachable: XCom has a sample in all three cases.
const SAMPLE_INSTEAD = new Set([0, 403, 404, 503]);

/** The page that the endpoint would give of so many dead letters, of the sample of them that is in XCom. */
function pageOfSample(sample, total, { reasons, search }, offset) {
  const wanted = search.toLowerCase();
  const matching = sample.filter(
    (letter) =>
      (reasons.length === 0 || reasons.includes(letter.reason)) &&
      (!wanted || JSON.stringify(letter).toLowerCase().includes(wanted)),
  );
  const replayable = matching.filter(
    (letter) => letter.method && (letter.reason !== UNREADABLE || reasons.includes(UNREADABLE)),
  );
  return {
    total,
    matching: matching.length,
    // Of more than the sample has, it is not known.
    replayable: sample.length < total ? undefined : replayable.length,
    records: matching.slice(offset, offset + PAGE),
  };
}

/** While the task runs the number grows all the time: every few seconds is often enough to ask again. */
function useVersion(number, running) {
  const shown = useRef({ number, at: Date.now() });
  if (number !== shown.current.number && (!running || Date.now() - shown.current.at > FRESH_MS)) {
    shown.current = { number, at: Date.now() };
  }
  return shown.current.number;
}

/** Load a page. The one before stays until the next is there, so that nothing jumps. */
function useLetters(scope, folder, filter, offset, version, isThere) {
  const [view, setView] = useState({ page: null, error: null, loading: true });
  const [times, setTimes] = useState(0);
  const wanted = JSON.stringify([scope, folder, filter, offset, version, times, isThere]);
  useLayoutEffect(() => {
    if (!isThere) {
      setView({ page: null, error: null, loading: false });
      return undefined;
    }
    const controller = new AbortController();
    const { signal } = controller;
    setView((before) => ({ ...before, loading: true }));
    deadLetters(scope, folder, filter, { offset, limit: PAGE }, signal)
      .then((page) => setView({ page, of: JSON.stringify(filter), error: null, loading: false }))
      .catch((error) => {
        if (signal.aborted) return;
        if (!(error instanceof ApiError)) console.error(error);
        setView((before) => ({ ...before, error, loading: false }));
      });
    return () => controller.abort();
  }, [wanted]);
  return { ...view, again: () => setTimes(times + 1) };
}

function Reasons({ reasons, chosen, onChoose }) {
  // One that is chosen stays, though nobody has it any more: how else would it be let go?
  const all = { ...Object.fromEntries(chosen.map((name) => [name, 0])), ...reasons };
  const names = Object.entries(all).sort(([, one], [, other]) => other - one);
  if (names.length < 2 && chosen.length === 0) {
    const look = { size: "md", variant: "outline", borderRadius: "full", px: 2.5 };
    return names.map(([name, number]) => h(C.Badge, { key: name, ...look }, `${name} ${count(number)}`));
  }
  const toggled = (name) => (chosen.includes(name) ? chosen.filter((other) => other !== name) : [...chosen, name]);
  return names.map(([name, number]) =>
    h(Chip, { key: name, pressed: chosen.includes(name), number, onClick: () => onChoose(toggled(name)) }, name),
  );
}

const Downloads = ({ scope, folder, filter }) =>
  h(
    C.Flex,
    { gap: 3, fontSize: "sm", align: "center" },
    h(C.Text, { as: "span", color: "fg.muted" }, "Download"),
    [
      ["jsonl", "JSON Lines"],
      ["csv", "CSV"],
    ].map(([format, name]) =>
      h(
        C.Link,
        { key: format, href: downloadUrl(scope, folder, filter, format), download: true, color: "fg.info" },
        name,
      ),
    ),
  );

function Search({ value, onChange }) {
  return h(C.Input, {
    type: "search",
    size: "sm",
    value,
    onChange: (event) => onChange(event.target.value),
    placeholder: "Search key, request, payload, answer",
    "aria-label": "Search the dead letters",
    flex: "1 1 14rem",
    maxW: "26rem",
  });
}

const Grouped = ({ isGrouped, onChange }) =>
  h(
    C.Button,
    { size: "sm", variant: isGrouped ? "solid" : "outline", "aria-pressed": isGrouped, onClick: () => onChange(!isGrouped) },
    "Group by what the API said",
  );

/** @param step as `nextStep` gives it, for all of them; @param onPage told of each page, which also knows of replays. */
export function Failures({ scope, task, asked, step, onAsked, onPage }) {
  const [reasons, setReasons] = useState([]);
  const [typed, setTyped] = useState("");
  const [kind, setKind] = useState(undefined);
  const [offset, setOffset] = useState(0);
  const [wantsGroups, setGrouped] = useState(false);
  const search = useSettled(typed.trim(), TYPING_MS);
  const wanted = useMemo(() => ({ reasons, search, kind }), [reasons, search, kind]);
  const { figures, sample } = task;
  const folder = figures.dead_letters;
  const total = failuresOf(figures);
  const version = useVersion(total, !task.ended);
  const waits = isUnwritten(task);
  const view = useLetters(scope, folder, wanted, offset, version, !waits);
  const fromSample = view.error !== null && SAMPLE_INSTEAD.has(view.error.status);
  // Of which kind one is, only the endpoint tells.
  const filter = useMemo(() => (fromSample ? { ...wanted, kind: undefined } : wanted), [fromSample, wanted]);
  const page = useMemo(
    () => (fromSample ? pageOfSample(sample, total, filter, offset) : view.page),
    [fromSample, sample, total, filter, offset, view.page],
  );
  const isFiltered = reasons.length > 0 || search !== "" || filter.kind !== undefined;
  // Without the endpoint there are no groups, and no button that leads out of them.
  const isGrouped = wantsGroups && !fromSample && page !== null;
  useEffect(() => onPage(page), [page]);

  const sending = Boolean(asked);
  useEffect(() => {
    if (!sending) return undefined;
    // Afterwards they are others, so what was chosen among them says nothing any more.
    return () => {
      setReasons([]);
      setTyped("");
      setKind(undefined);
      setOffset(0);
    };
  }, [sending]);

  const choose = (set) => (value) => {
    set(value);
    setOffset(0);
  };
  function chooseKind({ reason, text }) {
    choose(setReasons)([reason]);
    setKind(text || " "); // an address leaves out what is empty
    setGrouped(false);
  }

  if (page?.total === 0 && task.ended) return null;
  return h(
    Panel,
    { title: `What failed (${count(page?.total ?? total)})` },
    step &&
      h(
        C.Box,
        { mb: 4 },
        // Of a task that has failed, the box above says it.
        task.instance.state === "success" && h(C.Text, { fontSize: "sm", mb: 2 }, step.why),
        step.primary &&
          h(Actions, {
            scope,
            task,
            step: isFiltered ? { ...step, replay: replaying(page?.replayable ?? null) } : step,
            filter,
            isFiltered,
            // Of a sample nobody knows how many it stands for.
            page: fromSample ? null : page,
            // What people look for comes first, then whether they may do something about it.
            isLoaded: page !== null,
            // While somebody types, or the answer is on its way, the number is that of the filter before.
            isCurrent: typed.trim() === search && (fromSample || view.of === JSON.stringify(filter)),
            waits: sending ? "The task is being cleared." : null,
            onAsked,
          }),
      ),
    h(
      C.Flex,
      { role: "group", "aria-label": "Reasons", gap: 2, wrap: "wrap", mb: 3 },
      h(Reasons, {
        reasons: view.page?.reasons ?? figures.reasons ?? {},
        chosen: reasons,
        onChoose: choose(setReasons),
      }),
      filter.kind !== undefined &&
        h(Chip, { pressed: true, number: page?.matching, onClick: () => choose(setKind)(undefined) }, saidOf(filter.kind)),
    ),
    h(
      C.Flex,
      { gap: 3, wrap: "wrap", align: "center", justify: "space-between", mb: 3 },
      h(
        C.Flex,
        { gap: 3, wrap: "wrap", align: "center", flex: "1 1 20rem" },
        h(Search, { value: typed, onChange: choose(setTyped) }),
        !fromSample && page !== null && h(Grouped, { isGrouped, onChange: setGrouped }),
      ),
      !fromSample && page !== null && h(Downloads, { scope, folder, filter }),
    ),
    view.error &&
      h(
        C.Box,
        { mb: 3 },
        h(
          Notice,
          {
            status: fromSample ? "warning" : "error",
            title: fromSample
              ? `Only a sample of ${count(sample.length)}, from XCom`
              : "The dead letters cannot be shown",
            action: h(
              C.Button,
              { size: "xs", variant: "outline", onClick: view.again, loading: view.loading },
              "Try again",
            ),
          },
          view.error.message,
        ),
      ),
    waits && h(Empty, { title: "Not written yet" }, "Dead letters are written at 100 items, or after 30 seconds."),
    page === null && view.loading && h(C.Box, { height: "10rem", bg: "bg.muted", borderRadius: "md" }),
    isGrouped && h(LetterGroups, { scope, folder, filter, version, onChoose: chooseKind }),
    page !== null && !isGrouped && h(Found, { page, isFiltered, loading: view.loading }),
    page !== null &&
      !isGrouped &&
      h(Pager, { offset, limit: PAGE, total: page.matching, label: "Pages of dead letters", onMove: setOffset }),
  );
}

function Found({ page, isFiltered, loading }) {
  if (page.records.length === 0) {
    return h(
      Empty,
      { title: isFiltered ? "No match" : "None is left" },
      isFiltered ? "Choose other reasons, or search for something else." : "The task is sending them again, or XCom has no sample.",
    );
  }
  return h(
    C.Box,
    { opacity: loading ? 0.6 : 1, transition: "opacity 0.2s", "aria-busy": loading },
    h(LettersTable, { letters: page.records }),
  );
}
