/** A page of dead letters as a table, in which a row opens to the request, the payload and the answer. */

import { NONE, dateTime, pretty } from "./format.js";
import { C, React, Table, TextBlock, h, narrow, useTimezone } from "./kit.js";

const { Fragment, memo, useCallback, useId, useState } = React;

/** What a reader knows a letter by; one whose key is missing by its place among the items. Both are counted as in the files. */
function nameOf(letter) {
  const { key, index } = letter;
  if (letter.row_number != null) return `row ${letter.row_number} of item ${letter.index}`;
  if (key == null) return index == null ? NONE : `item ${index}`;
  return typeof key === "object" ? JSON.stringify(key) : String(key);
}

const idOf = (letter, place) => `${place}:${letter.index}:${letter.row_number ?? ""}:${nameOf(letter)}`;

function Fact({ name, children }) {
  if (children == null || children === "") return null;
  return h(
    Fragment,
    null,
    h(C.Box, { as: "dt", color: "fg.muted" }, name),
    h(C.Box, { as: "dd", fontFamily: "mono", fontSize: "xs", overflowWrap: "anywhere", minW: 0 }, children),
  );
}

function requestLine({ method, path, query }) {
  if (!method) return null;
  const asked = query && typeof query === "object" ? new URLSearchParams(query).toString() : query;
  return `${method} ${path ?? ""}${asked ? `?${asked}` : ""}`;
}

function Letter({ letter, zone }) {
  const { payload, row, response_excerpt: answer } = letter;
  const content = payload ?? row;
  return h(
    C.VStack,
    { align: "stretch", gap: 3, py: 2 },
    h(
      C.Box,
      { as: "dl", display: "grid", gridTemplateColumns: "auto 1fr", columnGap: 4, rowGap: 1, fontSize: "sm" },
      h(Fact, { name: "Request" }, requestLine(letter)),
      h(Fact, { name: "Idempotency key" }, letter.idempotency_key),
      h(Fact, { name: "Index (from 0)" }, letter.index == null ? null : String(letter.index)),
      h(Fact, { name: "Row of the item (from 0)" }, letter.row_number == null ? null : String(letter.row_number)),
      h(Fact, { name: "Attempts" }, letter.attempts == null ? null : String(letter.attempts)),
      h(Fact, { name: "Failed at" }, letter.failed_at ? dateTime(letter.failed_at, zone) : null),
    ),
    h(
      C.Box,
      {
        display: "grid",
        gap: 3,
        gridTemplateColumns: "minmax(0, 1fr) minmax(0, 1fr)",
        css: narrow({ gridTemplateColumns: "minmax(0, 1fr)" }),
      },
      h(TextBlock, {
        title: payload == null && row != null ? "Row" : "Payload",
        text: content == null ? "" : pretty(content),
        empty: "None is kept.",
      }),
      h(TextBlock, { title: letter.status == null ? "Error" : "Answer", text: answer == null ? "" : pretty(answer), empty: "There was none." }),
    ),
    !letter.method &&
      h(C.Text, { fontSize: "sm", color: "fg.muted" }, "It has no request that could be sent again."),
  );
}

const textOf = (answer) => (answer == null ? NONE : typeof answer === "string" ? answer : JSON.stringify(answer));

const COLUMNS = [["Key"], ["Reason"], ["What the API said", "wide"], ["Status"], ["Attempts", "wide"], ["When", "wide"]];

const STYLES = {
  "& .key": {
    display: "flex",
    alignItems: "center",
    gap: 2,
    maxWidth: "14rem",
    cursor: "pointer",
    fontWeight: "medium",
  },
  "& .key > :first-of-type": { color: "fg.muted", transition: "transform 0.15s" },
  "& .key[aria-expanded=true] > :first-of-type": { transform: "rotate(90deg)" },
  "& .key > :last-of-type": { overflow: "hidden", textOverflow: "ellipsis", whiteSpace: "nowrap" },
  "& tr.resolved > td": { color: "fg.muted", textDecoration: "line-through" },
  "& .said": { maxWidth: "34rem", fontSize: "xs", overflowWrap: "anywhere" },
  "& .reason": {
    bg: "failed.subtle",
    color: "failed.fg",
    borderRadius: "sm",
    px: 1.5,
    py: 0.5,
    fontSize: "xs",
    overflowWrap: "anywhere",
  },
};

const Row = memo(function Row({ letter, id, isOpen, onToggle, zone, isResolved }) {
  const details = useId();
  return h(
    Fragment,
    null,
    h(
      "tr",
      { onClick: () => onToggle(id), className: [isOpen && "open", isResolved && "resolved"].filter(Boolean).join(" ") || undefined },
      h(
        "td",
        null,
        h(
          "button",
          { type: "button", className: "key", "aria-expanded": isOpen, "aria-controls": isOpen ? details : undefined },
          h("span", { "aria-hidden": true }, "›"),
          h("span", { title: nameOf(letter) }, nameOf(letter)),
        ),
      ),
      h("td", null, h("span", { className: "reason" }, letter.reason ?? NONE)),
      // In XCom's sample, of tries of any version, there is the answer alone.
      h("td", { className: "wide said" }, letter.said ?? textOf(letter.response_excerpt)),
      h("td", null, letter.status ?? NONE),
      h("td", { className: "wide" }, letter.attempts ?? NONE),
      h("td", { className: "wide" }, dateTime(letter.failed_at, zone)),
    ),
    isOpen &&
      h(
        "tr",
        { id: details, className: "opened" },
        h("td", { colSpan: COLUMNS.length }, h(Letter, { letter, zone })),
      ),
  );
});

/** @param isResolved whether they were delivered after all: then they are crossed out. */
export const LettersTable = memo(function LettersTable({ letters, label = "Dead letters", isResolved = false }) {
  const zone = useTimezone();
  const [open, setOpen] = useState(() => new Set());
  const toggle = useCallback(
    (id) =>
      setOpen((before) => {
        const after = new Set(before);
        if (!after.delete(id)) after.add(id);
        return after;
      }),
    [],
  );
  return h(
    Table,
    { label, columns: COLUMNS, css: STYLES },
    letters.map((letter, place) => {
      const id = idOf(letter, place);
      return h(Row, { key: id, id, letter, zone, isResolved, isOpen: open.has(id), onToggle: toggle });
    }),
  );
});
