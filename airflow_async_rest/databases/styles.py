"""Binds written as another library has them: the error says how they are written here."""

import re
from collections.abc import Collection

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.databases.quotes import COMMENT, ESCAPES, QUOTE

WINDOW_BINDS = frozenset({"window_start", "window_end"})
# Words that no operand ends with, so that one begins after them.
WORDS = r"(?:and|or|not|in|like|ilike|between|is|case|when|then|else|select|where|having|on|by|from|limit|offset)"

_OTHER_STYLES = re.compile(r"%\((\w+)\)s?|\$?\{+\s*(\w+)\s*\}+|(?<!\w)[@&$](\w+)\b")
# Where an operand begins, so that it is neither a remainder nor an operator of JSON.
_NAMELESS = re.compile(rf"(?:[=<>(,]|\b{WORDS}\b)\s*(%s|\?)(?![\w?|&-])", re.IGNORECASE)


def check_style(sql: str, bare: str, names: Collection[str]) -> None:
    """Check that SQL has its binds in no other style.

    :param bare: the same with quotes and comments blanked.
    :param names: of the values that there are.
    :raises ConfigurationError: when it has.
    """
    for found in _OTHER_STYLES.finditer(sql):
        if name := _misspelt(found, bare[found.start()], names):
            raise ConfigurationError(
                f"sql has {found[0]!r}: write the bind as :{name}, whatever the database, without quotes around it."
            )
    if nameless := _NAMELESS.search(bare):
        raise ConfigurationError(
            f"sql has the bind {nameless[1]!r} without a name: write binds as :name, such as :window_start, and values "
            "of your own in parameters={'name': ...}."
        )


def _misspelt(found: re.Match[str], place: str, names: Collection[str]) -> str | None:
    """Return the name that is meant for a bind's; in quotes only what can hardly mean anything else."""
    percent, braces, sign = found.groups()
    name: str = percent or braces or sign
    if place in {QUOTE, ESCAPES}:
        is_bind = name in WINDOW_BINDS and not sign
    else:
        is_bind = place != COMMENT and (name in WINDOW_BINDS or bool(percent) or (bool(braces) and name in names))
    return name if is_bind else None
