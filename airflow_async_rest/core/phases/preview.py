"""The first requests of a job, as they would go out: nothing is sent, and nothing is kept."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from airflow_async_rest.core.batches.form import ItemBatch
from airflow_async_rest.core.errors import ItemError, SendError, let_go
from airflow_async_rest.core.job import Job
from airflow_async_rest.core.letters.shown import SHOWN_PAYLOAD_CHARACTERS, shown_key, visible
from airflow_async_rest.core.models import DeadLetter, Item, Request, Response
from airflow_async_rest.core.pages import Page
from airflow_async_rest.core.phases.shared import Standing
from airflow_async_rest.core.pipeline import StopSwitch
from airflow_async_rest.core.reading.source import Expected
from airflow_async_rest.core.redaction import MASK
from airflow_async_rest.core.replay import Replay
from airflow_async_rest.core.requests.address import Address
from airflow_async_rest.core.requests.headers import CREDENTIAL_HEADER
from airflow_async_rest.core.sending.auth import sign_alone
from airflow_async_rest.core.sending.excerpts import Excerpts
from airflow_async_rest.core.spelling import counted
from airflow_async_rest.core.transport.client import Heads

# Where transform skips nearly all rows, or batches are large, reading ends all the same.
_MOST_ROWS = 100_000
_MOST_FAILED = 3
# UTF-8 has up to four bytes for each character that is shown.
_LOOKED_AT_BYTES = 4 * SHOWN_PAYLOAD_CHARACTERS
_LEFT_OUT = "[left out: [async_rest] xcom_payloads is False]"
_SCHEMES = frozenset({"basic", "bearer"})


@dataclass
class Preview:
    """What a job would send first.

    :param payloads: whether bodies are shown.
    :param stop: ends it early.
    :ivar requests: the first ones, as people see them, without secrets: bodies may be large, and none is kept.
    :ivar first: the first one, as it would be sent.
    :ivar failed: why the first items that cannot be sent would be dead letters.
    :ivar read: items that were looked at.
    :ivar expected: how many there are in all; None where that is not known.
    """

    job: Job
    payloads: bool = True
    stop: StopSwitch = field(default_factory=StopSwitch)
    requests: list[dict[str, Any]] = field(default_factory=list)
    first: Request | None = None
    failed: list[str] = field(default_factory=list)
    read: int = 0
    expected: Expected | None = None
    _items_a_request: int = 1

    @classmethod
    def of(cls, job: Job, count: int, *, payloads: bool = True, stop: StopSwitch | None = None) -> "Preview":
        """Read as many rows as it takes to make some requests; what reading them has changed is undone.

        :raises StoppedError: when the stop is pulled meanwhile.
        """
        found = cls(job, payloads, stop or StopSwitch())
        try:
            with found.stop.ending(job.source.cancel):
                found.expected = Expected(found.read, "counted") if found._find(count) else found._counted()
        finally:
            if job.fetch is not None and job.fetch.checkpoints is not None:
                job.fetch.checkpoints.close()
        return found

    def _counted(self) -> Expected | None:
        """Return how many items there are, where that is known without reading them all."""
        if not isinstance(self.job.source, Replay):
            return self.job.expected()
        sent, _ = self.job.source.count()
        return Expected(sent.total(), "counted")

    def _find(self, count: int) -> bool:
        """Find the first requests. :return: whether there are no more rows."""
        with contextlib.closing(self.job.source.open(None, lambda _: None)) as lists:
            for units in lists:
                if units is None:  # to ask for more would commit what reading has changed
                    return True
                for unit in units:
                    self._add(unit)
                    if len(self.requests) == count or self.stop.error is not None:
                        return False
                if self.read >= _MOST_ROWS:
                    return False
        return True

    def _add(self, unit: Item | ItemBatch) -> None:
        if isinstance(unit, ItemBatch):
            self._items_a_request = unit.form.batch.max_items
        items = unit.items if isinstance(unit, ItemBatch) else [unit]
        self.read += len(items)
        for item in items:
            if isinstance(item.settled, DeadLetter):
                self._note_failed(item, item.settled.reason, item.settled.response_excerpt)
        sent = [item for item in items if item.settled is None]
        if not sent:
            return
        try:
            request = unit.form.build(sent) if isinstance(unit, ItemBatch) else self._request_of(unit)
        except ItemError as error:
            let_go(error)
            self._note_failed(sent[0], error.reason, str(error))
            return
        self.requests.append(_shown(self.job, request, payloads=self.payloads))
        self.first = self.first or request

    def _request_of(self, item: Item) -> Request:
        if self.job.fetch is not None:
            plan = self.job.fetch.plan
            return plan.builder.build(item, plan.pages.begin() if plan.pages else Page())
        assert item.request is not None  # noqa: S101  (its source has made it, or settled the item)
        return item.request

    def _note_failed(self, item: Item, reason: str, why: str) -> None:
        if len(self.failed) < _MOST_FAILED:
            key, cause = map(self.job.settings.redaction.excerpt, (shown_key(item.key), why))
            fate = "stays" if self.is_replay else "would be"
            self.failed.append(visible(f"{key} {fate} a dead letter: {reason}: {cause}").replace("\n", "\\n"))

    @property
    def is_replay(self) -> bool:
        """Whether dead letters are sent again, and no rows are read."""
        return isinstance(self.job.source, Replay)

    @property
    def seconds(self) -> float | None:
        """How long it takes at least, by the rate limit; None where there is none, or the rows are not counted."""
        if self.expected is None or self.job.rate_limit is None:
            return None
        requests, period = self.job.rate_limit
        return round(math.ceil(self.expected.items / self._items_a_request) * period / requests, 3)

    def to_json(self) -> dict[str, Any]:
        """Return it as people see it."""
        window = {name: value for name, value in self.job.about.items() if value is not None}
        items = self.expected and self.expected.items
        count = {"rows": None, "letters": items} if self.is_replay else {"rows": items}
        return {"window": window or None, **count, "seconds": self.seconds, "requests": self.requests}

    def report(self) -> dict[str, Any]:
        """Return the report of a job that has done nothing."""
        nothing = Standing(self.job).report() | {"elapsed_seconds": 0.0, "items_per_second": 0.0}
        expected = {} if self.expected is None else {"expected": asdict(self.expected)}
        return nothing | expected | {"dead_letters": None, "preview": True}

    async def send_first(self) -> None:
        """Send the first request, once, and show the answer's status and beginning.

        :raises StoppedError: when the stop is pulled meanwhile.
        """
        if (request := self.first) is None:
            return
        excerpts = Excerpts(self.job.settings, self.job.hidden)
        try:
            response = await self.stop.unless_pulled(self._send(request))
        except SendError as error:
            answer: dict[str, Any] = {"status": None, "excerpt": excerpts.text(f"{error.reason}: {error}")}
        else:
            answer = {"status": response.status, "excerpt": excerpts.of(request, response)}
        self.requests[0]["answer"] = answer | {"excerpt": visible(answer["excerpt"])}

    async def _send(self, request: Request) -> Response:
        job = self.job
        async with (
            job.limiter(job.rate_limit) as limiter,
            job.transport(job.settings, 1, job.headers) as transport,
        ):
            transport.before_redirect = limiter.acquire
            await limiter.acquire()
            return await transport.send(await sign_alone(request, job.auth, job.settings.redaction))


def lines_of(preview: Preview) -> Iterator[str]:
    """Yield the lines of a log that show a preview."""
    job = preview.job
    window = " to ".join(filter(None, job.about.values()))
    what = "dead letter" if preview.is_replay else "row"
    rows = f"an unknown number of {what}s"
    if preview.expected is not None:
        rows = f"{'about ' if preview.expected.how == 'about' else ''}{counted(preview.expected.items, what)}"
    limit = "none" if job.rate_limit is None else f"{job.rate_limit[0]} per {job.rate_limit[1]:g} s"
    yield (
        f"Preview: {job.target}: {f'window {window}, ' if window else ''}{rows}, concurrency "
        f"{job.concurrency or 'adaptive'}, rate limit {limit}"
        + ("." if preview.seconds is None else f": at least {preview.seconds:g} s.")
    )
    for number, request in enumerate(preview.requests, 1):
        yield f"Request {number}: {request['method']} {request['url']}"
        yield from (f"    {name}: {value}" for name, value in request["headers"].items())
        yield from (f"    {line}" for line in _lines_in(request["body"] or ""))
        if answer := request.get("answer"):
            yield f"    was sent, and answered with {answer['status'] or 'nothing'}:"
            yield from (f"    {line}" for line in _lines_in(answer["excerpt"]))
    yield from (f"Item {failed}" for failed in preview.failed)
    sent = any("answer" in request for request in preview.requests)
    yield f"{'Nothing else' if sent else 'Nothing'} was sent, and nothing is kept."


def _lines_in(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n") if text else []


def _shown(job: Job, request: Request, *, payloads: bool) -> dict[str, Any]:
    settings = job.settings
    kept = Excerpts(settings, job.hidden).request(request)
    key = settings.query_key and (settings.query_key[0], MASK)
    url = str(Address(settings.base_url, key).url(kept.path, kept.query)).replace("%2A%2A%2A", MASK)
    headers = dict(Heads(settings, job.headers).headers_of(request))
    shown = {name: _cut(visible(_masked(job, name, value)), len(value.encode())) for name, value in headers.items()}
    if job.auth is not None:
        shown["(signature)"] = "added to each request as it is sent"
    body = None if request.body is None else _body(job, request.body) if payloads else _LEFT_OUT
    return {
        "method": request.method,
        "url": _cut(visible(settings.redact(url)), len(url.encode())),
        "headers": shown,
        "body": body and visible(body),
    }


def _masked(job: Job, name: str, value: str) -> str:
    """Return a header's value without what is secret: all of it, where its name says so."""
    if name == job.settings.idempotency_header or not CREDENTIAL_HEADER.search(name):
        return job.settings.redact(value)
    scheme, _, rest = value.partition(" ")
    return f"{scheme} {MASK}" if rest and scheme.lower() in _SCHEMES else MASK


def _body(job: Job, body: bytes) -> str:
    text = job.settings.redact(body[:_LOOKED_AT_BYTES].decode("utf-8", "replace"))
    return _cut(text, len(body), is_whole=len(body) <= _LOOKED_AT_BYTES)


def _cut(text: str, size: int, *, is_whole: bool = True) -> str:
    """Return a text, shortened where it is long. :param size: of all of it, in bytes."""
    if is_whole and len(text) <= SHOWN_PAYLOAD_CHARACTERS:
        return text
    return f"{text[:SHOWN_PAYLOAD_CHARACTERS]}... [cut: {size} bytes in all]"
