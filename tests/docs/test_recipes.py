"""The recipes of docs/recipes.md, run as they stand there, against servers that answer as the services say they do."""

import json
import re

import pytest
from aiohttp import web
from pages import page, samples
from task_runner import run_try

TABLES = (
    "DROP TABLE IF EXISTS readings, customers, outbox",
    "CREATE TABLE readings (id int, name text, value numeric, deleted bool)",
    "INSERT INTO readings SELECT i, 'n' || i, i * 1.5, i % 10 = 0 FROM generate_series(1, 1200) AS i",
    "CREATE TABLE customers (number text, name text)",
    "INSERT INTO customers SELECT 'C-' || lpad(i::text, 4, '0'), 'Company ' || i FROM generate_series(1, 450) AS i",
    "CREATE TABLE outbox (id int PRIMARY KEY, payload jsonb)",
    """INSERT INTO outbox SELECT i, jsonb_build_object('event', i) FROM generate_series(1, 300) AS i""",
)


@pytest.fixture
def recipes(api, postgres, connect, tmp_path, monkeypatch):
    """What the blocks of the page define."""
    connect("warehouse", **postgres.connection())
    for conn_id in ("elasticsearch", "salesforce", "hubspot", "events_api"):
        connect(conn_id, conn_type="async_rest", host=api.url)
    signing = {"auth_type": "oauth2_client_credentials", "token_url": f"{api.url}/oauth/token", "scope": "a"}
    client = {"login": "my-client", "password": "secret-of-the-client", "extra": json.dumps(signing)}
    connect("customers_api", conn_type="async_rest", host=api.url, **client)
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", str(tmp_path / "dead_letters"))
    postgres.execute(*TABLES)
    defined = {}
    for block in samples(page("recipes"), "python"):
        exec(block, defined)
    yield defined
    postgres.execute(TABLES[0])


class Index:
    """As much of ``_bulk`` as the recipe uses: documents by id, one that is refused, and a full queue once."""

    def __init__(self):
        self.documents = {str(n): {} for n in range(10, 1200, 10)}  # all but one of those that will be deleted
        self.was_full = False

    def answer(self, seen):
        assert (seen.path, seen.headers["Content-Type"]) == ("/readings/_bulk", "application/x-ndjson")
        lines, items = iter(seen.body.splitlines()), []
        for line in lines:
            [(action, fields)] = json.loads(line).items()
            document = None if action == "delete" else json.loads(next(lines))
            items.append({action: {"_id": fields["_id"], **self.act(action, fields, document)}})
        return web.json_response({"errors": any(r["status"] > 299 for i in items for r in i.values()), "items": items})

    def act(self, action, fields, document):
        key = fields["_id"]
        if action == "delete":
            return {"status": 200 if self.documents.pop(key, None) is not None else 404, "result": "not_found"}
        assert (action, fields["_index"]) == ("index", "readings")
        if key == "7":
            return {"status": 400, "error": {"type": "mapper_parsing_exception", "reason": "failed to parse [value]"}}
        if key == "501" and not self.was_full:
            self.was_full = True
            return {"status": 429, "error": {"type": "es_rejected_execution_exception", "reason": "queue is full"}}
        self.documents[key] = document
        return {"status": 201, "result": "created"}


def test_documents_are_indexed_and_deleted(api, recipes, supervisor):
    index = Index()
    api.answer = index.answer
    assert run_try(recipes["index_readings"], supervisor)[0] == "failed"
    report = supervisor.report
    assert (report["read"], report["delivered"], report["failed"], report["retries"]) == (1200, 1198, 2, 1)
    assert set(index.documents) == {str(n) for n in range(1, 1201) if n % 10 and n != 7}
    assert index.documents["3"] == {"name": "n3", "value": 4.5}
    letter, missing = supervisor.data["xcom"]["failed_items"]
    assert (letter["key"], missing["key"], missing["reason"]) == (7, 1200, "http_404")
    assert "failed to parse [value]" in letter["response_excerpt"]


