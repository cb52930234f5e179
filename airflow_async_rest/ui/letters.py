"""The dead letters of one task instance, as pages and as downloads."""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import chain, islice
from pathlib import Path
from typing import Any

from airflow_async_rest.core.encoding.json_encoder import encode_anything
from airflow_async_rest.core.errors import AsyncRestError
from airflow_async_rest.core.letters.filter import LetterFilter, answer_of
from airflow_async_rest.core.letters.folder import DeadLetterFolder, Record
from airflow_async_rest.core.letters.lines import parse_exactly, skim
from airflow_async_rest.core.letters.replays import read_replays
from airflow_async_rest.core.letters.sentences import kind_of, sentence_of
from airflow_async_rest.core.letters.shown import shown_record
from airflow_async_rest.tasks.run_life import MARK
from airflow_async_rest.tasks.storage.folders import TaskScope, lives_below, open_folder, shows_payloads
from airflow_async_rest.tasks.storage.paths import dead_letter_base, open_path

_LONGEST_PAYLOAD = 20_000
_MOST_GROUPS = 50
_ROWS_A_CHUNK = 500
_CSV_COLUMNS = (
    *("key", "reason", "status", "attempts", "failed_at", "method", "path", "query", "idempotency_key"),
    *("response_excerpt", "payload", "row"),
)
# What a spreadsheet takes for the beginning of a formula: at the beginning of a text, or after what it takes for the
# end of a cell, which in much of Europe is a semicolon, and quotes do not help there.
_FORMULA = re.compile(r"^(?=[\t\r\n])|(^|[;|\t\r\n])([\s\"]*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")
# What comes after a task instance's folder: the life of its run, and a further call of deliver() or fetch().
_BELOW = re.compile(rf"(/{MARK.pattern})?(/call-\d+)?")


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
    uri = _own_folder(scope, uri)
    try:
        folder = open_folder(uri)
        found = bool(folder.parts())
    except AsyncRestError as error:
        raise FolderAwayError(why_away(error)) from error
    if not found:
        raise FolderAwayError(
            "The API server finds no dead-letter files there. When workers run on other machines, "
            "[async_rest] dead_letter_path must be storage that the API server reaches, too."
        )
    return folder


def last_replay(scope: TaskScope, uri: str) -> Record | None:
    """Return the last replay of a task instance's dead letters by another task; None where there was none.

    :param uri: the folder as the task's report names it.
    :raises FolderRefusedError: when it names another place.
    """
    return next(reversed(read_replays(open_path(_own_folder(scope, uri)))), None)


def _own_folder(scope: TaskScope, uri: str | None) -> str:
    """Return the URI of a task instance's own folder; see :func:`open_letters`."""
    if any(part in {"", ".", ".."} or set(part) & {"/", "\0"} for part in (scope.dag_id, scope.run_id, scope.task_id)):
        raise FolderRefusedError("There is no such task instance.")
    try:
        own = scope.folder_uri(None)
        uri = uri or [own, *lives_below(own)][-1]
    except AsyncRestError as error:
        raise FolderAwayError(why_away(error)) from error
    if not (uri.startswith(own) and _BELOW.fullmatch(uri[len(own) :])):
        raise FolderRefusedError(
            "These dead letters are not where [async_rest] dead_letter_path of airflow.cfg says that this task "
            "instance keeps them, as the API server reads it; only files there are shown."
        )
    check_links(uri, dead_letter_base(), "dead-letter folder")
    return uri


def why_away(error: BaseException, doing: str = "read the dead letters", mode: str = "0640") -> str:
    """Say why something cannot be done with files, and what to set when permissions are missing.

    :param mode: that the files would need.
    """
    message, cause = f"The API server cannot {doing}: {error}", error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if not isinstance(cause, PermissionError):
        return message
    return (
        f"{message} It runs as another user than the tasks, whose files are private: set [async_rest] file_mode = "
        f"{mode} in the workers' airflow.cfg, and let a group that both users are in read what is there already."
    )


def check_links(uri: str, base: str, what: str) -> None:
    """Check that no symbolic link leads out of a folder of a task instance.

    :param base: the configured folder, which may itself be a link.
    :raises FolderRefusedError: when one does.
    """
    if uri.startswith("file://"):
        path, top = Path(uri.removeprefix("file://")), Path(base.removeprefix("file://"))
        links = [part for part in path.glob("*.json*") if part.is_symlink()]
        if links or path.resolve() != top.resolve() / path.relative_to(top):
            raise FolderRefusedError(f"The {what} is, or has, a link to another place.")


