"""Batch: how many items go into one request, in which form, and how its answer tells what became of each."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.results.results import RESULTS, Results

FORMATS = ("json_array", "ndjson", "bulk")


@dataclass(frozen=True)
class Batch:
    """Bulk requests: many items in one.

    Batches are cut by the order of the source alone, so that the same rows make the same request, with the same
    idempotency key, on every try.

    :param max_items: items of a request at most. Default 500: what elasticsearch-py and others take.
    :param max_bytes: of its body at most; a larger item goes alone. Default 5 MB, for the same reason.
    :param format: ``"json_array"``; ``{"records": "json_array"}``: an object with the array under that key;
        ``"ndjson"``: a line each; ``"bulk"``: a line for the action and a line for the document, as ``_bulk`` of
        Elasticsearch and OpenSearch takes it (``_id`` is the key; ``_op_type``, ``_index`` and other fields of the
        kind are taken from the payload); or a function: list of payloads -> bytes, or something for JSON.
    :param results: how the answer tells about each item: the name of a well-known API's answers, such as
        ``"elasticsearch"``, or ``"multi_status"`` (a list with a status each, in a 207), or ``"list"`` (objects with a
        status, ``success`` or error field); all of them are in :data:`RESULTS`; or a :class:`Results`; or a function:
        (``Response``, list of payloads) -> list with, for each item, True, False, a ``Verdict``, an HTTP status, or a
        pair of one of these and a text; None where the answer speaks for all items alike. Default: it always does,
        but for ``format="bulk"``, whose answers are those of Elasticsearch.
    :param split_on: statuses at which a batch that is refused whole is halved until its culprits are alone, because it
        may be the fault of one row. 400, 413 and 422 always; another status only when the API has accepted a batch
        before, so that a wrong path costs one request a batch; a 5xx, which you may add, only after its last attempt,
        with one attempt for a half and at most ``2 * log2(items) + 2`` requests. Never after an attempt of the batch
        whose answer was lost: its halves have other idempotency keys.
    :raises ConfigurationError: names the argument that is wrong.
    """

    max_items: int = 500
    max_bytes: int = 5_000_000
    format: str | Mapping[str, str] | Callable[[list[Any]], Any] = "json_array"
    results: str | Results | Callable[..., Any] | None = None
    split_on: Collection[int] = (400, 404, 409, 413, 422)

    def __post_init__(self) -> None:
        for name in ("max_items", "max_bytes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigurationError(f"Batch({name}={value!r}): write a whole number from 1 up.")
        if not (callable(self.format) or self.format in FORMATS or _is_array_under_a_key(self.format)):
            raise ConfigurationError(
                f"Batch(format={self.format!r}): write one of {', '.join(map(repr, FORMATS))}, "
                "{'records': 'json_array'} with a key of yours, or a function."
            )
        if not (self.results is None or callable(self.results) or isinstance(self.results, Results)) and (
            not isinstance(self.results, str) or self.results not in RESULTS
        ):
            raise ConfigurationError(f"Batch(results={self.results!r}): write {result_choices()}, or None.")
        if not _are_statuses(self.split_on):
            raise ConfigurationError(
                f"Batch(split_on={self.split_on!r}): write statuses from 400 to 599, such as (400, 422, 500), or ()."
            )
        object.__setattr__(self, "split_on", tuple(self.split_on))

    @property
    def reader(self) -> Results | Callable[..., Any] | None:
        """What reads the answer; None: its status speaks for all items alike."""
        if self.results is None:
            return RESULTS["elasticsearch"] if self.format == "bulk" else None
        return RESULTS[self.results] if isinstance(self.results, str) else self.results


def result_choices() -> str:
    """Say what an author may write as ``results``."""
    return f"one of {', '.join(map(repr, RESULTS))}, a Results(...), or a function"


def _are_statuses(value: Any) -> bool:
    return (
        isinstance(value, Collection)
        and not isinstance(value, str | bytes | Mapping)
        and all(isinstance(status, int) and 400 <= status <= 599 for status in value)  # noqa: PLR2004
    )


def _is_array_under_a_key(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and len(value) == 1
        and all(isinstance(key, str) and kind == "json_array" for key, kind in value.items())
    )
