"""Metrics that really arrive, and spans, of tasks run by Airflow's task runner."""

import queue
import re
import socket
import threading
import time
from collections import Counter
from contextlib import closing
from types import SimpleNamespace

import pytest
from aiohttp import web
from engine import run_within
from task_runner import run_try
from tasks import READINGS, rest_to_sql, sql_to_rest

LINE = re.compile(r"airflow\.(?P<name>[\w.]+)(?P<tags>(,[\w.]+=[^,:]+)*):(?P<value>[-\d.]+)\|(?P<kind>\w+)")


class StatsD:
    """A StatsD server, whose thread takes what comes at once: the system keeps a few hundred packets and no more."""

    def __init__(self):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._packets = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while (packet := self._socket.recv(65_535)) != b"end":
            self._packets.put(packet)

    @property
    def port(self) -> int:
        return self._socket.getsockname()[1]

    def _send(self, packet: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
            sending.sendto(packet, ("127.0.0.1", self.port))

    def metrics(self) -> list[SimpleNamespace]:
        """Return this package's metrics of all packets that have come: those before an empty one of our own."""
        found = []
        self._send(b"")
        while packet := self._packets.get(timeout=60):
            match = LINE.fullmatch(packet.decode())
            if match and match["name"].startswith("async_rest."):
                tags = dict(pair.split("=") for pair in match["tags"].split(",")[1:])
                name = match["name"].removeprefix("async_rest.")
                found.append(SimpleNamespace(name=name, value=float(match["value"]), kind=match["kind"], tags=tags))
        return found

    def close(self) -> None:
        self._send(b"end")
        self._thread.join(60)
        self._socket.close()


def sums(metrics) -> dict[str, float]:
    """Counters, by name and reason."""
    counts = Counter()
    for metric in metrics:
        if metric.kind == "c":
            counts[" ".join(filter(None, (metric.name, metric.tags.get("reason"))))] += metric.value
    return dict(counts)


def initialize() -> None:
    """Do as the process of a task does at its beginning."""
    from airflow.sdk._shared.observability.metrics import stats
    from airflow.sdk.observability.metrics import stats_utils

    if hasattr(stats._backend, "statsd"):
        stats._backend.statsd.close()
    stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=True)


@pytest.fixture
def statsd(monkeypatch):
    """A StatsD server, and Airflow configured to send there, with tags in InfluxDB's style."""
    initialize()  # Airflow is imported before it is configured: as it is, it makes a client that nobody closes
    server = StatsD()
    options = {"STATSD_ON": "True", "STATSD_HOST": "127.0.0.1", "STATSD_PORT": str(server.port)}
    for name, value in (options | {"STATSD_INFLUXDB_ENABLED": "True"}).items():
        monkeypatch.setenv(f"AIRFLOW__METRICS__{name}", value)
    run_within(monkeypatch, observer_seconds=30.0)  # a machine that stands still is no client that hangs
    with closing(server):
        initialize()
        yield server
    monkeypatch.undo()
    initialize()


@pytest.fixture
def backend():
    """Send metrics to a client of the test's own."""
    from airflow.sdk.observability import stats

    yield lambda client: stats.initialize(factory=lambda: client, export_legacy_names=True)
    initialize()


@pytest.fixture
def tracing(monkeypatch):
    """Airflow's tracing, on; give what ends."""
    from airflow.sdk.execution_time import task_runner
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    monkeypatch.setattr(task_runner, "tracer", provider.get_tracer("airflow"))  # it keeps the first one that it finds
    return lambda: {span.name: span for span in exporter.get_finished_spans()}


def flaky():
    """Answer 422 to ids ending in 13, 503 to the first request of those ending in 7."""
    known = set()

    def answer(seen):
        number = int(seen.path.rpartition("/")[2])
        first, _ = number not in known, known.add(number)
        return 422 if number % 100 == 13 else 503 if first and number % 10 == 7 else 200

    return answer


