"""Dead letters, sent again: the very requests they were, with the same idempotency keys."""

from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from typing import Any

from airflow_async_rest.core.checkpoint import Resume, SourceDigest
from airflow_async_rest.core.dead_letters import DeadLetterFolder, PartId, Record, to_record
from airflow_async_rest.core.errors import EndpointError
from airflow_async_rest.core.models import DeadLetter, Item, Request
from airflow_async_rest.core.source import OnDigest

_CHUNK = 500


class Replay:
    """The dead letters of one or several folders, as a source of items and as the folder of what becomes of them.

    What is delivered is marked as resolved where its dead letter lies, so that a second replay, or a retry of
    a replay, sends only the rest.

    :param reasons: only dead letters with one of these; default: all.
    :param encode: payload -> body, exactly as it was sent.
    """

    def __init__(
        self,
        folders: Iterable[DeadLetterFolder],
        reasons: Collection[str] | None,
        encode: Callable[[Any], bytes],
    ) -> None:
        self._folders = list(folders)
        self._reasons = reasons
        self._encode = encode
        self._places: dict[int, tuple[DeadLetterFolder, int]] = {}

    def open(self, resume: Resume | None, on_digest: OnDigest) -> Generator[list[Item], None, None]:  # noqa: ARG002
        """Give the items; a replay needs no checkpoint, its folders know what is resolved."""
        on_digest(SourceDigest())
        index, items = 0, []
        for folder in self._folders:
            for record in folder.iter_records(self._reasons):
                self._places[index] = (folder, record["index"])
                items.append(self._item(index, record))
                index += 1
                if len(items) == _CHUNK:
                    yield items
                    items = []
        yield items

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
