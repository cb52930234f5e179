"""Which other tasks have sent the dead letters of a folder again, in a small file beside its parts."""

import json
from typing import Any

from airflow_async_rest.core.letters.whole_files import FolderPath, replace_file, write_whole

NAME = "replays.json"
_MOST_KEPT = 50
_LONGEST = 100_000  # bytes; each has about 300


def read_replays(path: FolderPath) -> list[dict[str, Any]]:
    """Return the replays of a folder, the last one last; none where nobody has written any, or something else.

    Each has ``at``, ``by`` (dag_id, run_id, task_id, map_index, try_number), ``delivered``, ``failed``, and ``left``:
    how many dead letters there were after it.

    :raises OSError: when the storage cannot be read; or whatever its client raises.
    """
    try:
        data = (path / NAME).read_bytes()
        found = json.loads(data)["replays"] if len(data) <= _LONGEST else []
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, LookupError, RecursionError):
        return []
    return [each for each in found if _is_replay(each)] if isinstance(found, list) else []


def _is_replay(entry: Any) -> bool:
    counts = ("delivered", "failed", "left")
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("at"), str)
        and isinstance(entry.get("by"), dict)
        and all(type(entry.get(name)) is int for name in counts)
    )


def add_replay(path: FolderPath, mode: int, entry: dict[str, Any]) -> None:
    """Add a replay; the oldest ones go. :raises OSError: when it cannot be written."""
    kept = [*read_replays(path), entry][-_MOST_KEPT:]
    write_whole(path / NAME, json.dumps({"replays": kept}).encode(), mode, replace_file)
