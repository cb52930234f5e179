/** A question before something is done: what it is, a way back that has the focus, and a way on. */

import { C, h, React } from "./kit.js";

const { useRef } = React;

/** @param label of the button that goes on; @param blocked whether it cannot be pressed; @param busy while it is being done. */
export function Question({ open, title, label, busy, blocked = false, onClose, onConfirm, onExit, children }) {
  const cancel = useRef(null);
  return h(
    C.Dialog.Root,
    {
      open,
      role: "alertdialog",
      onOpenChange: (event) => !event.open && !busy && onClose(),
      initialFocusEl: () => cancel.current,
      onExitComplete: onExit,
      lazyMount: true,
      unmountOnExit: true,
    },
    h(
      C.Portal,
      null,
      h(C.Dialog.Backdrop),
      h(
        C.Dialog.Positioner,
        { px: 4 },
        h(
          C.Dialog.Content,
          null,
          h(C.Dialog.Header, null, h(C.Dialog.Title, null, title)),
          h(C.Dialog.Body, null, children),
          h(
            C.Dialog.Footer,
            null,
            h(C.Button, { variant: "outline", onClick: onClose, disabled: busy, ref: cancel }, "Cancel"),
            h(C.Button, { colorPalette: "brand", onClick: onConfirm, loading: busy, disabled: blocked }, label),
          ),
        ),
      ),
    ),
  );
}
