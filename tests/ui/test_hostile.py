"""What others have written is text wherever it is shown, and no page of others can change anything."""

import json
import re

import pytest
from checkout import REPOSITORY
from ui.test_endpoints import TASK, letter, report

from airflow_async_rest.core.letters.folder import DeadLetterFolder

HOSTILE = '<img src=x onerror="alert(1)"><script>alert(2)'
STATIC = {path.name: path.read_text() for path in (REPOSITORY / "airflow_async_rest/ui/static").glob("*.js")}
# Whatever makes HTML, or code, of a text.
_MAKES_HTML = (
    r"innerHTML|outerHTML|dangerouslySetInnerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc"
)


@pytest.mark.parametrize("name", STATIC)
def test_no_script_of_the_tabs_makes_html_of_a_text(name):
    assert re.findall(_MAKES_HTML, STATIC[name]) == []
    assert "javascript:" not in STATIC[name]


def test_hostile_texts_are_json_that_no_browser_takes_for_a_page(client_of, dag_runs, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", str(tmp_path))
    hostile = letter(0, HOSTILE, payload=json.dumps({HOSTILE: HOSTILE}).encode(), excerpt=HOSTILE)
    DeadLetterFolder(tmp_path.joinpath(*TASK.values(), "-1"), 1).write([hostile])
    told = report(8, 3, reasons={HOSTILE: 3}, error=HOSTILE)
    dag_runs("hostile", ("failed", told, told), _dag_display_property_value=HOSTILE)
    client = client_of("vic")
    of_task = "api/v2/dags/hostile/dagRuns/run0/taskInstances/post"
    paths = ["deliveries", "windows?dag_id=hostile", f"{of_task}/pushed", f"{of_task}/state-store", "dead-letters"]
    answers = [client.get(f"/async-rest/{path}", params=TASK if path == "dead-letters" else None) for path in paths]
    answers.append(client.get(f"/async-rest/{of_task}/state-store/{HOSTILE}"))  # an error that names the key
    answers.append(client.get("/async-rest/dead-letters", params=TASK | {"limit": HOSTILE}))
    for answer in answers:
        assert answer.headers["content-type"] == "application/json", answer.text
        assert "alert(1)" in answer.text
    for kind in ("jsonl", "csv"):
        answer = client.get("/async-rest/dead-letters/download", params=TASK | {"format": kind})
        assert answer.headers["content-disposition"].startswith("attachment")
        assert "html" not in answer.headers["content-type"]


IS_JSON = {"Content-Type": "application/json"}
HALF = "half \ud800 a pair"


def test_half_a_surrogate_pair_is_a_replacement_character_wherever_it_stands(
    client_of, dag_runs, tmp_path, monkeypatch
):
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", str(tmp_path))
    excerpts = [
        '{"message": "half \\ud800 a pair"}',
        'half \\ud800 a pair {"x": "\\udc00"}',
        '{"message": "cut \\ud83d',
    ]
    DeadLetterFolder(tmp_path.joinpath(*TASK.values(), "-1"), 1).write(
        [letter(index, excerpt=excerpt) for index, excerpt in enumerate(excerpts)]
    )
    wait = {"since": None, "until": None, "why": HALF}
    told = report(8, 3, reasons={HALF: 3}, error=HALF, waits=[wait])
    dag_runs("half", ("failed", told), ("up_for_reschedule", None, told))
    client = client_of("ann")
    of_run = "api/v2/dags/half/dagRuns/run{}/taskInstances/post"
    stored = f"{of_run.format(1)}/state-store"
    asked = json.dumps({"value": {"reasons": [HALF], "search": HALF}})
    assert client.put(f"/async-rest/{stored}/replay", content=asked, headers=IS_JSON).status_code == 204
    paths = ["deliveries", "windows?dag_id=half", f"{of_run.format(0)}/pushed", stored, f"{stored}/replay"]
    for path in paths:
        answer = client.get(f"/async-rest/{path}")
        assert (answer.status_code, "half \ufffd a pair" in answer.text) == (200, True), path
    for path in ("dead-letters", "dead-letters/groups"):
        answer = client.get(f"/async-rest/{path}", params=TASK)
        assert (answer.status_code, "half \ufffd a pair" in answer.text, "cut \ufffd" in answer.text) == (
            200,
            True,
            True,
        )


def routes():
    """Return every route of the package's application: path and methods."""
    from fastapi.routing import APIRoute

    from airflow_async_rest.ui.endpoints import app

    return {(route.path, method) for route in app.routes if isinstance(route, APIRoute) for method in route.methods}


def test_what_a_form_or_a_link_of_another_page_can_send_changes_nothing(client_of):
    """They send GET and POST; for PUT and DELETE a browser asks first, and is given no leave."""
    assert {method for _, method in routes()} == {"GET", "PUT", "DELETE"}
    changing = {path for path, method in routes() if method != "GET"}
    assert changing == {"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/state-store/replay"}
    client = client_of("ann")
    path = "/async-rest/api/v2/dags/a/dagRuns/b/taskInstances/c/state-store/replay"
    origin = {"Origin": "https://elsewhere.example.com"}
    for method in ("PUT", "DELETE"):
        asked = client.options(path, headers={**origin, "Access-Control-Request-Method": method})
        assert "access-control-allow-origin" not in asked.headers
    assert client.post(path, data={"value": "{}"}, headers=origin).status_code == 405
    plain = {"Content-Type": "text/plain", **origin}
    assert client.put(path, content='{"value": {"reasons": null}}', headers=plain).status_code == 422


def test_each_endpoint_that_tells_of_tasks_refuses_who_has_not_logged_in(client_of):
    for path, method in routes() - {("/contract", "GET")}:
        filled = re.sub(r"\{\w+\}", "x", path)
        answer = client_of(None).request(method, f"/async-rest{filled}", params=TASK)
        assert answer.status_code == 401, (method, path)
