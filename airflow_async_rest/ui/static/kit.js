/**
 * What the page and the tabs are made of: Airflow's own components, where it puts them on `globalThis`, and a few of our own where it
 * does not; and the few shapes used here. Nothing else asks for what the host gives.
 */

import { ELEMENTS } from "./elements.js";
import { NONE, count, timezone } from "./format.js";

export const { React } = globalThis;
const { createElement, useCallback, useEffect, useState } = React;

export const C = { ...ELEMENTS, ...globalThis.ChakraUI };

// Without the host's router a link is a link, and loads the page.
const { useHref, useNavigate } = globalThis.ReactRouterDOM ?? {
  useHref: () => new URL(document.baseURI).pathname,
  useNavigate: () => (path) => globalThis.location.assign(new URL(path.replace(/^\//, ""), document.baseURI)),
};

/** Airflow's own pages: `hrefOf` a path, for links, and `go` there without loading Airflow again. */
export function usePages() {
  const base = useHref("/").replace(/\/$/, "");
  const go = useNavigate();
  return { hrefOf: useCallback((path) => base + path, [base]), go };
}

export const h = createElement;

/** Seen by those who listen to the page, and by nobody else. */
export const hidden = (text) => h(C.VisuallyHidden, null, text);

/** The panel that a tab is in may be narrow on a wide screen, so styles ask for its width, not the screen's. */
export const narrow = (style) => ({ "@container async-rest (max-width: 640px)": style });

const SMALL = { display: "none", fontSize: "sm", color: "fg.muted", "@media (max-width: 40rem)": { display: "block" } };

export const Page = ({ label, children }) =>
  h(
    C.Box,
    { as: "section", "aria-label": label, containerType: "inline-size", containerName: "async-rest", w: "full" },
    h(C.VStack, { align: "stretch", gap: 5, py: 3, px: 1, pb: 8, maxW: "1800px" }, h(C.Text, { key: "small", css: SMALL }, "This is made for desktops: on a phone, columns are left out."), children),
  );

/** A part of the page: heading, what belongs to it at the right, content. */
export const Panel = ({ title, aside, children, ...rest }) =>
  h(
    C.Box,
    { as: "section", borderWidth: "1px", borderRadius: "lg", ...rest },
    title &&
      h(
        C.Flex,
        { align: "flex-start", justify: "space-between", wrap: "wrap", gap: 2, px: 4, pt: 3 },
        h(C.Heading, { as: "h3", size: "sm", lineHeight: "2.25rem" }, title),
        aside,
      ),
    h(C.Box, { px: 4, pt: title ? 2 : 4, pb: 4 }, children),
  );

const NOTICES = { info: ["blue", "i"], success: ["green", "✓"], warning: ["orange", "!"], error: ["red", "!"] };

/** A sentence that people must not miss, and what can be done about it. */
export function Notice({ status = "info", title, action, children }) {
  const [palette, sign] = NOTICES[status];
  const look = { bg: `${palette}.subtle`, color: `${palette}.fg`, borderRadius: "lg", px: 4, py: 3, fontSize: "sm" };
  return h(
    C.Flex,
    { role: status === "error" ? "alert" : "status", align: "flex-start", wrap: "wrap", gap: 3, ...look },
    h(
      C.Center,
      { "aria-hidden": true, boxSize: 5, borderRadius: "full", borderWidth: "2px", borderColor: "currentColor", fontSize: "xs", fontWeight: "bold" },
      sign,
    ),
    h(
      C.Box,
      { flex: 1, minW: "12rem", overflowWrap: "anywhere" },
      title && h(C.Text, { fontWeight: "medium" }, title),
      children && h(C.Box, null, children),
    ),
    action,
  );
}

export const Empty = ({ title, children }) =>
  h(
    C.VStack,
    { textAlign: "center", gap: 1, py: 12, px: 6 },
    h(C.Heading, { as: "h3", size: "md" }, title),
    h(C.Text, { maxW: "34rem", fontSize: "sm", color: "fg.muted" }, children),
  );

/** What cannot be loaded: an outage is waited for, an answer that says no is for the reader to try again. */
export const Trouble = ({ error, away, title, refresh }) =>
  h(
    Notice,
    {
      status: away ? "warning" : "error",
      title: away ? "Reconnecting …" : title,
      action: !away && h(C.Button, { size: "xs", variant: "outline", onClick: refresh }, "Try again"),
    },
    error.message,
  );

export const Loading = ({ label }) =>
  h(C.Center, { py: 16, role: "status" }, hidden(label), h(C.Spinner, { size: "lg", color: "brand.solid" }));

/** Figures side by side, as many in a row as there is room for. */
export const Figures = ({ label, children }) =>
  h(
    C.Box,
    {
      as: "dl",
      "aria-label": label,
      display: "grid",
      gridTemplateColumns: "repeat(auto-fill, minmax(6.5rem, 1fr))",
      columnGap: 4,
      rowGap: 3,
    },
    children,
  );

/** One figure. `tone` is the name of a palette such as "success"; a zero has none: there is nothing to look at. */
export function Figure({ label, value, hint, tone }) {
  const text = typeof value === "number" ? count(value) : (value ?? NONE);
  const told = tone && value ? tone : null;
  return h(
    C.Box,
    { minW: 0 },
    h(
      C.Flex,
      { as: "dt", align: "center", gap: 1.5, color: "fg.muted", fontSize: "xs" },
      tone && h(C.Box, { "aria-hidden": true, boxSize: 2, borderRadius: "2px", bg: told ? `${told}.solid` : "border" }),
      label,
    ),
    h(
      C.Box,
      { as: "dd", fontSize: "lg", fontWeight: "semibold", fontVariantNumeric: "tabular-nums", lineHeight: "short" },
      text,
      hint && h(C.Text, { fontSize: "xs", fontWeight: "normal", color: "fg.muted" }, hint),
    ),
  );
}

/** A text as it is, with what it is above it. */
export function TextBlock({ title, text, empty }) {
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
            bg: "bg",
            borderWidth: "1px",
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

/**
 * A table whose rows are plain elements with one style sheet: a page of it has hundreds of cells, and a component with
 * separate styles for each would take a quarter of a second. Classes: `number`, `wide` (not where it is narrow).
 */
const TABLE = {
  width: "full",
  fontSize: "sm",
  borderCollapse: "collapse",
  "& th, & td": { px: 2, py: 1.5, textAlign: "start", verticalAlign: "middle", ...narrow({ px: 1 }) },
  "& th": { fontWeight: "medium", color: "fg.muted", borderBottomWidth: "1px" },
  "& td": { borderBottomWidth: "1px", fontVariantNumeric: "tabular-nums" },
  "& tbody tr": { cursor: "pointer" },
  "& tbody tr:hover, & tr.open, & tr.opened": { bg: "bg.muted" },
  "& tr.open > td": { borderBottomWidth: 0 },
  "& tr.opened": { cursor: "auto" },
  "& .number": { textAlign: "end", whiteSpace: "nowrap" },
  "& .bad": { color: "red.fg", fontWeight: "semibold" },
  "& .quiet": { color: "fg.muted", fontSize: "xs", overflowWrap: "anywhere" },
  "& .wide": narrow({ display: "none" }),
  "& button, & a": { borderRadius: "sm" },
  "& button:focus-visible, & a:focus-visible": { outline: "2px solid", outlineColor: "fg", outlineOffset: "2px" },
};

/** `columns` are `[name, class]`; a third part has what stands there instead of the name, and how the rows are sorted by it. */
export const Table = ({ label, columns, css, children }) =>
  h(
    C.Box,
    { overflowX: "auto" },
    h(
      C.Box,
      { as: "table", "aria-label": label, css: css ? { ...TABLE, ...css } : TABLE },
      h(
        "thead",
        null,
        h("tr", null, columns.map(([name, className, own]) => h("th", { key: name, scope: "col", className, "aria-sort": own?.sort }, own?.label ?? name))),
      ),
      h("tbody", null, children),
    ),
  );

/** A state by its name, and a dot of the colour that Airflow has for it; on some of these no text could be read. */
export const StateBadge = ({ state }) =>
  h(
    C.Flex,
    { as: "span", display: "inline-flex", align: "center", gap: 1.5, whiteSpace: "nowrap" },
    h(C.Box, { as: "span", boxSize: 2, borderRadius: "full", flexShrink: 0, bg: state ? `${state}.solid` : "border.inverted" }),
    (state ? state[0].toUpperCase() + state.slice(1) : "Not queued yet").replaceAll("_", " "),
  );

/** A filter that is on or off, with the number of things that it lets through. */
export const Chip = ({ pressed, onClick, number, mark, children }) =>
  h(
    C.Button,
    {
      size: "xs",
      variant: pressed ? "solid" : "outline",
      colorPalette: pressed ? "brand" : undefined,
      borderRadius: "full",
      "aria-pressed": pressed,
      onClick,
      maxW: "full",
    },
    mark,
    h(C.Box, { as: "span", overflow: "hidden", textOverflow: "ellipsis" }, children),
    h(C.Box, { as: "span", fontVariantNumeric: "tabular-nums", opacity: 0.75 }, count(number)),
  );

/** "1–50 of 10,000", and the ways to the other pages. Nothing when there is only one. */
export function Pager({ offset, limit, total, label, onMove }) {
  if (total <= limit) return null;
  const last = Math.floor((total - 1) / limit) * limit;
  const to = (text, name, place, off) =>
    h(
      C.Button,
      { size: "xs", variant: "outline", "aria-label": name, disabled: off, onClick: () => onMove(place) },
      text,
    );
  return h(
    C.Flex,
    { as: "nav", "aria-label": label, align: "center", justify: "flex-end", gap: 2, pt: 3, wrap: "wrap" },
    h(
      C.Text,
      { fontSize: "sm", color: "fg.muted", fontVariantNumeric: "tabular-nums", me: 1, "aria-live": "polite" },
      `${count(offset + 1)}–${count(Math.min(offset + limit, total))} of ${count(total)}`,
    ),
    to("«", "First page", 0, offset === 0),
    to("‹ Previous", "Previous page", offset - limit, offset === 0),
    to("Next ›", "Next page", offset + limit, offset >= last),
    to("»", "Last page", last, offset >= last),
  );
}

/** A plain click is ours; one for a new tab, or a new window, is the browser's. */
export const isPlain = (event) => !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || event.button);

/** A link to another page of Airflow, opened without loading Airflow again. */
export function Inner({ path, children }) {
  const { hrefOf, go } = usePages();
  function open(event) {
    if (!isPlain(event)) return;
    event.preventDefault();
    go(path);
  }
  return h(C.Link, { href: hrefOf(path), onClick: open, color: "inherit", textDecoration: "underline", fontWeight: "medium" }, children);
}

/** The time zone that is chosen in Airflow, also when it changes while the page is open. */
export function useTimezone() {
  const [zone, setZone] = useState(timezone);
  useEffect(() => {
    const look = () => setZone(timezone());
    // Airflow tells its own page by the first, the browser tells the other tabs by the second.
    globalThis.addEventListener("local-storage", look);
    globalThis.addEventListener("storage", look);
    return () => {
      globalThis.removeEventListener("local-storage", look);
      globalThis.removeEventListener("storage", look);
    };
  }, []);
  return zone;
}
