"""Content-Encoding of an answer -> its body as it was before. Pure.

aiohttp could do it, but takes a stream that is cut short for a whole one.
"""

import zlib
from collections.abc import Callable

from airflow_async_rest.core.errors import AnswerUnreadableError

ACCEPTED = "gzip, deflate"
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


def decode_body(encoding: str, body: bytes, bound: int) -> bytes:
    """Undo the encodings of a body, the last one first (RFC 9110, section 8.4).

    An encoding that is not known counts only where the body is no text: some servers name a charset there.

    :param encoding: the header's value; empty for none.
    :param bound: the most bytes that are read.
    :raises AnswerUnreadableError: when the body is not what the header says, is cut short, or has more bytes.
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
        elif not _is_text(body):
            raise AnswerUnreadableError(f"the answer cannot be read: its Content-Encoding is {name!r}")
    return body


def too_large(bound: int) -> AnswerUnreadableError:
    """Make the error of an answer that has more bytes than the client keeps."""
    return AnswerUnreadableError(
        f"the answer has more than {bound:,} bytes, the most that the connection's max_response_mb allows"
    )


def _gunzip(body: bytes, bound: int) -> bytes:
    pieces = b""
    while body.startswith(b"\x1f\x8b") or not pieces:  # one member after the other; what follows the last is padding
        piece, body = _inflate(body, bound - len(pieces), "gzip", _GZIP)
        pieces += piece
        if not piece and not body:
            break
    return pieces


def _deflate(body: bytes, bound: int) -> bytes:
    try:
        return _inflate(body, bound, "deflate", _ZLIB)[0]
    except zlib.error:
        return _inflate(body, bound, "deflate", _RAW)[0]  # as some servers understand the name


def _inflate(body: bytes, bound: int, name: str, wbits: int) -> tuple[bytes, bytes]:
    """Decompress one stream. :return: what was in it, and what follows it."""
    stream = zlib.decompressobj(wbits)
    decoded = stream.decompress(body, bound + 1)
    if len(decoded) > bound:
        raise too_large(bound)
    if not stream.eof:
        raise AnswerUnreadableError(f"the answer cannot be read: its {name} ends too early")
    return decoded, stream.unused_data


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {"gzip": _gunzip, "x-gzip": _gunzip, "deflate": _deflate}