def _letters(folder: DeadLetterFolder, parse: Callable[[bytes], Any] = parse_exactly) -> Iterator[Record]:
    """Return items that failed, then rows that the database refused."""
    return chain(folder.iter_records(parse), folder.read_refused())


def page(folder: DeadLetterFolder, only: LetterFilter, offset: int, limit: int) -> dict[str, Any]:
    """Return a page of the dead letters that match the filter, and how many there are.

    :return: ``total``, ``matching``, ``replayable`` (those of them that a replay sends again), ``reasons``
        (reason -> how many of all), ``records`` (payloads cut at 20,000 characters; of each also, in a sentence, what
        the API ``said``), ``offset``, ``limit``;
        ``resolved`` (how many were dead, and are delivered), and ``replays`` by other tasks.
    """
    reasons: Counter[str] = Counter()
    records: list[Record] = []
    matching = replayable = 0
    # A search looks at numbers as the task will, when it sends these again.
    for record in _letters(folder, parse_exactly if only.search else skim):
        reasons[str(record.get("reason"))] += 1
        if only.matches(record):
            if offset <= matching < offset + limit:
                records.append(_shown_with_sentence(record, payloads=only.payloads))
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
        "resolved": folder.count_resolved(),
        "replays": folder.replays(),
    }


def resolved_page(folder: DeadLetterFolder, offset: int, limit: int) -> dict[str, Any]:
    """Return a page of the items that were dead letters, and are delivered, as they failed last.

    :return: ``total``, ``records``, ``offset``, ``limit``.
    """
    total = folder.count_resolved()
    first = min(offset, total)
    records = islice(folder.iter_records(skim, resolved=True), first, first + limit)
    shown = [_shown_with_sentence(record, payloads=shows_payloads()) for record in records]
    return {"total": total, "records": shown, "offset": offset, "limit": limit}


def _shown_with_sentence(record: Record, *, payloads: bool) -> Record:
    shown = shown_record(record, payloads=payloads, longest=_LONGEST_PAYLOAD)
    return {**shown, "said": sentence_of(answer_of(shown))}


def groups(folder: DeadLetterFolder, only: LetterFilter) -> dict[str, Any]:
    """Return the dead letters that match the filter by what the API said of them, but for numbers and names.

    :return: ``kinds``, at most 50, of each its ``reason``, the sentence as ``text``, by which the filter finds them as
        ``kind``, and the ``count``; ``others``: how many are of more kinds.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for record in filter(only.matches, _letters(folder, parse_exactly if only.search else skim)):
        counts[str(record.get("reason")), kind_of(answer_of(record))] += 1
    most = counts.most_common(_MOST_GROUPS)
    kinds = [{"reason": reason, "text": kind, "count": count} for (reason, kind), count in most]
    return {"kinds": kinds, "others": counts.total() - sum(count for _, count in most)}


def as_json_lines(folder: DeadLetterFolder, only: LetterFilter) -> Iterator[bytes]:
    """Yield the dead letters whole, as they are stored, one on each line."""
    for record in _shown(folder, only):
        yield encode_anything(record) + b"\n"


def as_csv(folder: DeadLetterFolder, only: LetterFilter) -> Iterator[bytes]:
    """Yield the dead letters as a table; payloads are JSON.

    Texts that a spreadsheet would take for a formula begin with an apostrophe: payloads and answers come from others.
    """
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(_CSV_COLUMNS)
    for number, record in enumerate(_shown(folder, only), 1):
        table.writerow([_cell(record.get(column)) for column in _CSV_COLUMNS])
        if number % _ROWS_A_CHUNK == 0:
            yield _taken(text)
    yield _taken(text)


def _shown(folder: DeadLetterFolder, only: LetterFilter) -> Iterator[Record]:
    """Yield the dead letters that match; without what was sent, where ``[async_rest] xcom_payloads`` says so."""
    hidden = set() if only.payloads else {"payload", "row"}
    for record in filter(only.matches, _letters(folder)):
        yield {name: value for name, value in record.items() if name not in hidden}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int | float | Decimal):
        return encode_anything(value).decode()
    text = value if isinstance(value, str) else encode_anything(value).decode()
    return _FORMULA.sub(lambda found: f"{found[0]}'", text)


def _taken(text: io.StringIO) -> bytes:
    data = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return data
