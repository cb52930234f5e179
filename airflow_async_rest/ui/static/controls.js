/** What people press and choose, of the browser's own elements: they are the same in every Airflow. */

import { count, numberOf } from "./format.js";
import { C, React, h } from "./kit.js";

const { useEffect, useId, useState } = React;

const COPIED_MS = 2_000;

/** Copies a text; nothing where the browser lets no page do that, as without TLS. */
export function Copy({ text, label }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    const timer = copied && setTimeout(() => setCopied(false), COPIED_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  if (!navigator.clipboard) return null;
  const onClick = () => navigator.clipboard.writeText(text).then(() => setCopied(true), () => {});
  return h(C.Button, { size: "2xs", variant: "outline", "aria-label": label, onClick }, copied ? "Copied" : "Copy");
}

// The host's field for texts cannot be another element.
const SELECT = {
  minHeight: "2.25rem",
  maxW: "full",
  px: 2,
  fontSize: "sm",
  bg: "transparent",
  borderWidth: "1px",
  borderStyle: "solid",
  borderColor: "border.emphasized",
  borderRadius: "sm",
  "&:focus-visible": { outline: "2px solid", outlineColor: "fg" },
};

/** One of several; `options` are texts, or pairs of a value and its text. */
export const Choice = ({ label, value, options, onChange }) =>
  h(
    C.Box,
    { as: "select", css: SELECT, value, onChange: (event) => onChange(event.target.value), "aria-label": label },
    options.map((each) => [each].flat()).map(([one, text = one]) => h("option", { key: one, value: one }, text)),
  );

/** A whole number from 1 to the most. Anything else is said to be none, and is not replaced by another one. */
export function NumberField({ label, hint, value, max, onChange }) {
  const id = useId();
  const isWrong = numberOf(value, max) === null;
  return h(
    C.Box,
    { fontSize: "sm", maxW: "13rem" },
    h("label", { htmlFor: id }, label),
    h(C.Input, {
      id,
      type: "number",
      size: "sm",
      width: "7rem",
      display: "block",
      min: 1,
      max,
      value,
      "aria-invalid": isWrong || undefined,
      "aria-describedby": hint || isWrong ? `${id}-hint` : undefined,
      onChange: (event) => onChange(event.target.value),
    }),
    h(
      C.Box,
      { id: `${id}-hint`, fontSize: "xs", color: "fg.muted" },
      isWrong && h(C.Text, { role: "alert", color: "red.fg" }, `Write a whole number from 1 to ${count(max)}.`),
      hint,
    ),
  );
}
