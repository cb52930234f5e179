"""Content-Encoding of an answer -> its body as it was before. Pure.

aiohttp could do it, but takes a stream that is cut short for a whole one.
"""

import re
import zlib
from collections.abc import Callable
from typing import cast

from airflow_async_rest.core.encoding.charsets import is_utf8
from airflow_async_rest.core.errors import AnswerUnreadableError, ConnectionFailedError, SendError
from airflow_async_rest.core.models import Response
from airflow_async_rest.core.requests.headers import joined

ACCEPTED = "gzip, deflate"
_PADDING = re.compile(rb"\0*")
_PIECE_BYTES = 16_384
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


class _EndsTooEarlyError(AnswerUnreadableError):
    """A compressed body is cut off."""


def decoded(answer: Response, bound: int) -> bytes:
    """Return the body of an answer without its content encoding.

    :param bound: the most bytes that are read.
    :raises SendError: where that cannot be; says how far the answer has come.
    """
    encoding = joined(answer.headers, "Content-Encoding")
    try:
        return decode_body(encoding, answer.body, bound, ends_by_close=answer.may_be_cut)
    except SendError as error:
        error.sent, error.status, error.headers = True, answer.status, answer.headers
        raise


def decode_body(encoding: str, body: bytes, bound: int, *, ends_by_close: bool = False) -> bytes:
    """Undo the encodings of a body, the last one first (RFC 9110, section 8.4).

    An encoding that is not known counts only where the body is no text: some servers name a charset there.

    :param encoding: the header's value; empty for none.
    :param bound: the most bytes that are read.
    :param ends_by_close: whether the body ended with its connection.
    :raises AnswerUnreadableError: when the body is not what the header says, is cut short, or has more bytes.
    :raises ConnectionFailedError: when it is the connection that ended too early.
    """
    for name in reversed([part.strip().lower() for part in encoding.split(",")]):
        if name in {"", "identity"} or not body:
            continue
        if (decode := _DECODERS.get(name)) is not None:
            try:
                body = decode(body, bound)
            except zlib.error as error:
                raise AnswerUnreadableError(
                    f"the answer cannot be read: it is not {name}, as its Content-Encoding says"
                ) from error
            except _EndsTooEarlyError as error:
                if ends_by_close:
                    raise ConnectionFailedError(
                        f"the connection was closed too early: {error}", "disconnected"
                    ) from error
                raise
        elif not is_utf8(body):
            raise AnswerUnreadableError(f"the answer cannot be read: its Content-Encoding is {name!r}")
    return body


def too_large(bound: int) -> AnswerUnreadableError:
    """Make the error of an answer that has more bytes than the client keeps."""
    return AnswerUnreadableError(
        f"the answer has more than {bound:,} bytes, the most that the connection's max_response_mb allows"
    )


def gunzip(body: bytes, bound: int) -> bytes:
    """Decompress gzip: one member after the other, and zeros as padding.

    :raises zlib.error: when it is damaged, or something else follows.
    :raises AnswerUnreadableError: when it is cut short, or has more bytes than ``bound``.
    """
    decoded, taken = bytearray(), 0
    while taken < len(body) or not taken:
        taken = _inflate(body, taken, decoded, bound, ("gzip", _GZIP))
        taken = cast("re.Match[bytes]", _PADDING.match(body, taken)).end()
    return bytes(decoded)


def _deflate(body: bytes, bound: int) -> bytes:
    try:
        return _inflate_one(body, bound, _ZLIB)
    except zlib.error:
        return _inflate_one(body, bound, _RAW)  # as some servers understand the name


def _inflate_one(body: bytes, bound: int, wbits: int) -> bytes:
    decoded = bytearray()
    _inflate(body, 0, decoded, bound, ("deflate", wbits))
    return bytes(decoded)


def _inflate(body: bytes, begin: int, decoded: bytearray, bound: int, form: tuple[str, int]) -> int:
    """Decompress one stream.

    It is given in pieces, because zlib copies what follows the stream: of thousands in a row, all the others.

    :param decoded: what was in it is added to it.
    :param form: name, and zlib's number for it.
    :return: where it ends.
    """
    name, wbits = form
    stream = zlib.decompressobj(wbits)
    while not stream.eof:
        piece = body[begin : begin + _PIECE_BYTES]
        if not piece:
            raise _EndsTooEarlyError(f"the answer cannot be read: its {name} ends too early")
        decoded += stream.decompress(piece, bound + 1 - len(decoded))
        if len(decoded) > bound:
            raise too_large(bound)
        begin += len(piece) - len(stream.unused_data)
    return begin


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {"gzip": gunzip, "x-gzip": gunzip, "deflate": _deflate}
