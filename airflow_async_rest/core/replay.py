"""Dead letters, sent again: the very requests they were, with the same idempotency keys."""

import hashlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any

from airflow_async_rest.core.account.checkpoint import Resume
from airflow_async_rest.core.account.recorder import SourceDigest
from airflow_async_rest.core.batches.batch import Batch
from airflow_async_rest.core.batches.form import A_FUNCTION, BatchForm, ItemBatch
from airflow_async_rest.core.batches.gathering import Gathering
from airflow_async_rest.core.encoding.chunk_sizes import CHUNK_BYTES
from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.encoding.json_text import comes_back
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.letters.folder import UNREADABLE, DeadLetterFolder, Record
from airflow_async_rest.core.letters.lines import skim, whole_batches
from airflow_async_rest.core.letters.origins import Origins
from airflow_async_rest.core.models import DeadLetter, Item, Request
from airflow_async_rest.core.reading.source import OnDigest, identity_of
from airflow_async_rest.core.redaction import MASK, reveal
from airflow_async_rest.core.requests.bodies import kept_body, kept_payload
from airflow_async_rest.core.results.results import Results
from airflow_async_rest.core.sending.retry import RequestRetry

_CHUNK = 500
_OF_A_BATCH = ("max_items", "max_bytes", "format", "results", "split_on")
_OF_A_FAILURE = ("reason", "status", "attempts", "response_excerpt", "failed_at", "batch")
_TAKEN = f"not sent: the API has taken it before, so it goes again only by its name, reasons=[{UNREADABLE!r}]"

_NO_DOCUMENT = (
    "not sent: its JSON is nested too deeply to be made a document again; clear its task, which reads it again"
)


