/** A page of dead letters as a table, in which a row opens to the request, the payload and the answer. */

import { NONE, dateTime, pretty } from "./format.js";
import { C, React, h, narrow, useTimezone } from "./kit.js";

const { Fragment, memo, useId, useState } = React;

const NARROW_OUT = narrow({ display: "none" });

/** What a reader knows a letter by; one whose key is missing by its place among the items. */
function nameOf({ key, index }) {
  if (key == null) return index == null ? NONE : `item ${index}`;
  return typeof key === "object" ? JSON.stringify(key) : String(key);
}

const idOf = (letter, place) => `${place}:${letter.index}:${letter.row_number ?? ""}:${nameOf(letter)}`;

function Text({ title, text, empty }) {
  return h(
    C.Box,
    { minW: 0 },
    h(C.Text, { fontSize: "xs", fontWeight: "semibold", color: "fg.muted", mb: 1 }, title),
    text
      ? h(
          C.Box,
          {
            as: "pre",
            tabIndex: 0,
            "aria-label": title,
            fontFamily: "mono",
            fontSize: "xs",
            bg: "bg.muted",
            borderRadius: "md",
            p: 3,
            maxH: "22rem",
            overflow: "auto",
            whiteSpace: "pre-wrap",
            overflowWrap: "anywhere",
          },
          text,
        )
      : h(C.Text, { fontSize: "sm", color: "fg.muted" }, empty),
  );
}

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
      h(Fact, { name: "Item" }, letter.index == null ? null : String(letter.index)),
      h(Fact, { name: "Row of the item" }, letter.row_number == null ? null : String(letter.row_number)),
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
      h(Text, {
        title: payload == null && row != null ? "Row" : "Payload",
        text: content == null ? "" : pretty(content),
        empty: "None is kept.",
      }),
      h(Text, { title: "Answer", text: answer == null ? "" : pretty(answer), empty: "There was none." }),
    ),
    !letter.method &&
      h(C.Text, { fontSize: "sm", color: "fg.muted" }, "It has no request that could be sent again."),
  );
}

function Row({ letter, isOpen, onToggle, zone }) {
  const id = useId();
  const cell = { px: 2, py: 1.5, borderBottomWidth: isOpen ? 0 : "1px" };
  return h(
    Fragment,
    null,
    h(
      C.Table.Row,
      { onClick: onToggle, cursor: "pointer", _hover: { bg: "bg.subtle" }, bg: isOpen ? "bg.subtle" : undefined },
      h(
        C.Table.Cell,
        { ...cell, maxW: "14rem" },
        h(
          C.Box,
          {
            as: "button",
            type: "button",
            "aria-expanded": isOpen,
            "aria-controls": isOpen ? id : undefined,
            display: "flex",
            alignItems: "center",
            gap: 2,
            maxW: "full",
            cursor: "pointer",
            borderRadius: "sm",
            focusVisibleRing: "outside",
          },
          h(
            C.Box,
            {
              as: "span",
              "aria-hidden": true,
              color: "fg.muted",
              transform: isOpen ? "rotate(90deg)" : undefined,
              transition: "transform 0.15s",
            },
            "›",
          ),
          h(C.Box, { as: "span", fontWeight: "medium", truncate: true, title: nameOf(letter) }, nameOf(letter)),
        ),
      ),
      h(
        C.Table.Cell,
        { ...cell, overflowWrap: "anywhere" },
        h(C.Badge, { colorPalette: "failed", variant: "subtle", whiteSpace: "normal" }, letter.reason ?? NONE),
      ),
      h(C.Table.Cell, { ...cell, fontVariantNumeric: "tabular-nums" }, letter.status ?? NONE),
      h(C.Table.Cell, { ...cell, fontVariantNumeric: "tabular-nums", css: NARROW_OUT }, letter.attempts ?? NONE),
      h(
        C.Table.Cell,
        { ...cell, fontVariantNumeric: "tabular-nums", whiteSpace: "nowrap", css: NARROW_OUT },
        dateTime(letter.failed_at, zone),
      ),
    ),
    isOpen &&
      h(
        C.Table.Row,
        { id, bg: "bg.subtle" },
        h(C.Table.Cell, { colSpan: 5, px: 4, pt: 0, pb: 3 }, h(Letter, { letter, zone })),
      ),
  );
}

const MemoRow = memo(Row, (before, now) =>
  before.letter === now.letter && before.isOpen === now.isOpen && before.zone === now.zone,
);

export const LettersTable = memo(function LettersTable({ letters }) {
  const zone = useTimezone();
  const [open, setOpen] = useState(() => new Set());
  const toggle = (id) =>
    setOpen((before) => {
      const after = new Set(before);
      if (!after.delete(id)) after.add(id);
      return after;
    });
  const head = (name, css) => h(C.Table.ColumnHeader, { px: 2, py: 1.5, css }, name);
  return h(
    C.Table.Root,
    { size: "sm", "aria-label": "Dead letters" },
    h(
      C.Table.Header,
      null,
      h(
        C.Table.Row,
        null,
        head("Key"),
        head("Reason"),
        head("Status"),
        head("Attempts", NARROW_OUT),
        head("When", NARROW_OUT),
      ),
    ),
    h(
      C.Table.Body,
      null,
      letters.map((letter, place) => {
        const id = idOf(letter, place);
        return h(MemoRow, { key: id, letter, zone, isOpen: open.has(id), onToggle: () => toggle(id) });
      }),
    ),
  );
});
