"""Bulk requests: how they are made of their items, and how their answers are read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from airflow_async_rest.core.answers.formats import is_whole
from airflow_async_rest.core.batches.batch import Batch, result_choices
from airflow_async_rest.core.batches.formats import batch_format
from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.errors import ResultsError
from airflow_async_rest.core.models import MULTI_STATUS, NO_VALUES, Item, ItemResult, Request, Response
from airflow_async_rest.core.reading.prepared import prepare_all
from airflow_async_rest.core.results.entries import is_success
from airflow_async_rest.core.results.matching import SentIds
from airflow_async_rest.core.results.reader import results_reader, sent_keys
from airflow_async_rest.core.results.results import Results
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.core.sending.verdict import MAY_BE_CUT, is_multipart

A_FUNCTION = "function"


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
        encode: JsonEncoder,
        retry: RequestRetry,
        key: tuple[str, ...],
        request: Callable[[Sequence[Item], bytes, str], Request],
        redact: Callable[[str], str] = str,
    ) -> None:
        self.batch = batch
        # As dead letters tell it; a function has no name that a replay could find it by.
        self.names = {
            "format": A_FUNCTION if callable(batch.format) else batch.format,
            "results": _name(batch.results),
            "max_items": batch.max_items,
            "max_bytes": batch.max_bytes,
            "split_on": list(batch.split_on),
            "key": list(key),
        }
        self._encode = encode
        self._request = request
        self._redact = redact
        self._format = batch_format(batch.format, encode, has_key=bool(key))
        self.frame_bytes = self._format.frame_bytes
        reader = batch.reader
        keys = sent_keys(reader, key)
        self._reader = None if reader is None else results_reader(reader, retry, keys)
        # What was sent under the key is a fact of each item: transform may leave it out, or send another value.
        self._ids = SentIds(keys, encode) if keys else None
        # Else a part is the payload's JSON, and the row and the payload need not be kept until the answer is there.
        self._keeps_payloads = callable(batch.format) or batch.format == "bulk" or callable(batch.results)

    @property
    def needs_body(self) -> bool:
        """Whether a reader reads the body of the answer: its status alone does not say what became of the items."""
        return self._reader is not None

    def prepare(self, items: Sequence[Item]) -> None:
        """Encode each item's part of the body; one that has none is settled."""
        prepare_all(items, self._prepare, self._redact)

    def _prepare(self, items: Sequence[Item]) -> None:
        for item, part in zip(items, self._format.parts(items), strict=True):
            item.part = part
            if self._ids is not None:
                item.sent = self._ids.take(item.payload)
            if not self._keeps_payloads:
                item.row, item.payload = NO_VALUES, None

    def build(self, items: Sequence[Item]) -> Request:
        """Build the request of prepared items. :raises ItemError: when it cannot be built."""
        return self._request(items, self._format.join(items), self._format.content_type)

    def build_alone(self, item: Item) -> Request:
        """Return the request of one item as a dead letter keeps it: with the item's payload, in JSON, as the body."""
        request = self.build([item])
        if isinstance(item.payload, bytes | bytearray | memoryview):
            return replace(request, body=bytes(item.payload), verbatim=True)
        body = self._encode(item.payload) if self._keeps_payloads else item.part
        return replace(request, body=body, content_type="application/json")

    def read(self, response: Response, items: Sequence[Item], *, checked: bool = False) -> list[ItemResult] | None:
        """Read what became of each item; None: the answer speaks for all of them alike.

        :param checked: whether the author's ``response_check`` judges it.
        :raises ResultsError: when a success should tell, and cannot be matched to the items.
        """
        try:
            if response.may_be_cut:
                self._check_end(response)
            results = None if self._reader is None else self._reader(response, items)
        except ResultsError:
            if is_success(response):
                raise
            return None  # a refusal of all: its status says why
        except Exception as error:  # whatever an answer looks like, it fails its batch and no more
            raise ResultsError(f"the answer cannot be read: {type(error).__name__}: {error}") from error
        is_of_each = response.status == MULTI_STATUS or (is_success(response) and is_multipart(response))
        if results is None and is_of_each and not checked:
            what = "a 207" if response.status == MULTI_STATUS else "in parts (multipart/mixed)"
            raise ResultsError(
                f"the answer is {what}, which tells about each item, and nothing reads it: choose Batch(results=...), "
                f"{result_choices()}"
            )
        return results

    def _check_end(self, response: Response) -> None:
        """Check that nothing that tells about items is cut off. :raises ResultsError: when it may be."""
        results = self.batch.reader
        if isinstance(results, Results) and results.lines:
            whole = results.lists == "all" and not results.may_be_objects  # they are counted
        else:
            whole = results is None or is_whole(response)
        if not whole:
            raise ResultsError(MAY_BE_CUT.format("what it says"))

    def is_there_already(self, item: Item, result: ItemResult) -> bool:
        """Return whether a refusal of an item says that its action is done: by an earlier attempt, if there was one."""
        if self.batch.format != "bulk" or not isinstance(item.payload, Mapping):
            return False
        return (item.payload.get("_op_type"), result.status) in {("create", 409), ("delete", 404)}


def _name(results: Any) -> Any:
    if isinstance(results, Results):
        return results.to_json()
    return A_FUNCTION if callable(results) else results


@dataclass(slots=True)
class ItemBatch:
    """Items that go together, in the order of the source; those that are settled already are in no request."""

    items: list[Item]
    form: BatchForm
