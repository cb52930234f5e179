"""The items of a load that are dead: kept in its checkpoint beside the rows, as their letters may be lost. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_async_rest.core.letters.folder import Record
from airflow_async_rest.core.models import DeadLetter

# So many a checkpoint can name, which is written again with every chunk of rows.
_MOST = 10_000


def failed_after(failed: Mapping[int, str], records: Sequence[DeadLetter | Record]) -> dict[int, str]:
    """Return the items that are dead, by index with their reason, after what some records say of them."""
    after = dict(failed)
    for record in records:
        if isinstance(record, DeadLetter):
            after[record.index] = record.reason
        elif "row_number" not in record:
            after.pop(record["index"], None)
    return after


def to_json(failed: Mapping[int, str]) -> dict[str, Any]:
    """Return what a checkpoint says of them: nothing, where they are too many."""
    if len(failed) > _MOST:
        return {}
    reasons: dict[str, list[int]] = {}
    for index, reason in failed.items():
        reasons.setdefault(reason, []).append(index)
    return {"failed": reasons}


def from_json(checkpoint: Any) -> dict[int, str] | None:
    """Read them back. :return: None where the checkpoint says nothing of them."""
    reasons = checkpoint.get("failed") if isinstance(checkpoint, dict) else None
    if not isinstance(reasons, dict):
        return None
    return {index: reason for reason, indexes in reasons.items() for index in indexes}
