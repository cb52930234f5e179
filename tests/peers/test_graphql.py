"""The recipes of docs/graphql.md, run as they stand there against a server whose engine others wrote."""

import json
import re
from urllib.request import Request, urlopen

import pytest
from checkout import REPOSITORY
from node_peers import running_peer
from task_runner import Supervisor, run_try

from airflow_async_rest import RequestRetry

pytestmark = pytest.mark.release
RECIPES = REPOSITORY / "docs" / "graphql.md"
TABLES = (
    "DROP TABLE IF EXISTS async_rest_loads, people, staff, readings",
    "CREATE TABLE people (id int PRIMARY KEY, name text, team text)",
    "CREATE TABLE staff (id int)",
    "INSERT INTO staff SELECT i FROM generate_series(0, 51) AS i",  # the last two of which the API does not have
    "CREATE TABLE readings (id int, value numeric)",
    "INSERT INTO readings SELECT i, i * 1.5 FROM generate_series(1, 30) AS i UNION ALL SELECT 31, -1",
)
PEOPLE = [(n, f"person {{{n}}}", ["red", "blue"][n % 2]) for n in range(50)]


@pytest.fixture(scope="module")
def graphql():
    with running_peer("graphql_server.cjs", "graphql", "graphql-http") as url:
        yield url


@pytest.fixture
def recipes(graphql, postgres, connect, tmp_path, monkeypatch):
    """What the blocks of the page define, one after the other."""
    connect("warehouse", **postgres.connection())
    connect("graphql_api", conn_type="async_rest", host=graphql)
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", str(tmp_path / "dead_letters"))
    postgres.execute(*TABLES)
    defined = {}
    for block in re.findall(r"```python\n(.*?)```", RECIPES.read_text(), re.DOTALL):
        exec(block, defined)
    return defined


def ask(url, document):
    request = Request(url, json.dumps({"query": document}).encode(), {"Content-Type": "application/json"})
    return json.load(urlopen(request))["data"]


def people(postgres) -> list[tuple]:
    return postgres.execute("SELECT id, name, team FROM people ORDER BY id")


def with_faults(task):
    """Have each request answered by 503 the first time."""
    task.endpoint, task.request_retry = "flaky", RequestRetry(backoff_base_seconds=0.01)
    return task


def test_each_item_is_a_query(recipes, postgres, tmp_path):
    supervisor = Supervisor(tmp_path / "airflow.json")
    state, error = run_try(recipes["fetch_people"], supervisor)
    assert (state, error) == ("success", None)
    assert people(postgres) == PEOPLE


@pytest.mark.parametrize("prepare", [lambda task: task, with_faults], ids=["well", "each page fails once"])
def test_pages_go_by_a_variable_and_nothing_is_missing_or_twice(recipes, postgres, tmp_path, prepare):
    supervisor = Supervisor(tmp_path / "airflow.json")
    state, error = run_try(prepare(recipes["fetch_teams"]), supervisor)
    assert (state, error) == ("success", None)
    assert people(postgres) == PEOPLE
    assert (supervisor.report["delivered"], supervisor.report["rows_loaded"]) == (2, 50)


def test_each_row_is_a_mutation_and_errors_in_a_200_are_failures(recipes, graphql, tmp_path):
    supervisor = Supervisor(tmp_path / "airflow.json")
    task = recipes["store_readings"]
    task.request_retry = RequestRetry(backoff_base_seconds=0.01)
    assert run_try(task, supervisor)[0] == "failed"
    report = supervisor.report
    assert (report["delivered"], report["failed"], report["retries"]) == (30, 1, 4)  # four are throttled once
    stored = ask(graphql, "{ readings { id value } }")["readings"]
    assert sorted((int(reading["id"]), reading["value"]) for reading in stored) == [(i, i * 1.5) for i in range(1, 31)]
    [letter] = supervisor.data["xcom"]["failed_items"]
    assert (letter["key"], letter["status"]) == (31, 200)
    assert "a value of -1 is out of range" in letter["response_excerpt"]


def test_a_document_in_the_query_needs_no_doubling(recipes):
    from airflow_async_rest.hooks.rest import AsyncRestHook

    def fetched(**arguments):
        hook = AsyncRestHook("graphql_api")
        chunks = hook.fetch([{"id": 7}, {"id": 8}], endpoint="graphql", rows="data.person", **arguments)
        return sorted(row["name"] for chunk in chunks for row in chunk)

    names = ["person {7}", "person {8}"]
    assert fetched(query={"query": "{ person(id: {id}) { name } }"}) == names
    assert fetched(query={"query": "{person(id:{id}) {name}}"}) == names
    assert (
        fetched(query={"query": "query($id: ID!) { person(id: $id) { name } }", "variables": '{"id": {id}}'}) == names
    )
