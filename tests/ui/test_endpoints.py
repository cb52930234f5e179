"""The endpoints behind the tabs, in Airflow's own web application: who sees what of which task instance."""

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from airflow_async_rest import __version__
from airflow_async_rest.core.letters.folder import DeadLetterFolder, refused_record
from airflow_async_rest.core.models import DeadLetter, Item, Request

TASK = {"dag_id": "sensors", "run_id": "scheduled__2026-03-03T00:00:00+00:00", "task_id": "post"}
DAY = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def base(tmp_path, monkeypatch):
    path = tmp_path / "dead_letters"
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", str(path))
    return path


@pytest.fixture
def own(base):
    """The folder of ``TASK``."""
    return base.joinpath(*TASK.values(), "-1")


def letter(index, reason="http_422", *, payload=b'{"id": 1}', excerpt="no such type"):
    request = Request("PUT", f"sensors/{index}", "", payload, f"key{index}") if reason != "encode" else None
    item = Item(index, f"row {index}", {"id": index}, None)
    return DeadLetter.of(item, reason, request=request, status=422, attempts=1, detail=excerpt)


@pytest.fixture
def letters(own):
    folder = DeadLetterFolder(own, 1)
    folder.write([letter(index, "http_422" if index % 5 else "timeout") for index in range(120)])
    folder.write([letter(200, "encode"), {"index": 3, "resolved": True}])
    return own


def get(client, **query):
    return client.get("/async-rest/dead-letters", params=TASK | query)


_PATHS = ["dead-letters", "dead-letters/groups", "dead-letters/download", "windows", "deliveries"]


@pytest.mark.parametrize("path", _PATHS)
def test_whoever_has_not_logged_in_gets_nothing(client_of, letters, path):
    answer = client_of(None).get(f"/async-rest/{path}", params=TASK)
    assert (answer.status_code, answer.json()) == (401, {"detail": "Not authenticated"})


def test_a_viewer_sees_the_first_page_and_how_many_there_are(client_of, letters):
    answer = get(client_of("vic"))
    assert answer.status_code == 200, answer.text
    page = answer.json()
    assert [page[name] for name in ("total", "matching", "replayable", "offset", "limit")] == [120, 120, 119, 0, 50]
    assert page["reasons"] == {"http_422": 95, "timeout": 24, "encode": 1}
    assert [record["index"] for record in page["records"]] == [0, 1, 2, *range(4, 51)]
    assert page["records"][0] | {"failed_at": ""} == {
        "index": 0,
        "key": "row 0",
        "method": "PUT",
        "path": "sensors/0",
        "query": "",
        "idempotency_key": "key0",
        "reason": "timeout",
        "status": 422,
        "attempts": 1,
        "response_excerpt": "no such type",
        "said": "no such type",
        "failed_at": "",
        "payload": {"id": 1},
    }


def test_pages_filters_and_searches(client_of, letters):
    client = client_of("vic")
    page = get(client, offset=100, limit=50).json()
    assert [record["index"] for record in page["records"]] == [*range(101, 120), 200]
    page = get(client, reason=["timeout", "encode"], limit=5, offset=22).json()
    assert (page["total"], page["matching"], page["replayable"]) == (120, 25, 24)
    assert [record["index"] for record in page["records"]] == [110, 115, 200]
    page = get(client, reason="http_422", search="SENSORS/11").json()
    assert [record["index"] for record in page["records"]] == [11, *(n for n in range(111, 120) if n % 5)]


def test_dead_letters_are_grouped_by_what_the_api_said(client_of, own):
    answers = [f'{{"detail": "sensor {number} was withdrawn"}}' for number in range(5)] + ["out of range"]
    folder = DeadLetterFolder(own, 1)
    folder.write([letter(index, excerpt=answer) for index, answer in enumerate(answers)])
    folder.write([letter(7, "timeout", excerpt=answers[0])])
    client = client_of("vic")
    found = client.get("/async-rest/dead-letters/groups", params=TASK).json()
    withdrawn = {"text": "sensor … was withdrawn"}
    assert found == {
        "kinds": [
            {"reason": "http_422", "count": 5, **withdrawn},
            {"reason": "http_422", "text": "out of range", "count": 1},
            {"reason": "timeout", "count": 1, **withdrawn},
        ],
        "others": 0,
    }
    page = get(client, reason="http_422", search="was withdrawn").json()
    assert [record["said"] for record in page["records"]] == [f"sensor {number} was withdrawn" for number in range(5)]
    only = client.get("/async-rest/dead-letters/groups", params=TASK | {"reason": "timeout"}).json()
    assert [kind["count"] for kind in only["kinds"]] == [1]


