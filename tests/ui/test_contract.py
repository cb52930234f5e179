"""What the tabs read keeps to ``ui/contract.json``: of a real run, of the endpoints, and of kept older samples."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from checkout import REPOSITORY
from jsonschema import Draft202012Validator
from task_runner import run_try
from tasks import READINGS, rest_to_sql, sql_to_rest
from ui.node import ran
from ui.test_endpoints import TASK, letter, report

from airflow_async_rest.core.letters.folder import DeadLetterFolder
from airflow_async_rest.core.letters.origins import Origins

CONTRACT = json.loads((REPOSITORY / "airflow_async_rest" / "ui" / "contract.json").read_text())
PARTS = CONTRACT["$defs"]
SAMPLES = json.loads((Path(__file__).parent / "samples" / "reports.json").read_text())
# What gives one value of those that the contract describes, or a file.
_OTHER_ROUTES = {"contract", "dead-letters/download", "state-store/{key}"}
NOW = datetime.now(UTC)


def _part(path: str) -> str:
    """Return what the contract calls the answer of an endpoint."""
    return f"get_{re.sub('[/-]', '_', path)}"


def _parts_of(schema: dict) -> Iterator[dict]:
    """Yield a schema, and those that it refers to."""
    yield schema
    for other in ([{"$ref": schema["$ref"]}] if "$ref" in schema else []) + schema.get("anyOf", []):
        yield from _parts_of(PARTS[other["$ref"].rpartition("/")[2]] if "$ref" in other else other)


def undescribed(schema: dict, value, place: str = "") -> list[str]:
    """Return the fields of a value that a schema says nothing of, though it says something of others."""
    parts = list(_parts_of(schema))
    found = []
    if isinstance(value, list):
        for items in [part["items"] for part in parts if "items" in part]:
            found += [name for each in value for name in undescribed(items, each, f"{place}[]")]
    fields = {name: field for part in parts for name, field in part.get("properties", {}).items()}
    if isinstance(value, dict) and fields:
        found += [f"{place}.{name}" for name in value if name not in fields]
        for name in value.keys() & fields.keys():
            found += undescribed(fields[name], value[name], f"{place}.{name}") if fields[name] is not True else []
    return sorted(set(found))


def keeps(part: str, value) -> None:
    """Fail for a value that does not keep to a part of the contract, or has what that does not describe."""
    Draft202012Validator({**CONTRACT, "$ref": f"#/$defs/{part}"}).validate(value)
    assert undescribed(PARTS[part], value) == [], "describe it in ui/contract.json"


def test_the_contract_is_a_json_schema_and_served_with_its_version(client_of):
    Draft202012Validator.check_schema(CONTRACT)
    answer = client_of(None).get("/async-rest/contract")
    assert (answer.status_code, answer.json()) == (200, CONTRACT)
    assert answer.headers["content-type"] == "application/schema+json"


def test_the_version_of_the_contract_is_the_same_everywhere():
    """Nothing is released under another one, so no field is said to be of one."""
    for name in ("report", "changelog"):
        assert set(re.findall(r"version (\d\.\d\b(?!\.))", (REPOSITORY / "docs" / f"{name}.md").read_text())) == {
            "1.0"
        }, name
    assert CONTRACT["version"] == "1.0"
    assert re.findall(r"\bof \d\.\d", json.dumps(PARTS), re.IGNORECASE) == []


def test_each_endpoint_that_is_read_is_described():
    from fastapi.routing import APIRoute

    from airflow_async_rest.ui.endpoints import app

    paths = {route.path for route in app.routes if isinstance(route, APIRoute) and "GET" in route.methods}
    names = {path.rpartition("{task_id}/")[2].removeprefix("/") for path in paths}
    assert {_part(name) for name in names - _OTHER_ROUTES} == {part for part in PARTS if part.startswith("get_")}


def test_what_a_real_run_leaves_keeps_to_the_contract(places, supervisor, postgres, connect):
    numbers = iter(range(100))
    places.answer = lambda seen: web.json_response({"error": "no"}, status=422 if next(numbers) % 3 == 0 else 200)
    task = sql_to_rest(sql=READINGS.format(rows=12), concurrency=1, rate_limit="1000/s", max_failures=12)
    assert run_try(task, supervisor) == ("success", None)
    assert supervisor.report["failed"] == 4
    keeps("report", supervisor.report)
    keeps("progress", supervisor.data["state"]["progress"])
    keeps("letters", supervisor.data["xcom"]["failed_items"])
    assert supervisor.data["xcom"]["failed_items"]
    assert run_try(sql_to_rest(sql=READINGS.format(rows=12), preview=2), supervisor) == ("skipped", None)
    keeps("report", supervisor.report)
    keeps("preview", supervisor.data["xcom"]["preview"])


def test_what_a_replay_of_two_folders_leaves_keeps_to_the_contract(places, supervisor):
    from airflow_async_rest.operators.replay import ReplayDeadLettersOperator

    places.answer = lambda seen: 422
    folders = []
    for name in ("one", "other"):
        run_try(sql_to_rest(task_id=name, sql=READINGS.format(rows=2)), supervisor)
        folders.append(supervisor.report["dead_letters"])
    for more in ({"preview": True}, {}):
        again = ReplayDeadLettersOperator(
            task_id="replay", dead_letters=folders, http_conn_id="search_api", max_failures=9, **more
        )
        assert run_try(again, supervisor)[0] == "success"
        keeps("report", supervisor.report)
        assert set(supervisor.report["dead_letters"]) == set(folders)
    assert supervisor.report["failed"] == 4


def test_what_a_load_leaves_keeps_to_the_contract(places, supervisor, postgres, connect):
    connect("warehouse", **postgres.connection())
    postgres.execute(
        "DROP TABLE IF EXISTS async_rest_loads",
        "DROP TABLE IF EXISTS locations",
        "CREATE TABLE locations (id bigint, geo_label text CHECK (geo_label <> 'none'), detail jsonb)",
    )
    labels = iter(["a place", "none", "a place"])
    row = lambda: {"location": {"geoLabel": next(labels)}, "extra": 1}  # noqa: E731
    places.answer = lambda seen: web.json_response({"data": {"items": [row()]}})
    ids = "SELECT i AS id FROM generate_series(1, 3) AS i ORDER BY i"
    run_try(rest_to_sql(sql=ids, sql_conn_id="source_db", concurrency=1), supervisor)
    assert supervisor.report["rows_refused"] == 1
    keeps("report", supervisor.report)
    keeps("progress", supervisor.data["state"]["progress"])
    keeps("letters", supervisor.data["xcom"]["failed_items"])


def test_what_the_endpoints_answer_keeps_to_the_contract(client_of, dag_runs, tmp_path, monkeypatch):
    client = client_of("vic")
    recent = {"first": NOW - timedelta(days=3), "ended": NOW - timedelta(hours=1), "run_type": "scheduled"}
    wait = {"since": "2026-03-01T00:00:00+00:00", "until": "2026-03-02T00:00:00+00:00", "why": "the quota is gone"}
    failed = report(8, 3, reasons={"http_422": 3})
    dag_runs("sensors", ("failed", failed), ("up_for_reschedule", None, report(4, waits=[wait])), **recent)
    for path in ("deliveries", "windows"):
        answer = client.get(f"/async-rest/{path}", params={"dag_id": "sensors"}).json()
        keeps(_part(path), answer)
        assert next(each for each in answer.values() if isinstance(each, list))
    for name in ("pushed", "state-store", "changes"):
        path = f"/async-rest/api/v2/dags/sensors/dagRuns/run{name == 'state-store':d}/taskInstances/post/{name}"
        answer = client.get(path).json()
        keeps(_part(name), answer)
        assert answer


def test_pages_of_dead_letters_keep_to_the_contract(client_of, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", str(tmp_path))
    folder = DeadLetterFolder(tmp_path.joinpath(*TASK.values(), "-1"), 1)
    folder.write([letter(0), letter(1, "encode"), letter(2)])
    folder.write([{"index": 2, "resolved": True}])
    by = {"dag_id": "replay", "run_id": "r", "task_id": "t", "map_index": -1, "try_number": 1}
    folder.add_replay(by, delivered=1, failed=0)
    for path in ("dead-letters", "dead-letters/resolved"):
        answer = client_of("vic").get(f"/async-rest/{path}", params=TASK).json()
        keeps(_part(path), answer)
        assert answer["records"]
    answer = client_of("vic").get("/async-rest/dead-letters/groups", params=TASK).json()
    keeps("get_dead_letters_groups", answer)
    assert answer["kinds"]


@pytest.mark.parametrize(
    ("body", "more", "kept"),
    [
        (b"a text", {"content_type": "text/plain", "verbatim": True}, {"content_type": "text/plain", "body": "text"}),
        (b"\xff", {"content_type": "image/png", "verbatim": True}, {"content_type": "image/png", "body": "base64"}),
        (b'{"x": "\\ud800"}', {}, {"body": "json"}),
        (b'{"x": 1}', {"content_type": "application/x-ndjson"}, {"content_type": "application/x-ndjson"}),
    ],
)
def test_a_dead_letter_with_any_body_that_a_replay_has_sent_keeps_to_the_contract(
    client_of, tmp_path, monkeypatch, body, more, kept
):
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", str(tmp_path))
    folder = DeadLetterFolder(tmp_path.joinpath(*TASK.values(), "-1"), 1)
    sent = letter(0)
    folder.write([replace(sent, request=replace(sent.request, body=body, **more))])
    origins = Origins([folder], "the mark of a try")
    origins.number(folder, 0)
    origins.write([replace(sent, request=replace(sent.request, body=body, **more))])
    answer = client_of("vic").get("/async-rest/dead-letters", params=TASK).json()
    keeps("get_dead_letters", answer)
    [record] = answer["records"]
    wanted = {"replay": "the mark of a try", **kept}
    assert {name: record[name] for name in ("replay", "content_type", "body") if name in record} == wanted


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample["of"])
def test_a_kept_report_of_an_older_version_still_shows(sample):
    Draft202012Validator({**CONTRACT, "$ref": "#/$defs/report"}).validate(sample["report"])
    state = sample["state"]
    told = ran("delivery_data.js", "withComplete", sample["report"], state)
    assert (
        ran("outcomes.js", "outcomeOf", {"state": state, "report": sample["report"], "replay": None})
        == sample["outcome"]
    )
    assert ran("delivery_data.js", "failuresOf", told) == told["failed"] + told.get("rows_refused", 0)
    step = ran("next_step.js", "nextStep", {"state": state, "figures": told})
    trouble = ran("next_step.js", "troubleOf", {"state": state, "figures": told, "step": step})
    assert (trouble is not None) == (state == "failed")
    assert "undefined" not in json.dumps([step, trouble])
    assert "NaN" not in json.dumps([step, trouble])


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample["of"])
def test_a_kept_report_is_shown_by_the_endpoints(client_of, dag_runs, sample):
    dag_runs("kept", (sample["state"], sample["report"]), ended=NOW)
    [row] = client_of("vic").get("/async-rest/deliveries").json()["rows"]
    report = sample["report"]
    replayed = report.get("replay", {}).get("delivered")
    assert row["rows"]["day"] == (report.get("rows_loaded", report["delivered"]) if replayed is None else replayed)
    [window] = client_of("vic").get("/async-rest/windows", params={"dag_id": "kept"}).json()["windows"]
    assert window["report"]["read"] == sample["report"]["read"]
