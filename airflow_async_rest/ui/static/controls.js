/** What people press and choose, of the browser's own elements: they are the same in every Airflow. */

import { C, React, h } from "./kit.js";

const { useEffect, useRef, useState } = React;

const DIALOG = {
  width: "32rem",
  maxW: "calc(100vw - 2rem)",
  margin: "4rem auto auto",
  p: 6,
  bg: "bg",
  color: "fg",
  borderRadius: "lg",
  boxShadow: "lg",
  fontSize: "sm",
  "&::backdrop": { background: "rgb(0 0 0 / 0.5)" },
};

/** A question before something is done. The browser keeps the focus in it, and gives it back to where it was. */
export function Dialog({ open, title, onClose, children, actions }) {
  const element = useRef(null);
  useEffect(() => {
    if (open) element.current.showModal();
    else element.current.close();
  }, [open]);
  return h(
    C.Box,
    {
      as: "dialog",
      ref: element,
      role: "alertdialog",
      "aria-label": title,
      // Escape: whether it may be closed now is for whoever has opened it to say.
      onCancel: (event) => {
        event.preventDefault();
        onClose();
      },
      css: DIALOG,
    },
    open && h(C.Heading, { as: "h2", size: "lg", mb: 4 }, title),
    open && children,
    open && h(C.Flex, { justify: "flex-end", gap: 3, mt: 6 }, actions),
  );
}

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

/** One of several; `options` are texts. */
export const Choice = ({ label, value, options, onChange }) =>
  h(
    C.Input,
    { as: "select", size: "sm", width: "auto", maxW: "full", appearance: "auto", value, onChange: (event) => onChange(event.target.value), "aria-label": label },
    options.map((each) => h("option", { key: each, value: each }, each)),
  );