def test_a_group_is_found_by_its_kind_and_nothing_else_is(client_of, own):
    said = [["value too long"] * 2, ["value too long for type"] * 3, ["12", "345", "'x'"], ["two  words", "two words"]]
    said += [["timeout 5 s"] * 2, ["a timeout 7 s of gateway"], ['{"message": "name: is required"}'], ["", " "], ["…x"]]
    answers = [answer for kind in said for answer in kind]
    DeadLetterFolder(own, 1).write([letter(index, excerpt=answer) for index, answer in enumerate(answers)])
    client = client_of("ann")
    groups = client.get("/async-rest/dead-letters/groups", params=TASK).json()["kinds"]
    assert sorted(group["count"] for group in groups) == sorted(map(len, said))
    for group in groups:
        page = get(client, reason=group["reason"], kind=group["text"] or " ").json()
        assert (page["matching"], page["replayable"]) == (group["count"], group["count"]), group
        assert len({record["said"] for record in page["records"]} & {kind[0] for kind in said}) <= 1
        text = client.get("/async-rest/dead-letters/download", params=TASK | {"kind": group["text"] or " "}).text
        assert len(text.splitlines()) == group["count"]


def test_of_many_kinds_the_most_frequent_are_given_and_the_others_counted(client_of, own):
    names = [f"{one}{other}" for one in "abcdefgh" for other in "abcdefgh"]  # 64, without a digit
    DeadLetterFolder(own, 1).write([letter(index, excerpt=f"unknown {name}") for index, name in enumerate(names)])
    found = client_of("vic").get("/async-rest/dead-letters/groups", params=TASK).json()
    assert (len(found["kinds"]), found["others"]) == (50, 14)


@pytest.mark.parametrize(
    "wrong", [{"limit": 0}, {"limit": 201}, {"offset": -1}, {"map_index": "x"}, {"map_index": 2**31}]
)
def test_numbers_out_of_range_are_refused_by_name(client_of, letters, wrong):
    answer = get(client_of("vic"), **wrong)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", *wrong]


@pytest.mark.parametrize("offset", [1, 2**63 - 1, 10**30])
@pytest.mark.parametrize("path", ["dead-letters", "dead-letters/resolved"])
def test_a_page_after_the_last_is_empty(client_of, letters, path, offset):
    answer = client_of("vic").get(f"/async-rest/{path}", params=TASK | {"offset": offset + 120})
    assert (answer.status_code, answer.json()["records"]) == (200, [])


def test_rows_that_the_database_refused_are_among_them(client_of, own):
    DeadLetterFolder(own, 1).write([refused_record(3, 2, {"id": 5}, "violates check constraint")])
    page = get(client_of("vic")).json()
    assert (page["total"], page["replayable"], page["reasons"]) == (1, 0, {"row_refused": 1})
    assert page["records"][0]["row"] == {"id": 5}


def test_the_folder_that_the_report_names_is_the_tasks_own(client_of, letters):
    client = client_of("vic")
    assert get(client, folder=f"file://{letters}").json()["total"] == 120
    DeadLetterFolder(letters / "call-2", 1).write([letter(7)])
    assert get(client, folder=f"file://{letters}/call-2").json()["total"] == 1


def test_the_newest_life_of_the_run_is_shown_and_an_older_one_by_its_name(client_of, base, letters):
    client = client_of("vic")
    for life, index in (("20261101T000000Z-0000000a", 7), ("20261102T000000Z-00000000", 8)):
        DeadLetterFolder(letters / life, 1).write([letter(index)])
        DeadLetterFolder(letters / life / "call-2", 1).write([letter(index), letter(index + 1)])
    shown = lambda **query: [record["index"] for record in get(client, **query).json()["records"]]  # noqa: E731
    assert shown() == [8]
    assert shown(folder=f"file://{letters}/20261101T000000Z-0000000a") == [7]
    assert shown(folder=f"file://{letters}/20261101T000000Z-0000000a/call-2") == [7, 8]
    for other in ("20261101T000000Z-0000000a/x", "life", "20261101T000000Z-0000000a/..", "call-2/call-3"):
        assert get(client, folder=f"file://{letters}/{other}").status_code == 403


