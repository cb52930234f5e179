"""What is a placeholder in a fetch's query and body, and what is text: told before the first request."""

import json

import pytest
from aiohttp import web
from task_runner import run_try
from tasks import rest_to_sql


@pytest.fixture
def hook(places):
    from airflow_async_rest.hooks.rest import AsyncRestHook

    places.answer = lambda seen: web.json_response([{"n": 1}])
    return AsyncRestHook("search_api")


def fetch(hook, items, **arguments):
    return [row for chunk in hook.fetch(items, endpoint="x", **arguments) for row in chunk]


def test_json_and_graphql_are_sent_as_they_stand(hook, places):
    body = {"query": "query($id: ID!) { user(id: $id) { id } }", "variables": {"id": "{id}"}, "of": '{"id":{id}}'}
    fetch(hook, [{"id": 7}], method="POST", query={"where": '{"where":{"id":{id}}}'}, body=body)
    assert places.seen[0].query == 'where={"where":{"id":7}}'
    assert places.seen[0].json() == {**body, "variables": {"id": 7}, "of": '{"id":7}'}


@pytest.mark.parametrize("name", ['Ann "A" Lee', "back\\slash", 'x","admin":"y', "two\nlines", "Žižka"])
def test_a_quote_in_a_value_does_not_end_the_text_that_it_stands_in(hook, places, name):
    """Nor does anything else in it change what the JSON, or the document, says."""
    within = '{"where":{"name":"{name}","of":"{\\"name\\":\\"{name}\\"}"}}'
    body = {"query": '{ user(name: "{name}") { id } }'}
    fetch(hook, [{"name": name}], method="POST", query={"where": within}, body=body)
    where = json.loads(places.seen[0].query.removeprefix("where="))["where"]
    assert (where["name"], json.loads(where["of"])) == (name, {"name": name})
    value = places.seen[0].json()["query"].removeprefix("{ user(name: ").removesuffix(") { id } }")
    assert json.loads(value) == name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{ users {id} }", r"query has 'id' in braces that are text there, and the rows have such a column"),
        ("{ id }", r"query has 'id' in braces that are text there.*: write \{\{id\}\} for the text"),
        ("{users{id}}", r"\{id\} right after a name or a '\)' may be a selection.*\{\{id\}\}"),
        ("{ user(id: {idd}) { id } }", r"query names the column 'idd'.*they have: id\. As a text, write \{\{idd\}\}"),
        ('{"name": "for {idd}"}', r"query names the column 'idd'"),
    ],
)
def test_what_may_mean_either_or_nothing_is_an_error(hook, places, text, words):
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException, match=words):
        fetch(hook, [{"id": 7}], query={"q": text})
    assert not places.seen


def test_text_that_could_be_a_misspelt_placeholder_is_told_in_the_log(hook, places, logged):
    fetch(hook, [{"id": 7}], query={"q": "{ users {idd} } ", "other": "{ users { id } }"})
    assert "query: {idd} is sent as text, as JSON and GraphQL have it, and is not a column." in logged()


def test_the_columns_of_a_query_without_rows_are_known_too(places, postgres, connect, supervisor):
    connect("warehouse", **postgres.connection())
    postgres.execute("DROP TABLE IF EXISTS locations", "CREATE TABLE locations (id int, geo_label text, detail jsonb)")
    none = {"sql": "SELECT 1 AS id WHERE false", "sql_conn_id": "source_db", "endpoint": "x"}
    state, error = run_try(rest_to_sql(**none, query={"q": "{ users {id} }"}), supervisor)
    assert state == "failed"
    assert "query has 'id' in braces that are text there" in str(error)
    well = {"q": "{ users { id } }", "where": '{"where":{"id":{id}}}'}
    assert run_try(rest_to_sql(**none, query=well), supervisor)[0] == "success"
