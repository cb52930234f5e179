/** Sending dead letters again, for those who may: the request, the confirmation, and what is done when it fails. */

import { clearTask, requestReplay, withdrawReplay } from "./api.js";
import { count, counted } from "./format.js";
import { C, Notice, React, h } from "./kit.js";
import { failuresOf, refusesRequests } from "./delivery_data.js";

const { useEffect, useRef, useState } = React;

const ASK_AGAIN_MS = 5_000;

/** Ask Airflow whether the user may clear the task, until it answers. @returns "asking", "yes", or why not. */
function useMayClear(scope, when) {
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
          const forbidden = "You may not clear this task, so you cannot send anything again.";
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

/** Ask the task to send dead letters again, and let it run. Both, or neither. */
async function sendAgain(scope, request) {
  await requestReplay(scope, request);
  try {
    await clearTask(scope, { dryRun: false });
  } catch (error) {
    // Without an answer, or with a proxy's, the task may be cleared all the same, and would send everything then.
    let why = error.isPassing ? "Whether the task is cleared is not known." : null;
    if (why === null) {
      try {
        await withdrawReplay(scope);
      } catch {
        why = "";
      }
    }
    if (why === null) throw error;
    throw new Error(
      `${error.message} ${why} The request is still in the task's state store (key "replay"), and the next run takes ` +
        "it up: clear the task, or delete the key.",
    );
  }
}

/** What the button would do. `blocked` says why it cannot. */
function offer({ task, page, filter, isFiltered, isCurrent, fetches, mayClear, sending }) {
  const waits = task.ended ? null : "The task is not done yet.";
  const right = mayClear === "yes" || mayClear === "asking" ? null : mayClear;
  if (fetches) {
    const number = failuresOf(task.figures);
    return {
      number,
      label: `Try all ${count(number)} again`,
      blocked:
        (sending ? "It is being cleared." : null) ??
        waits ??
        (task.instance.state === "failed"
          ? null
          : "The task has succeeded, so a Clear would fetch everything again, not only what failed.") ??
        right,
    };
  }
  const number = page?.replayable ?? failuresOf(task.figures);
  return {
    number,
    label: isFiltered ? `Replay these ${count(number)} (filtered)` : number ? `Replay all ${count(number)}` : "Replay",
    request: { reasons: filter.reasons.length ? filter.reasons : null, search: filter.search, count: number },
    without: page ? page.matching - page.replayable : 0,
    blocked:
      refusesRequests(task) ??
      (sending ? "They are being sent again." : null) ??
      waits ??
      (isCurrent ? null : "Looking for what matches the filter …") ??
      (isFiltered && !page ? "Only a sample is shown: how many match the filter is not known." : null) ??
      (page?.matching === 0 ? "No match." : null) ??
      (number === 0 ? "These never were requests. Fix the rows, and clear the task." : null) ??
      right,
  };
}

function Words({ chosen, filter, isFiltered, fetches }) {
  if (fetches) {
    return h(
      C.Text,
      null,
      "The task is cleared. It fetches the failed items once more, loads the rows that the database had refused, and " +
        "goes on where it stopped if it had not read everything. What is loaded stays.",
    );
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
        filter.search && h("li", null, `with “${filter.search}” in the request, the row or the answer`),
      ),
    chosen.without > 0 && h(C.Text, { color: "fg.muted" }, withoutRequest(chosen.without)),
  );
}

const withoutRequest = (number) =>
  `${count(number)} ${number === 1 ? "stays" : "stay"} as ${number === 1 ? "it is" : "they are"}: what has no request ` +
  "needs a Clear of the task, which builds it; what the API took, with an answer that could not be read, is sent again " +
  "only when you filter by answer_unreadable.";

function Confirmation({ scope, chosen, open, onClose, onAsked, ...words }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const cancel = useRef(null);

  async function confirm() {
    setBusy(true);
    setError(null);
    try {
      await (words.fetches ? clearTask(scope, { dryRun: false }) : sendAgain(scope, chosen.request));
      onClose();
      onAsked(chosen.number);
    } catch (failure) {
      setError(failure);
    } finally {
      setBusy(false);
    }
  }

    const title = `${words.fetches ? "Try" : "Send"} ${counted(chosen.number, "dead letter")} again?`;
  return h(
    C.Dialog.Root,
    {
      open,
      role: "alertdialog",
      onOpenChange: (event) => !event.open && !busy && onClose(),
      initialFocusEl: () => cancel.current,
      onExitComplete: () => setError(null),
      lazyMount: true,
      unmountOnExit: true,
    },
    h(
      C.Portal,
      null,
      h(C.Dialog.Backdrop),
      h(
        C.Dialog.Positioner,
        { px: 4 },
        h(
          C.Dialog.Content,
          null,
          h(C.Dialog.Header, null, h(C.Dialog.Title, null, title)),
          h(
            C.Dialog.Body,
            null,
            h(Words, { chosen, ...words }),
            error && h(C.Box, { mt: 3 }, h(Notice, { status: "error", title: "Nothing is sent again" }, error.message)),
          ),
          h(
            C.Dialog.Footer,
            null,
            h(C.Button, { variant: "outline", onClick: onClose, disabled: busy, ref: cancel }, "Cancel"),
            h(
              C.Button,
              { colorPalette: "brand", onClick: confirm, loading: busy },
              `${words.fetches ? "Try" : "Send"} ${count(chosen.number)} again`,
            ),
          ),
        ),
      ),
    ),
  );
}

export function ReplayButton({ scope, task, page, isLoaded, filter, isFiltered, isCurrent, sending, fetches, onAsked }) {
  const mayClear = useMayClear(scope, isLoaded);
  const [isOpen, setOpen] = useState(false);
  if (fetches && isFiltered) return null;
  const chosen = offer({ task, page, filter, isFiltered, isCurrent, fetches, mayClear, sending });
  return h(
    C.VStack,
    { align: "flex-end", gap: 1, maxW: "full" },
    h(
      C.Button,
      {
        size: "sm",
        colorPalette: "brand",
        disabled: chosen.blocked !== null || mayClear === "asking",
        title: chosen.blocked ?? undefined,
        onClick: () => setOpen(true),
      },
      chosen.label,
    ),
    (chosen.blocked || chosen.without > 0) &&
      h(
        C.Text,
        { fontSize: "xs", color: "fg.muted", textAlign: "end", maxW: "24rem", textWrap: "balance" },
        chosen.blocked ?? withoutRequest(chosen.without),
      ),
    h(Confirmation, {
      scope,
      chosen,
      open: isOpen,
      onClose: () => setOpen(false),
      onAsked,
      filter,
      isFiltered,
      fetches,
    }),
  );
}
