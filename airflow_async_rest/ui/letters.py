"""The dead letters of one task instance, as pages and as downloads."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from airflow_async_rest.core.dead_letters import DeadLetterFolder, Record, shown_record
from airflow_async_rest.core.encoding import encode_anything
from airflow_async_rest.core.errors import AsyncRestError
from airflow_async_rest.core.letter_filter import LetterFilter
from airflow_async_rest.folders import TaskScope, dead_letter_base, open_folder

_LONGEST_PAYLOAD = 20_000
_ROWS_A_CHUNK = 500
_CSV_COLUMNS = (
    *("key", "reason", "status", "attempts", "failed_at", "method", "path", "query", "idempotency_key"),
    *("response_excerpt", "payload", "row"),
)
# What a spreadsheet takes for the beginning of a formula.
_FORMULA = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
# Of deliver() and fetch(), when a task calls them several times.
_FURTHER_CALL = re.compile(r"/call-\d+")


class FolderRefusedError(Exception):
    """The folder is not this task instance's, or not below the configured path."""


class FolderAwayError(Exception):
    """The folder cannot be read from here."""


def open_letters(scope: TaskScope, uri: str | None) -> DeadLetterFolder:
    """Open a task instance's own folder below ``[async_rest] dead_letter_path``, and no other.

    :param uri: the folder as the task's report names it; None: where it is by the configuration.
    :raises FolderRefusedError: when it names another place.
    :raises FolderAwayError: when nothing is there, or it cannot be reached.
    """
    if any(part in {"", ".", ".."} or set(part) & {"/", "\0"} for part in (scope.dag_id, scope.run_id, scope.task_id)):
        raise FolderRefusedError("There is no such task instance.")
    own = scope.folder_uri(None)
    if uri is not None and uri != own and not (uri.startswith(own) and _FURTHER_CALL.fullmatch(uri[len(own) :])):
        raise FolderRefusedError(
            "These dead letters are not where [async_rest] dead_letter_path of airflow.cfg says that this task "
            "instance keeps them, as the API server reads it; only files there are shown."
        )
    _check_links(uri or own)
    try:
        folder = open_folder(uri or own)
        found = bool(folder.parts())
    except AsyncRestError as error:
        raise FolderAwayError(f"The API server cannot read the dead letters: {error}") from error
    if not found:
        raise FolderAwayError(
            "The API server finds no dead-letter files there. When workers run on other machines, "
            "[async_rest] dead_letter_path must be storage that the API server reaches, too."
        )
    return folder


def _check_links(uri: str) -> None:
    """Check that no symbolic link leads out of the task instance's folder."""
    if uri.startswith("file://"):
        path, base = Path(uri.removeprefix("file://")), Path(dead_letter_base().removeprefix("file://"))
        relative = path.relative_to(base)
        links = [part for part in path.glob("*.jsonl") if part.is_symlink()]
        if links or path.resolve() != base.resolve() / relative:
            raise FolderRefusedError("The dead-letter folder is, or has, a link to another place.")


def _letters(folder: DeadLetterFolder, *, exactly: bool = True) -> Iterator[Record]:
    """Give items that failed, then rows that the database refused."""
    return chain(folder.iter_records(exactly=exactly), folder.read_refused())


def page(folder: DeadLetterFolder, only: LetterFilter, offset: int, limit: int) -> dict[str, Any]:
    """Give some of the dead letters that are meant, and how many there are.

    :return: ``total``, ``matching``, ``replayable`` (those of them that a replay sends again), ``reasons``
        (reason -> how many of all), ``records`` (payloads cut at 20,000 characters), ``offset``, ``limit``.
    """
    reasons: Counter[str] = Counter()
    records: list[Record] = []
    matching = replayable = 0
    # A search looks at numbers as the task will, when it sends these again.
    for record in _letters(folder, exactly=bool(only.search)):
        reasons[str(record.get("reason"))] += 1
        if only.matches(record):
            if offset <= matching < offset + limit:
                records.append(shown_record(record, payloads=only.payloads, longest=_LONGEST_PAYLOAD))
            matching += 1
            replayable += only.can_replay(record)
    return {
        "total": reasons.total(),
        "matching": matching,
        "replayable": replayable,
        "reasons": dict(reasons.most_common()),
        "records": records,
        "offset": offset,
        "limit": limit,
    }


def as_json_lines(folder: DeadLetterFolder, only: LetterFilter) -> Iterator[bytes]:
    """Give the dead letters whole, as they are stored, one on each line."""
    for record in filter(only.matches, _letters(folder)):
        yield encode_anything(record if only.payloads else _without_payload(record)) + b"\n"


def as_csv(folder: DeadLetterFolder, only: LetterFilter) -> Iterator[bytes]:
    """Give the dead letters as a table; payloads are JSON.

    Texts that a spreadsheet would take for a formula begin with an apostrophe: payloads and answers are foreign.
    """
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(_CSV_COLUMNS)
    for number, record in enumerate(filter(only.matches, _letters(folder)), 1):
        shown = record if only.payloads else _without_payload(record)
        table.writerow([_cell(shown.get(column)) for column in _CSV_COLUMNS])
        if number % _ROWS_A_CHUNK == 0:
            yield _taken(text)
    yield _taken(text)


def _without_payload(record: Record) -> Record:
    """Leave out what was sent, where ``[async_rest] xcom_payloads`` says so."""
    return {name: value for name, value in record.items() if name not in {"payload", "row"}}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if _FORMULA.match(value) else value
    return encode_anything(value).decode()


def _taken(text: io.StringIO) -> bytes:
    data = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return data
