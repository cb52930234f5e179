/** What has happened to a window: tries, replays by other tasks, and dead letters that are none any more. */

import { resolvedLetters, triesOf } from "./api.js";
import { count, dateTime } from "./format.js";
import { C, Inner, Pager, Panel, React, StateBadge, Table, h, useTimezone } from "./kit.js";
import { LettersTable } from "./letters_table.js";
import { replaysOf } from "./delivery_data.js";
import { historyOf } from "./next_step.js";
import { deliveryPath } from "./paths.js";
import { useExtra } from "./polling.js";

const { useState } = React;

const PAGE = 20;
// A list of thousands of tries is no history that anybody reads.
const MOST_EVENTS = 50;

const Event = ({ event, zone }) =>
  h(
    "tr",
    { style: { cursor: "auto" } },
    h("td", null, dateTime(event.at, zone)),
    h("td", null, event.by ? h(Inner, { path: deliveryPath(event.by) }, `${event.name}: ${event.by.dag_id}, ${event.by.run_id}`) : event.name),
    h("td", null, event.text),
    h("td", { className: "number" }, event.by ? (event.state === "success" ? "none left" : "") : h(StateBadge, { state: event.state })),
  );

function Resolved({ scope, folder, total }) {
  const [offset, setOffset] = useState(0);
  const page = useExtra(
    (signal) => resolvedLetters(scope, folder, { offset, limit: PAGE }, signal),
    JSON.stringify([scope, folder, total, offset]),
  );
  return h(
    C.Box,
    { mt: 4 },
    h(C.Heading, { as: "h4", size: "xs", mb: 2 }, `Delivered later (${count(total)})`),
    page && h(LettersTable, { letters: page.records, label: "Delivered later", isResolved: true }),
    h(Pager, { offset, limit: PAGE, total, label: "Pages of what was delivered later", onMove: setOffset }),
  );
}

/** @param page of dead letters, which also knows of replays, and how many are resolved; null where it cannot be had. */
export function History({ scope, task, page }) {
  const zone = useTimezone();
  const { instance, figures } = task;
  const tries = useExtra((signal) => triesOf(scope, signal), JSON.stringify([scope, instance.try_number, instance.state]));
  const events = historyOf(tries ?? [], page?.replays, replaysOf(task), figures.waits).slice(0, MOST_EVENTS);
  const resolved = page?.resolved ?? 0;
  if (events.length < 2 && resolved === 0) return null;
  return h(
    Panel,
    { title: "History" },
    events.length > 0 &&
      h(
        Table,
        { label: "History", columns: [["When"], ["What"], ["What came of it"], ["State", "number"]] },
        events.map((event) => h(Event, { key: `${event.at} ${event.name}`, event, zone })),
      ),
    resolved > 0 && h(Resolved, { scope, folder: figures.dead_letters ?? null, total: resolved }),
  );
}