@dataclass(eq=False)
class Replay:
    """The dead letters of one or several folders, as a source of items.

    :param origins: these folders. Of a single one, items have the numbers that they have there: so its own task can
        replay it, and go on with its account.
    :param only: tells the dead letters that are meant.
    :param encode: payload -> body, exactly as it was sent.
    :param retry: tells what the answer to a bulk request means for its items.
    :param unreadable_too: whether to send those, too, that the API took, and whose answer could not be read; else they
        stay dead.
    :param hidden: secrets in the path and the query of these requests, as they are spelled, one after the other: they
        are in no dead letter.
    :param batch: for items of bulk requests; default: the format and results that their dead letters name.
    :param content_type: of bodies, whatever the dead letters say; default: as they say.
    """

    origins: Origins
    only: Callable[[Record], Any]
    encode: JsonEncoder
    retry: RequestRetry
    batch: Batch | None = None
    _: KW_ONLY
    unreadable_too: bool = False
    content_type: str | None = None
    hidden: tuple[str, ...] = ()
    _forms: dict[tuple[str, ...], BatchForm] = field(default_factory=dict, init=False)
    # Of items whose whole batch is dead: its key, and its items.
    _whole: dict[int, tuple[str, int]] = field(default_factory=dict, init=False)

    def open(self, resume: Resume | None, on_digest: OnDigest) -> Generator[list[Item | ItemBatch], None, None]:
        """Yield the items, those of bulk requests in batches.

        A replay needs no checkpoint, its folders know what is resolved. With one it sends only what that counts.

        :raises ConfigurationError: when only the author knows how the batches were made.
        """
        if resume is None:
            on_digest(SourceDigest())
        self._check()
        units: list[Item | ItemBatch] = []
        size = 0
        for folder in self.origins.folders:
            for unit in self._units(folder, resume):
                units.append(unit)
                size += _bytes_of(unit)
                if len(units) == _CHUNK or size >= CHUNK_BYTES:
                    yield units
                    units, size = [], 0
        yield units

    def count(self) -> tuple[Counter[str], Counter[str]]:
        """Count the dead letters that are meant, by their reasons: those that are sent, and those that stay dead.

        :raises ConfigurationError: as :meth:`open`.
        """
        self._check()
        sent, left = Counter[str](), Counter[str]()
        for folder in self.origins.folders:
            for record in filter(self._is_meant, folder.iter_records(skim)):
                (sent if self._is_sent(record) else left)[str(record.get("reason"))] += 1
        return sent, left

    def _is_sent(self, record: Record) -> bool:
        return bool(record.get("method")) and not self.origins.has_tried(record) and not self._why_not(record)

    def _check(self) -> None:
        """Look for what cannot be sent again, or must not be, because nobody would take the answer."""
        for folder in self.origins.folders:
            fetched = bool(folder.read_refused())
            for record in folder.iter_records(skim):
                fetched |= bool(record.get("fetch"))
                if not fetched and record.get("method") and self.only(record):
                    self._target(record)
                    if record.get("batch") and self._is_sent(record):
                        self._check_batch(record["batch"])
            if fetched:
                raise ConfigurationError(
                    "dead_letters: these are of a task that fetches rows, and a replay would throw the answers away: "
                    "clear that task instead; it fetches, and loads, only what failed."
                )

    def _units(self, folder: DeadLetterFolder, resume: Resume | None) -> Iterator[Item | ItemBatch]:
        """Yield the dead letters of a folder: by themselves, or in the batches that they were in, or in new ones."""
        gathering = Gathering(whole_batches(folder.read_latest()), by_key=True)
        for record in filter(self._is_meant, folder.iter_records()):
            if resume is not None and not resume.wants(record["index"]):
                continue
            item = self._item(folder, record)
            batch = record.get("batch")
            if item.request is None or item.settled is not None or not batch:
                yield from gathering.before(item)
                yield item
                continue
            form = self._form(item.request, batch)
            form.prepare([item])
            whole = gathering.knows(record["index"]) and int(batch["items"]) <= form.batch.max_items
            if whole:
                self._whole[item.index] = (str(batch["request"]), int(batch["items"]))
            yield from gathering.add(item, form, record["index"] if whole else None)
        yield from gathering.rest()

    def _check_batch(self, about: Mapping[str, Any]) -> None:
        if self.batch is None and A_FUNCTION in (about["format"], about["results"]):
            raise ConfigurationError(
                "dead_letters: these are of bulk requests whose format or results is a function, which is in no "
                "dead letter: give the replay the same batch=Batch(...) as the task that failed."
            )

    def _form(self, request: Request, about: Mapping[str, Any]) -> BatchForm:
        """Find the form of the bulk requests that an item was of; those that are alike share one."""
        same = {name: value for name, value in about.items() if name not in {"request", "items"}}
        place = (request.method, request.path, request.query, repr(sorted(same.items())))
        if place not in self._forms:
            self._forms[place] = BatchForm(
                self.batch or _batch(about),
                encode=self.encode,
                retry=self.retry,
                key=tuple(about["key"]),
                request=self._build_batch,
            )
        return self._forms[place]

    def _build_batch(self, items: Sequence[Item], body: bytes, content_type: str) -> Request:
        """Build a bulk request: with the key it had when it is the same, else with one made of its items' own."""
        requests = [item.request for item in items if item.request is not None]
        keys = [request.idempotency_key for request in requests]
        was = {self._whole.get(item.index) for item in items}
        if len(keys) == 1:
            key = keys[0]
        elif len(was) == 1 and (whole := was.pop()) and whole[1] == len(items):
            key = whole[0]
        else:
            key = hashlib.blake2b(" ".join(keys).encode(), digest_size=16).hexdigest()
        return replace(requests[0], body=body, content_type=content_type, idempotency_key=key, verbatim=False)

    def cancel(self) -> None:
        """Do nothing: reading a part is short."""

    def _item(self, folder: DeadLetterFolder, record: Mapping[str, Any]) -> Item:
        item = Item(
            self.origins.number(folder, record["index"]),
            record.get("key"),
            record.get("row") or {},
            kept_payload(record),
            _identity(record),
            replayed=True,
            uncertain=bool(record.get("uncertain")),
        )
        if self.origins.has_tried(record):
            item.settled = _as_it_was(item, record, self._request_of(record) if record.get("method") else None)
            return item
        if not record.get("method"):
            item.settled = DeadLetter.of(
                item,
                str(record.get("reason")),
                detail="no request could be made of this row; fix the cause and clear its task, which builds it again",
            )
            return item
        kept = self._request_of(record)
        path, query = self._target(record)
        item.request = replace(kept, path=path, query=query)
        if why := self._why_not(record):
            item.settled = DeadLetter.of(
                item,
                str(record.get("reason")),
                detail=f"{why}; {str(record.get('response_excerpt')).removeprefix(f'{why}; ')}",
                status=record.get("status"),
                request=kept,
                batch=record.get("batch"),
            )
        return item

    def _is_meant(self, record: Record) -> bool:
        return self.origins.has_tried(record) or bool(self.only(record))

    def _request_of(self, record: Mapping[str, Any]) -> Request:
        """Return the request as its dead letter has it."""
        where = (record["method"], record["path"], record.get("query") or "")
        body = kept_body(record, self.encode)
        if body is None:
            return Request(*where, None, record["idempotency_key"])
        content_type = self.content_type or body.content_type
        return Request(*where, body.data, record["idempotency_key"], content_type, body.verbatim)

    def _why_not(self, record: Mapping[str, Any]) -> str:
        """Say why a dead letter is not sent again; empty when it is."""
        if record.get("reason") == UNREADABLE and not self.unreadable_too:
            return _TAKEN
        if record.get("body") == "json" and (record.get("batch") or {}).get("format") == "bulk":
            return _NO_DOCUMENT
        return ""

    def _target(self, record: Mapping[str, Any]) -> tuple[str, str]:
        """Return path and query of a request, with the secrets that its dead letter does not have.

        :raises ConfigurationError: when they are not known here.
        """
        target = f"{record['path']}?{record.get('query') or ''}"
        whole = reveal(target, self.hidden) if MASK in target else target
        if whole is None:
            raise ConfigurationError(
                f"dead_letters: a template has put a secret into the endpoint of {target!r}, and no dead letter has "
                "it. Send these again by the task that failed, which knows its endpoint: in Airflow's UI, or by a "
                "Clear. For a key in the query there is the connection's auth_type='api_key_query': a replay adds it."
            )
        path, _, query = whole.partition("?")
        return path, query