def test_files_of_another_user_name_the_setting(client_of, letters, monkeypatch):
    def forbidden(path):
        raise PermissionError(13, "Permission denied", str(path))

    client = client_of("vic")
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.iterdir", forbidden)
        told = [get(client)]
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.read_bytes", forbidden)
        told += [get(client), client.get("/async-rest/dead-letters/download", params=TASK)]
    for answer in told:
        assert (answer.status_code, "[async_rest] file_mode = 0640" in answer.json()["detail"]) == (503, True), (
            answer.text
        )


@pytest.mark.parametrize("value", ["", "relative/path", "s3:/x"])
def test_a_setting_that_is_wrong_is_told(client_of, letters, monkeypatch, value):
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__FILE_MODE", "none")
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", value)
    answer = get(client_of("vic"))
    assert (answer.status_code, "[async_rest] " in answer.json()["detail"]) == (503, True)


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1", "'=1"),
        (" =1", " '=1"),
        ("a;=1", "a;'=1"),
        ("a; =1;+2", "a; '=1;'+2"),
        ('a;"=1"', 'a;"\'=1"'),
        ("a\n=1", "a\n'=1"),
        ("a\t-1", "a\t'-1"),
        ("a|@x", "a|'@x"),
        ("\t=1", "'\t'=1"),
        ("a;\uff1d1", "a;'\uff1d1"),
        ("a=1; b", "a=1; b"),
        ("2026-11-01", "2026-11-01"),
        (-5, "-5"),
        (Decimal("-5.10"), "-5.10"),
        ({"a": "x;=1"}, '{"a":"x;\'=1"}'),
        ({"a": -5}, '{"a":-5}'),
        (["=1"], '["=1"]'),
        (None, ""),
    ],
)
def test_no_cell_of_a_table_is_a_formula_whatever_the_separator(text, cell):
    from airflow_async_rest.ui.letters import _cell

    assert _cell(text) == cell


@pytest.mark.parametrize(
    "folder",
    [
        "file:///etc",
        "/etc",
        "file://{base}",
        "file://{base}/sensors/another_run/post/-1",
        "file://{base}/another_dag/run/post/-1",
        "file://{own}/../../another/-1",
        "file://{own}/..",
        "file://{own}/call-2/../../../..",
        "file://{own}/",
        "{own}",
        "s3://bucket/{own}",
        "/call-987",
        "file:///call-987",
    ],
)
def test_any_other_folder_is_refused(client_of, base, letters, folder):
    for other in ("sensors/another_run/post/-1", "another_dag/run/post/-1"):
        DeadLetterFolder(base / other, 1).write([letter(0)])
    answer = get(client_of("ann"), folder=folder.format(base=base, own=letters))
    assert answer.status_code == 403
    assert "only files there are shown" in answer.json()["detail"]


@pytest.mark.parametrize(
    "task",
    [
        {"run_id": "..", "task_id": "another_dag"},
        {"run_id": "../another_dag/run"},
        {"task_id": "../../../another_dag/run/post"},
        {"dag_id": "another_dag/run/post/-1/../../../../sensors"},
        {"run_id": ""},
        {"run_id": "a\0b"},
        {"task_id": "."},
    ],
)
def test_no_name_leads_out_of_the_folder(client_of, base, letters, task):
    DeadLetterFolder(base / "another_dag/run/post/-1", 1).write([letter(0)])
    answer = get(client_of("ann"), **task)
    assert (answer.status_code, answer.json()["detail"]) == (403, "There is no such task instance.")


def test_a_link_does_not_lead_out_either(client_of, base, own, tmp_path):
    DeadLetterFolder(tmp_path / "secret", 1).write([letter(0)])
    own.parent.mkdir(parents=True)
    own.symlink_to(tmp_path / "secret")
    answer = get(client_of("ann"))
    assert (answer.status_code, answer.json()["detail"]) == (
        403,
        "The dead-letter folder is, or has, a link to another place.",
    )


def test_a_part_that_is_a_link_is_not_followed(client_of, letters, base):
    other = DeadLetterFolder(base / "another_dag/run/post/-1", 1)
    other.write([letter(0)])
    (letters / "1-3.jsonl").symlink_to(base / "another_dag/run/post/-1/1-1.jsonl")
    assert get(client_of("ann")).status_code == 403


def test_payloads_that_xcom_does_not_show_are_not_shown_here(client_of, letters, monkeypatch):
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__XCOM_PAYLOADS", "False")
    client = client_of("vic")
    page = get(client).json()
    assert page["total"] == 120
    assert not [record for record in page["records"] if "payload" in record or "row" in record]
    assert get(client, search='"id"').json()["matching"] == 0
    for kind in ("jsonl", "csv"):
        text = client.get("/async-rest/dead-letters/download", params=TASK | {"format": kind}).text
        assert "sensors/1" in text
        assert '"id": 1' not in text
        assert '{"id":1}' not in text


