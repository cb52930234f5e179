"""What the documents show of ``fetch`` and of reading dead letters, run as it stands there."""

import re
import sys
from types import SimpleNamespace

import pytest
from aiohttp import web
from checkout import REPOSITORY


def examples(path: str, title: str) -> list[str]:
    text = (REPOSITORY / path).read_text().split(f"# {title}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


class Frame:
    """As much of a data frame of pandas as the examples use: rows, columns, and files, which it keeps."""

    files: dict = {}  # noqa: RUF012

    def __init__(self, rows, columns=None):
        self.rows = [{name: row[name] for name in columns or row} for row in rows]

    def to_parquet(self, path):
        self.files[path] = self.rows

    to_csv = to_parquet


def answer(seen):
    number = int(re.search(r"\d+", seen.query or seen.path)[0])
    if "valve" in seen.path and number == 7:
        return 404
    return web.json_response({"data": {"items": [{"location": {"geoLabel": f"shelf {number}"}}]}})


@pytest.fixture
def names(api, connect, tmp_path, monkeypatch):
    from airflow_async_rest.hooks.rest import AsyncRestHook

    connect("locations_api", conn_type="async_rest", host=api.url)
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", str(tmp_path / "dead_letters"))
    monkeypatch.setattr(Frame, "files", {})
    api.answer = answer
    pandas = SimpleNamespace(DataFrame=Frame)
    monkeypatch.setitem(sys.modules, "pandas", pandas)  # the page imports it
    return {"AsyncRestHook": AsyncRestHook, "pandas": pandas, "task": lambda function: function}


def test_a_list_of_requests_becomes_a_data_frame_and_a_list_of_what_failed(names, api):
    [code] = examples("docs/plain_tasks.md", "To a data frame")
    exec(code.replace('rate_limit="100/s", ', ""), names)  # which is 20 seconds
    report = names["to_parquet"]()
    rows = Frame.files["/data/inventory.parquet"]
    assert len(rows) == 1999
    assert {"type": "pump", "id": 7, "label": "shelf 7"} in rows
    assert (report["read"], report["delivered"], report["failed"]) == (2000, 1999, 1)
    assert api.peak <= 10
    assert Frame.files["/data/inventory_failed.csv"] == [
        {"row": {"type": "valve", "id": 7}, "reason": "http_404", "status": 404, "response_excerpt": "{}"}
    ]


def test_a_test_of_ones_own_passes(names, monkeypatch):
    [code] = examples("docs/plain_tasks.md", "In a test of your own")
    exec(code, names)
    names["test_each_row_is_put_to_its_own_path"](monkeypatch)


def test_dead_letters_are_read_put_into_a_frame_and_asked_for_once_more(names, api, capsys):
    from airflow.sdk.exceptions import AirflowException

    reading, frame = examples("docs/dead_letters.md", "Reading them")
    api.answer = lambda seen: 422 if seen.path.endswith("7") else answer(seen)
    first = names["AsyncRestHook"]("locations_api").fetch([{"id": n} for n in range(20)], endpoint="locations/{id}")
    with pytest.raises(AirflowException, match="2 of 20 items failed"):
        list(first)
    capsys.readouterr()
    names["report"] = first.report
    exec(reading, names)
    printed = sorted(capsys.readouterr().out.splitlines())
    assert printed == ["17 http_422 422 locations/17 {}", "7 http_422 422 locations/7 {}"]

    api.answer = answer
    exec(frame, names)
    assert sorted(row["key"] for row in names["frame"].rows) == [7, 17]
    assert sum(len(chunk) for chunk in names["chunks"]) == 2
    assert names["chunks"].report["delivered"] == 2
