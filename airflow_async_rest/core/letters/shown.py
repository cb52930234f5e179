"""Dead letters as people see them: of a payload of megabytes, no more is looked at than is shown."""

import json
import math
import re
from dataclasses import replace
from typing import Any, cast

from airflow_async_rest.core.encoding.json_encoder import encode_anything
from airflow_async_rest.core.letters.folder import Record, held_bytes, to_record
from airflow_async_rest.core.letters.lines import LONGEST_INTEGER
from airflow_async_rest.core.models import DeadLetter

SHOWN_PAYLOAD_CHARACTERS = 2_000
# A body of more is not parsed for people to see how it begins.
_LARGE_BODY_BYTES = 16_000
_LAID_OUT = "\n\t\xa0"
# In JSON. Airflow's XCom is JSON of PostgreSQL, whose texts cannot have it.
_NUL = re.compile(rb"((?<!\\)(?:\\\\)*)\\u0000")
_LEAST_RECORD_BYTES = 150  # the names of its fields


def least_shown_bytes(letter: DeadLetter, *, payloads: bool) -> int:
    """Return what :func:`shown_letter` takes at least, without making it."""
    is_cut = payloads and held_bytes(letter) > _LARGE_BODY_BYTES
    return _LEAST_RECORD_BYTES + (SHOWN_PAYLOAD_CHARACTERS if is_cut else 0)


def shown_letter(letter: DeadLetter, *, payloads: bool) -> Record:
    """Return a dead letter as people see it; what is not shown of it is not copied, however large it is.

    :param payloads: see :func:`shown_record`.
    """
    letter = letter if payloads else replace(letter, row=None)
    request = letter.request
    if request is None or request.body is None or (payloads and len(request.body) <= _LARGE_BODY_BYTES):
        return shown_record(to_record(letter), payloads=payloads)
    shown = shown_record(to_record(replace(letter, request=replace(request, body=None))), payloads=payloads)
    if payloads:
        text = request.body[:_LARGE_BODY_BYTES].decode("utf-8", "replace")[:SHOWN_PAYLOAD_CHARACTERS]
        text = text.replace("\0", r"\x00")
        shown["payload"] = f"{text}... [cut: {len(request.body)} bytes in all]"
    return shown


def visible(text: str) -> str:
    r"""Return a text as a terminal, or a log, shows it and no more: what steers one, or hides, is written ``\x1b``."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in _LAID_OUT else ascii(one)[1:-1] for one in text)


def shown_key(key: Any) -> str:
    """Return an item's key as its dead letter has it: times as ISO 8601."""
    return key if isinstance(key, str) else encode_anything(key).decode(errors="replace")


def _shown_fraction(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text  # 1E+400: JSON knows no infinity


def _shown_integer(text: str) -> int | str:
    return int(text) if len(text) < LONGEST_INTEGER else text


def shown_record(record: Record, *, payloads: bool, longest: int = SHOWN_PAYLOAD_CHARACTERS) -> Record:
    """Return a record as people see it: plain JSON without NUL, a large payload or row cut and marked as cut.

    :param payloads: whether to show the payload and the row at all.
    :param longest: characters of it that are shown; the default is XCom's.
    """
    written = _NUL.sub(rb"\1\\\\x00", encode_anything(record))
    shown = cast("Record", json.loads(written, parse_float=_shown_fraction, parse_int=_shown_integer))
    for name in shown.keys() & {"payload", "row"}:
        if not payloads:
            del shown[name]
        elif len(text := json.dumps(shown[name])) > longest:
            shown[name] = f"{text[:longest]}... [cut: {len(text)} characters in all]"
    return shown
