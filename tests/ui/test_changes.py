"""What of a task has changed since it ran: pure decisions, and the endpoint that gives them."""

from types import SimpleNamespace

import pytest

from airflow_async_rest.ui.changes import changed_fields, defined_fields, endpoint_of, has_moved

NOW = {"sql": "SELECT 1", "endpoint": "x/{id}", "http_conn_id": "api", "sql_conn_id": "db"}

WITHOUT_SQL = {name: value for name, value in NOW.items() if name != "sql"}


@pytest.mark.parametrize(
    ("now", "was", "changed"),
    [
        ({}, {}, []),
        ({"endpoint": "y/{id}"}, {}, ["endpoint"]),
        ({}, {"sql": "SELECT 2", "http_conn_id": "other"}, ["sql", "http_conn_id"]),
        ({"sql": "SELECT 1\n"}, {}, []),  # as Jinja leaves it
        ({"sql": "SELECT {{ 1 }}"}, {"sql": "SELECT 2"}, []),
        ({}, {"sql": "Truncated. You can remove this behaviour"}, []),
        ({"endpoint": "x?key=hidden"}, {"endpoint": "x?key=***"}, []),
        ({}, {"sql": None, "endpoint": ["x"]}, []),
    ],
)
def test_what_has_changed_is_named(now, was, changed):
    assert changed_fields({**NOW, **now}, {**NOW, **was}) == changed


@pytest.mark.parametrize(
    ("task", "fields"),
    [
        ({"__var": {"task_id": "post", **NOW, "rate_limit": "5/s"}}, NOW),
        ({"task_id": "post", **NOW}, NOW),
        ({"__var": {"task_id": "post", "partial_kwargs": NOW}}, NOW),
        ({"__var": {"task_id": "post", "partial_kwargs": {**NOW, "sql": "q.sql"}}}, WITHOUT_SQL),
        ({"task_id": "post", "partial_kwargs": {**NOW, "sql": "q.txt"}, "template_ext": [".txt"]}, WITHOUT_SQL),
        ({"__var": {"task_id": "post", "sql": ["x"], "endpoint": None}}, {}),
        ({"__var": {"task_id": "other", **NOW}}, {}),
    ],
)
def test_a_serialized_dag_has_the_arguments(task, fields):
    assert defined_fields({"dag": {"tasks": [task]}}, "post") == fields
    assert defined_fields({}, "post") == {}


@pytest.mark.parametrize(
    ("defined", "endpoint"), [(NOW, "x/{id}"), ({}, None), ({"endpoint": "{{ params.place }}/{id}"}, None)]
)
def test_the_endpoint_is_known_where_no_template_makes_it(defined, endpoint):
    assert endpoint_of(defined) == endpoint


@pytest.mark.parametrize(
    ("api", "now", "moved"),
    [
        ("https://a.example", {"host": "a.example"}, False),
        ("https://a.example/", {"host": "https://a.example"}, False),
        ("https://a.example", {"host": "b.example"}, True),
        ("https://a.example", {"host": "a.example/v2"}, True),
        ("https://a.example", {"host": "a.example", "port": 8443}, True),
        ("https://a.example", {"host": "a.example?code=s3cret"}, False),
        ("http://a.example", {"host": "a.example", "conn_type": "http"}, False),
        ("https://a.example/***", {"host": "b.example"}, False),
        ("https://a.example", {"host": "x@b.example"}, True),
        (None, {"host": "b.example"}, False),
        ("https://a.example", None, False),
    ],
)
def test_a_connection_that_leads_elsewhere_is_another(api, now, moved):
    usual = {"conn_type": "async_rest", "schema": None, "port": None}
    assert has_moved(api, now and SimpleNamespace(**(usual | now))) is moved


def test_who_may_see_xcom_is_told(client_of, airflow_db):
    path = "/async-rest/api/v2/dags/no_such_dag/dagRuns/run0/taskInstances/post/changes"
    assert client_of(None).get(path).status_code == 401
    assert client_of("vic").get(path).json() == {"changed": [], "endpoint": None}


def test_a_file_of_a_mapped_task_is_not_taken_for_other_sql(tmp_path):
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    from airflow_async_rest.operators.sql_to_rest import SqlToRestOperator

    (tmp_path / "q.sql").write_text("SELECT id FROM sensors")
    with DAG("mapped", schedule=None, template_searchpath=str(tmp_path)) as dag:
        given = {"sql": "q.sql", "sql_conn_id": "db", "http_conn_id": "api", "method": "PUT"}
        SqlToRestOperator.partial(task_id="post", **given).expand(endpoint=["s/{id}", "t/{id}"])
    defined = defined_fields(DagSerialization.to_dict(dag), "post")
    assert changed_fields(defined, {**NOW, "sql": "SELECT id FROM sensors", "sql_conn_id": "other"}) == ["sql_conn_id"]
