"""A day of sensor readings goes to a search API as Elasticsearch has one, a document at a time or many in a request; what
it refuses is sent again when its mapping takes it.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from aiohttp import web
from dag_runs import dead_letters
from task_runner import run_try
from tasks import sql_to_rest

from airflow_async_rest import Batch
from airflow_async_rest.operators.replay import ReplayDeadLettersOperator

ROWS = 600  # of three days, of which the second is the window
TABLE = (
    "DROP TABLE IF EXISTS sensors",
    "CREATE TABLE sensors (id bigint PRIMARY KEY, name text, value numeric, measured_at timestamptz)",
    f"""
    INSERT INTO sensors SELECT i, 'sensor ' || i % 7, CASE i % 50 WHEN 3 THEN -1 ELSE i * 0.25 END,
    '2026-10-31 00:00Z'::timestamptz + i * interval '3 days' / {ROWS} FROM generate_series(0, {ROWS - 1}) AS i
    """,
)
DAY = range(ROWS // 3, 2 * ROWS // 3)
BELOW_ZERO = {n for n in DAY if n % 50 == 3}
# A thread pool of the API's is full at times, and some answers get lost on their way.
THROTTLED, LOST = {n for n in DAY if n % 30 == 7}, {n for n in DAY if n % 60 == 1}
WAYS = {
    "one by one": {"endpoint": "sensors/_doc/{id}"},
    "in bulk": {"endpoint": "sensors/_bulk", "method": "POST", "batch": Batch(max_items=50, format="bulk")},
}


def to_document(row):
    return {"sensor": row["name"], "value": float(row["value"]), "at": row["measured_at"].isoformat()}


@dataclass
class Index:
    """Documents by their id, of which it has seen some once already, and takes no value below ``lowest``."""

    lowest: float = 0
    documents: dict = field(default_factory=dict)
    asked: Counter = field(default_factory=Counter)

    def answer(self, seen):
        """Answer a request; what is lost has been stored."""
        lines = [json.loads(line) for line in seen.body.splitlines()]
        if seen.path == "/sensors/_bulk":
            numbers = [int(line["index"]["_id"]) for line in lines[::2]]
            items = [{"index": self.put(*entry)} for entry in zip(numbers, lines[1::2], strict=True)]
            errors = any("error" in item["index"] for item in items)
            response = web.json_response({"took": 1, "errors": errors, "items": items})
        else:
            numbers = [int(seen.path.removeprefix("/sensors/_doc/"))]
            result = self.put(numbers[0], *lines)
            response = web.json_response(result, status=result["status"])
        return "reset" if any(n in LOST and self.asked[n] == 1 for n in numbers) else response

    def put(self, number, document):
        self.asked[number] += 1
        if number in THROTTLED and self.asked[number] == 1:
            return failure(number, 429, "es_rejected_execution_exception")
        if document["value"] < self.lowest:
            return failure(number, 400, "mapper_parsing_exception")
        status = 200 if number in self.documents else 201
        self.documents[number] = document
        return {"_index": "sensors", "_id": str(number), "status": status}


def failure(number, status, kind):
    return {"_id": str(number), "status": status, "error": {"type": kind, "reason": f"document {number}"}}


@pytest.mark.parametrize("way", WAYS)
def test_the_index_has_the_day_and_what_it_refused_is_listed_and_replayed(places, postgres, supervisor, way):
    postgres.execute(*TABLE)
    index = Index()
    places.answer = index.answer
    task = sql_to_rest(
        sql="SELECT id, name, value, measured_at FROM sensors "
        "WHERE measured_at >= :window_start AND measured_at < :window_end ORDER BY id",
        transform=to_document,
        **WAYS[way],
    )
    assert run_try(task, supervisor)[0] == "failed"  # all that failed was refused for good
    report = supervisor.report
    assert (report["read"], report["failed"], report["reasons"]) == (200, len(BELOW_ZERO), {"http_400": 4})
    assert dead_letters(report["dead_letters"]) == dict.fromkeys(BELOW_ZERO, "http_400")
    excerpts = [item["response_excerpt"] for item in supervisor.data["xcom"]["failed_items"]]
    assert all("mapper_parsing_exception" in excerpt for excerpt in excerpts)
    assert set(index.documents) == set(DAY) - BELOW_ZERO
    assert report["requests"] == len(places.seen)
    assert report["retries"] > 0

    index.lowest = -1
    places.reset()
    replay = ReplayDeadLettersOperator(task_id="replay", dead_letters=report["dead_letters"], http_conn_id="search_api")
    assert run_try(replay, supervisor) == ("success", None)
    assert len(places.seen) == (4 if way == "one by one" else 1)
    rows = postgres.execute("SELECT id, name, value::float, measured_at FROM sensors ORDER BY id")
    assert index.documents == {
        n: {"sensor": name, "value": value, "at": at.astimezone(UTC).isoformat()}
        for n, name, value, at in rows
        if datetime(2026, 11, 1, tzinfo=UTC) <= at < datetime(2026, 11, 2, tzinfo=UTC)
    }
    assert dead_letters(report["dead_letters"]) == {}
