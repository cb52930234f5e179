"""The values that pass through the engine: item, request, response, verdict, outcome."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from types import MappingProxyType
from typing import Any, NamedTuple

from airflow_async_rest.core.errors import SendError
from airflow_async_rest.core.redaction import Redaction

EXCERPT_CHARACTERS = 500
_NO_SECRETS = Redaction()
# In the place of a row that is let go.
NO_VALUES: Mapping[str, Any] = MappingProxyType({})
# Methods of requests that, sent twice, do no more than once (RFC 9110, section 9.2.2).
IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE"})
SUCCESSES = frozenset(range(200, 300))
# A success of the request that says nothing of its items.
MULTI_STATUS = 207


class Verdict(Enum):
    """What an answer means for its item."""

    DELIVERED = "delivered"
    RETRY = "retry"  # send it again, within the request's attempts
    REFUSED = "refused"  # refused for good: sending it again changes nothing


@dataclass(slots=True)  # frozen ones take twice as long to make
class Request:
    """One HTTP request, ready to send any number of times.

    :param path: relative to the connection's base URL, percent-encoded, no leading slash; one that a link leads
        to elsewhere on the host begins with ``../``.
    :param query: percent-encoded, without the ``?``; may be empty.
    :param body: None for a request without a body.
    :param content_type: of the body; the job's headers and the connection's come first, if the body is not verbatim.
    :param verbatim: whether the body is a form, or the author's own text or bytes; else it is JSON.
    :param headers: of this request alone, such as its signature; they come before all others.
    """

    method: str
    path: str
    query: str
    body: bytes | None
    idempotency_key: str
    content_type: str = "application/json"
    verbatim: bool = False
    headers: Mapping[str, str] | None = field(default=None, repr=False)

    @property
    def is_signed(self) -> bool:
        """Whether its headers may be of this address alone; a token says who asks, wherever on the host."""
        headers = self.headers or {}
        return any((name, value[:7]) != ("Authorization", "Bearer ") for name, value in headers.items())

    def with_headers(self, headers: Mapping[str, str]) -> "Request":
        """Return the same request with more headers; it takes an eighth of the time of ``dataclasses.replace``."""
        if self.headers:
            headers = {**self.headers, **headers}
        method, path, query, body = self.method, self.path, self.query, self.body
        return Request(method, path, query, body, self.idempotency_key, self.content_type, self.verbatim, headers)


@dataclass(slots=True)
class Response:
    """One HTTP answer.

    :param headers: names compare case-insensitively.
    :param elapsed_seconds: from sending to the answer's last byte.
    :param broken: why its headers or its body are not all there; None for an answer that was read completely.
    :param redaction: takes out of it what the request had that is secret, before it is shown.
    :param request: the signed one that it answers; set for ``Auth.refused``, and for a redirect that is not followed
        because of the signature; else None.
    :param may_be_cut: whether nothing but the end of the connection says where the body ends, and the connection does
        not trust that (``trust_close``): JSON shows by itself whether it is whole, lines do not.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed_seconds: float = 0.0
    broken: SendError | None = None
    redaction: Redaction = field(default=_NO_SECRETS, repr=False, compare=False)
    may_be_cut: bool = False
    request: Request | None = field(default=None, repr=False, compare=False)

    @property
    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 become replacement characters."""
        return self.body.decode("utf-8", "replace")

    def excerpt(self, part: Any) -> str:
        """Return the beginning of a part of it, for an error's text."""
        return self.redaction.excerpt(_as_json(part) if part is None or isinstance(part, dict | list) else str(part))

    def json(self) -> Any:
        """Parse the body. :raises ValueError: when it is not JSON."""
        return json.loads(self.body)


def _as_json(part: Any) -> str:
    """Write a part of an answer as the API did, nearly: people look for it in its documentation."""
    return json.dumps(part, ensure_ascii=False, default=str)


