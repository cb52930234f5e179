"""``answer_format`` of the operator and of ``fetch``: from a real API into a real table."""

import gzip
import re

import pytest
from aiohttp import web
from checkout import REPOSITORY
from task_runner import run_try
from tasks import given_later, rest_to_sql

from airflow_async_rest import Csv


@pytest.fixture
def warehouse(warehouse):
    warehouse.execute("ALTER TABLE locations ADD COLUMN price numeric")
    return warehouse


def exports(**arguments):
    by_hand = {"items": [1], "endpoint": "export/{item}", "rows": None, "columns": None}
    return rest_to_sql(**(by_hand | arguments))


def loaded(warehouse):
    return warehouse.execute("SELECT id, geo_label, price::text FROM locations ORDER BY id")


def test_a_packed_export_of_a_spreadsheet_is_loaded(places, warehouse, supervisor):
    text = 'id;geo_label;price\r\n1;"Střední; \r\nulice";1.50\r\n2;;\r\n'
    places.answer = lambda seen: web.Response(body=gzip.compress(text.encode("windows-1250")), content_type="text/html")
    task = exports(answer_format=Csv(delimiter=";", charset="windows-1250"))
    assert run_try(task, supervisor) == ("success", None)
    assert loaded(warehouse) == [(1, "Střední; \r\nulice", "1.50"), (2, None, None)]


def test_semicolons_that_nobody_spoke_of_load_nothing(places, warehouse, supervisor):
    places.answer = lambda seen: web.Response(text="id;geo_label\n1;x\n", content_type="text/csv")
    state, error = run_try(exports(), supervisor)
    assert (state, loaded(warehouse)) == ("up_for_retry", [])
    assert "write answer_format=Csv(delimiter=';')" in str(error)
    assert run_try(exports(answer_format=Csv(";")), supervisor, 2) == ("success", None)
    assert loaded(warehouse) == [(1, "x", None)]


async def asynchronous(body):
    return []


@pytest.mark.parametrize(
    ("answer_format", "words"),
    [("xml", "answer_format='xml': write one of 'json'"), (asynchronous, "answer_format=asynchronous: it is an async")],
)
def test_a_format_is_checked_before_the_first_request(places, warehouse, supervisor, answer_format, words):
    state, error = run_try(given_later(exports(), answer_format=answer_format), supervisor)
    assert (state, places.seen) == ("failed", [])
    assert words in str(error)


def test_the_function_of_the_page_reads_xml(places):
    from airflow_async_rest.hooks.rest import AsyncRestHook

    code = re.search(r"```python\n(from xml\.etree.*?)```", (REPOSITORY / "docs/formats.md").read_text(), re.DOTALL)[1]
    names = {}
    exec(code, names)
    body = "<readings><reading id='1'><value>1.50</value></reading><reading id='2'/></readings>"
    places.answer = lambda seen: web.Response(text=body, content_type="application/xml")
    chunks = AsyncRestHook("search_api").fetch([1], endpoint="readings.xml", answer_format=names["readings"])
    assert [row for chunk in chunks for row in chunk] == [{"id": "1", "value": "1.50"}, {"id": "2", "value": None}]


def by_lines(body):
    return []


def by_words(body):
    return []


def test_another_format_is_another_job():
    from airflow_async_rest.tasks.arguments import Asking
    from airflow_async_rest.tasks.fetch_jobs import _what_is_asked

    formats = [None, "json", "csv", Csv(), Csv(";"), by_lines, by_words]
    asked = [_what_is_asked(Asking(endpoint="x", answer_format=answer_format)) for answer_format in formats]
    assert len({str(parts) for parts in asked}) == len(formats)
    assert asked[0] == _what_is_asked(Asking(endpoint="x"))
    assert "by_lines" in str(asked[5])
    assert "0x" not in str(asked)
