"""Whole jobs without Airflow: rows, a state store, and the run of a job against a test's server."""

import asyncio
import contextlib
import json
import logging
import threading
from dataclasses import replace

from aiohttp import web

from airflow_async_rest.core.answers.columns import RowShape
from airflow_async_rest.core.answers.reader import AnswerReader
from airflow_async_rest.core.batches.form import BatchForm
from airflow_async_rest.core.batches.source import BatchSource
from airflow_async_rest.core.bounds import Bounds
from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.errors import LoadError
from airflow_async_rest.core.fetching.plan import FetchPlan
from airflow_async_rest.core.fetching.request import FetchRequestBuilder
from airflow_async_rest.core.job import Fetch, Job
from airflow_async_rest.core.keeping.row_sink import Earlier, LoadState, Merged, RefusedRow, item_of
from airflow_async_rest.core.keeping.table import Table
from airflow_async_rest.core.letters.filter import LetterFilter
from airflow_async_rest.core.letters.folder import DeadLetterFolder
from airflow_async_rest.core.letters.origins import Origins
from airflow_async_rest.core.pipeline import StopSwitch
from airflow_async_rest.core.reading.source import RowSource
from airflow_async_rest.core.replay import Replay
from airflow_async_rest.core.requests.builder import EndpointTemplate, Identity, RequestBuilder
from airflow_async_rest.core.run import JobRun
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.core.transport.client import ClientSettings


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
        if value is None:
            raise ValueError("Airflow's state store takes no None")
        kept = json.loads(json.dumps(value))
        assert kept == value, "Airflow's state store takes plain JSON only: lists, no tuples"
        self.history.append((key, kept))
        self[key] = kept

    def delete(self, key):
        self.pop(key, None)


def make_job(api, path, rows=250, **settings) -> Job:
    builder = RequestBuilder(
        endpoint=EndpointTemplate("x/{id}"),
        method="PUT",
        encode=JsonEncoder(),
        identity=Identity(("dag", "task"), ("start", "end")),
        has_key=True,
    )
    prepare = settings.pop("prepare", builder.prepare)
    chunks = rows if isinstance(rows, Rows) else Rows(rows)
    source = settings.setdefault("source", RowSource(chunks, key=("id",), asked_for={"endpoint": ("id",)}))
    if isinstance(source, RowSource) and "fetch" not in settings:
        source.prepare = prepare
    return Job(
        **{
            "settings": ClientSettings(api.url),
            "retry": RequestRetry(max_attempts=1),
            "about": {"window_start": "start", "window_end": "end"},
            "folder": DeadLetterFolder(path, 1),
            "folder_uri": f"file://{path}",
            "fingerprint": "this job",
            "bounds": within(),
            "log": logging.getLogger("job"),
            **settings,
        }
    )


def within(**bounds) -> Bounds:
    """Bounds of a test's job: after a stop it hardly waits for requests, which hang then in most tests.

    Nothing else hangs in most of them, so a machine that stands still for a moment is waited for.
    """
    return Bounds(**{"grace_seconds": 0.05, "observer_seconds": 30.0, **bounds})


def run_within(patch, **bounds):
    """Have what runs as a task of Airflow keep to other bounds, and else to those it has."""
    from airflow_async_rest.tasks import runtime  # it imports Airflow

    made = runtime.JobRun
    patch.setattr(runtime, "JobRun", lambda job, *of: made(replace(job, bounds=replace(job.bounds, **bounds)), *of))


def run(job, store=None, stop=None):
    return asyncio.run(JobRun(job, stop or StopSwitch(), store).run())


def make_bulk_job(api, path, batch, rows=250, *, transform=None, **settings) -> Job:
    """Make the same with bulk requests."""
    retry = settings.setdefault("retry", RequestRetry(backoff_base_seconds=0.001))
    builder = RequestBuilder(
        endpoint=EndpointTemplate("x/_bulk"),
        method="POST",
        encode=JsonEncoder(),
        identity=Identity(("dag", "task"), ("start", "end")),
        has_key=True,
    )
    form = BatchForm(batch, encode=JsonEncoder(), retry=retry, key=("id",), request=builder.build_batch)
    chunks = Rows(rows) if isinstance(rows, int) else rows
    source = BatchSource(RowSource(chunks, key=("id",), transform=transform), form)
    return make_job(api, path, **{"source": source, "concurrency": 4, **settings})


def prepared_by(build):
    """Make the requests of items by a function: item -> request."""

    def prepare(items):
        for item in items:
            item.request = build(item)

    return prepare


def counts(report):
    return [report[name] for name in ("read", "delivered", "failed", "unfinished")]


def replay_folder(api, path, batch=None, reasons=None, **settings):
    """Replay what lies in a folder."""
    only = LetterFilter(reasons)
    how = (JsonEncoder(), RequestRetry(), batch)
    origins = Origins([DeadLetterFolder(path)])
    replay = Replay(origins, only.matches, *how, unreadable_too=only.unreadable_too)
    parts = {"source": replay, "folder": origins, "fingerprint": None, "max_failures": 1000}
    return run(make_job(api, path, **parts, **settings))


