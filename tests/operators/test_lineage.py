"""What OpenLineage is told of a task that Airflow's task runner has run, by its own extractor and with its own facets."""

import json
import sqlite3
import sys
from types import SimpleNamespace

import pytest
from aiohttp import web
from task_runner import run_try
from tasks import rest_to_sql, sql_to_rest

SENSORS = "SELECT id FROM lineage_sensors WHERE id >= 0 AND :window_start < :window_end ORDER BY id"


def lineage_of(task, state="success"):
    """Extract it as OpenLineage's listener does."""
    from airflow.providers.openlineage.extractors import ExtractorManager
    from airflow.utils.state import TaskInstanceState

    return ExtractorManager().extract_metadata(
        dagrun=SimpleNamespace(run_id="run"),
        task=task,
        task_instance_state=TaskInstanceState(state),
        task_instance=SimpleNamespace(),
    )


def run(task, supervisor) -> tuple[str, object]:
    """Run a try. :return: Airflow's state for it, and the task that was run: a copy of the DAG's."""
    ran = []
    task._pre_execute_hook = lambda context: ran.append(context["ti"].task)
    state, _ = run_try(task, supervisor)
    return state, ran[0]


def names(datasets) -> list[tuple[str, str]]:
    return [(dataset.namespace, dataset.name) for dataset in datasets]


def rows_read(dataset) -> int | None:
    statistics = dataset.inputFacets.get("inputStatistics")
    return statistics and statistics.rowCount


def rows_written(dataset) -> int | None:
    statistics = dataset.outputFacets.get("outputStatistics")
    return statistics and statistics.rowCount


def columns(dataset) -> list[str]:
    return [field.name for field in dataset.facets["schema"].fields]


@pytest.fixture
def tables(places, postgres, connect):
    """Tables of PostgreSQL, ``lineage_sensors`` with ten rows, and ``locations``: the dataset that each is."""
    connect("warehouse", **postgres.connection())
    postgres.execute(
        "DROP TABLE IF EXISTS async_rest_loads, locations, lineage_sensors, lineage_names",
        "CREATE TABLE lineage_sensors AS SELECT i AS id, i * 1.5 AS value FROM generate_series(1, 10) AS i",
        "CREATE TABLE lineage_names AS SELECT i AS id, 'name' AS name FROM generate_series(1, 10) AS i",
        "CREATE TABLE locations (id bigint, geo_label text, detail jsonb)",
    )
    rows = {"data": {"items": [{"location": {"geoLabel": "x"}, "detail": {}}] * 2}}
    places.answer = lambda _: web.json_response(rows)
    namespace = "postgres://" + postgres.socket_folder.replace("/", "%2F") + ":5432"
    return lambda table: (namespace, f"{postgres.database}.public.{table}")


def test_a_delivery_leads_from_a_table_to_an_endpoint(places, tables, supervisor):
    task = sql_to_rest(sql=SENSORS)
    started = lineage_of(task, "running")
    assert names(started.inputs) == [tables("lineage_sensors")]
    assert columns(started.inputs[0]) == ["id", "value"]
    assert names(started.outputs) == [(places.url, "readings/{id}")]
    assert started.job_facets["sql"].query == SENSORS
    assert (rows_read(started.inputs[0]), rows_written(started.outputs[0])) == (None, None)
    state, ran = run(task, supervisor)
    ended = lineage_of(ran, state)
    assert (names(ended.inputs), names(ended.outputs)) == (names(started.inputs), names(started.outputs))
    assert columns(ended.inputs[0]) == ["id", "value"]
    assert (rows_read(ended.inputs[0]), rows_written(ended.outputs[0])) == (10, 10)


def test_a_failure_tells_what_was_done(places, tables, supervisor):
    places.answer = lambda seen: 422 if seen.path.endswith("/7") else 200
    state, ran = run(sql_to_rest(sql=SENSORS), supervisor)
    assert state == "failed"
    lineage = lineage_of(ran, state)
    assert (rows_read(lineage.inputs[0]), rows_written(lineage.outputs[0])) == (10, 9)


def test_rows_of_several_tables_are_no_ones_count(places, tables, supervisor):
    sql = "SELECT s.id, name FROM lineage_sensors s JOIN lineage_names n ON n.id = s.id"
    lineage = lineage_of(run(sql_to_rest(sql=sql), supervisor)[1])
    assert sorted(dataset.name.rpartition(".")[2] for dataset in lineage.inputs) == ["lineage_names", "lineage_sensors"]
    assert [rows_read(dataset) for dataset in lineage.inputs] == [None, None]
    assert rows_written(lineage.outputs[0]) == 10


def test_a_fetch_leads_from_an_endpoint_and_its_keys_to_a_table(places, tables, supervisor):
    state, ran = run(rest_to_sql(sql=SENSORS, sql_conn_id="source_db"), supervisor)
    lineage = lineage_of(ran, state)
    assert names(lineage.inputs) == [(places.url, "locations/{id}"), tables("lineage_sensors")]
    assert [rows_read(dataset) for dataset in lineage.inputs] == [20, 10]
    assert names(lineage.outputs) == [tables("locations")]
    assert columns(lineage.outputs[0]) == ["id", "geo_label", "detail"]
    assert rows_written(lineage.outputs[0]) == 20
    assert lineage.job_facets["sql"].query == SENSORS


