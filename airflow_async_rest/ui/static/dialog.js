/** A question before something is done, of the browser's own element: it is the same in every Airflow. */

import { C, React, h } from "./kit.js";

const { useEffect, useRef } = React;

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

/**
 * A question before something is done: what it is, a way back that has the focus, and a way on. The browser keeps the focus
 * in it, and gives it back to where it was.
 *
 * @param label of the button that goes on; @param blocked whether it cannot be pressed; @param busy while it is being done.
 * @param onExit called once it is closed.
 */
export function Question({ open, title, label, busy, blocked = false, onClose, onConfirm, onExit, children }) {
  const element = useRef(null);
  useEffect(() => {
    if (open) element.current.showModal();
    else {
      element.current.close();
      onExit?.();
    }
  }, [open]);
  return h(
    C.Box,
    {
      as: "dialog",
      ref: element,
      role: "alertdialog",
      "aria-label": title,
      // Escape: it is not closed while something is being done.
      onCancel: (event) => {
        event.preventDefault();
        if (!busy) onClose();
      },
      css: DIALOG,
    },
    open && h(C.Heading, { as: "h2", size: "lg", mb: 4 }, title),
    open && children,
    open &&
      h(
        C.Flex,
        { justify: "flex-end", gap: 3, mt: 6 },
        h(C.Button, { variant: "outline", onClick: onClose, disabled: busy, autoFocus: true }, "Cancel"),
        h(C.Button, { colorPalette: "brand", onClick: onConfirm, loading: busy, disabled: blocked }, label),
      ),
  );
}
