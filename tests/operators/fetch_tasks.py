"""A task that fetches, made in a process of its own and steered by the environment."""

import os

import pytest
from engine import run_within
from tasks import rest_to_sql

from airflow_async_rest import CursorPages, NumberedPages

# Of one page each, or of many.
ITEMS = {"one": 600, "many": 60, "many, side by side": 60}
_STYLES = {"many": CursorPages("next"), "many, side by side": NumberedPages(pages="pages", concurrent=True)}


def make_task():
    run_within(pytest.MonkeyPatch(), chunk_rows=90)  # so that much is staged, and little in one transaction
    mode, pages = os.environ["LOAD_MODE"], os.environ["PAGES"]
    return rest_to_sql(
        sql=f"SELECT i AS id FROM generate_series(1, {ITEMS[pages]}) AS i ORDER BY i",
        sql_conn_id="source_db",
        columns={"id": "item.id", "number": "number", "at": "at", "a": "a", "b": "b"},
        destination_table="killed",
        paginate=_STYLES.get(pages),
        load_mode=mode,
        window_column="at" if mode == "replace_window" else None,
        conflict_key=["id", "number"] if mode == "upsert" else None,
    )
