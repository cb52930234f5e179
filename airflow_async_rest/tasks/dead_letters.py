"""What failed, read from the folders of dead letters, as a report names them."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from airflow_async_rest.core.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow_async_rest.core.letters.folder import DeadLetterFolder

# Python needs some hundred bytes for each character of a list that it reads; this is 8,000 long URIs.
_LONGEST_LIST = 1_000_000


def read_dead_letters(
    dead_letters: str | Sequence[str] | None, *, reasons: Sequence[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield what is still dead in one folder or several, one record by one, the latest of each item.

    A record has what ``docs/dead_letters.md`` says; after the items come rows that the destination refused. Numbers
    keep all their digits: a fraction is a float, or a Decimal where no float holds it.

    :param dead_letters: a folder's URI, as a report's ``dead_letters`` names it, a list of them, or null: then there
        are none. A text that a template has made of one of these is understood as well.
    :param reasons: only those that failed for one of these, such as ``["http_503", "timeout"]``. Default: all.
    :raises AirflowFailException: when an argument is wrong, or nothing ever was in a folder; says which.
    :raises AirflowException: when a part of a folder is missing, or cannot be read.
    """
    from airflow_async_rest.core.letters.filter import LetterFilter  # noqa: PLC0415  (the engine loads when it is used)
    from airflow_async_rest.tasks.errors import airflow_errors  # noqa: PLC0415
    from airflow_async_rest.tasks.storage.folders import open_dead_letters  # noqa: PLC0415

    with airflow_errors():
        only = LetterFilter(chosen_reasons(reasons))
        folders = open_dead_letters(*folder_uris(dead_letters))
    return filter(only.matches, iter_letters(folders))


def iter_letters(folders: Sequence["DeadLetterFolder"]) -> Iterator[dict[str, Any]]:
    """Yield the dead letters of folders, in Python's own types.

    :raises AirflowException: when a part of a folder is missing, or cannot be read.
    """
    from airflow_async_rest.core.encoding.json_encoder import encode_anything  # noqa: PLC0415
    from airflow_async_rest.core.letters.lines import parse_to_python  # noqa: PLC0415
    from airflow_async_rest.tasks.errors import airflow_errors  # noqa: PLC0415

    with airflow_errors():
        for folder in folders:
            refused = (parse_to_python(encode_anything(record)) for record in folder.read_refused())
            yield from chain(folder.iter_records(parse_to_python), refused)


def folder_uris(value: Any) -> list[str]:
    """Return the folders as a list; a template's "None" and an empty value stand for no folder.

    :raises ConfigurationError: when it is something else.
    """
    if isinstance(value, str) and value.lstrip().startswith("["):  # a list that went through a template
        value = _list_in(value)
    entries = [value] if isinstance(value, str) or value is None else value
    try:
        stripped = [entry.strip() if isinstance(entry, str) else entry for entry in entries]
        uris = [entry for entry in stripped if entry not in (None, "", "None")]
    except TypeError:
        uris = [None]
    if isinstance(value, Mapping):  # a whole report
        uris = [None]
    if not all(isinstance(uri, str) for uri in uris):
        from airflow_async_rest.connections.secrets import excerpt_of_argument  # noqa: PLC0415

        raise ConfigurationError(
            f"dead_letters={excerpt_of_argument(value)}: write a folder's URI, a list of them, or null; as a "
            "report's 'dead_letters' gives it."
        )
    return list(dict.fromkeys(uris))


def _list_in(text: str) -> Any:
    """Return the list that a template has made a text of.

    :raises ConfigurationError: when it is not one, or too long or nested too deep to be read within bounds.
    """
    from airflow_async_rest.connections.secrets import excerpt_of_argument  # noqa: PLC0415

    if len(text) > _LONGEST_LIST:
        raise ConfigurationError(
            f"dead_letters is a text of {len(text)} characters, which a template made of a list; at most "
            f"{_LONGEST_LIST} are read. Give the list itself: upstream.output, or render_template_as_native_obj=True "
            "of the DAG."
        )
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise ConfigurationError(
            f"dead_letters={excerpt_of_argument(text)} begins as a list does, but cannot be read as one."
        ) from None


def chosen_reasons(reasons: Any) -> frozenset[str] | None:
    """Return the reasons that dead letters are chosen by; None: all.

    :raises ConfigurationError: when they are not a list of texts.
    """
    if reasons is None:
        return None
    try:
        found = [] if isinstance(reasons, str | Mapping) else list(reasons)
    except TypeError:
        found = []
    if not found or not all(isinstance(reason, str) for reason in found):
        raise ConfigurationError(
            f"reasons={reasons!r}: write a list such as ['http_503', 'timeout'], or leave it out for all."
        )
    return frozenset(found)
