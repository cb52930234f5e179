"""What transform returns is what the API gets: through operators, replays and plain tasks."""

import json
from urllib.parse import urlencode

import pytest
from aiohttp import web
from task_runner import run_try
from tasks import READINGS, given_later, rest_to_sql, sql_to_rest
from test_deliver import deliver, task_of
from test_replay import ONCE, replay

from airflow_async_rest import Batch

JSON, FORM, TEXT = "application/json", "application/x-www-form-urlencoded", "text/plain; charset=utf-8"
BYTES, XML, API = "application/octet-stream", "application/xml", "application/vnd.api+json"
ONE = {"sql": READINGS.format(rows=1)}


def to_xml(row):
    return f"<reading id='{row['id']}'>é</reading>"


def to_bytes(row):
    return bytes([0, 255, int(row["id"])])


def to_json(row):
    return json.dumps({"id": row["id"], "nested": {"a": [1]}}, indent=1)


CASES = [
    ({"transform": urlencode}, b"id=1&value=1.5", TEXT),
    ({"transform": urlencode, "headers": {"content-type": FORM}}, b"id=1&value=1.5", FORM),
    ({"transform": urlencode, "body_format": "form"}, b"id=1&value=1.5", FORM),
    ({"body_format": "form"}, b"id=1&value=1.5", FORM),
    ({"body_format": "form", "headers": {"Content-Type": JSON}}, b"id=1&value=1.5", FORM),
    ({"transform": to_xml}, "<reading id='1'>é</reading>".encode(), TEXT),
    ({"transform": to_xml, "headers": {"Content-Type": XML}}, "<reading id='1'>é</reading>".encode(), XML),
    ({"transform": to_json}, to_json({"id": 1}).encode(), JSON),
    ({"transform": to_json, "body_format": "json"}, json.dumps(to_json({"id": 1})).encode(), JSON),
    ({"transform": to_json, "headers": {"Content-Type": API}}, to_json({"id": 1}).encode(), API),
    ({"transform": to_bytes}, b"\x00\xff\x01", BYTES),
    ({"body_format": "json", "headers": {"Content-Type": XML}}, b'{"id":1,"value":1.5}', JSON),
    ({"body_format": "json", "method": "DELETE"}, b'{"id":1,"value":1.5}', JSON),
    ({"headers": {"Content-Type": API}}, b'{"id":1,"value":1.5}', API),
]


@pytest.mark.parametrize("cookies", [False, True])  # with cookies, aiohttp's session sends
@pytest.mark.parametrize(("arguments", "body", "content_type"), CASES)
def test_a_body_is_sent_as_what_it_is_and_a_replay_sends_it_again(
    places, supervisor, connect, arguments, body, content_type, cookies
):
    connect("search_api", conn_type="async_rest", host=places.url, extra=json.dumps({"cookies": cookies}))
    places.answer = lambda seen: 422
    run_try(sql_to_rest(**ONE, request_retry=ONCE, **arguments), supervisor)
    [first] = places.seen
    assert (first.body, first.headers["Content-Type"]) == (body, content_type)
    places.reset()
    places.answer = lambda seen: 200
    state, error = run_try(replay(supervisor.report["dead_letters"]), supervisor)
    assert (state, error) == ("success", None)
    [seen] = places.seen
    assert (seen.body, seen.headers["Content-Type"], seen.key) == (body, content_type, first.key)


def test_a_replay_may_say_another_content_type(places, supervisor):
    places.answer = lambda seen: 422
    run_try(sql_to_rest(**ONE, request_retry=ONCE, transform=to_xml), supervisor)
    places.answer = lambda seen: 200
    run_try(replay(supervisor.report["dead_letters"], headers={"content-type": XML}), supervisor)
    assert [seen.headers["Content-Type"] for seen in places.seen] == [TEXT, XML]


