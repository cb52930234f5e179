/** A preview of a task: its first requests as they would go out, where none of them went. */

import { Notice, Panel, React, TextBlock, h } from "./kit.js";
import { sayPreview } from "./preview_data.js";

const Request = ({ request: { line, text, answer }, number }) =>
  h(
    Panel,
    { title: `Request ${number}` },
    h(TextBlock, { title: line, text }),
    answer !== null && h(TextBlock, { title: "It was sent; the answer", text: answer }),
  );

/** @param preview and report as `sayPreview` takes them. */
export function Preview({ preview, report }) {
  const { title, text, requests } = sayPreview(preview, report);
  return h(
    React.Fragment,
    null,
    h(Notice, { title }, text),
    requests.map((request, index) => h(Request, { key: index, request, number: index + 1 })),
  );
}
