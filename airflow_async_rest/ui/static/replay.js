/** The ways on, for those who may: resuming the window, or sending dead letters again; and what is done when it fails. */

import { clearTask } from "./api.js";
import { goOn } from "./clearing.js";
import { Question } from "./dialog.js";
import { count, counted } from "./format.js";
import { C, Notice, React, h } from "./kit.js";
import { isFetch, refusesRequests } from "./delivery_data.js";
import { labelOf, nameOfFiltered, titleOfFailure } from "./next_step.js";
import { Paused } from "./paused.js";

const { useEffect, useState } = React;

const ASK_AGAIN_MS = 5_000;

/** Ask Airflow whether the user may clear the task, until it answers. @returns "asking", "yes", or why not. */
export function useMayClear(scope, when) {
  const [answer, setAnswer] = useState("asking");
  useEffect(() => {
    if (!when) return undefined;
    const controller = new AbortController();
    let timer;
    function ask() {
      clearTask(scope, { dryRun: true }, controller.signal)
        .then(() => setAnswer("yes"))
        .catch((error) => {
          if (controller.signal.aborted) return;
          const forbidden = "You may not clear this task, and neither button works without that.";
          setAnswer(error.status === 403 ? forbidden : error.message);
          if (error.isPassing) timer = setTimeout(ask, ASK_AGAIN_MS);
        });
    }
    ask();
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [scope, when]);
  return answer;
}

/** Why dead letters cannot be sent again; null when they can. */
function whyNotSent({ task, page, isFiltered, isCurrent, number }) {
  return (
    refusesRequests(task) ??
    (isCurrent ? null : "Looking for what matches the filter …") ??
    (isFiltered && !page ? "Only a sample is shown: how many match the filter is not known." : null) ??
    (page?.matching === 0 && isFiltered ? "No match." : null) ??
    (number === 0 ? (page ? withoutRequest(page.matching) : "These never became requests.") : null)
  );
}

/** The two ways on, with why one cannot be gone: `{resume, replay}`; a task that fetches has the first alone. */
function offers({ task, step, waits, mayClear, ...rest }) {
  const right = mayClear === "yes" || mayClear === "asking" ? null : mayClear;
  const fetches = isFetch(task);
  const never = fetches && task.instance.state === "success" ? FETCHES_ALL : null;
  const resume = {
    ...step.resume,
    kind: "resume",
    label: labelOf(step.resume),
    blocked: waits ?? never ?? right,
  };
  const { page, filter, isFiltered } = rest;
  if (!filter || fetches) return { resume };
  const number = step.replay.count;
  const request = { reasons: filter.reasons.length ? filter.reasons : null, search: filter.search, kind: filter.kind, count: number };
  const replay = {
    ...step.replay,
    kind: "replay",
    request,
    label: isFiltered ? nameOfFiltered(number) : labelOf(step.replay),
    without: page ? page.matching - page.replayable : 0,
    blocked: waits ?? whyNotSent({ task, number, ...rest }) ?? right,
  };
  return { resume, replay };
}

const FETCHES_ALL = "The task has succeeded, so a Clear would fetch everything again, not only what failed.";

function Words({ chosen, filter, isFiltered }) {
  if (chosen.kind === "resume") {
    return h(C.Text, null, `The task is cleared. It ${chosen.does[0].toLowerCase()}${chosen.does.slice(1)}`);
  }
  return h(
    C.VStack,
    { align: "stretch", gap: 3 },
    h(
      C.Text,
      null,
      "The task is cleared, and sends these requests as they were, with the same idempotency keys and inside its " +
        "limits. What is delivered is no longer a dead letter. Nothing else of the window is sent.",
    ),
    isFiltered &&
      h(
        C.Box,
        { as: "ul", ps: 5, listStyleType: "disc", overflowWrap: "anywhere" },
        filter.reasons.length > 0 && h("li", null, `failed for ${filter.reasons.join(" or ")}`),
        filter.kind !== undefined && h("li", null, saidOf(filter.kind)),
        filter.search && h("li", null, `with “${filter.search}” in the request, the row or the answer`),
      ),
    chosen.without > 0 && h(C.Text, { color: "fg.muted" }, withoutRequest(chosen.without)),
  );
}

/** What the API said of the dead letters of a kind, as `LetterGroups` has it. */
export const saidOf = (kind) => (kind.trim() ? `“${kind}”` : "the API said nothing");

const withoutRequest = (number) =>
  `${count(number)} ${number === 1 ? "stays" : "stay"} as ${number === 1 ? "it is" : "they are"}: what has no request ` +
  "needs a Clear of the task, which builds it; what the API took, with an answer that could not be read, is sent again " +
  "only when you filter by answer_unreadable.";

/** What is asked before it is done, and what the button for it says. */
function question({ kind, name, count: number }) {
  if (kind === "resume") return [`${name}?`, name.split(" ")[0]];
  return [`Send ${counted(number, "dead letter")} again?`, `Send ${counted(number, "item")} again`];
}

function Confirmation({ scope, chosen, open, onClose, onAsked, ...words }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);

  async function confirm() {
    setBusy(true);
    setError(null);
    try {
      await goOn(scope, chosen);
      onClose();
      onAsked(chosen.count, chosen.kind);
    } catch (failure) {
      setError(failure);
    } finally {
      setBusy(false);
    }
  }

  const [title, label] = question(chosen);
  return h(
    Question,
    { open, title, label, busy, onClose, onConfirm: confirm, onExit: () => setError(null) },
    h(Words, { chosen, ...words }),
    h(Paused, { dagId: scope.dagId, what: "the task runs" }),
    error && h(C.Box, { mt: 3 }, h(Notice, { status: "error", title: titleOfFailure(chosen.kind, error.isUnsure) }, error.message)),
  );
}

