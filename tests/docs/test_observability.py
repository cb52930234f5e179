"""The alert and the dashboard of docs/observability.md work with what tasks really leave behind and emit."""

import json
import re

import pytest
from checkout import REPOSITORY
from pages import page, samples, section
from task_runner import run_try
from tasks import sql_to_rest


@pytest.fixture
def tell():
    """The callback, as it stands on the page."""
    [code] = samples(section(page("observability"), "Alerting"), "python")
    names = {"__name__": "documented"}
    exec(code.split("SqlToRestOperator(...", 1)[0], names)
    return names["tell_what_failed"]


def told_by(tell, texts):
    return lambda context: texts.append(tell(context))


def test_the_alert_has_the_reports_counts(places, supervisor, tell):
    places.answer = lambda seen: 422 if int(seen.path.rpartition("/")[2]) <= 3 else 200
    texts = []
    task = sql_to_rest(on_failure_callback=told_by(tell, texts))
    assert run_try(task, supervisor)[0] == "failed"
    [text] = texts
    assert text.startswith("the_dag.post failed: 3 of 100 items failed (3 http_422); max_failures allows 0.")
    assert "\nWindow 2026-11-01T00:00:00+00:00 to 2026-11-02T00:00:00+00:00: 100 read, 97 delivered, 3 failed" in text
    assert "(3 x http_422), 0 unfinished. Dead letters: file://" in text


def test_the_alert_of_a_task_that_read_nothing_has_the_error(places, supervisor, tell):
    texts = []
    task = sql_to_rest(sql="SELECT 1 AS id", endpoint="x/{nothing}", on_failure_callback=told_by(tell, texts))
    assert run_try(task, supervisor)[0] == "failed"
    [text] = texts
    assert text.startswith("the_dag.post failed: ")
    assert "endpoint names the column 'nothing'" in text


def queries() -> list[str]:
    dashboard = json.loads((REPOSITORY / "docs/grafana-dashboard.json").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def test_the_dashboard_draws_every_metric_and_no_other():
    from airflow_async_rest.tasks import telemetry

    drawn = {
        re.sub("_(sum|count)$", "", name)
        for query in queries()
        for name in re.findall(r"airflow_async_rest_(\w+)", query)
    }
    assert drawn == {*telemetry.COUNTERS, *telemetry.TIMERS, *telemetry.GAUGES}


def test_the_dashboard_groups_by_tags_that_there_are():
    from airflow_async_rest.tasks import telemetry

    for query in queries():
        labels = set(re.findall(r"(\w+)=~", query))
        for group in re.findall(r"by \(([^)]*)\)", query):
            labels |= set(group.split(", "))
        assert labels <= {*telemetry.TAGS, "reason", "quantile"}, query
        if "reason" in labels:
            assert re.search(r"airflow_async_rest_(failed|retries)\b", query)
