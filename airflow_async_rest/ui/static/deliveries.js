/** The page "Deliveries" in Airflow's navigation: the tasks of all DAGs that deliver or fetch, a row for each. */

import { deliveriesAfter } from "./api.js";
import { chosen, filters, joined, nextLook, nextPage, sorted } from "./deliveries_data.js";
import { DeliveriesTable } from "./deliveries_table.js";
import { counted } from "./format.js";
import { C, Chip, Empty, Loading, Notice, Page, Pager, Panel, React, Trouble, h, useTimezone } from "./kit.js";
import { usePolling } from "./polling.js";
// What these import is named here as well: the browser asks for all of them at once, not for one after another.
import "./elements.js";
import "./paths.js";
import "./styles.js";
import "./well_formed.js";

const { useMemo, useState } = React;

const PAGE = 50;

const look = async (signal, before) => joined(before, await deliveriesAfter(nextPage(before), signal));

function Filters({ rows, filter, onFilter, search, onSearch }) {
  return h(
    C.Flex,
    { gap: 2, wrap: "wrap", align: "center", mb: 3 },
    h(C.Input, {
      type: "search",
      size: "sm",
      width: "16rem",
      placeholder: "DAG, task or reason",
      "aria-label": "Search",
      value: search,
      onChange: (event) => onSearch(event.target.value),
    }),
    h(
      C.Flex,
      { role: "group", "aria-label": "Filters", gap: 2, wrap: "wrap" },
      filters(rows, filter).map(({ key, name, number }) =>
        h(Chip, { key, number, pressed: filter === key, onClick: () => onFilter(filter === key ? null : key) }, name),
      ),
    ),
  );
}

function List({ data }) {
  const zone = useTimezone();
  const [filter, setFilter] = useState(null);
  const [search, setSearch] = useState("");
  const [order, setOrder] = useState({ by: "freshness", isDescending: false });
  const [offset, setOffset] = useState(0);
  const shown = useMemo(() => sorted(chosen(data.rows, filter, search), order), [data.rows, filter, search, order]);
  const start = offset < shown.length ? offset : 0;
  const title = counted(data.rows.length, "task");
  return h(
    Panel,
    { title: data.next === null || data.wasWhole ? title : `${title} so far …` },
    h(Filters, { rows: data.rows, filter, onFilter: setFilter, search, onSearch: setSearch }),
    data.truncated &&
      h(C.Box, { mb: 3 }, h(Notice, { title: "Not all runs are counted" }, "Mapped tasks have more instances than are looked at here.")),
    shown.length > 0
      ? h(DeliveriesTable, { rows: shown.slice(start, start + PAGE), zone, order, onSort: setOrder })
      : h(Empty, { title: "No match" }, "No task is like that: choose another filter, or search for something else."),
    h(Pager, { offset: start, limit: PAGE, total: shown.length, label: "Pages of tasks", onMove: setOffset }),
  );
}

const NOTHING = "A task appears here once it has run: one of this package's operators, or a function that delivers or fetches.";

export default function Deliveries() {
  const { data, error, away, refresh } = usePolling(look, "deliveries", nextLook);
  const isEmpty = data && data.rows.length === 0;
  return h(
    C.Box,
    { px: 4, py: 2, overflowY: "auto", height: "full" },
    h(Page, { label: "Deliveries" }, [
      h(C.Heading, { key: "title", as: "h2", size: "xl" }, "Deliveries"),
      error && h(Trouble, { key: "error", error, away, title: "The deliveries cannot be shown", refresh }),
      !error && (!data || (isEmpty && data.next !== null)) && h(Loading, { key: "loading", label: "Loading" }),
      isEmpty && data.next === null && h(Empty, { key: "none", title: "No deliveries yet" }, NOTHING),
      data && !isEmpty && h(List, { key: "list", data }),
    ]),
  );
}

globalThis.Deliveries = Deliveries;
