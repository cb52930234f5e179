"""Bulk requests: how they are made of their items, and how their answers are read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from airflow_async_rest.core.batch import Batch
from airflow_async_rest.core.batch_formats import batch_format
from airflow_async_rest.core.batch_results import results_reader
from airflow_async_rest.core.errors import ItemError
from airflow_async_rest.core.models import DeadLetter, Item, ItemResult, Request, Response
from airflow_async_rest.core.retry import RequestRetry

A_FUNCTION = "function"
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class BatchForm:
    """The form of the bulk requests of a job.

    :param encode: payload -> JSON.
    :param key: the columns that identify an item; empty when its position stands in.
    :param request: items, body, content type -> the request, with a key that is theirs and no others'.
    :param redact: takes secrets out of what encoding complains about.
    """

    def __init__(
        self,
        batch: Batch,
        *,
        encode: Callable[[Any], bytes],
        retry: RequestRetry,
        key: tuple[str, ...],
        request: Callable[[Sequence[Item], bytes, str], Request],
        redact: Callable[[str], str] = str,
    ) -> None:
        self.batch = batch
        # As dead letters tell it; a function has no name that a replay could find it by.
        self.names = {
            "format": A_FUNCTION if callable(batch.format) else batch.format,
            "results": A_FUNCTION if callable(batch.results) else batch.results,
            "max_items": batch.max_items,
            "max_bytes": batch.max_bytes,
            "key": list(key),
        }
        self._encode = encode
        self._request = request
        self._redact = redact
        self._format = batch_format(batch.format, encode, has_key=bool(key))
        self.frame_bytes = self._format.frame_bytes
        self._read_by_key = results_reader(batch.results, retry, key)
        self._read_by_position = results_reader(batch.results, retry)
        self._key = key
        # Else an id in the answer is one that the API has made up.
        self._sends_key = True
        # Else a part is the payload's JSON, and the row and the payload need not be kept until the answer is there.
        self._keeps_payloads = (
            callable(batch.format)
            or batch.format == "bulk"
            or callable(batch.results)
            or batch.results == "elasticsearch"
        )

    def prepare(self, items: Sequence[Item]) -> None:
        """Give items their parts of the body; one that has none is settled."""
        part, keeps_payloads = self._format.part, self._keeps_payloads
        self._look_for_key(items)
        for item in items:
            if item.settled is not None:
                continue
            try:
                item.part = part(item)
            except ItemError as error:
                item.settled = DeadLetter.of(item, error.reason, detail=self._redact(str(error)))
                continue
            if not keeps_payloads:
                item.row, item.payload = _NOTHING, None

    def _look_for_key(self, items: Sequence[Item]) -> None:
        """Notice when payloads do not have the key: the first one speaks for all."""
        first = next((item for item in items if item.settled is None), None)
        if first is not None and not (
            isinstance(first.payload, Mapping) and all(name in first.payload for name in self._key)
        ):
            self._sends_key = False

    def build(self, items: Sequence[Item]) -> Request:
        """Build the request of prepared items. :raises ItemError: when it cannot be built."""
        return self._request(items, self._format.join(items), self._format.content_type)

    def build_alone(self, item: Item) -> Request:
        """Give the request of one item as a dead letter keeps it: with the item's payload, in JSON, as the body."""
        body = self._encode(item.payload) if self._keeps_payloads else item.part
        return replace(self.build([item]), body=body, content_type="application/json")

    def read(self, response: Response, items: Sequence[Item]) -> list[ItemResult] | None:
        """Read what became of each item; None: the answer speaks for all of them alike.

        :raises ResultsError: when a success should tell, and cannot be matched to the items.
        """
        read = self._read_by_key if self._sends_key else self._read_by_position
        return read(response, items)

    @property
    def needs_body(self) -> bool:
        """Whether the answer's body is read."""
        return self.batch.results is not None

    def is_there_already(self, item: Item, result: ItemResult) -> bool:
        """Tell whether a refusal of an item says that its action is done: by an earlier attempt, if there was one."""
        if self.batch.format != "bulk" or not isinstance(item.payload, Mapping):
            return False
        return (item.payload.get("_op_type"), result.status) in {("create", 409), ("delete", 404)}


@dataclass(slots=True)
class ItemBatch:
    """Items that go together, in the order of the source; those that are settled already are in no request."""

    items: list[Item]
    form: BatchForm
