"""Metrics of a job through Airflow's own client, and a trace span around it."""

import contextlib
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from opentelemetry import trace

from airflow_async_rest.compat.names import AirflowRescheduleException
from airflow_async_rest.compat.observability import stats
from airflow_async_rest.core.job import Job
from airflow_async_rest.core.watching.observing import Activity

if TYPE_CHECKING:
    from airflow.sdk import Context

PREFIX = "async_rest."
COUNTERS = ("delivered", "failed", "skipped", "requests", "retries", "rows_loaded", "rows_refused")
TIMERS = ("latency", "duration")
GAUGES = ("in_flight",)
TAGS = ("conn_id", "dag_id", "task_id")
# Each is sent as a packet of its own; so many are enough to draw percentiles, however many requests there are.
MOST_LATENCIES = 40
_NOT_PLAIN = re.compile(r"[^a-zA-Z0-9_.-]")


class Metrics:
    """Emits what a try does, as deltas: each thing is counted once, whatever a retry finds in its checkpoint.

    Airflow's client decides where to, under which prefix, and which names and tags it lets through.

    :param tags: of all metrics. Characters that no name of a metric may have become ``_``, because InfluxDB's style
        makes tags part of the name.
    """

    def __init__(self, tags: dict[str, str]) -> None:
        self._tags = {name: _plain(value) for name, value in tags.items()}
        self._started = time.monotonic()
        self.activity = Activity()

    def __call__(self, activity: Activity) -> None:
        """Emit what was done since the call before."""
        new, self.activity = activity - self.activity, activity
        for (name, reason), count in new.counts.items():
            stats.incr(PREFIX + name, count, tags=self._tags | ({"reason": _plain(reason)} if reason else {}))
        for milliseconds in new.latencies.sample_ms(MOST_LATENCIES):
            stats.timing(PREFIX + "latency", milliseconds, tags=self._tags)
        stats.gauge(PREFIX + "in_flight", activity.in_flight, tags=self._tags)
        if activity.ended:
            stats.timing(PREFIX + "duration", (time.monotonic() - self._started) * 1000, tags=self._tags)


def _plain(text: str) -> str:
    return _NOT_PLAIN.sub("_", text)


@contextlib.contextmanager
def observed(job: Job, context: "Context") -> Iterator[Job]:
    """Yield a job that emits metrics as it runs, in a span: a child of Airflow's own, where it has tracing on."""
    ti = context["ti"]
    tags = {"conn_id": job.conn_id, "dag_id": ti.dag_id, "task_id": ti.task_id}
    metrics = Metrics(tags)
    tracer = trace.get_tracer("airflow_async_rest")
    name = PREFIX + ("fetch" if job.fetch else "deliver")
    with tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as span:
        about = {**tags, **job.about}
        span.set_attributes({PREFIX + name: value for name, value in about.items() if value is not None})
        try:
            yield replace(job, observe=metrics)
        except AirflowRescheduleException:  # a wait, which is no error
            raise
        except BaseException as error:
            span.record_exception(error)
            span.set_status(trace.Status(trace.StatusCode.ERROR, f"{type(error).__name__}: {error}"))
            raise
        finally:
            counts = dict.fromkeys((name for name in COUNTERS if job.fetch or not name.startswith("rows_")), 0)
            for (name, _), count in metrics.activity.counts.items():
                counts[name] += count
            span.set_attributes({PREFIX + name: count for name, count in counts.items()})
