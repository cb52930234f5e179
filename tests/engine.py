"""Whole jobs without Airflow: rows, a state store, and the run of a job against a test's server."""

import asyncio
import json
import logging

from airflow_async_rest.core.batch_form import BatchForm
from airflow_async_rest.core.batch_source import BatchSource
from airflow_async_rest.core.client import ClientSettings
from airflow_async_rest.core.dead_letters import DeadLetterFolder
from airflow_async_rest.core.encoding import json_encoder
from airflow_async_rest.core.job import Job, JobRun
from airflow_async_rest.core.pipeline import StopSwitch
from airflow_async_rest.core.replay import Replay
from airflow_async_rest.core.request import EndpointTemplate, Identity, RequestBuilder
from airflow_async_rest.core.retry import RequestRetry
from airflow_async_rest.core.source import RowSource


class Rows:
    """``count`` rows in chunks of 100; knows how many were read."""

    def __init__(self, count: int, after: Exception | None = None) -> None:
        self.count, self.after, self.chunks_read = count, after, 0

    def __iter__(self):
        for start in range(0, self.count, 100):
            self.chunks_read += 1
            yield [{"id": i} for i in range(start, min(start + 100, self.count))]
        if self.after:
            raise self.after

    def cancel(self):
        pass


class Store(dict):
    """A state store; keeps what was ever set, in order."""

    def __init__(self):
        super().__init__()
        self.history = []

    def set(self, key, value):
        self.history.append((key, json.loads(json.dumps(value))))
        self[key] = self.history[-1][1]

    def delete(self, key):
        self.pop(key, None)


def make_job(api, path, rows=250, **settings) -> Job:
    builder = RequestBuilder(
        endpoint=EndpointTemplate("x/{id}"),
        method="PUT",
        encode=json_encoder(),
        identity=Identity(("dag", "task"), ("start", "end")),
        has_key=True,
    )
    return Job(
        **{
            "settings": ClientSettings(api.url),
            "build": builder.build,
            "source": RowSource(rows if isinstance(rows, Rows) else Rows(rows), key=("id",), asked_for={"endpoint": ("id",)}),
            "retry": RequestRetry(max_attempts=1),
            "about": {"window_start": "start", "window_end": "end"},
            "folder": DeadLetterFolder(path, 1),
            "folder_uri": f"file://{path}",
            "fingerprint": "this job",
            "log": logging.getLogger("job"),
            **settings,
        }
    )


def run(job, store=None, stop=None):
    return asyncio.run(JobRun(job, stop or StopSwitch(), store).run())


def make_bulk_job(api, path, batch, rows=250, *, transform=None, **settings) -> Job:
    """Make the same with bulk requests."""
    retry = settings.setdefault("retry", RequestRetry(backoff_base_seconds=0.001))
    builder = RequestBuilder(
        endpoint=EndpointTemplate("x/_bulk"),
        method="POST",
        encode=json_encoder(),
        identity=Identity(("dag", "task"), ("start", "end")),
        has_key=True,
    )
    form = BatchForm(batch, encode=json_encoder(), retry=retry, key=("id",), request=builder.build_batch)
    chunks = Rows(rows) if isinstance(rows, int) else rows
    source = BatchSource(RowSource(chunks, key=("id",), transform=transform), form)
    return make_job(api, path, **{"source": source, "concurrency": 4, **settings})


def counts(report):
    return [report[name] for name in ("read", "delivered", "failed", "unfinished")]


def replay_folder(api, path, batch=None):
    """Replay what lies in a folder."""
    replay = Replay([DeadLetterFolder(path)], None, json_encoder(), RequestRetry(), batch)
    job = make_job(api, path, source=replay, build=replay.build, folder=replay, fingerprint=None, max_failures=1000)
    return run(job)
