/** Dead letters by what the API said of them: a thousand rows that failed for two causes are two lines. */

import { letterGroups } from "./api.js";
import { count } from "./format.js";
import { useExtra } from "./history.js";
import { C, Table, h } from "./kit.js";

const COLUMNS = [["What the API said"], ["Reason"], ["Items", "number"]];

/** @param onChoose told of the kind that is clicked: its `reason`, and its `text`, by which its rows are found. */
export function LetterGroups({ scope, folder, filter, version, onChoose }) {
  const found = useExtra(
    (signal) => letterGroups(scope, folder, filter, signal),
    JSON.stringify([scope, folder, filter, version]),
  );
  if (!found) return null;
  return h(
    C.Box,
    null,
    h(
      Table,
      { label: "Dead letters by what the API said", columns: COLUMNS },
      found.kinds.map((kind) =>
        h(
          "tr",
          { key: `${kind.reason} ${kind.text}`, onClick: () => onChoose(kind) },
          h("td", null, h("button", { type: "button", className: "said" }, kind.text || "nothing")),
          h("td", null, kind.reason),
          h("td", { className: "number" }, count(kind.count)),
        ),
      ),
    ),
    found.others > 0 && h(C.Text, { fontSize: "sm", color: "fg.muted", mt: 2 }, `${count(found.others)} more, of other kinds.`),
  );
}