@dataclass(slots=True)
class DeadLetter:
    """An item that was not delivered, with what it takes to send it again.

    :param key: the row's key: a value, a list of values, or the position when no key is known. Any type.
    :param reason: ``http_422``, ``timeout``, ``connection``, ``encode``, ...
    :param status: of the last answer; None when there was none.
    :param attempts: requests sent for it in the last try.
    :param request: of this item alone, its body in JSON; None when none could be built.
    :param row: what it was, where there is no request, and where the answer was wanted: it can be asked for once more.
    :param failed_at: ISO 8601, UTC.
    :param batch: how it is put into a bulk request; None for an item that is sent by itself.
    :param fetch: whether the answer was wanted: sending it again would throw the answer away.
    :param uncertain: whether the API may have acted on an attempt all the same, because its answer was lost.
    :param is_kept: whether a part has it already, of this very try, which had to wait: it is only counted.
    """

    index: int
    key: Any
    reason: str
    status: int | None
    attempts: int
    response_excerpt: str
    failed_at: str
    request: Request | None = None
    row: Mapping[str, Any] | None = None
    batch: Mapping[str, Any] | None = None
    fetch: bool = False
    uncertain: bool = False
    is_kept: bool = False

    @classmethod
    def of(
        cls,
        item: "Item",
        reason: str,
        *,
        detail: str = "",
        status: int | None = None,
        attempts: int = 0,
        request: Request | None = None,
        batch: Mapping[str, Any] | None = None,
        fetch: bool = False,
        uncertain: bool = False,
    ) -> "DeadLetter":
        """Make an item's dead letter, failed now. ``detail`` is cut to 500 characters.

        What is uncertain of the item stays so, also where this try could make no request of it.
        """
        return cls(
            index=item.index,
            key=item.key,
            reason=reason,
            status=status,
            attempts=attempts,
            response_excerpt=detail[:EXCERPT_CHARACTERS],
            failed_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            request=request,
            row=item.row if fetch or request is None else None,
            batch=batch,
            fetch=fetch,
            uncertain=item.uncertain or uncertain,
        )


@dataclass(slots=True)
class Delivered:
    """An item that the API accepted, or answered, after ``attempts`` requests.

    :param already_there: whether it was an earlier attempt that the API acted on, whose answer was lost.
    """

    index: int
    attempts: int
    already_there: bool = False


@dataclass(slots=True)
class Skipped:
    """An item for which ``transform`` returned None, or of which the API knows nothing, and may."""

    index: int


Outcome = Delivered | DeadLetter | Skipped


@dataclass(slots=True)
class Item:
    """One row on its way.

    :param index: its position in the source, from 0.
    :param key: see :class:`DeadLetter`.
    :param identity: bytes of the key, or of the position where there is no key: for the idempotency key.
    :param content: bytes that tell whether a later read of the source is still the same.
    :param settled: the outcome, when it is known before sending (skipped, or its transform raised).
    :param request: the request, when it is known beforehand (a replay).
    :param part: its part of a bulk request's body.
    :param sent: the ids that the payload has, as text, where the answer to a bulk request may repeat them.
    :param replayed: whether it was a dead letter.
    :param uncertain: whether the API may have acted on an attempt whose answer was lost, of this try or an earlier one.
    """

    index: int
    key: Any
    row: Mapping[str, Any]
    payload: Any
    identity: bytes = b""
    content: bytes = b""
    settled: Skipped | DeadLetter | None = None
    request: Request | None = None
    part: bytes = b""
    sent: tuple[str | None, ...] = ()
    replayed: bool = False
    uncertain: bool = False


class ItemResult(NamedTuple):
    """What the answer to a bulk request says of one of its items.

    :param reason: the word for reports; empty when delivered.
    :param detail: for people.
    """

    verdict: Verdict
    reason: str = ""
    detail: str = ""
    status: int | None = None


DELIVERED = ItemResult(Verdict.DELIVERED)
