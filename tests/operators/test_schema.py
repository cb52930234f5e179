"""``schema=``: what a payload must be, as a dict or a file beside the DAG file."""

import json

import pytest
from task_runner import run_try
from tasks import sql_to_rest

from airflow_async_rest import Batch

SMALL = {"properties": {"id": {"maximum": 90}, "value": {"type": "number"}}}


@pytest.mark.parametrize("arguments", [{}, {"batch": Batch(max_items=25), "endpoint": "x", "method": "POST"}])
def test_what_breaks_it_is_a_dead_letter_and_the_rest_is_delivered(places, supervisor, arguments):
    task = sql_to_rest(schema=SMALL, max_failures=10, **arguments)
    assert run_try(task, supervisor) == ("success", None)
    assert (supervisor.report["delivered"], supervisor.report["reasons"]) == (90, {"schema": 10})
    [letter, *_] = supervisor.data["xcom"]["failed_items"]
    assert letter["response_excerpt"] == 'the payload breaks the schema at $.id: "maximum": 90.'
    assert letter["row"] == {"id": 91, "value": 136.5}


def test_all_that_breaks_it_is_refused_for_good(places, supervisor):
    state, error = run_try(sql_to_rest(schema={"required": ["name"]}), supervisor)
    assert (state, places.seen) == ("failed", [])
    assert "100 schema" in str(error)


def test_it_is_of_what_transform_returns(places, supervisor):
    task = sql_to_rest(schema={"required": ["name"]}, transform=lambda row: row | {"name": "a"})
    assert run_try(task, supervisor) == ("success", None)


@pytest.fixture
def beside(tmp_path):
    """A task of a DAG whose file is in this folder."""
    from airflow.sdk import DAG

    def make(**arguments):
        task = sql_to_rest(**arguments)
        dag = DAG("the_dag", schedule=None)
        dag.fileloc = str(tmp_path / "the_dag.py")
        dag.add_task(task)
        return task

    return make


@pytest.mark.parametrize("absolute", [True, False])
def test_a_file_is_found_beside_the_dag_file_and_not_rendered(places, supervisor, beside, tmp_path, absolute):
    (tmp_path / "schemas").mkdir()
    text = json.dumps(SMALL | {"$comment": "{{ no_such_name }}"})
    (tmp_path / "schemas/small.json").write_text(f"\ufeff{text}", encoding="utf-8")
    task = beside(schema=f"{tmp_path}/schemas/small.json" if absolute else "schemas/small.json", max_failures=10)
    assert run_try(task, supervisor) == ("success", None)
    assert supervisor.report["reasons"] == {"schema": 10}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            None,
            "^schema='small.json': there is no such file, or it cannot be read (TemplateNotFound); write an absolute",
        ),
        (b"{", "schema='small.json': the file is not JSON in UTF-8"),
        ("{}".encode("utf-16"), "schema='small.json'"),
        (b"[]", "write a JSON Schema as a dict"),
        (b"null", "schema='small.json': the file has 'None' and no JSON object"),
        (b'"x"', "write a JSON Schema as a dict"),
        (b'""', "write a JSON Schema as a dict"),
        (b"0", "write a JSON Schema as a dict"),
        (b"true", "write a JSON Schema as a dict"),
        (b'{"maximum": NaN}', "schema"),
        (b'{"$ref": "#/$defs/nope"}', "schema refers to '#/$defs/nope', which is not in it"),
        (b'{"not":' * 100_000 + b"{}" + b"}" * 100_000, "schema='small.json': the file is nested too deep to be read"),
        (b'{"type": "objet"}', "schema is no valid JSON Schema: at $.type"),
    ],
)
def test_a_file_that_is_none_is_said_before_the_first_request(places, supervisor, beside, tmp_path, content, words):
    if content is not None:
        (tmp_path / "small.json").write_bytes(content)
    state, error = run_try(beside(schema="small.json"), supervisor)
    assert (state, places.seen) == ("failed", [])
    assert words.removeprefix("^") in str(error)
    assert not words.startswith("^") or str(error).startswith(words[1:])


def test_a_plain_call_has_it_too(airflow_db, connect, api, tmp_path):
    from airflow.sdk.exceptions import AirflowFailException

    from airflow_async_rest.hooks.rest import AsyncRestHook

    connect("search_api", conn_type="async_rest", host=api.url)
    (tmp_path / "small.json").write_text(json.dumps(SMALL))
    hook, rows = AsyncRestHook("search_api"), [{"id": n, "value": 1.5} for n in range(100)]
    for schema in (SMALL, str(tmp_path / "small.json")):
        report = hook.deliver(rows, endpoint="x", schema=schema, max_failures=9)
        assert (report["delivered"], report["reasons"]) == (91, {"schema": 9})
    with pytest.raises(AirflowFailException, match="^schema=.*none.json': there is no such file"):
        hook.deliver(rows, endpoint="x", schema=str(tmp_path / "none.json"))


def test_a_retry_checks_again_and_a_replay_does_not(places, supervisor):
    places.answer = lambda request: 503
    task = sql_to_rest(
        schema=SMALL, max_failures=100, sql="SELECT i AS id, 1.5 AS value FROM generate_series(89, 92) i"
    )
    run_try(task, supervisor)
    assert supervisor.report["reasons"] == {"http_503": 2, "schema": 2}
    folder = supervisor.report["dead_letters"]
    from airflow_async_rest.operators.replay import ReplayDeadLettersOperator

    places.answer = lambda request: 200
    replay = ReplayDeadLettersOperator(task_id="replay", dead_letters=folder, http_conn_id="search_api", max_failures=2)
    assert run_try(replay, supervisor)[0] == "success"
    assert (supervisor.report["delivered"], supervisor.report["failed"]) == (2, 2)


@pytest.mark.parametrize("content", ["null", '"x"', "[]"])
def test_a_file_without_a_schema_stops_a_plain_call(airflow_db, connect, api, tmp_path, content):
    from airflow.sdk.exceptions import AirflowFailException

    from airflow_async_rest.hooks.rest import AsyncRestHook

    connect("search_api", conn_type="async_rest", host=api.url)
    (tmp_path / "small.json").write_text(content)
    with pytest.raises(AirflowFailException, match="and no JSON object"):
        AsyncRestHook("search_api").deliver([{"id": 1}], endpoint="x", schema=str(tmp_path / "small.json"))
    assert api.seen == []


def test_a_file_keeps_every_digit(places, supervisor, beside, tmp_path):
    digits = "0.10000000000000000001"
    (tmp_path / "exact.json").write_text(f'{{"properties": {{"value": {{"maximum": {digits}}}}}}}')
    sql = f"SELECT i AS id, {digits}::numeric + i * 1e-20 AS value FROM generate_series(0, 1) AS i"
    assert run_try(beside(schema="exact.json", sql=sql, max_failures=1), supervisor) == ("success", None)
    assert (supervisor.report["delivered"], supervisor.report["reasons"]) == (1, {"schema": 1})


def test_a_reference_that_leads_nowhere_is_an_import_error():
    from airflow_async_rest.core.errors import ConfigurationError

    with pytest.raises((ConfigurationError, ValueError), match="schema refers to '#/.defs/nope'"):
        sql_to_rest(schema={"properties": {"rare": {"$ref": "#/$defs/nope"}}})