def test_what_a_task_does_arrives_as_metrics_with_tags(places, supervisor, statsd):
    places.answer = flaky()
    task = sql_to_rest(max_failures=1, transform=lambda row: row if row["id"] % 10 else None)
    state, error = run_try(task, supervisor)
    assert (state, error) == ("success", None)
    metrics, report = statsd.metrics(), supervisor.report
    assert sums(metrics) == {
        "delivered": report["delivered"],
        "failed http_422": 1,
        "skipped": 10,
        "requests": report["requests"],
        "retries http_503": 10,
    }
    assert (report["delivered"], report["requests"]) == (89, 100)
    of_the_task = {"conn_id": "search_api", "dag_id": "the_dag", "task_id": "post"}
    for metric in metrics:
        with_reason = metric.name in {"failed", "retries"}
        assert metric.tags.keys() - of_the_task.keys() == ({"reason"} if with_reason else set()), metric
        assert metric.tags | of_the_task == metric.tags
    kinds = {metric.name: metric.kind for metric in metrics if metric.kind != "c"}
    assert kinds == {"latency": "ms", "duration": "ms", "in_flight": "g"}
    assert [metric.value for metric in metrics if metric.name == "in_flight"][-1] == 0
    (duration,) = [metric.value for metric in metrics if metric.name == "duration"]
    latencies = [metric.value for metric in metrics if metric.name == "latency"]
    assert 0 < min(latencies) <= max(latencies) < duration
    # A sample's own median may lie elsewhere, on a machine that is busy for a while; its halves do not.
    p50 = report["latency_ms"]["p50"]
    assert sum(one < p50 * 0.9 for one in latencies) <= 0.6 * len(latencies)
    assert sum(one > p50 * 1.1 for one in latencies) <= 0.6 * len(latencies)


def test_a_fetch_counts_its_rows(places, supervisor, statsd, warehouse):
    warehouse.execute("ALTER TABLE locations ADD CHECK (id <> 3)")
    places.answer = lambda _: web.json_response(
        {"data": {"items": [{"location": {"geoLabel": "x"}, "detail": {}}] * 2}}
    )
    state, error = run_try(rest_to_sql(max_failures=2), supervisor)
    assert (state, error) == ("success", None)
    assert sums(statsd.metrics()) == {"delivered": 100, "requests": 100, "rows_loaded": 198, "rows_refused": 2}


def test_a_packet_stands_for_many_requests(places, supervisor, statsd):
    run_try(sql_to_rest(sql=READINGS.format(rows=2000)), supervisor)
    metrics = statsd.metrics()
    intervals = len([metric for metric in metrics if metric.name == "in_flight"])
    assert sums(metrics) == {"delivered": 2000, "requests": 2000}
    assert len([metric for metric in metrics if metric.name == "latency"]) == 40 * intervals
    assert len(metrics) <= 50 * intervals


def test_they_come_while_the_task_runs_and_add_up(places, supervisor, statsd, monkeypatch):
    run_within(monkeypatch, write_every_seconds=0.01, progress_every_seconds=0.02)
    run_try(sql_to_rest(sql=READINGS.format(rows=1000)), supervisor)
    metrics = statsd.metrics()
    assert len([metric for metric in metrics if metric.name == "delivered"]) > 2
    assert sums(metrics) == {"delivered": 1000, "requests": 1000}


def test_a_retry_counts_only_what_it_does_itself(places, supervisor, statsd):
    places.answer = lambda seen: 503 if seen.path.endswith("7") else 200
    from airflow_async_rest import RequestRetry

    task = sql_to_rest(request_retry=RequestRetry(max_attempts=1))
    assert run_try(task, supervisor)[0] == "up_for_retry"
    assert sums(statsd.metrics()) == {"delivered": 90, "failed http_503": 10, "requests": 100}
    places.answer = lambda _: 200
    assert run_try(task, supervisor, 2)[0] == "success"
    assert sums(statsd.metrics()) == {"delivered": 10, "requests": 10}
    assert (supervisor.report["delivered"], supervisor.report["requests"]) == (100, 110)


