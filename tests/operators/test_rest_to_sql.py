"""RestToSqlOperator by Airflow's real task runner: a real API, a real PostgreSQL."""


import pytest
from aiohttp import web
from task_runner import run_try
from tasks import rest_to_sql


def answer_with(rows):
    return lambda seen: web.json_response({"data": {"items": rows(seen)}})


@pytest.fixture
def warehouse(places, postgres, connect):
    connect("warehouse", **postgres.connection())
    postgres.execute(
        "DROP TABLE IF EXISTS async_rest_loads",
        "DROP TABLE IF EXISTS locations",
        "CREATE TABLE locations (id bigint, geo_label text, detail jsonb, loaded_at timestamptz DEFAULT now())",
    )
    return postgres


def one_location(seen):
    number = int(seen.path.rpartition("/")[2])
    return [{"location": {"geoLabel": f"place {number}"}, "detail": {"n": [number]}, "extra": 1}]


COLUMNS = {"id": "item.id", "geo_label": "location.geoLabel", "detail": "detail"}


def test_rows_of_a_query_are_enriched_with_the_id_that_was_asked_for(places, warehouse, supervisor):
    places.answer = answer_with(one_location)
    state, error = run_try(rest_to_sql(), supervisor)
    assert (state, error) == ("success", None)
    rows = warehouse.execute("SELECT id, geo_label, detail, loaded_at IS NOT NULL FROM locations ORDER BY id")
    assert rows == [(n, f"place {n}", {"n": [n]}, True) for n in range(1, 101)]
    assert warehouse.execute("SELECT relname FROM pg_class WHERE relname LIKE 'async_rest_stg%'") == []
