"""``docs/architecture.md`` tells the truth: the way of a row, and of a fetched key, as they are traced."""

import re

import pytest
from aiohttp import web
from architecture import PAGE, hold, written
from checkout import REPOSITORY
from task_runner import run_try
from tasks import READINGS, rest_to_sql, sql_to_rest
from tracing import Calls, Function, as_text

_FIGURES = re.compile(r"(\d+) files, (\d+) functions:")
_READ = Function("core/reading/source.py", "RowSource.open")
_TAKEN = Function("core/limits/adaptive.py", "Places.acquire")
_STAGED = Function("load/loader.py", "TableLoader.stage")


def hold_way(name: str, way: list[Function]) -> None:
    """Hold the way, and its figures, which never rise."""
    now = (len({function.file for function in way}), len(way))
    before = _FIGURES.match(written(name))
    files, functions = map(min, now, map(int, before.groups())) if before else now
    hold(name, f"{files} files, {functions} functions:\n\n```text\n{as_text(way)}\n```")
    assert now == (files, functions), "the way has become longer: take the detour out"


def test_the_way_of_a_row(places, supervisor):
    task = sql_to_rest(sql=READINGS.format(rows=300), concurrency=1, chunk_size=30)
    with Calls() as calls:
        assert run_try(task, supervisor) == ("success", None)
    hold_way("way of a chunk", calls.usual_way(_READ))
    hold_way("way of a row", calls.usual_way(_TAKEN))


def test_the_way_of_a_fetched_key(places, postgres, connect, supervisor):
    connect("warehouse", **postgres.connection())
    postgres.execute(
        "DROP TABLE IF EXISTS async_rest_loads",
        "DROP TABLE IF EXISTS locations",
        "CREATE TABLE locations (id bigint, geo_label text, detail jsonb)",
    )
    row = {"location": {"geoLabel": "a place"}, "detail": {"n": 1}, "extra": 1}
    places.answer = lambda seen: web.json_response({"data": {"items": [row] * 40}})
    ids = "SELECT i AS id FROM generate_series(1, 300) AS i ORDER BY i"
    task = rest_to_sql(sql=ids, sql_conn_id="source_db", concurrency=1)
    with Calls() as calls:
        assert run_try(task, supervisor) == ("success", None)
    hold_way("way of a key", calls.usual_way(_TAKEN))
    hold_way("way of fetched rows", calls.usual_way(_STAGED))


def test_what_the_page_names_is_there():
    prose = re.sub(r"```.*?```", "", PAGE.read_text(), flags=re.DOTALL)
    names = re.findall(r"`((?:core|connections|databases|hooks|load|tasks|ui|tests)/[\w/.]*)`", prose)
    roots = (REPOSITORY / "airflow_async_rest", REPOSITORY)
    assert len(names) > 30
    assert [
        name for name in names if not any((root / f"{name}{end}").exists() for root in roots for end in ("", ".py"))
    ] == []


@pytest.mark.parametrize("line", re.findall(r"^\|.*`(?:[A-Z]\w+\.?\w*)`.*\|$", PAGE.read_text(), re.MULTILINE))
def test_each_class_stands_in_the_file_beside_it(line):
    files = re.findall(r"`([\w/]+\.py)`", line)
    texts = [(REPOSITORY / "airflow_async_rest" / file).read_text() for file in files]
    for name in re.findall(r"`([A-Z]\w+(?:\.\w+)?)`", line):
        owner, _, method = name.partition(".")
        assert any(f"class {owner}" in text and f"def {method}" in text for text in texts), name
