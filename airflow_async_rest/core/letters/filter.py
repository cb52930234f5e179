"""Which dead letters are meant: one filter for those that a person sees, and those that are sent again."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_async_rest.core.encoding.json_encoder import encode_anything
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.letters.folder import UNREADABLE, Record
from airflow_async_rest.core.letters.sentences import kind_of

_SEARCHED = ("key", "method", "path", "query", "reason", "status", "response_excerpt")
_PAYLOADS = ("payload", "row")
# "count" is for people; "accepted" is what the task adds.
_KNOWN = frozenset({"reasons", "search", "kind", "count", "accepted"})


@dataclass(frozen=True)
class LetterFilter:
    """A choice among dead letters.

    :param reasons: those that failed for one of these; None: for any reason.
    :param search: those with this text in the request, the row or the answer; upper and lower case are one.
    :param payloads: whether to search what was sent, and rows; not where it is not shown.
    :param kind: those of which the API said this, but for numbers and names, as :func:`kind_of` has it; None: anything.
        Blanks are for those of which it said nothing.
    """

    reasons: Collection[str] | None = None
    search: str = ""
    payloads: bool = True
    kind: str | None = None

    @property
    def unreadable_too(self) -> bool:
        """Whether it names what the API took, with an answer that could not be read: only then is that sent again."""
        return self.reasons is not None and UNREADABLE in self.reasons

    def can_replay(self, record: Record) -> bool:
        """Return whether a dead letter is meant, and has a request that its own task may send again."""
        can_go = bool(record.get("method")) and (record.get("reason") != UNREADABLE or self.unreadable_too)
        return can_go and self.matches(record)

    def matches(self, record: Record) -> bool:
        """Return whether a dead letter is meant."""
        if self.reasons is not None and record.get("reason") not in self.reasons:
            return False
        if self.kind is not None and kind_of(answer_of(record)) != self.kind.strip():
            return False
        return not self.search or self.search.casefold() in _text_of(record, payloads=self.payloads)

    @classmethod
    def from_json(cls, value: Any, *, payloads: bool = True) -> "LetterFilter":
        """Read the filter of a request to send dead letters again.

        :param value: ``{"reasons": [...], "search": "...", "kind": "..."}``, or some of it.
        :raises ConfigurationError: when it is not one; a filter that is not understood must not mean all.
        """
        if isinstance(value, Mapping) and value.keys() <= _KNOWN:
            reasons, search, kind = value.get("reasons"), value.get("search") or "", value.get("kind")
            if isinstance(search, str) and isinstance(kind, str | None) and (reasons is None or _are_texts(reasons)):
                return cls(reasons, search, payloads, kind)
        raise ConfigurationError(
            f"the task's state store has the key 'replay' with {value!r}: write "
            "{'reasons': ['http_422'] or null, 'search': 'text' or '', 'kind': 'text' or null}, or delete the key."
        )


def answer_of(record: Record) -> str:
    """Return what the API answered, or its beginning; "" where it did not."""
    return str(record.get("response_excerpt") or "")


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _text_of(record: Record, *, payloads: bool) -> str:
    names = _SEARCHED + (_PAYLOADS if payloads else ())
    parts = [value for name in names if (value := record.get(name)) is not None]
    texts = [part if isinstance(part, str) else encode_anything(part).decode(errors="replace") for part in parts]
    return "\n".join(texts).casefold()
