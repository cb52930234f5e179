"""Dead letters, sent again: the very requests they were, with the same idempotency keys."""

import hashlib
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from airflow_async_rest.core.batch import Batch
from airflow_async_rest.core.batch_form import A_FUNCTION, BatchForm, ItemBatch
from airflow_async_rest.core.batch_source import Cutter
from airflow_async_rest.core.checkpoint import Resume, SourceDigest
from airflow_async_rest.core.dead_letters import DeadLetterFolder, PartId, Record, to_record
from airflow_async_rest.core.errors import ConfigurationError, EndpointError
from airflow_async_rest.core.models import DeadLetter, Item, Request
from airflow_async_rest.core.retry import RequestRetry
from airflow_async_rest.core.source import OnDigest

_CHUNK = 500


class Replay:
    """The dead letters of one or several folders, as a source of items and as the folder of what becomes of them.

    What is delivered is marked as resolved where its dead letter lies, so that a second replay, or a retry of
    a replay, sends only the rest.

    :param reasons: only dead letters with one of these; default: all.
    :param encode: payload -> body, exactly as it was sent.
    :param retry: tells what the answer to a bulk request means for its items.
    :param batch: for items of bulk requests; default: the format and results that their dead letters name.
    """

    def __init__(
        self,
        folders: Iterable[DeadLetterFolder],
        reasons: Collection[str] | None,
        encode: Callable[[Any], bytes],
        retry: RequestRetry,
        batch: Batch | None = None,
    ) -> None:
        self._folders = list(folders)
        self._reasons = reasons
        self._encode = encode
        self._retry = retry
        self._batch = batch
        self._places: dict[int, tuple[DeadLetterFolder, int]] = {}
        self._forms: dict[tuple[str, ...], BatchForm] = {}

    def open(
        self,
        resume: Resume | None,  # noqa: ARG002
        on_digest: OnDigest,
    ) -> Generator[list[Item | ItemBatch], None, None]:
        """Give the items, those of bulk requests in batches.

        A replay needs no checkpoint, its folders know what is resolved.

        :raises ConfigurationError: when only the author knows how the batches were made.
        """
        on_digest(SourceDigest())
        units: list[Item | ItemBatch] = []
        cutters: dict[BatchForm, Cutter] = {}
        for index, (folder, record) in enumerate(self._records()):
            self._places[index] = (folder, record["index"])
            item = self._item(index, record)
            if item.request is None or not record.get("batch"):
                units.append(item)
            else:
                form = self._form(item.request, record["batch"])
                form.prepare([item])
                full = cutters.setdefault(form, Cutter(form.batch)).add([item])
                units += [ItemBatch(batch, form) for batch in full]
            if len(units) >= _CHUNK:
                yield units
                units = []
        yield [*units, *(ItemBatch(rest, form) for form, cutter in cutters.items() if (rest := cutter.flush()))]

    def _records(self) -> Iterator[tuple[DeadLetterFolder, Record]]:
        for folder in self._folders:
            for record in folder.iter_records(self._reasons):
                yield folder, record

    def _form(self, request: Request, names: Mapping[str, Any]) -> BatchForm:
        """Find the form of the bulk requests that an item was of; those that are alike share one."""
        place = (request.method, request.path, request.query, repr(sorted(names.items())))
        if place not in self._forms:
            if self._batch is None and A_FUNCTION in names.values():
                raise ConfigurationError(
                    "dead_letters: these are of bulk requests whose format or results is a function, which is in no "
                    "dead letter: give the replay the same batch=Batch(...) as the task that failed."
                )
            self._forms[place] = BatchForm(
                self._batch or Batch(format=names["format"], results=names["results"]),
                encode=self._encode,
                retry=self._retry,
                has_key=False,  # what was made of the key is in the payload
                request=_request,
            )
        return self._forms[place]

    def build(self, item: Item) -> Request:
        """Give the request that an item was; those without one are settled before they are built."""
        if item.request is None:
            raise EndpointError("no request is kept in this dead letter")
        return item.request

    def cancel(self) -> None:
        """Do nothing: reading a part is short."""

    def parts(self) -> list[PartId]:
        """Give no parts: a replay starts nothing anew."""
        return []

    def write(self, records: Iterable[DeadLetter | Record]) -> PartId:
        """Write what became of the items, each where its dead letter lies."""
        of_folder: dict[DeadLetterFolder, list[DeadLetter | Record]] = {}
        for record in records:
            index = record.index if isinstance(record, DeadLetter) else record["index"]
            folder, place = self._places[index]
            plain = to_record(record) if isinstance(record, DeadLetter) else record
            of_folder.setdefault(folder, []).append({**plain, "index": place})
        for folder, its_records in of_folder.items():
            folder.write(its_records)
        return (0, 0)

    def _item(self, index: int, record: Mapping[str, Any]) -> Item:
        item = Item(index, record.get("key"), record.get("row") or {}, record.get("payload"))
        if record.get("method"):
            body = self._encode(record["payload"]) if record.get("payload") is not None else None
            item.request = Request(
                record["method"], record["path"], record.get("query") or "", body, record["idempotency_key"]
            )
        else:
            item.settled = DeadLetter.of(
                item,
                str(record.get("reason")),
                detail="no request could be made of this row; mend the cause and clear its task, which builds it anew",
            )
        return item


def _request(items: Sequence[Item], body: bytes, content_type: str) -> Request:
    """Build the request of several dead letters; one that is alone keeps its idempotency key."""
    requests = [item.request for item in items if item.request is not None]
    keys = [request.idempotency_key for request in requests]
    key = keys[0] if len(keys) == 1 else hashlib.blake2b(" ".join(keys).encode(), digest_size=16).hexdigest()
    return replace(requests[0], body=body, content_type=content_type, idempotency_key=key)
