"""The bytes of a text -> the text: byte order marks, and the charset that a content type names. Pure."""

import codecs
import json

# Those of UTF-32 first: the mark of UTF-16 is how the little-endian one begins.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
MARKS = frozenset(mark for mark, _ in _MARKS)
_NO_BYTE_ORDER = frozenset({"utf-16", "utf-32"})
# What servers name that never chose one: it is the default of servlets.
_BY_DEFAULT = frozenset({"iso8859-1", "ascii", "cp1252"})


def decode_text(body: bytes, charset: str) -> str:
    """Decode a text.

    A byte order mark says more than a charset. A text that is UTF-8 is so, too, where the charset is only what servers
    say by default (ISO-8859-1, US-ASCII): no other text looks like it.

    :raises ValueError: when it is not what its charset says, or nothing says where UTF-16 or UTF-32 has its high bytes.
    :raises LookupError: when there is no such charset.
    """
    for mark, encoding in _MARKS:
        if body.startswith(mark):
            return body.decode(encoding)
    name = codecs.lookup(charset).name
    if name in _NO_BYTE_ORDER and body:
        name = _with_byte_order(body, name)
    elif name in _BY_DEFAULT and is_utf8(body):
        name = "utf-8"
    return body.decode(name)


def json_as_utf8(body: bytes, charset: str = "utf-8") -> bytes:
    """Return JSON in UTF-8, without a mark.

    An unknown charset says nothing: JSON's own standard has none (RFC 8259, section 11), so it is UTF-8, and
    else UTF-16 or UTF-32, which show by where their zeros are; without any it is neither, whatever its charset says.

    :raises ValueError: when it is not what its charset says.
    """
    try:
        found = codecs.lookup(charset).name
    except LookupError:
        found = "utf-8"
    detected = json.detect_encoding(body)
    if detected == "utf-8" and found.startswith(("utf-8", *_NO_BYTE_ORDER)):
        return body
    return decode_text(body, found if detected == "utf-8" else detected).encode()


def _with_byte_order(body: bytes, name: str) -> str:
    """Find the byte order of a text without a mark: its first character is most likely ASCII."""
    detected = json.detect_encoding(body)
    if not detected.startswith(f"{name}-"):
        raise ValueError(f"it is {name}, without a byte order mark")
    return detected


def is_utf8(body: bytes) -> bool:
    """Return whether bytes are a text in UTF-8."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
