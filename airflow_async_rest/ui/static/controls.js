/** What people press and choose, of the browser's own elements: they are the same in every Airflow. */

import { C, React, h } from "./kit.js";

const { useEffect, useState } = React;

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

/** One of several; an option is a text, or `[value, text]`. */
export const Choice = ({ label, value, options, onChange }) =>
  h(
    C.Input,
    { as: "select", size: "sm", width: "auto", maxW: "full", appearance: "auto", value, onChange: (event) => onChange(event.target.value), "aria-label": label },
    options.map((option) => [option].flat()).map(([each, text = each]) => h("option", { key: each, value: each }, text)),
  );
