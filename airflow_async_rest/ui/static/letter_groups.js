/** Dead letters by what the API said of them: a thousand rows that failed for two causes are two lines. */

import { letterGroups } from "./api.js";
import { count } from "./format.js";
import { C, Empty, Loading, Table, Trouble, h } from "./kit.js";
import { usePolling } from "./polling.js";

const COLUMNS = [["What the API said"], ["Reason"], ["Items", "number"]];

/** @param onChoose told of the kind that is clicked: its `reason`, and its `text`, by which its rows are found. */
export function LetterGroups({ scope, folder, filter, version, onChoose }) {
  const { data, error, ...again } = usePolling(
    (signal) => letterGroups(scope, folder, filter, signal),
    JSON.stringify([scope, folder, filter, version]),
    () => null, // until there are others
  );
  if (error) return h(Trouble, { error, ...again, title: "The groups cannot be shown" });
  if (!data) return h(Loading, { label: "Loading" });
  if (!data.kinds.length) return h(Empty, { title: "No match" }, "Choose other reasons, or search for something else.");
  return h(
    C.Box,
    null,
    h(
      Table,
      { label: "Dead letters by what the API said", columns: COLUMNS },
      data.kinds.map((kind) =>
        h(
          "tr",
          { key: `${kind.reason} ${kind.text}`, onClick: () => onChoose(kind) },
          h("td", null, h("button", { type: "button", className: "said" }, kind.text || "nothing")),
          h("td", null, kind.reason),
          h("td", { className: "number" }, count(kind.count)),
        ),
      ),
    ),
    data.others > 0 && h(C.Text, { fontSize: "sm", color: "fg.muted", mt: 2 }, `${count(data.others)} more, of other kinds.`),
  );
}
