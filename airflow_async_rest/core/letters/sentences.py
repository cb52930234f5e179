"""What an answer says in a sentence, and which answers say the same but for numbers and names. Pure."""

import json
import re
from contextlib import suppress

from airflow_async_rest.core.encoding.json_text import whole_characters

LONGEST = 160
_LONGEST_KIND = 100  # of an answer's beginning, the end is cut off at another word each time
# From what says most to what says least; the names are those of most APIs' errors.
_NAMES = (
    *("detail", "message", "error_description", "error_message", "errormessage", "description", "msg", "reason"),
    *("errors", "error", "title", "faultstring", "code"),
)
_FIELD = re.compile(
    rf'"({"|".join(_NAMES)})"\s*:\s*\[?\s*"((?:[^"\\]|\\.)*)', re.IGNORECASE
)  # of an answer that is cut off, too
_TAG = re.compile(r"<(script|style)\b.*?(</\1>|$)|<[^>]*>?", re.DOTALL | re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>([^<]+)", re.IGNORECASE)
VARIES = "…"
# Quoted values, and words with a digit in them: numbers, dates, ids.
_VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|“[^”]*”|`[^`]*`|(?:[\w@:.+-]*\d[\w@:.+-]*\w|\d)")


def sentence_of(answer: str) -> str:
    """Return what an answer says, as people read it, of at most 160 characters; "" where it says nothing.

    :param answer: or its beginning: JSON, a page, or a text.
    """
    said = " ".join(_said(answer).split())
    return said if len(said) <= LONGEST else f"{said[: LONGEST - 1]}…"


def kind_of(answer: str) -> str:
    """Return what answers of a kind say, with "…" for what varies.

    :param answer: or its beginning.
    """
    kind = _VARYING.sub(VARIES, _said(answer).strip()[: 2 * _LONGEST_KIND])[:_LONGEST_KIND]
    return " ".join(kind.split())


def _said(answer: str) -> str:
    text = answer.strip()
    if text.startswith("<"):
        title = _TITLE.search(text)
        return title[1] if title else _TAG.sub("\n", text)
    if text[:1] in {"{", "["}:
        found = {name.lower(): value for name, value in reversed(_FIELD.findall(text)) if value.strip()}
        return next((_unescaped(found[name]) for name in _NAMES if name in found), text)
    return text


def _unescaped(text: str) -> str:
    with suppress(ValueError):
        return whole_characters(json.loads(f'"{text}"', strict=False))
    return text  # it is cut off within an escape