def test_a_fetch_of_given_items_has_one_input(places, tables, supervisor):
    task = rest_to_sql(items=[{"id": 1}], destination_table="public.locations")
    before = lineage_of(task, "running")
    assert (rows_read(before.inputs[0]), rows_written(before.outputs[0])) == (None, None)
    lineage = lineage_of(run(task, supervisor)[1])
    assert names(lineage.inputs) == [(places.url, "locations/{id}")]
    assert names(lineage.outputs) == [tables("locations")]
    assert rows_written(lineage.outputs[0]) == 2
    assert "sql" not in lineage.job_facets


def test_a_fetch_that_fails_tells_what_was_loaded(places, tables, supervisor):
    good = places.answer
    places.answer = lambda seen: 404 if seen.path.endswith("/7") else good(seen)
    state, ran = run(rest_to_sql(sql=SENSORS, sql_conn_id="source_db"), supervisor)
    assert state == "failed"
    assert rows_written(lineage_of(ran, state).outputs[0]) == 18


def test_sqlite_has_no_names_in_openlineage_so_only_the_endpoint_is_told(places, supervisor, connect, tmp_path):
    with sqlite3.connect(tmp_path / "source.db") as database:
        database.execute("CREATE TABLE things AS SELECT 1 AS id")
    database.close()
    connect("lite", conn_type="sqlite", host=str(tmp_path / "source.db"))
    state, ran = run(sql_to_rest(sql="SELECT id FROM things", sql_conn_id="lite"), supervisor)
    lineage = lineage_of(ran, state)
    assert names(lineage.inputs) == []
    assert names(lineage.outputs) == [(places.url, "readings/{id}")]
    assert rows_written(lineage.outputs[0]) == 1


@pytest.mark.parametrize(
    ("host", "endpoint", "expected"),
    [
        ("https://api.example.com/v1/", "/sensors/{id}", ("https://api.example.com", "v1/sensors/{id}")),
        ("https://api.example.com", "", ("https://api.example.com", "/")),
        ("http://127.0.0.1:8000", "x:run?key=geheim#top", ("http://127.0.0.1:8000", "x:run")),
        ("http://127.0.0.1:8000/hooks/geheim", "x/geheim", ("http://127.0.0.1:8000", "hooks/***/x/***")),
    ],
)
def test_the_api_is_named_by_its_server_and_path_without_what_is_secret(connect, tables, host, endpoint, expected):
    connect("search_api", conn_type="async_rest", host=host, login="me", password="geheim")
    lineage = lineage_of(sql_to_rest(endpoint=endpoint), "running")
    assert names(lineage.outputs) == [expected]
    assert "geheim" not in str(lineage)


def test_a_connection_that_is_missing_or_wrong_costs_its_side_only(places, tables, connect):
    assert names(lineage_of(sql_to_rest(sql_conn_id="nowhere"), "running").outputs) == [(places.url, "readings/{id}")]
    connect("search_api", conn_type="async_rest", host="http://me:geheim@127.0.0.1")
    lineage = lineage_of(sql_to_rest(sql=SENSORS), "running")
    assert (names(lineage.inputs), lineage.outputs) == ([tables("lineage_sensors")], [])


def test_a_database_that_is_away_costs_its_tables_only(places, connect):
    connect("source_db", conn_type="postgres", host="127.0.0.1", port=1, schema="x")
    lineage = lineage_of(sql_to_rest(sql=SENSORS), "running")
    assert (lineage.inputs, names(lineage.outputs)) == ([], [(places.url, "readings/{id}")])


def test_without_the_provider_there_is_nothing_and_the_task_runs(places, tables, supervisor, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "openlineage" or ".openlineage" in name]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("openlineage", "airflow.providers.openlineage"):
        monkeypatch.setitem(sys.modules, name, None)
    for task in (sql_to_rest(sql=SENSORS), rest_to_sql(items=[{"id": 1}])):
        assert task.get_openlineage_facets_on_start() is None
        state, ran = run(task, supervisor)
        assert state == "success"
        assert ran.get_openlineage_facets_on_complete(None) is None
        assert ran.get_openlineage_facets_on_failure(None) is None


def test_the_providers_listener_emits_it(places, tables, supervisor, monkeypatch, tmp_path):
    from airflow.providers.openlineage.plugins.listener import OpenLineageListener
    from airflow.sdk.listener import get_listener_manager

    manager = (
        get_listener_manager()
    )  # made before the transport is there, or its plugin listens to all later tests, too
    transport = {"type": "file", "log_file_path": str(tmp_path / "events.jsonl"), "append": True}
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__TRANSPORT", json.dumps(transport))
    listener = OpenLineageListener()
    manager.add_listener(listener)
    try:
        assert run_try(sql_to_rest(sql=SENSORS), supervisor)[0] == "success"
    finally:
        manager.pm.unregister(listener)
    started, ended = (json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines())
    assert (started["eventType"], ended["eventType"]) == ("START", "COMPLETE")
    assert started["outputs"][0]["name"] == "readings/{id}"
    assert ended["inputs"][0]["inputFacets"]["inputStatistics"]["rowCount"] == 10
    assert ended["outputs"][0]["namespace"] == places.url
    assert ended["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 10