def test_plain_statsd_has_the_same_metrics_without_tags(places, supervisor, statsd, monkeypatch):
    monkeypatch.setenv("AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED", "False")
    initialize()
    places.answer = flaky()
    run_try(sql_to_rest(max_failures=1), supervisor)
    metrics = statsd.metrics()
    assert sums(metrics) == {"delivered": 99, "failed": 1, "requests": 110, "retries": 10}
    assert all(metric.tags == {} for metric in metrics)


@pytest.mark.parametrize(
    ("option", "pattern", "names"),
    [
        ("ALLOW", "async_rest.delivered,async_rest.failed", {"delivered", "failed"}),
        ("BLOCK", "async_rest.latency,retries", {"delivered", "failed", "requests", "in_flight", "duration"}),
    ],
)
def test_airflows_lists_choose_among_them(places, supervisor, statsd, monkeypatch, option, pattern, names):
    monkeypatch.setenv(f"AIRFLOW__METRICS__METRICS_{option}_LIST", pattern)
    initialize()
    places.answer = flaky()
    run_try(sql_to_rest(max_failures=1), supervisor)
    assert {metric.name for metric in statsd.metrics()} == names


def test_a_reason_of_the_authors_own_makes_no_name_invalid(places, supervisor, statsd, logged):
    from airflow_async_rest.core.watching.observing import Activity
    from airflow_async_rest.tasks.telemetry import Metrics

    metrics = Metrics({"conn_id": "a,b", "dag_id": "žluťoučký", "task_id": "t"})
    metrics(Activity(Counter({("failed", "no such type: x=1, y"): 2})))
    (failed,) = [metric for metric in statsd.metrics() if metric.name == "failed"]
    assert failed.tags == {"conn_id": "a_b", "dag_id": "_lu_ou_k_", "task_id": "t", "reason": "no_such_type__x_1__y"}
    assert "nvalid" not in logged()


def test_datadog_gets_tags_as_tags(places, supervisor, backend):
    from airflow.sdk._shared.observability.metrics.datadog_logger import SafeDogStatsdLogger

    calls = []

    class Client:
        def increment(self, **call):
            calls.append(call)

        gauge = timing = increment

    backend(SafeDogStatsdLogger(Client(), metrics_tags=True))
    run_try(sql_to_rest(), supervisor)
    (delivered,) = [call for call in calls if call["metric"] == "async_rest.delivered"]
    assert delivered["value"] == 100
    assert delivered["tags"] == ["conn_id:search_api", "dag_id:the_dag", "task_id:post"]


def test_opentelemetry_gets_counters_histograms_and_a_gauge(places, supervisor, backend):
    from airflow.sdk._shared.observability.metrics.otel_logger import SafeOtelLogger
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    backend(SafeOtelLogger(MeterProvider([reader])))
    run_try(sql_to_rest(), supervisor)
    (resource,) = reader.get_metrics_data().resource_metrics
    found = {
        metric.name.removeprefix("airflow.async_rest."): metric.data.data_points[0]
        for metric in resource.scope_metrics[0].metrics
        if metric.name.startswith("airflow.async_rest.")
    }
    assert found["delivered"].value == 100
    assert found["delivered"].attributes == {"conn_id": "search_api", "dag_id": "the_dag", "task_id": "post"}
    assert found["latency"].count == 40
    assert found["in_flight"].value == 0
    assert found["duration"].count == 1


def test_a_client_that_raises_costs_a_warning(places, supervisor, backend, logged):
    class Broken:
        def incr(self, stat, *_, **__):
            if stat.startswith("async_rest."):
                raise OSError("no route to the metrics")

        def timing(self, *_, **__):
            pass

        gauge = timing

    backend(Broken())
    assert run_try(sql_to_rest(), supervisor) == ("success", None)
    assert logged().count("Could not emit metrics: no route to the metrics") == 1


def test_a_client_that_hangs_does_not_hold_the_task_up(places, supervisor, backend):
    released = threading.Event()

    class Hanging:
        def incr(self, stat, *_, **__):
            if stat.startswith("async_rest."):
                released.wait(180)

        timing = gauge = incr

    backend(Hanging())
    started = time.monotonic()
    try:
        assert run_try(sql_to_rest(), supervisor)[0] == "success"
        assert time.monotonic() - started < 60
    finally:
        released.set()
        for thread in threading.enumerate():  # what it still has to say is not for the next test's client
            if thread.name == "async-rest-observer":
                thread.join(60)


