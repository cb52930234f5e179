"""What tasks have pushed, as the tabs read it: from the table of XCom, or from where a backend keeps it."""

import gzip
import json
from datetime import UTC, datetime, timedelta

import pytest
from ui.test_endpoints import report, windows

BACKEND = "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend"


@pytest.fixture
def storage(tmp_path, monkeypatch):
    """Airflow's own backend, for object storage: here a folder."""
    from airflow.providers.common.io.xcom import backend

    base = tmp_path / "xcom"
    base.mkdir()
    monkeypatch.setenv("AIRFLOW__CORE__XCOM_BACKEND", BACKEND)
    monkeypatch.setenv("AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH", f"file://{base}")
    backend._get_base_path.cache_clear()
    yield base
    backend._get_base_path.cache_clear()


def pushed(client, dag_id, run="run0"):
    answer = client.get(f"/async-rest/api/v2/dags/{dag_id}/dagRuns/{run}/taskInstances/post/pushed")
    assert answer.status_code == 200, answer.text
    return answer.json()


def of_run(client, dag_id):
    """Return the report that each of both tabs shows."""
    [window] = windows(client, dag_id)["windows"]
    return window["report"] and window["report"]["delivered"], pushed(client, dag_id).get("return_value")


def test_what_is_in_the_table_is_given_as_it_is(client_of, dag_runs):
    done = report(10)
    dag_runs("in_table", ("success", done))
    client = client_of("vic")
    found = pushed(client, "in_table")
    assert datetime.now(UTC) - datetime.fromisoformat(found.pop("pushed_at")) < timedelta(minutes=10)
    assert found == {"return_value": done, "failed_items": []}
    assert pushed(client, "in_table", "another_run") == {}
    assert client_of(None).get("/async-rest/api/v2/dags/a/dagRuns/b/taskInstances/c/pushed").status_code == 401


def test_a_sample_of_failed_items_is_shown_however_json_writes_it(client_of, dag_runs, storage):
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import update

    sample = [{"index": 0, "key": "\U0001f600" * 12_000, "reason": "http_422"}]  # 48 KB
    (storage / "sample.json").write_text(json.dumps(sample))
    for dag_id, value in (("sample_in_table", sample), ("sample_elsewhere", f"file://{storage}/sample.json")):
        dag_runs(dag_id, ("failed", report(10, 1)))
        with create_session() as session:
            its = (XComModel.dag_id == dag_id, XComModel.key == "failed_items")
            session.execute(update(XComModel).where(*its).values(value=value))
        assert pushed(client_of("vic"), dag_id)["failed_items"] == sample


@pytest.mark.parametrize("suffix", ["json", "json.gz"])
def test_what_a_backend_keeps_elsewhere_is_shown_in_both_tabs(client_of, dag_runs, storage, suffix):
    file = storage / f"report.{suffix}"
    data = json.dumps(report(10)).encode()
    file.write_bytes(gzip.compress(data) if suffix.endswith("gz") else data)
    dag_runs(f"elsewhere_{len(suffix)}", ("success", f"file://{file}"))
    assert of_run(client_of("vic"), f"elsewhere_{len(suffix)}") == (10, report(10))


@pytest.mark.parametrize(
    ("reference", "content"),
    [
        ("file://{base}/gone.json", None),
        ("file://{base}/other.json", '["no report"]'),
        ("file://{base}/other.json", "no JSON"),
        ("file://{base}/large.json", json.dumps({**report(10), "more": "x" * 1_000_000})),
        ("file://{base}/../secret.json", None),
        ("file://{base}/../xcom/../secret.json", None),
        ("file://{outside}/secret.json", None),
        ("s3://bucket/secret.json", None),
        ("nowhere://bucket/x", None),
        ("a text", None),
        ("", None),
    ],
)
def test_what_is_no_report_of_the_backends_is_not_shown(client_of, dag_runs, storage, reference, content):
    (storage.parent / "secret.json").write_text(json.dumps(report(10)))
    reference = reference.format(base=storage, outside=storage.parent)
    if content is not None:
        (storage / reference.rpartition("/")[2]).write_text(content)
    dag_runs("no_report", ("success", reference))
    assert of_run(client_of("vic"), "no_report") == (None, None)


