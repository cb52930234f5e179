"""Dead letters as people see them: of a payload of megabytes, no more is looked at than is shown."""

from dataclasses import replace

from airflow_async_rest.core.letters.folder import SHOWN_PAYLOAD_CHARACTERS, Record, held_bytes, shown_record, to_record
from airflow_async_rest.core.models import DeadLetter

# A body of more is not parsed for people to see how it begins.
_LARGE_BODY_BYTES = 16_000
_LEAST_RECORD_BYTES = 150  # the names of its fields


def least_shown_bytes(letter: DeadLetter, *, payloads: bool) -> int:
    """Return what :func:`shown_letter` takes at least, without making it."""
    is_cut = payloads and held_bytes(letter) > _LARGE_BODY_BYTES
    return _LEAST_RECORD_BYTES + (SHOWN_PAYLOAD_CHARACTERS if is_cut else 0)


def shown_letter(letter: DeadLetter, *, payloads: bool) -> Record:
    """Return a dead letter as people see it; what is not shown of it is not copied, however large it is.

    :param payloads: see :func:`~airflow_async_rest.core.letters.folder.shown_record`.
    """
    letter = letter if payloads else replace(letter, row=None)
    request = letter.request
    if request is None or request.body is None or (payloads and len(request.body) <= _LARGE_BODY_BYTES):
        return shown_record(to_record(letter), payloads=payloads)
    shown = shown_record(to_record(replace(letter, request=replace(request, body=None))), payloads=payloads)
    if payloads:
        text = request.body[:_LARGE_BODY_BYTES].decode("utf-8", "replace")[:SHOWN_PAYLOAD_CHARACTERS]
        shown["payload"] = f"{text}... [cut: {len(request.body)} bytes in all]"
    return shown
