"""What a whole task says of paths that none of its rows has."""

from itertools import count

import pytest
from aiohttp import web
from engine import Database, make_fetch_job, number_of, rows_of, run
from tables import every_row

from airflow_async_rest.core.answers.columns import RowShape
from airflow_async_rest.core.answers.tally import Tally
from airflow_async_rest.core.errors import FailuresError
from airflow_async_rest.core.letters.folder import DeadLetterFolder

COLUMNS = {"id": "id", "item": "itme", "day": "day.name"}


@pytest.fixture
def fetch(api, tmp_path, lines):
    api.answer = rows_of
    database, tries = Database(), count(1)

    def one_try(**parts):
        settings = {"folder": DeadLetterFolder(tmp_path, next(tries)), "shape": RowShape(COLUMNS), "log": lines.log}
        return run(make_fetch_job(api, tmp_path, database, 10, **{**settings, **parts}))

    return one_try


def warnings(lines) -> list[str]:
    return [text for text in lines.texts if "No row has" in text]


def test_paths_that_no_row_has_are_reported_and_warned_about(fetch, lines):
    assert fetch()["paths_not_found"] == {"itme": 20, "day.name": 20}
    [text] = warnings(lines)
    assert "'itme' (the nearest key is 'item')" in text
    assert "'day.name'" in text


def test_a_path_that_a_single_row_has_is_not(fetch, lines, api):
    api.answer = lambda seen: web.json_response(
        {"id": 1, "itme": 2, "day": {"name": 1}} if number_of(seen) == 7 else {"id": 2}
    )
    assert fetch()["paths_not_found"] == {}
    assert warnings(lines) == []


def test_nothing_is_said_of_paths_where_there_are_no_rows(fetch, lines, api):
    api.answer = lambda seen: web.json_response([])
    assert fetch()["paths_not_found"] == {}
    assert warnings(lines) == []


def test_a_retry_goes_on_counting(fetch, lines, api):
    """What the first try has found stays found, and what it has not is counted on."""
    api.answer = lambda seen: 500 if number_of(seen) == 7 else web.json_response({"id": 1, "itme": 1})
    with pytest.raises(FailuresError):
        fetch()
    lines.texts.clear()
    api.answer = lambda seen: web.json_response({"id": 1})
    assert fetch()["paths_not_found"] == {"day.name": 10}


def test_an_error_object_fails_its_item_and_no_row_of_nulls_is_loaded(fetch, api):
    api.answer = lambda seen: web.json_response({"error": "quota exceeded"}) if number_of(seen) == 7 else rows_of(seen)
    report = fetch(shape=RowShape({"id": "item.id", "day": "day"}), max_failures=1)
    assert (report["failed"], report["rows_loaded"], report["reasons"]) == (1, 18, {"unreadable_answer": 1})


@every_row(
    ("key", "name"),
    [("größe", "größe"), ("a\0", r"a\x00"), ("half \ud800", r"half \ud800"), ("<b>", "<b>"), (5, "5")],
)
def test_a_key_that_goes_into_no_column_is_named_so_that_airflow_can_keep_it(key, name):
    tally = Tally()
    tally.ignore(key)
    assert tally.ignored == {name: 1}
