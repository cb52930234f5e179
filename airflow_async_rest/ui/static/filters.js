/** Which windows are shown: chips for outcomes and for reasons, and a range of days. */

import { C, Chip, h } from "./kit.js";
import { NO_FILTER, withChosen } from "./selection.js";
import { nameOf } from "./outcomes.js";
import { Swatch } from "./windows_table.js";

const MOST_REASONS = 8;

const Chips = ({ label, all, chosen, onChoose }) =>
  h(
    C.Flex,
    { role: "group", "aria-label": label, gap: 2, wrap: "wrap", align: "center" },
    h(C.Text, { key: "label", fontSize: "sm", color: "fg.muted", minW: "6.5rem" }, label),
    all.map(({ key, name, number, mark }) =>
      h(
        Chip,
        { key, number, mark, pressed: chosen === key, onClick: () => onChoose(chosen === key ? null : key) },
        name,
      ),
    ),
  );

const Day = ({ label, value, onChange }) =>
  h(
    C.Flex,
    { as: "label", align: "center", gap: 2, fontSize: "sm" },
    label,
    h(C.Input, { type: "date", size: "xs", width: "9.5rem", value, onChange: (event) => onChange(event.target.value) }),
  );

/** @param counts outcome -> number, as pairs; @param reasons of all windows, as pairs. */
export function Filters({ counts, reasons, isFetch, filter, onFilter }) {
  const set = (name) => (value) => onFilter({ ...filter, [name]: value });
  const isFiltered = JSON.stringify(filter) !== JSON.stringify(NO_FILTER);
  const outcomes = withChosen(counts, filter.outcome);
  const failed = withChosen(reasons, filter.reason, MOST_REASONS);
  return h(
    C.VStack,
    { align: "stretch", gap: 2, mb: 4 },
    h(Chips, {
      label: "Windows",
      all: outcomes.map(([key, number]) => ({ key, number, name: nameOf(key, isFetch), mark: h(Swatch, { outcome: key }) })),
      chosen: filter.outcome,
      onChoose: set("outcome"),
    }),
    failed.length > 0 &&
      h(Chips, {
        label: "Failed",
        all: failed.map(([key, number]) => ({ key, number, name: key })),
        chosen: filter.reason,
        onChoose: set("reason"),
      }),
    h(
      C.Flex,
      { role: "group", "aria-label": "Days", gap: 4, wrap: "wrap", align: "center" },
      h(C.Text, { fontSize: "sm", color: "fg.muted", minW: "6.5rem", me: -2 }, "Days"),
      h(Day, { label: "From", value: filter.from, onChange: set("from") }),
      h(Day, { label: "to", value: filter.to, onChange: set("to") }),
      isFiltered && h(C.Button, { size: "xs", variant: "ghost", onClick: () => onFilter(NO_FILTER) }, "Show all windows"),
    ),
  );
}