class Database:
    """A destination in memory, and what loads have left beside it.

    ``before`` and ``after`` are called around each call of a loader, with its name: they may raise, or wait.

    :param mode: ``"append"``, ``"upsert"`` (by the value of ``id``), or ``"replace"``.
    :ivar rows: of the destination.
    :ivar staged: None when there is no staging table.
    :ivar refused: words for a row that is refused as it is staged, by its values; None for one that is taken.
    :ivar refused_at_merge: the same as it is merged.
    """

    def __init__(self, mode="append", rows=()):
        self.mode = mode
        self.rows = list(rows)
        self.staged = None
        self.line = None
        self.owner = None
        self.calls = []
        self.cancelled, self.closed = threading.Event(), threading.Event()
        self.before = self.after = lambda call: None
        self.refused = self.refused_at_merge = lambda values: None

    @property
    def checkpoint(self):
        return self.line.checkpoint


class MemoryLoader:
    """One try's connection to a :class:`Database`: what is not committed is gone with it."""

    can_remove = True

    def __init__(self, database) -> None:
        self.database = database
        self.replaces, self.appends = database.mode == "replace", database.mode == "append"
        self.needs_rows = False
        self._begin_transaction()

    def _begin_transaction(self):
        self._rows = list(self.database.rows)
        self._staged = None if self.database.staged is None else list(self.database.staged)

    @contextlib.contextmanager
    def _during(self, call):
        self.database.calls.append(call)
        self.database.before(call)
        yield
        self.database.after(call)

    def open(self):
        with self._during("open"):
            self.database.owner = self
            return self.database.line

    def begin(self, *, resumed, staged):
        with self._during("begin"):
            found = len(self.database.staged or ())
            if resumed and staged and found != staged:
                raise LookupError(f"{staged} rows should be staged, and {found} are")
            if not (resumed and staged):
                self.database.staged = None
            if not resumed:
                self.database.owner, self.database.line = self, Earlier(None, LoadState.STAGING, 0)
            self._begin_transaction()

    def clean_up(self):
        pass

    def remove(self, items):
        with self._during("remove"):
            kept = [row for row in self._staged or () if item_of(row.place)[0] not in items]
            removed, self._staged = len(self._staged or ()) - len(kept), kept
            return removed

    def stage(self, rows):
        with self._during("stage"):
            self._staged = [] if self._staged is None else self._staged
            return self._take(rows, self.database.refused, self._staged.append)

    def merge(self, *, first):
        with self._during("merge"):
            if first and self.replaces:
                self._rows = [row for row in self._rows if row["day"] != "this"]
            staged, taken = sorted(self._staged or (), key=lambda row: row.place), []
            refused = self._take(staged, self.database.refused_at_merge, lambda row: taken.append(dict(row.values)))
            loaded = self._update(taken) if self.database.mode == "upsert" else self._insert(taken)
            self._staged = None
            return Merged(loaded, refused)

    def _insert(self, rows):
        self._rows += rows
        return len(rows)

    def _update(self, rows):
        known = {row["id"]: row for row in self._rows}
        for row in rows:
            known[row["id"]] = known.get(row["id"], {}) | row
        self._rows = list(known.values())
        return len({row["id"] for row in rows})

    def _take(self, rows, words_for, take):
        refused = []
        for row in rows:
            if words := words_for(row.values):
                refused.append(RefusedRow(row.place, row.values, words))
            else:
                take(row)
        return refused

    def commit(self, checkpoint, state, loaded):
        with self._during("commit"):
            if self.database.owner is not self or self.database.line is None:
                raise LoadError("another try of this task has taken over the load, or its line is gone")
            self.database.line = Earlier(json.loads(json.dumps(checkpoint)), state, loaded)
            self.database.rows, self.database.staged = self._rows, self._staged
            self._begin_transaction()

    def rollback(self):
        self.database.calls.append("rollback")
        self._begin_transaction()

    def cancel(self):
        self.database.cancelled.set()

    def close(self):
        self.database.calls.append("close")
        self.database.closed.set()


def make_fetch_job(
    api,
    path,
    database,
    items=60,
    *,
    pages=None,
    rows=None,
    shape=None,
    missing_ok=False,
    method="GET",
    max_pages=10_000,
    **settings,
) -> Job:
    """Make a job that asks for ``x/{id}``, and loads what comes into a database in memory."""
    plan = FetchPlan(
        builder=FetchRequestBuilder(
            base_url=api.url,
            endpoint=EndpointTemplate("x/{id}"),
            method=method,
            query=None,
            body=None,
            encode=JsonEncoder(),
            identity=Identity(("dag", "task"), ("start", "end")),
        ),
        pages=pages,
        reader=AnswerReader(rows, shape or RowShape()),
        missing_ok=missing_ok,
        max_pages=max_pages,
    )
    chunks = items if isinstance(items, Rows) else Rows(items)
    source = RowSource(chunks, whole_row_is_key=True, asked_for={"endpoint": ("id",)})
    table = Table(MemoryLoader(database))
    fetch = Fetch(plan=plan, rows=table, checkpoints=table)
    return make_job(api, path, **{"fetch": fetch, "source": source, "concurrency": 4, **settings})


def rows_of(seen, count=2):
    """Answer with an item's rows: ``{"id": "7-0", "item": 7, "day": "this"}``, and so on."""
    number = number_of(seen)
    return web.json_response([{"id": f"{number}-{n}", "item": number, "day": "this"} for n in range(count)])


def number_of(seen) -> int:
    """Tell which item a request is for."""
    return int(seen.path.rpartition("/")[2])