@pytest.mark.parametrize("path", ["docs", "redoc", "openapi.json"])
def test_nothing_else_is_served(client_of, path):
    assert client_of(None).get(f"/async-rest/{path}").status_code == 404


def test_the_configured_folder_may_itself_be_a_link(client_of, letters, base, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(base)
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", str(tmp_path / "link"))
    assert get(client_of("vic")).json()["total"] == 120


def test_storage_that_cannot_be_reached_is_told_apart(client_of, letters, monkeypatch):
    client = client_of("vic")
    answer = get(client, run_id="another")
    assert (answer.status_code, "finds no dead-letter files there" in answer.json()["detail"]) == (503, True)
    (letters / "1-2.jsonl").write_text("cut off")
    for answer in (get(client), client.get("/async-rest/dead-letters/download", params=TASK)):
        assert (answer.status_code, "it is cut off" in answer.json()["detail"]) == (503, True)
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", "nowhere://bucket/dead_letters")
    answer = get(client)
    assert (answer.status_code, "cannot read" in answer.json()["detail"]) == (503, True)


def test_downloads_are_whole_and_filtered(client_of, own):
    huge = json.dumps({"text": "x" * 30_000, "exact": 12345678901234567890}).encode()
    DeadLetterFolder(own, 1).write([letter(0, payload=huge), letter(1, excerpt="=HYPERLINK(1)"), letter(2, "timeout")])
    client = client_of("vic")
    assert "[cut: " in get(client).json()["records"][0]["payload"]
    answer = client.get("/async-rest/dead-letters/download", params=TASK | {"reason": "http_422"})
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["index"] for line in lines] == [0, 1]
    assert lines[0]["payload"] == json.loads(huge)
    assert answer.headers["content-disposition"] == 'attachment; filename="dead_letters.jsonl"'
    answer = client.get("/async-rest/dead-letters/download", params=TASK | {"format": "csv"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["key"], row["reason"], row["status"]) for row in rows] == [
        ("row 0", "http_422", "422"),
        ("row 1", "http_422", "422"),
        ("row 2", "timeout", "422"),
    ]
    assert json.loads(rows[0]["payload"]) == json.loads(huge)
    assert rows[1]["response_excerpt"] == "'=HYPERLINK(1)"  # no formula for whoever opens it
    assert client.get("/async-rest/dead-letters/download", params=TASK | {"format": "xml"}).status_code == 422


def test_the_tabs_are_told_to_airflow_and_their_files_are_served(client_of):
    client = client_of("vic")
    [plugin] = [one for one in client.get("/api/v2/plugins").json()["plugins"] if one["name"] == "async_rest"]
    assert [(app["destination"], app["name"]) for app in plugin["react_apps"]] == [
        ("task_instance", "Delivery"),
        ("dag", "Windows"),
        ("nav", "Deliveries"),
    ]
    for app in plugin["react_apps"]:
        answer = client_of(None).get(f"/{app['bundle_url']}")
        assert (answer.status_code, __version__ in app["bundle_url"]) == (200, True)
        assert "javascript" in answer.headers["content-type"]


def report(delivered, failed=0, **more):
    counts = {"read": delivered + failed, "delivered": delivered, "failed": failed, "skipped": 0, "unfinished": 0}
    return {**counts, "elapsed_seconds": 2.0, "items_per_second": 5.0, "complete": True, "reasons": {}, **more}