def test_an_item_whose_payload_has_no_such_form_fails_alone(places, supervisor):
    def flat_but_for_one(row):
        return {"id": row["id"], "value": {"a": 1} if row["id"] == 2 else 1}

    state, _ = run_try(
        sql_to_rest(sql=READINGS.format(rows=3), transform=flat_but_for_one, body_format="form"), supervisor
    )
    assert (state, supervisor.report["delivered"], supervisor.report["reasons"]) == ("failed", 2, {"encode": 1})
    [item] = supervisor.data["xcom"]["failed_items"]
    assert "column 'value' is not a single value, and a form is flat" in item["response_excerpt"]


@pytest.mark.parametrize("function", [urlencode, to_xml, to_bytes, to_json])
@pytest.mark.parametrize("form", ["json_array", "ndjson", "bulk", {"items": "json_array"}])
def test_a_batch_refuses_text_and_bytes(places, supervisor, function, form):
    task = sql_to_rest(endpoint="x", method="POST", transform=function, batch=Batch(format=form))
    state, _ = run_try(task, supervisor)
    assert (state, places.seen, supervisor.report["reasons"]) == ("failed", [], {"encode": 100})
    assert "return a dict; or say body_format='json'" in supervisor.data["xcom"]["failed_items"][0]["response_excerpt"]


def test_a_batch_of_texts_can_be_said_and_is_replayed(places, supervisor):
    places.answer = lambda seen: 503
    batch = Batch(format={"ids": "json_array"})
    arguments = {"endpoint": "x", "method": "POST", "transform": lambda row: str(row["id"]), "batch": batch}
    run_try(sql_to_rest(sql=READINGS.format(rows=3), body_format="json", request_retry=ONCE, **arguments), supervisor)
    places.answer = lambda seen: 200
    state, error = run_try(replay(supervisor.report["dead_letters"]), supervisor)
    assert (state, error) == ("success", None)
    assert {seen.body for seen in places.seen} == {b'{"ids":["1","2","3"]}'}


@pytest.mark.parametrize("function", [to_xml, to_bytes])
def test_the_authors_function_joins_texts_in_a_batch_and_in_its_replay(places, supervisor, function):
    def joined(payloads):
        return b"|".join(part if isinstance(part, bytes) else part.encode() for part in payloads)

    places.answer = lambda seen: 503
    batch = Batch(format=joined)
    task = sql_to_rest(
        sql=READINGS.format(rows=3), endpoint="x", method="POST", transform=function, batch=batch, request_retry=ONCE
    )
    run_try(task, supervisor)
    places.answer = lambda seen: 200
    state, error = run_try(replay(supervisor.report["dead_letters"], batch=batch), supervisor)
    assert (state, error) == ("success", None)
    assert len({seen.body for seen in places.seen}) == 1
    assert len({seen.key for seen in places.seen}) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"body_format": "yaml"}, "body_format='yaml': write one of"),
        ({"body_format": "text"}, "body_format='text' needs a transform"),
        ({"body_format": "form", "batch": Batch(), "endpoint": "x"}, "body_format='form' is for one item a request"),
        (
            {"body_format": "text", "transform": to_xml, "batch": Batch(), "endpoint": "x"},
            "body_format='text' is for one item a request",
        ),
    ],
)
def test_a_format_that_cannot_be_is_said_before_the_first_request(places, supervisor, arguments, message):
    state, error = run_try(given_later(sql_to_rest(), **arguments), supervisor)
    assert (state, places.seen) == ("failed", [])
    assert message in str(error)


def test_a_plain_task_has_the_same_formats(places, supervisor):
    def push():
        deliver([{"id": 1}], transform=to_xml)
        deliver([{"id": 2}], body_format="form")
        deliver(["<a/>"], endpoint="x", key=None, transform=lambda row: row["item"], body_format="text")

    state, error = run_try(task_of(push), supervisor)
    assert (state, error) == ("success", None)
    assert [(seen.body, seen.headers["Content-Type"]) for seen in places.seen] == [
        ("<reading id='1'>é</reading>".encode(), TEXT),
        (b"id=2", FORM),
        (b"<a/>", TEXT),
    ]


