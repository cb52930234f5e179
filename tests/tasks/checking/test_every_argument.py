"""Every argument with every kind of value: refused in words that name it, or listed below with the reason."""

import datetime as dt
import inspect
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airflow_async_rest import Batch, Csv, CursorPages, LinkPages, NumberedPages, OffsetPages, RequestRetry, Results
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.operators.replay import ReplayDeadLettersOperator
from airflow_async_rest.operators.rest_to_sql import RestToSqlOperator
from airflow_async_rest.operators.sql_to_rest import SqlToRestOperator


def in_itself():
    value: dict = {"a": []}
    value["a"].append(value)
    return value


VALUES = {
    "None": lambda: None,
    "True": lambda: True,
    "1": lambda: 1,
    "0": lambda: 0,
    "-1": lambda: -1,
    "10**30": lambda: 10**30,
    "nan": lambda: float("nan"),
    "1.5": lambda: 1.5,
    "''": lambda: "",
    "' '": lambda: " ",
    "'1'": lambda: "1",
    "'x'": lambda: "x",
    "b'x'": lambda: b"x",
    "bytearray": lambda: bytearray(b"x"),
    "[]": list,
    "[1]": lambda: [1],
    "['x']": lambda: ["x"],
    "()": tuple,
    "{}": dict,
    "{'a': 1}": lambda: {"a": 1},
    "{1: 2}": lambda: {1: 2},
    "set()": set,
    "{'x'}": lambda: {"x"},
    "range": lambda: range(3),
    "keys": {"x": 1}.keys,
    "generator": lambda: (each for each in ["x"]),
    "[generator]": lambda: [(each for each in ["x"])],
    "{'a': generator}": lambda: {"a": (each for each in ["x"])},
    "map": lambda: map(str, [1]),
    "datetime": lambda: dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    "date": lambda: dt.date(2026, 1, 1),
    "timedelta": lambda: dt.timedelta(days=1),
    "function": lambda: len,
    "class": lambda: Batch,
    "object": object,
    "...": lambda: ...,
    "renders": lambda: lambda context, jinja_env: "x",
}
# Of operators, which are asked for them all before a DAG file is there.
MORE = {
    "path": lambda: Path("/tmp/x"),
    "array": lambda: np.array([1, 2]),
    "['half']": lambda: ["x\ud800"],
    "'half'": lambda: "x\ud800",
    "in itself": in_itself,
}
GOOD: dict[Any, dict[str, Any]] = {
    SqlToRestOperator: {"sql": "SELECT 1", "sql_conn_id": "db", "endpoint": "x"},
    RestToSqlOperator: {
        "sql": "SELECT 1",
        "sql_conn_id": "db",
        "endpoint": "x",
        "destination_conn_id": "w",
        "destination_table": "t",
    },
    ReplayDeadLettersOperator: {"dead_letters": "file:///tmp/x"},
    Batch: {},
    RequestRetry: {},
    LinkPages: {},
    CursorPages: {"cursor": "next", "param": "c"},
    NumberedPages: {},
    OffsetPages: {},
    Results: {},
    Csv: {},
}
# What else is given, so that the value itself counts.
WITH = {
    "items": {"sql": None, "sql_conn_id": None},
    "window_step": {"sql": None, "sql_conn_id": None},
    "body": {"method": "POST"},
    "window_start": {"window_end": "2026-03-02"},
    "window_end": {"window_start": "2025-03-02"},
    "window_column": {"load_mode": "replace_window"},
    "conflict_key": {"load_mode": "upsert"},
    "order_by_key": {"key": "id"},
}
# Beside the default itself.
CALLED = "renders"  # a templated field: Airflow calls it, and takes what it returns
LEFT_OUT = "None ''"  # so templates say that there is nothing
A_TEXT = "'1' 'x'"  # of which only a connection, a database or an API can say whether it is right
ALLOWED: dict[str, str] = {
    "max_quota_wait": "timedelta",
    "sql": f"{A_TEXT} {CALLED}",
    "sql_conn_id": f"{A_TEXT} {CALLED}",
    "http_conn_id": f"{A_TEXT} {CALLED}",
    "destination_conn_id": f"{A_TEXT} {CALLED}",
    "destination_table": f"{A_TEXT} {CALLED}",
    "endpoint": f"'' {A_TEXT} {CALLED}",  # '': the connection's base URL
    "parameters": f"None {{}} {{'a': 1}} {CALLED}",
    "headers": f"None {{}} {{'a': 1}} {CALLED}",  # numbers are written as texts
    "query": f"None {{}} {{'a': 1}} {CALLED}",
    "body": f"None [] [1] ['x'] {{}} {{'a': 1}} {{1: 2}} function class {CALLED}",  # as JSON has it, whose names are texts
    "transform": "None function class renders",
    "response_check": "None function class renders",
    "key": f"None {A_TEXT} [] () ['x']",  # of no columns: there is none
    "conflict_key": f"{A_TEXT} ['x']",
    "window_column": f"{A_TEXT} {CALLED}",
    "schema": f"None {A_TEXT} {{}} {{'a': 1}}",  # a text is a file's path; JSON Schema ignores what it does not know
    "window_start": f"datetime date {CALLED}",
    "window_end": f"datetime date {CALLED}",
    "window_timezone": f"{LEFT_OUT} ' ' {CALLED}",
    "chunk_size": "1 10**30",
    "max_pages": "1 10**30",
    "max_failures": "0 1 10**30 '1'",
    "order_by_key": "True",
    "count_rows": "True",
    "read_only": "True",
    "missing_ok": "True",
    "empty_ok": "True",
    "concurrency": f"{LEFT_OUT} 1 '1'",
    "rate_limit": f"{LEFT_OUT} {CALLED}",
    "batch": "None",
    "request_retry": "None",
    "dead_letter_path": f"{LEFT_OUT} {CALLED}",
    "body_format": "None",
    "preview": "None 1 '1'",
    "preview_send": "None 1 '1'",
    "items": f"[] [1] ['x'] () range [generator] {CALLED}",  # may be none, or so many that none is looked at
    "window_step": "timedelta",
    "paginate": "None",
    "rows": f"None {A_TEXT} function renders class",
    "columns": "None ['x']",
    "page_rows": f"None '' {A_TEXT}",  # '': the answer itself
    "answer_format": "None function renders",
    "load_mode": CALLED,
    "dead_letters": f"{LEFT_OUT} ' ' [] () set() {CALLED}",  # there are none
    "reasons": f"None ['x'] {{'x'}} {CALLED}",
    "of": "'1' 'x' ['x'] {'x'}",
    "ReplayDeadLettersOperator.preview": "True",
    # Of value objects, whose texts are what an API calls something.
    "Batch.max_items": "1 10**30",
    "Batch.max_bytes": "1 10**30",
    "Batch.format": "function class renders",
    "Batch.results": "None function class renders",
    "Batch.split_on": "[] () set()",
    "RequestRetry.max_attempts": "1 10**30",
    "RequestRetry.backoff_base_seconds": "0 1 1.5",
    "RequestRetry.backoff_max_seconds": "0 1 1.5",
    "RequestRetry.max_retry_after_seconds": "0 1 1.5",
    "RequestRetry.statuses": "None [] () set()",  # none is sent again
    "LinkPages.path": f"None {A_TEXT}",
    "LinkPages.keep": "[] () ['x']",
    "LinkPages.below": "None",
    "CursorPages.cursor": A_TEXT,
    "NumberedPages.first": "-1 0 1 10**30",
    "NumberedPages.size": "None 1 10**30",
    "NumberedPages.pages": f"None {A_TEXT}",
    "OffsetPages.limit": "1 10**30",
    "OffsetPages.total": f"None {A_TEXT}",
    "param": A_TEXT,
    "size_param": A_TEXT,
    "limit_param": A_TEXT,
    "end_statuses": "[] ()",
    "more": f"None {A_TEXT}",
    **{f"Results.{name}": f"None {A_TEXT} ['x']" for name in ("at", "status", "success", "error", "text")},
    "Results.entries": f"None '' {A_TEXT} ['x']",
    "Results.key": f"None {A_TEXT}",
    "Results.match": "None",
    "Results.first_index": "-1 0 1 10**30",
    "Results.success_values": "None",
    "Results.retry_codes": "None [] ()",
    "Results.code": "None",
    "Results.stored": "None",
    "Results.lines": "True",
    "Results.may_be_objects": "True",
    "Csv.delimiter": f"None ' ' {A_TEXT}",
    "Csv.quote": f"None ' ' {A_TEXT}",
    "Csv.charset": "None",
}
AIRFLOWS = {"self", "kwargs", "trigger_rule"}