_CLASS = '{"__classname__": "evil.X", "__version__": 1, "__data__": {}}'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("class.json", _CLASS.encode()),  # not allowed
        ("deep.json", b"[" * 90_000),
        ("other.json", b"no JSON"),
        ("bytes.json", b"\xff\xfe"),
        ("no.json.gz", b"no archive"),
        ("cut.json.gz", gzip.compress(_CLASS.encode())[:-9]),
        ("broken.json.gz", gzip.compress(b"[]")[:10] + b"\xff" * 20),
        ("gone.json", None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_odd_file_takes_no_report_from_others(client_of, dag_runs, storage, name, content):
    """A page reads some files at once, and would hand over none after one that is taken for the storage being away."""
    if content is not None:
        (storage / name).write_bytes(content)
    (storage / "good.json").write_text(json.dumps(report(10)))
    files = [f"file://{storage}/good.json", *[f"file://{storage}/{name}"] * 2]
    dag_runs("odd", *[("success", file) for file in files])
    found = windows(client_of("vic"), "odd")["windows"]
    assert [window["report"] and window["report"]["delivered"] for window in found] == [None, None, 10]


@pytest.mark.parametrize("error", [AttributeError, KeyError, ZeroDivisionError, PermissionError])
def test_what_a_backend_of_ones_own_cannot_read_takes_no_report_from_others(error, client_of, dag_runs, monkeypatch):
    class Own:
        @staticmethod
        def deserialize_value(result):
            if result.value.startswith("odd"):
                raise error
            return report(10)

    monkeypatch.setattr("airflow_async_rest.ui.reports.resolve_xcom_backend", lambda: Own)
    dag_runs("own", ("success", "good"), ("success", "odd1"), ("success", "odd2"))
    found = windows(client_of("vic"), "own")["windows"]
    assert [window["report"] and window["report"]["delivered"] for window in found] == [None, None, 10]


def test_without_a_backend_a_text_leads_nowhere(client_of, dag_runs, tmp_path):
    (tmp_path / "report.json").write_text(json.dumps(report(10)))
    dag_runs("no_backend", ("success", f"file://{tmp_path}/report.json"))
    assert of_run(client_of("vic"), "no_backend") == (None, None)


@pytest.mark.parametrize(
    "value",
    [
        '{"__classname__": "evil.X", "__version__": 1, "__data__": {}}',
        '{"__classname__": "datetime.datetime", "__version__": 9, "__data__": "x"}',
        "[" * 90_000,
        {**report(3), "delivered": "3"},
        {**report(3), "failed": None},
        {**report(3), "failed": 1.5},
        {**report(3), "read": True},
        report(3, skipped=["x"]),
        report(3, rows_loaded="many"),
    ],
)
def test_what_a_function_returns_instead_of_a_report_breaks_nothing_for_others(client_of, dag_runs, value):
    dag_runs("other", ("success", report(3)))
    dag_runs("returns", ("success", value, value), operator="_PythonDecoratedOperator")
    client = client_of("vic")
    found = client.get("/async-rest/deliveries")
    assert found.status_code == 200, found.text
    assert {"other", "returns"} <= {row["dag_id"] for row in found.json()["rows"]}  # beside what other tests have left
    [window] = windows(client, "returns")["windows"]
    assert window["report"] is None
    assert pushed(client, "returns") == {"failed_items": []}


def test_storage_that_is_away_is_not_asked_for_each_report(client_of, dag_runs, storage, monkeypatch):
    from airflow.providers.common.io.xcom.backend import XComObjectStorageBackend

    asked = []

    def away(reference):
        asked.append(reference)
        raise ConnectionError("away")

    monkeypatch.setattr(XComObjectStorageBackend, "_get_full_path", staticmethod(away))
    dag_runs("away", *[("success", f"file://{storage}/{number}.json") for number in range(60)], ("success", report(3)))
    found = windows(client_of("vic"), "away")["windows"]
    assert [window["report"] and window["report"]["delivered"] for window in found] == [3, *[None] * 60]
    assert 1 <= len(asked) <= 32