/** A way on: the button, and below it what it does, or why it cannot be pressed. */
const Offer = ({ offer, isPrimary, isAsking, color, onClick }) =>
  h(
    C.VStack,
    { align: "flex-start", gap: 1, flex: "0 1 19rem" },
    h(
      C.Button,
      {
        size: "sm",
        colorPalette: "brand",
        variant: isPrimary ? "solid" : "outline",
        "data-primary": isPrimary ? "" : undefined,
        disabled: offer.blocked !== null || isAsking,
        title: offer.blocked ?? undefined,
        onClick,
      },
      offer.label,
    ),
    h(
      C.Text,
      { fontSize: "xs", color },
      offer.blocked ?? offer.does,
      offer.blocked === null && offer.without > 0 && ` ${withoutRequest(offer.without)}`,
    ),
  );

/**
 * What can be done, side by side. The one that is better is filled, and comes first.
 *
 * @param step as `nextStep` gives it; with `filter` and `page` there are dead letters to send again.
 */
export function Actions({ scope, task, step, isLoaded = true, waits = null, onAsked, ...letters }) {
  const mayClear = useMayClear(scope, isLoaded);
  const [asked, setAsked] = useState(null);
  const [isOpen, setOpen] = useState(false);
  const { resume: first, replay } = offers({ task, step, waits, mayClear, ...letters });
  const all = [first, replay].filter(Boolean);
  const primary = all.length === 1 ? first : step.primary === "resume" ? first : replay;
  const shown = [primary, ...all.filter((offer) => offer !== primary)];
  return h(
    C.Flex,
    { role: "group", "aria-label": "What can be done", gap: 4, wrap: "wrap", align: "flex-start" },
    shown.map((offer) =>
      h(Offer, {
        key: offer.kind,
        offer,
        isPrimary: offer === primary,
        isAsking: mayClear === "asking",
        color: letters.filter ? "fg.muted" : "inherit", // of the notice that it is in
        onClick: () => {
          setAsked(offer.kind);
          setOpen(true);
        },
      }),
    ),
    h(Confirmation, {
      scope,
      chosen: all.find(({ kind }) => kind === asked) ?? primary,
      open: isOpen,
      onClose: () => setOpen(false),
      onAsked,
      ...letters,
    }),
  );
}
