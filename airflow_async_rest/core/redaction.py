r"""Secrets out of texts that come from outside, however they are spelled there, and pieces of them, too. Pure.

A text is looked at as it is, and as it reads once the escapes of URLs, JSON, HTML, mail and Python in it are undone:
``%2F``, ``\/``, ``\u002f``, ``&#x2F;``, ``=2F`` and ``\x2f`` are one character, and each may stand inside another. Then
without what may stand between the letters of a word: white space, tags, the zeros of UTF-16. Capitals, and what differs
between the alphabets of base64, do not count.
"""

import html
import re
import sys
from base64 import b64encode
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from string import ascii_lowercase, ascii_uppercase
from typing import Any

MASK = "***"
# So many characters of a secret in a row are as bad as all of it. Who cuts an answer before us leaves such pieces.
_PIECE = 8
# An excerpt of a few hundred characters is made of these: a body may have millions.
_LOOKED_AT = 8_000
# Where nothing is cut, nobody reads more: undoing the escapes takes a hundred times the memory of a text.
_LONGEST = 200_000
# Tokens that a task renews, and signatures of requests that are on their way: what is shown of an answer is made as it
# comes, and each one more takes its time.
_MOST_LEARNT = 16
# JSON in a parameter of a URL in JSON, and that twice.
_DEEPEST = 5
_HEX = "[0-9a-fA-F]"
_NEXT_BYTE = rf"(?:%|\\x|=)[89abAB]{_HEX}"
_ESCAPED = re.compile(
    rf"(?:%|\\x|=(?=[0-9A-F]{{2}}))(?:[0-7]{_HEX}|[c-dC-D]{_HEX}{_NEXT_BYTE}|[eE]{_HEX}(?:{_NEXT_BYTE}){{2}}"
    rf"|[fF][0-7](?:{_NEXT_BYTE}){{3}}|{_HEX}{{2}})"
    rf"|\\u[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}|[\\%]u{_HEX}{{4}}|\\U00(?:0{_HEX}|10){_HEX}{{4}}"
    rf"|\\u\{{{_HEX}{{1,6}}\}}|\\[0-3][0-7]{{2}}|\\[\"'\\/bfnrt]|=\r?\n"
    # As browsers read them: the semicolon may be missing.
    rf"|&(?:#0{{0,9}}[0-9]{{1,7}};?|#[xX]0{{0,9}}{_HEX}{{1,6}};?|[a-zA-Z][a-zA-Z0-9]{{1,30}};)"
)
_OF_BYTES = re.compile(r"%(?!u)|\\x|=")
# Of control characters only those that Python and JSON spell so.
_CONTROLS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
# White space, zeros, marks that nobody sees, and tags.
_BETWEEN = re.compile(r"[\s\0\u00ad\u200b-\u200f\u2060\ufeff]+|<[^<>]{0,200}>")
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
    :param later: asked for more of such values, whenever there is a text: they may become known as time goes by.
    """

    def __init__(
        self,
        secrets: Collection[str] = (),
        values: Collection[str] = (),
        later: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        self._secrets, self._learnt = frozenset(secrets), tuple[str, ...]()
        self._values, self._later = frozenset(values), later
        self._prepare_secrets()
        self._prepare_values(frozenset())

    def learn(self, secrets: Iterable[str]) -> None:
        """Take out secrets that have just come into being, too: the last few are known."""
        latest = dict.fromkeys(secrets)
        if not latest.keys() <= set(self._learnt):
            self._is_prepared = False
        # One that is in use still is the latest again: others, of which each is new, do not push it out.
        self._learnt = (*(each for each in self._learnt if each not in latest), *latest)[-_MOST_LEARNT:]

    def _prepare_secrets(self) -> None:
        self._is_prepared = True
        secrets = {*_readings({*self._secrets, *self._learnt})}
        self._forms = {form for secret in secrets for form in _forms(secret)}
        self._pieces = [_Pieces(self._forms, _PIECE), _Pieces(map(_hexadecimal, secrets), 2 * _PIECE)]

    def _prepare_values(self, more: frozenset[str]) -> None:
        folded = map(_folded, {*self._forms, *_readings(self._values | more)})
        self._whole = sorted((form for form in set(folded) if form.strip()), key=len, reverse=True)
        self._closed_up = [form for form in map(_close_up, self._whole) if len(form) >= _PIECE]
        self._known = more

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
        if (more := self._later()) != self._known or not self._is_prepared:
            if not self._is_prepared:
                self._prepare_secrets()
            self._prepare_values(more)
        found: list[tuple[int, int]] = []
        for start, stop in sorted(self._spans(text[:_LONGEST], _DEEPEST)) if self._whole else ():
            if found and start <= found[-1][1]:
                found[-1] = (found[-1][0], max(found[-1][1], stop))
            else:
                found.append((start, stop))
        return found

    def _spans(self, text: str, deeper: int) -> Iterator[tuple[int, int]]:
        yield from self._matches(text, self._whole)
        if _BETWEEN.search(text):
            yield from _in_escaped(text, _BETWEEN, _nothing, self._matches(_close_up(text), self._closed_up))
        if deeper and _ESCAPED.search(text):
            yield from _in_escaped(text, _ESCAPED, _meant, self._spans(_ESCAPED.sub(_meant, text), deeper - 1))

    def _matches(self, text: str, whole: Iterable[str]) -> Iterator[tuple[int, int]]:
        folded = _folded(text)
        for secret in whole:
            start = folded.find(secret)
            while start >= 0:
                yield start, start + len(secret)
                start = folded.find(secret, start + 1)
        for pieces in self._pieces:
            yield from pieces.find(folded)


class _Pieces:
    """Finds pieces of one length: a walk through a text in steps meets a part of each, and looks around it."""

    _PART = 4

    def __init__(self, forms: Iterable[str], length: int) -> None:
        folded = [form for form in map(_folded, forms) if len(form) >= length]
        pieces = (form[start : start + length] for form in folded for start in range(len(form) - length + 1))
        self._length, self._step = length, length - self._PART + 1
        self._pieces = frozenset(piece for piece in pieces if len(set(piece)) > 2)  # noqa: PLR2004  (a ruled line is no secret)
        self._parts = {form[at : at + self._PART] for form in folded for at in range(len(form) - self._PART + 1)}

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        for at in range(0, len(text), self._step) if self._parts else ():
            if text[at : at + self._PART] in self._parts:
                for start in range(max(0, at - self._step + 1), at + 1):
                    if text[start : start + self._length] in self._pieces:
                        yield start, start + self._length


def _in_escaped(
    text: str, escapes: re.Pattern[str], read: Callable[[re.Match[str]], str], found: Iterable[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    """Find out where in a text is what was found in it once its escapes were undone."""
    if found := list(found):  # in most texts there is nothing
        starts, ends, end = list[int](), list[int](), 0
        for match in escapes.finditer(text):
            length = len(read(match))
            starts += [*range(end, match.start()), *[match.start()] * length]
            ends += [*range(end + 1, match.start() + 1), *[match.end()] * length]
            end = match.end()
        starts += range(end, len(text))
        ends += range(end + 1, len(text) + 1)
        yield from ((starts[start], ends[stop - 1]) for start, stop in found)


def _folded(text: str) -> str:
    """Make alike what does not count; each character stays one."""
    return text.translate(_FOLDING)


def _nothing(_: re.Match[str]) -> str:
    return ""


def _close_up(text: str) -> str:
    return _BETWEEN.sub("", text)


def _readings(secrets: Iterable[str]) -> Iterator[str]:
    """Yield secrets, and what those are read as that look like an escape in places, unless it is a short word."""
    for secret in secrets:
        yield secret
        read = secret
        for _ in range(_DEEPEST):
            yield from (one for one in (read, _close_up(read)) if len(one) >= _PIECE)
            read = _ESCAPED.sub(_meant, read)


def _forms(secret: str) -> Iterator[str]:
    yield secret
    if not secret.isascii():
        yield secret.encode("latin-1", "replace").decode("utf-8", "replace")  # of an answer that is no UTF-8
    if len(secret) < _PIECE:
        return
    data = secret.encode("utf-8", "surrogatepass")
    for before, unsure in ((0, 0), (1, 2), (2, 3)):  # bytes, and characters of base64 that depend on them
        bits = 8 * (before + len(data))
        yield b64encode(bytes(before) + data).decode()[unsure : bits // 6]


def _hexadecimal(secret: str) -> str:
    return secret.encode("utf-8", "surrogatepass").hex()


def _meant(escape: re.Match[str]) -> str:
    """Return what an escape stands for: as a rule one character."""
    spelled = escape[0]
    if spelled[0] == "&":
        return html.unescape(spelled)
    if spelled[0] == "=" and spelled[1] in "\r\n":  # a line goes on
        return ""
    if _OF_BYTES.match(spelled):
        data = bytes.fromhex(_OF_BYTES.sub("", spelled))
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data.decode("latin-1")[0]
    return _of_backslash(spelled)


def _of_backslash(spelled: str) -> str:
    kind = spelled[1]
    if kind in "uU":
        codes = (min(int(code, 16), sys.maxunicode) for code in re.findall(rf"{_HEX}+", spelled))
        pairs = "".join(map(chr, codes)).encode("utf-16-be", "surrogatepass")
        return pairs.decode("utf-16-be", "surrogatepass")
    return chr(int(spelled[1:], 8)) if kind.isdigit() else _CONTROLS.get(kind, kind)