def can_replay(letter: DeadLetter) -> bool:
    """Return whether a dead letter has all it takes to send it again."""
    request = letter.request
    if request is None or letter.batch is None or letter.batch["format"] != "bulk":
        return request is not None
    return request.verbatim or request.body is None or comes_back(request.body)


def _as_it_was(item: Item, record: Mapping[str, Any], request: Request | None) -> DeadLetter:
    """Return a dead letter as its record has it, which is not written once more."""
    same: dict[str, Any] = {name: record.get(name) for name in _OF_A_FAILURE}
    row = item.row if request is None else None
    return DeadLetter(item.index, item.key, **same, request=request, row=row, uncertain=item.uncertain, is_kept=True)


def _bytes_of(unit: Item | ItemBatch) -> int:
    items = [unit] if isinstance(unit, Item) else unit.items
    return sum(len(item.request.body or b"") for item in items if item.request is not None)


def _batch(about: Mapping[str, Any]) -> Batch:
    """Make the batch that a dead letter names."""
    arguments = {name: about[name] for name in _OF_A_BATCH if name in about}
    if isinstance(arguments["results"], Mapping):
        arguments["results"] = Results(**arguments["results"])
    return Batch(**arguments)


def _identity(record: Mapping[str, Any]) -> bytes:
    """Return what tells whose order it has a part in: letters of one key go one after another, as they failed."""
    key = record.get("key")
    return identity_of(key if isinstance(key, list) else [key], record["index"])
