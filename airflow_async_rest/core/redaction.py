r"""Secrets out of texts that come from outside, however they are spelled there, and pieces of them, too. Pure.

A text is looked at as it is, and as it reads once the escapes of URLs, JSON, HTML and Python in it are undone: ``%2F``,
``\/``, ``\u002f``, ``&#x2F;`` and ``\x2f`` are one character, and each may stand inside another. Capitals, and what
differs between the alphabets of base64, do not count.
"""

import html
import json
import re
from base64 import b64encode
from collections.abc import Collection, Iterator, Sequence
from string import ascii_lowercase, ascii_uppercase
from typing import Any

MASK = "***"
# So many characters of a secret in a row are as bad as all of it. Who cuts an answer before us leaves such pieces.
_PIECE = 8
# An excerpt of a few hundred characters is made of these: a body may have millions.
_LOOKED_AT = 8_000
# Where nothing is cut, nobody reads more: undoing the escapes takes a hundred times the memory of a text.
_LONGEST = 200_000
# JSON in a parameter of a URL in JSON.
_DEEPEST = 3
_HEX = "[0-9a-fA-F]"
_NEXT_BYTE = rf"(?:%|\\x)[89abAB]{_HEX}"
_ESCAPED = re.compile(
    rf"(?:%|\\x)(?:[0-7]{_HEX}|[c-dC-D]{_HEX}{_NEXT_BYTE}|[eE]{_HEX}(?:{_NEXT_BYTE}){{2}}|[fF][0-7](?:{_NEXT_BYTE}){{3}}"
    rf"|{_HEX}{{2}})"
    rf"|\\u[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}|\\u{_HEX}{{4}}|\\U00(?:0{_HEX}|10){_HEX}{{4}}"
    r"|\\[\"'\\/]"
    rf"|&(?:#[0-9]{{1,6}}|#[xX]{_HEX}{{1,5}}|amp|lt|gt|quot|apos);"
)
# A plus sign may stand for a space in a URL, and in base64 for a hyphen.
_FOLDING = str.maketrans(ascii_uppercase + "-+_", ascii_lowercase + "  /")


def reveal(text: str, secrets: Sequence[str]) -> str | None:
    """Put secrets back into a text, one after the other. :return: None when it does not have as many."""
    parts = text.split(MASK)
    if len(parts) != len(secrets) + 1:
        return None
    return "".join(part + secret for part, secret in zip(parts, [*secrets, ""], strict=True))


class Redaction:
    """Takes secrets out of texts.

    :param secrets: taken out wherever eight characters of one stand in a row, in base64 as well.
    :param values: taken out where they stand whole: what may be a word that says something elsewhere.
    """

    def __init__(self, secrets: Collection[str] = (), values: Collection[str] = ()) -> None:
        spelled = {form for secret in secrets for form in _forms(secret)}
        folded = {form for form in map(_folded, {*spelled, *values}) if form.strip()}
        self._whole = sorted(folded, key=len, reverse=True)
        self._pieces = frozenset(piece for form in map(_folded, spelled) for piece in _pieces(form))

    def redact(self, text: str) -> str:
        """Take secrets out of a text, of which the first 200,000 characters are left."""
        shown, end = "", 0
        for start, stop in self.find(text):
            shown += text[end:start] + MASK
            end = stop
        return shown + text[end:_LONGEST]

    def excerpt(self, text: str, characters: int = 200) -> str:
        """Return the beginning of a text without secrets: nothing is cut off before they are out."""
        return self.redact(text[:_LOOKED_AT])[:characters]

    def redact_all(self, value: Any) -> Any:
        """Take secrets out of all texts in what was read from JSON."""
        if isinstance(value, dict):
            return {self.redact(name): self.redact_all(entry) for name, entry in value.items()}
        if isinstance(value, list):
            return [self.redact_all(entry) for entry in value]
        return self.redact(value) if isinstance(value, str) else value

    def find(self, text: str) -> list[tuple[int, int]]:
        """Find where secrets are in a text, or in its first 200,000 characters.

        :return: places that neither touch nor overlap, in their order.
        """
        found: list[tuple[int, int]] = []
        for start, stop in sorted(self._spans(text[:_LONGEST], _DEEPEST)) if self._whole else ():
            if found and start <= found[-1][1]:
                found[-1] = (found[-1][0], max(found[-1][1], stop))
            else:
                found.append((start, stop))
        return found

    def _spans(self, text: str, deeper: int) -> Iterator[tuple[int, int]]:
        folded = _folded(text)
        for secret in self._whole:
            start = folded.find(secret)
            while start >= 0:
                yield start, start + len(secret)
                start = folded.find(secret, start + 1)
        if self._pieces:
            starts = range(len(folded) - _PIECE + 1)
            yield from ((start, start + _PIECE) for start in starts if folded[start : start + _PIECE] in self._pieces)
        if deeper and _ESCAPED.search(text):
            plain, places = _unescaped(text)
            yield from ((places[start], places[stop]) for start, stop in self._spans(plain, deeper - 1))


def _folded(text: str) -> str:
    """Make alike what does not count; each character stays one."""
    return text.translate(_FOLDING)


def _forms(secret: str) -> Iterator[str]:
    yield secret
    if not secret.isascii():
        yield secret.encode("latin-1", "replace").decode("utf-8", "replace")  # of an answer that is no UTF-8
    if len(secret) < _PIECE:
        return
    data = secret.encode("utf-8", "surrogateescape")
    for before, unsure in ((0, 0), (1, 2), (2, 3)):  # bytes, and characters of base64 that depend on them
        bits = 8 * (before + len(data))
        yield b64encode(bytes(before) + data).decode()[unsure : bits // 6]


def _pieces(folded: str) -> Iterator[str]:
    pieces = (folded[start : start + _PIECE] for start in range(len(folded) - _PIECE + 1))
    return (piece for piece in pieces if len(set(piece)) > 2)  # noqa: PLR2004  (a ruled line is no secret)


def _unescaped(text: str) -> tuple[str, list[int]]:
    """Undo one level of escapes. :return: the text, and where each of its characters begins in the escaped one."""
    plain, places, end = [], list[int](), 0
    for match in _ESCAPED.finditer(text):
        plain += [text[end : match.start()], _character(match[0])]
        places += [*range(end, match.start()), match.start()]
        end = match.end()
    places += range(end, len(text) + 1)
    return "".join(plain) + text[end:], places


def _character(spelled: str) -> str:
    """Return the one character that an escape stands for."""
    if spelled[0] == "&":
        return html.unescape(spelled)[:1] or "\ufffd"
    if spelled[0] == "%" or spelled[1] == "x":
        data = bytes.fromhex(re.sub(r"%|\\x", "", spelled))
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data.decode("latin-1")[0]
    if spelled[1] == "U":
        return spelled.encode().decode("unicode_escape")
    return str(json.loads(f'"{spelled}"')) if spelled[1] == "u" else spelled[1]
