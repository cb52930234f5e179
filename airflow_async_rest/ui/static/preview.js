/** A preview: the first requests of a task as they would go out, where none of them went. */

import { count, counted, duration } from "./format.js";
import { Notice, Panel, React, TextBlock, h } from "./kit.js";

const linesOf = ({ headers, body }) =>
  [...Object.entries(headers ?? {}).map(([name, value]) => `${name}: ${value}`), ...(body ? ["", body] : [])].join("\n");

const answerOf = ({ status, excerpt }) => `${status ?? "no answer"}\n${excerpt ?? ""}`;

function Request({ request, number }) {
  const line = `${request.method} ${request.url}`;
  return h(
    Panel,
    { title: `Request ${number}` },
    h(TextBlock, { title: line, text: linesOf(request) }),
    request.answer && h(TextBlock, { title: "It was sent; the answer", text: answerOf(request.answer) }),
  );
}

function sayRows(rows, report) {
  if (rows == null) return "How many rows there are is not known.";
  return `${report?.expected?.how === "about" ? "About " : ""}${counted(rows, "row")} in all.`;
}

/** `preview` is what the task has left in XCom: secrets are masked there; its report says whether the rows are an estimate. */
export function Preview({ preview: { rows, seconds, requests, letters = null }, report }) {
  const text = [
    letters !== null && `${counted(letters, "dead letter")} would be sent again.`,
    letters === null && sayRows(rows, report),
    seconds != null && `The rate limit alone makes that ${duration(seconds)} at least.`,
    "Run it without preview, in the run's conf too, to send them.",
  ];
  const sent = requests.filter(({ answer }) => answer).length;
  const title = `A preview: ${sent ? `${count(sent)} request was sent to look at its answer, and nothing else` : "nothing was sent"}`;
  return h(
    React.Fragment,
    null,
    h(Notice, { title }, text.filter(Boolean).join(" ")),
    requests.map((request, index) => h(Request, { key: index, request, number: index + 1 })),
  );
}