def windows(client, dag_id, **query):
    answer = client.get("/async-rest/windows", params={"dag_id": dag_id, **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_windows_tell_what_became_of_each(client_of, dag_runs):
    own_window = {"window_start": "2026-01-01T00:00:00+00:00", "window_end": "2026-01-02T00:00:00+00:00"}
    dag_runs("by_day", ("success", report(10)), ("failed", report(8, 2, **own_window)), ("running", None))
    found = windows(client_of("vic"), "by_day")
    assert (found["tasks"], found["truncated"]) == (["post"], False)
    running, failed, done = found["windows"]
    assert running == {
        "task_id": "post",
        "run_id": "run2",
        "map_index": -1,
        "state": "running",
        "operator": "SqlToRestOperator",
        "run_state": "success",
        "run_type": "backfill",
        "run_start": "2026-03-03T00:00:00+00:00",
        "run_end": "2026-03-04T00:00:00+00:00",
        "start": "2026-03-03T00:00:00+00:00",
        "end": "2026-03-04T00:00:00+00:00",
        "run_after": "2026-03-04T00:00:00+00:00",
        "started_at": None,
        "ended_at": None,
        "try_number": 1,
        "report": None,
        "replay": None,
    }
    assert (failed["start"], failed["end"]) == tuple(own_window.values())  # what was delivered, not the run's interval
    assert failed["report"] == {
        "read": 10,
        "delivered": 8,
        "failed": 2,
        "skipped": 0,
        "unfinished": 0,
        "elapsed_seconds": 2.0,
        "items_per_second": 5.0,
        "complete": True,
        "reasons": {},
    }
    assert done["state"] == "success"


def test_a_running_task_has_the_window_and_the_counts_of_its_progress(client_of, dag_runs):
    own_window = {"window_start": "2026-01-01T00:00:00+00:00", "window_end": "2026-01-02T00:00:00+00:00"}
    dag_runs(
        "in_progress",
        ("success", report(10), report(3)),  # what is in XCom is newer
        ("running", None, report(7, complete=False, history=[[1.5, 7]], **own_window)),
    )
    running, done = windows(client_of("vic"), "in_progress")["windows"]
    assert (running["start"], running["report"]["delivered"], running["report"]["complete"]) == (
        own_window["window_start"],
        7,
        False,
    )
    assert "history" not in running["report"]
    assert done["report"]["delivered"] == 10


def test_the_limit_is_that_of_the_newest_run_that_has_begun(client_of, dag_runs):
    old, new = ({"count": number, "seconds": 1.0} for number in (50, 100))
    limited = [("success", report(3), report(3, rate_limit=limit)) for limit in (old, new)]
    dag_runs("limited", *limited)
    dag_runs("not_limited", ("success", report(3), report(3, rate_limit=None)))
    assert windows(client_of("vic"), "limited")["limits"] == {"post": new}
    assert windows(client_of("vic"), "not_limited")["limits"] == {}


def test_windows_have_what_charts_show(client_of, dag_runs):
    shown = {"reasons": {"http_422": 2}, "requests": 12, "latency_ms": {"p50": 4.0, "p95": 9.0, "p99": 9.5}}
    dag_runs("charts", ("failed", report(8, 2, **shown)))
    [window] = windows(client_of("vic"), "charts")["windows"]
    assert {name: window["report"][name] for name in shown} == shown
    assert (window["run_start"], window["run_end"]) == (window["start"], window["end"])


@pytest.mark.parametrize(
    ("dag", "found"),
    [
        ({}, None),
        ({"dag": {}}, None),
        ({"dag": {"timetable": "daily"}}, None),
        (
            {"dag": {"timetable": {"__type": "a.CronTriggerTimetable", "__var": {"timezone": "Europe/Berlin"}}}},
            {"type": "CronTriggerTimetable", "zone": "Europe/Berlin"},
        ),
        (
            {"dag": {"timetable": {"__type": "a.NullTimetable", "__var": {}}}},
            {"type": "NullTimetable", "zone": "UTC"},
        ),
        ({"dag": {"timetable": {"__type": "own.T", "__var": {"timezone": 3600}}}}, {"type": "T", "zone": "UTC"}),
    ],
)
def test_the_timetable_is_told_by_its_class_and_its_zone(dag, found):
    from airflow_async_rest.ui.windows import timetable_of

    assert timetable_of(dag) == found


def test_tasks_of_others_are_left_out_and_subclasses_are_found_by_what_they_leave(client_of, dag_runs):
    dag_runs("of_others", ("success", {"delivered": "a parcel"}), operator="PythonOperator", key="something")
    nothing = {"tasks": [], "windows": [], "truncated": False, "timetable": None, "missing": [], "limits": {}}
    assert windows(client_of("vic"), "of_others") == nothing
    dag_runs("of_ours", ("success", report(3)), operator="MyOwnOperator")
    [window] = windows(client_of("vic"), "of_ours")["windows"]
    assert window["report"]["delivered"] == 3
    assert windows(client_of("vic"), "no_such_dag")["windows"] == []


def test_the_newest_runs_are_given_and_that_there_are_more(client_of, dag_runs):
    dag_runs("long", *[("success", report(n)) for n in range(1, 6)])
    found = windows(client_of("vic"), "long", limit=2)
    assert ([window["run_id"] for window in found["windows"]], found["truncated"]) == (["run4", "run3"], True)