def _parameters(made: Any) -> list[inspect.Parameter]:
    of = made.__init__ if hasattr(made, "execute") else made
    return [each for each in inspect.signature(of).parameters.values() if each.name not in AIRFLOWS]


def _allowed(made: Any, name: str) -> set[str]:
    return set(_words(ALLOWED.get(f"{made.__name__}.{name}", ALLOWED.get(name, ""))))


def _words(text: str) -> list[str]:
    left, found = text, []
    for label in sorted(VALUES, key=len, reverse=True):
        if f" {label} " in f" {left} ":
            left = f" {left} ".replace(f" {label} ", "  ")
            found.append(label)
    assert not left.strip(), left
    return found


def _refusal(made: Any, name: str, value: Any) -> str | None:
    """Return what is said to a value; None where it is taken."""
    make = partial(made, task_id="t") if hasattr(made, "execute") else made
    good = {} if name == "of" else GOOD[made]
    try:
        make(**{**good, **WITH.get(name, {}), name: value})
    except (ConfigurationError, TypeError) as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("made", "name"), [pytest.param(made, each.name) for made in GOOD for each in _parameters(made)]
)
def test_a_wrong_value_is_refused_by_name(made, name):
    said = {label: _refusal(made, name, value()) for label, value in VALUES.items()}
    assert {label for label, text in said.items() if text is None} == _allowed(made, name)
    assert [text for text in said.values() if text is not None and name not in text] == []


@pytest.mark.parametrize(
    ("made", "name"),
    [pytest.param(made, each.name) for made in GOOD if hasattr(made, "execute") for each in _parameters(made)],
)
def test_a_value_that_checks_cannot_look_at_is_refused_by_name_too(made, name):
    said = {label: _refusal(made, name, value()) for label, value in MORE.items()}
    allowed = {label for label, text in said.items() if text is None}
    may_pass = {
        "dead_letter_path": {"path"},
        "items": {"['half']"},
        "of": {"'half'", "['half']"},
    }  # these, as the task runs
    assert allowed <= may_pass.get(name, set())
    assert [text for text in said.values() if text is not None and name not in text] == []


def test_what_is_allowed_is_still_an_argument():
    names = {each.name for made in GOOD for each in _parameters(made)}
    whole = {f"{made.__name__}.{each.name}" for made in GOOD for each in _parameters(made)}
    assert set(ALLOWED) - names - whole == set()