def test_accounts_are_upserted_by_their_external_id(api, recipes, supervisor):
    accounts, locked = {}, []

    def answer(seen):
        assert (seen.method, seen.path) == ("PATCH", "/composite/sobjects/Account/Customer_Number__c")
        body = seen.json()
        assert body["allOrNone"] is False
        assert len(body["records"]) <= 200
        return web.json_response([result_of(record) for record in body["records"]])

    def refused(code, message):
        return {"success": False, "errors": [{"statusCode": code, "message": message, "fields": []}]}

    def result_of(record):
        number = record["Customer_Number__c"]
        if number == "C-0013":
            return refused("REQUIRED_FIELD_MISSING", "Required fields are missing: [Industry]")
        if number == "C-0200" and not locked:
            locked.append(number)
            return refused("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record")
        accounts[number] = record["Name"]
        return {"id": "001", "success": True, "created": True, "errors": []}

    api.answer = answer
    assert run_try(recipes["upsert_accounts"], supervisor)[0] == "failed"
    report = supervisor.report
    assert (report["delivered"], report["failed"], report["retries"]) == (449, 1, 1)
    assert (len(accounts), accounts["C-0200"]) == (449, "Company 200")
    [letter] = supervisor.data["xcom"]["failed_items"]
    assert letter["key"] == "C-0013"
    assert "REQUIRED_FIELD_MISSING" in json.dumps(letter)


def test_contacts_are_upserted_by_their_emails(api, recipes, supervisor):
    def answer(seen):
        assert (seen.path, len(seen.json()["inputs"]) <= 100) == ("/crm/v3/objects/contacts/batch/upsert", True)
        refused = [each for each in seen.json()["inputs"] if each["id"].startswith("C-0013@")]
        trace_ids = [each["objectWriteTraceId"] for each in refused]
        error = {"status": "error", "message": "Property values were not valid", "category": "VALIDATION_ERROR"}
        errors = [error | {"context": {"objectWriteTraceId": trace_ids}}] if refused else []
        stored = [
            {"id": "1", "properties": each["properties"]} for each in seen.json()["inputs"] if each not in refused
        ]
        body = {"status": "COMPLETE", "results": stored, "numErrors": len(errors), "errors": errors}
        return web.json_response(body, status=207 if errors else 200)

    api.answer = answer
    assert run_try(recipes["upsert_contacts"], supervisor)[0] == "failed"
    report = supervisor.report
    assert (report["delivered"], report["failed"], report["requests"]) == (449, 1, 5)
    [letter] = supervisor.data["xcom"]["failed_items"]
    assert letter["key"] == "C-0013@example.com"
    assert "Property values were not valid" in json.dumps(letter)


def test_a_token_is_asked_for_and_renewed_where_it_is_refused(api, recipes):
    given = []

    def answer(seen):
        if seen.path == "/oauth/token":
            assert seen.body == b"grant_type=client_credentials&scope=a"
            given.append(f"canary-{len(given)}-of-this-try")
            return web.json_response({"access_token": given[-1], "expires_in": 3600})
        return 200 if seen.headers["Authorization"] == "Bearer canary-1-of-this-try" else 401

    api.answer = answer
    report = recipes["send_changes"].function([{"id": i} for i in range(30)])
    assert (report["delivered"], report["failed"], len(given)) == (30, 0, 2)


def test_an_outbox_is_emptied_once_its_events_are_delivered(api, postgres, recipes, supervisor):
    api.answer = lambda seen: 422 if seen.json()["event"] == 5 else 200
    assert run_try(recipes["send_outbox"], supervisor, window=None)[0] == "success"
    assert {seen.json()["event"] for seen in api.delivered} == set(range(1, 301)) - {5}
    assert postgres.execute("SELECT count(*) FROM outbox") == [(0,)]
    assert supervisor.report["failed"] == 1


def test_an_outbox_has_its_events_again_when_the_task_stops(api, postgres, recipes, supervisor):
    api.answer = lambda seen: 401 if seen.json()["event"] == 200 else 200
    assert run_try(recipes["send_outbox"], supervisor, window=None)[0] == "up_for_retry"
    assert postgres.execute("SELECT count(*) FROM outbox") == [(300,)]
    before = {seen.json()["event"] for seen in api.delivered}
    api.reset()
    api.answer = lambda seen: 200
    assert run_try(recipes["send_outbox"], supervisor, 2, window=None)[0] == "success"
    assert {seen.json()["event"] for seen in api.delivered} >= set(range(1, 301)) - before
    assert len(api.delivered) < 300
    assert postgres.execute("SELECT count(*) FROM outbox") == [(0,)]


def test_the_graphql_page_is_named_and_so_is_every_recipe_that_runs_here():
    assert len(re.findall("^## ", page("recipes"), re.MULTILINE)) == len(samples(page("recipes"), "python")) == 5
