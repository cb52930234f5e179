/** What a preview of a task says: how much it would send, and each of its first requests. Pure. */

import { counted, duration } from "./format.js";

/** A text as it is, anything else as JSON: a body, or a header, may be of any type. */
const textOf = (value) => (typeof value === "string" ? value : JSON.stringify(value));

function linesOf({ headers = {}, body = null }) {
  const named = Object.entries(headers).map(([name, value]) => `${name}: ${textOf(value)}`);
  return [...named, ...(body === null || body === "" ? [] : ["", textOf(body)])].join("\n");
}

const answerOf = ({ status, excerpt = null }) => `${status ?? "no answer"}\n${excerpt === null ? "" : textOf(excerpt)}`;

function sayRows(rows, report) {
  if (rows == null) return "How many rows there are is not known.";
  return `${report?.expected?.how === "about" ? "About " : ""}${counted(rows, "row")} in all.`;
}

/**
 * What a preview says.
 *
 * @param preview what the task has left in XCom, `{rows, seconds, requests}`, secrets masked; of a replay `{letters}`: how
 *   many dead letters it would send. @param report tells whether the rows are an estimate.
 * @returns `title`, `text`, and of each request its `line`, its headers and its body as `text`, and its `answer`, or null.
 */
export function sayPreview({ rows, seconds, requests, letters = null }, report = null) {
  const sent = requests.filter(({ answer }) => answer).length;
  const said = [
    letters === null ? sayRows(rows, report) : `${counted(letters, "dead letter")} would be sent again.`,
    seconds != null && `The rate limit alone makes that take at least ${duration(seconds)}.`,
    "Run it without preview to send them; the run's conf may ask for one, too.",
  ];
  return {
    title: `A preview: ${sent ? `${counted(sent, "request")} ${sent === 1 ? "was" : "were"} sent, to see the answer` : "nothing was sent"}`,
    text: said.filter(Boolean).join(" "),
    requests: requests.map((request) => ({
      line: `${request.method} ${request.url}`,
      text: linesOf(request),
      answer: request.answer ? answerOf(request.answer) : null,
    })),
  };
}