@pytest.mark.parametrize(
    ("arguments", "body", "content_type"),
    [
        ({"body": {"id": "{id}", "many": ["a b", "{id}"]}, "body_format": "form"}, b"id=1&many=a+b&many=1", FORM),
        ({"body": "<id>{id}</id>", "body_format": "text", "headers": {"Content-Type": XML}}, b"<id>1</id>", XML),
        ({"body": "id={id}", "body_format": "form"}, b"id=1", FORM),
        ({"body": to_xml}, "<reading id='1'>é</reading>".encode(), TEXT),
        ({"body": to_json}, to_json({"id": 1}).encode(), JSON),
        ({"body": to_bytes}, b"\x00\xff\x01", BYTES),
        ({"body": {"id": "{id}"}, "body_format": "json", "headers": {"Content-Type": XML}}, b'{"id":1}', JSON),
    ],
)
def test_the_other_direction_has_the_same_formats(places, supervisor, postgres, connect, arguments, body, content_type):
    connect("warehouse", **postgres.connection())
    postgres.execute("DROP TABLE IF EXISTS said", "CREATE TABLE said (id int)")
    places.answer = lambda seen: web.json_response([{"id": 1}])
    task = rest_to_sql(
        items=[{"id": 1}],
        endpoint="search",
        method="POST",
        rows=None,
        columns={"id": "id"},
        destination_table="said",
        **arguments,
    )
    state, error = run_try(task, supervisor)
    assert (state, error) == ("success", None)
    [seen] = places.seen
    assert (seen.body, seen.headers["Content-Type"]) == (body, content_type)
    assert postgres.execute("SELECT id FROM said") == [(1,)]


@pytest.mark.parametrize(
    ("arguments", "body", "content_type"),
    [
        ({}, b'{"id":1,"value":1.5}', XML),
        ({"body_format": "json"}, b'{"id":1,"value":1.5}', JSON),
        ({"body_format": "form"}, b"id=1&value=1.5", FORM),
        ({"transform": to_xml}, "<reading id='1'>é</reading>".encode(), XML),
        ({"transform": to_xml, "headers": {"content-type": TEXT}}, "<reading id='1'>é</reading>".encode(), TEXT),
        ({"transform": to_bytes}, b"\x00\xff\x01", XML),
        ({"transform": to_bytes, "body_format": "text"}, b"\x00\xff\x01", XML),
    ],
)
def test_the_connections_content_type_is_kept_where_the_format_lets_it(
    places, supervisor, connect, arguments, body, content_type
):
    connect("search_api", conn_type="async_rest", host=places.url, extra=json.dumps({"headers": {"Content-Type": XML}}))
    state, error = run_try(sql_to_rest(**ONE, **arguments), supervisor)
    assert (state, error) == ("success", None)
    [seen] = places.seen
    assert (seen.body, seen.headers["Content-Type"]) == (body, content_type)


def test_a_function_as_body_is_not_called_by_airflow_when_a_task_is_mapped(airflow_db):
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    from airflow_async_rest.operators.rest_to_sql import RestToSqlOperator

    with DAG("mapped", schedule=None) as dag:
        RestToSqlOperator.partial(
            task_id="fetch",
            endpoint="x",
            method="POST",
            body=to_xml,
            destination_conn_id="warehouse",
            destination_table="said",
        ).expand(items=[[{"id": 1}]])
        RestToSqlOperator(
            task_id="one",
            endpoint="x",
            method="POST",
            body=to_xml,
            items=[],
            destination_conn_id="warehouse",
            destination_table="said",
        )
    DagSerialization.to_dict(dag)
    task = dag.get_task("fetch").unmap({"items": [{"id": 1}]})
    task.render_template_fields({})
    assert task.body.function is to_xml