def test_a_deliver_of_a_plain_task_has_metrics_too(places, supervisor, statsd):
    from airflow.providers.standard.operators.python import PythonOperator

    from airflow_async_rest.hooks.rest import AsyncRestHook

    def push():
        return AsyncRestHook("search_api").deliver([{"id": 1}], endpoint="x/{id}")

    assert run_try(PythonOperator(task_id="push", python_callable=push), supervisor)[0] == "success"
    metrics = statsd.metrics()
    assert sums(metrics) == {"delivered": 1, "requests": 1}
    assert {metric.tags["task_id"] for metric in metrics} == {"push"}


def run_in_task_span(task, supervisor):
    """Run a try inside the span that Airflow makes around a task."""
    from airflow.sdk.execution_time import task_runner

    ti = SimpleNamespace(
        context_carrier={}, task_id=task.task_id, dag_id="the_dag", run_id="run", try_number=1, map_index=-1
    )
    with task_runner._make_task_span(SimpleNamespace(ti=ti)):
        return run_try(task, supervisor)


def test_a_span_around_the_work_has_the_counts(places, supervisor, tracing):
    places.answer = flaky()
    run_in_task_span(sql_to_rest(max_failures=1), supervisor)
    spans = tracing()
    span, parent = spans["async_rest.deliver"], spans["worker.post"]
    assert span.parent.span_id == parent.context.span_id
    assert span.status.is_unset
    assert {name.removeprefix("async_rest."): value for name, value in span.attributes.items()} == {
        "conn_id": "search_api",
        "dag_id": "the_dag",
        "task_id": "post",
        "window_start": "2026-11-01T00:00:00+00:00",
        "window_end": "2026-11-02T00:00:00+00:00",
        "delivered": 99,
        "failed": 1,
        "skipped": 0,
        "requests": 110,
        "retries": 10,
    }


def test_the_span_of_a_failure_says_so(places, supervisor, tracing):
    places.answer = flaky()
    run_in_task_span(sql_to_rest(), supervisor)
    span = tracing()["async_rest.deliver"]
    assert not span.status.is_ok
    assert "1 of 100 items failed" in span.status.description
    assert (span.attributes["async_rest.delivered"], span.attributes["async_rest.failed"]) == (99, 1)
    assert [event.name for event in span.events] == ["exception"]


def test_the_span_of_a_wait_is_no_error(places, supervisor, tracing):
    places.answer = lambda seen: web.Response(status=429, headers={"Retry-After": "3600"})
    assert run_try(sql_to_rest(), supervisor)[0] == "up_for_reschedule"
    span = tracing()["async_rest.deliver"]
    assert (span.status.is_unset, span.events) == (True, ())


def test_a_fetch_on_a_thread_of_its_own_is_a_child_too(places, supervisor, tracing):
    from airflow.providers.standard.operators.python import PythonOperator

    from airflow_async_rest.hooks.rest import AsyncRestHook

    def pull():
        return sum(len(chunk) for chunk in AsyncRestHook("search_api").fetch([1, 2], endpoint="x/{item}"))

    assert run_in_task_span(PythonOperator(task_id="pull", python_callable=pull), supervisor)[0] == "success"
    spans = tracing()
    assert spans["async_rest.fetch"].parent.span_id == spans["worker.pull"].context.span_id
    assert spans["async_rest.fetch"].attributes["async_rest.rows_loaded"] == 2


def test_without_tracing_there_is_no_span(places, supervisor, monkeypatch):
    from opentelemetry import trace

    spans = []
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    places.answer = lambda _: spans.append(trace.get_current_span()) or 200
    assert run_try(sql_to_rest(transform=lambda row: spans.append(trace.get_current_span()) or row), supervisor)[0] == (
        "success"
    )
    assert not any(span.is_recording() for span in spans)
