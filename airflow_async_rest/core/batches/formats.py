"""Items -> the body of a bulk request. No I/O."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Protocol

import orjson

from airflow_async_rest.core.encoding.json_encoder import JsonEncoder, encode_anything
from airflow_async_rest.core.errors import EncodeError
from airflow_async_rest.core.models import Item

_JSON, _LINES = "application/json", "application/x-ndjson"
_ACTIONS = ("index", "create", "update", "delete")
# Field of the payload -> field of the action. The names are those of elasticsearch-py; a document cannot have them.
_ACTION_FIELDS = {
    "_id": "_id",
    "_index": "_index",
    "_routing": "routing",
    "_version": "version",
    "_version_type": "version_type",
    "_if_seq_no": "if_seq_no",
    "_if_primary_term": "if_primary_term",
    "_retry_on_conflict": "retry_on_conflict",
    "_pipeline": "pipeline",
    "_require_alias": "require_alias",
}


class BatchFormat(Protocol):
    """How items stand in a body."""

    content_type: str
    frame_bytes: int  # of a body, besides its parts and a byte for each

    def parts(self, items: Sequence[Item]) -> list[bytes]:
        """Return each item's part of the body. :raises EncodeError: when one of them has none."""

    def join(self, items: Sequence[Item]) -> bytes:
        """Make the body. :raises EncodeError: when it cannot be made."""


def batch_format(
    name: str | Mapping[str, str] | Callable[[list[Any]], Any], encode: JsonEncoder, *, has_key: bool
) -> BatchFormat:
    """Return the format that :class:`~airflow_async_rest.core.batches.batch.Batch` names.

    :param encode: payload -> JSON.
    :param has_key: whether an item's key is one of its own.
    """
    if callable(name):
        return _Function(encode, name)
    if isinstance(name, Mapping):
        return _Array(encode, next(iter(name)))
    if name == "bulk":
        return _Actions(encode, has_key=has_key)
    return _Array(encode) if name == "json_array" else _Lines(encode)


class _Format:
    content_type = _JSON
    frame_bytes = 0

    def __init__(self, encode: JsonEncoder) -> None:
        self._encode = encode

    def parts(self, items: Sequence[Item]) -> list[bytes]:
        return self._encode.each([item.payload for item in items])


class _Array(_Format):
    def __init__(self, encode: JsonEncoder, key: str | None = None) -> None:
        super().__init__(encode)
        self._begin, self._end = (b"[", b"]") if key is None else (b"{%s:[" % orjson.dumps(key), b"]}")
        self.frame_bytes = len(self._begin) + len(self._end) - 1  # one comma less than there are parts

    def join(self, items: Sequence[Item]) -> bytes:
        return b"".join((self._begin, b",".join([item.part for item in items]), self._end))


class _Lines(_Format):
    content_type = _LINES

    def join(self, items: Sequence[Item]) -> bytes:
        return b"\n".join((*[item.part for item in items], b""))


class _Actions(_Lines):
    """A line for the action and, but for a delete, one for the document."""

    def __init__(self, encode: JsonEncoder, *, has_key: bool) -> None:
        super().__init__(encode)
        self._has_key = has_key

    def parts(self, items: Sequence[Item]) -> list[bytes]:
        lines = [self._lines(item) for item in items]
        texts = iter(self._encode.each(list(chain.from_iterable(lines))))
        return [b"\n".join(islice(texts, len(own))) for own in lines]

    def _lines(self, item: Item) -> list[dict[str, Any]]:
        if not isinstance(item.payload, Mapping):
            raise EncodeError(f"format='bulk' takes a dict for each item, not a {type(item.payload).__name__}.")
        if self._has_key and "_id" not in item.payload:
            # Into the payload, so that a dead letter has it, too.
            item.payload = {"_id": _document_id(item.key), **item.payload}
        action = item.payload.get("_op_type", "index")
        if action not in _ACTIONS:
            raise EncodeError(f"_op_type is {action!r}: format='bulk' knows {', '.join(_ACTIONS)}.")
        about, document = {}, {}
        for name, value in item.payload.items():
            if name in _ACTION_FIELDS:
                about[_ACTION_FIELDS[name]] = value
            elif name != "_op_type":
                document[name] = value
        return [{action: about}] if action == "delete" else [{action: about}, document]


def _document_id(key: Any) -> str:
    """Return a key as text, the same for the key that a dead letter remembers."""
    if isinstance(key, list):
        raise EncodeError("format='bulk' makes _id of a key of one column; for several, return '_id' from transform.")
    text = encode_anything(key)
    return str(orjson.loads(text)) if text.startswith(b'"') else text.decode()


class _Function(_Format):
    """The author's function. Parts only say how large the batch gets, and what a dead letter keeps."""

    def __init__(self, encode: JsonEncoder, function: Callable[[list[Any]], Any]) -> None:
        super().__init__(encode)
        self._function = function

    def join(self, items: Sequence[Item]) -> bytes:
        try:
            body = self._function([item.payload for item in items])
        except Exception as error:
            raise EncodeError(f"the function given as format raised {type(error).__name__}: {error}") from error
        if isinstance(body, str):
            return body.encode()
        return bytes(body) if isinstance(body, bytes | bytearray) else self._encode(body)
