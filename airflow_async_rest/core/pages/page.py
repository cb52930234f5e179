"""What a page is, and what a style of pages does."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from airflow_async_rest.core.models import Response

QUERY: Final = "query"
BODY: Final = "body"


@dataclass(frozen=True, slots=True)
class Page:
    """Which page is asked for: values that JSON has, so that a retry can go on at it.

    :param parameters: of its request, besides the item's own, whose place they take.
    :param into: where they belong: ``"query"`` or ``"body"``. In a body, a name with dots leads into its objects.
    :param link: its URL, where the API gave it.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    into: str = QUERY
    link: str | None = None


class PageAnswer(Protocol):
    """What a page style looks at: an :class:`~airflow_async_rest.core.answers.reader.Answer`."""

    @property
    def response(self) -> "Response":
        """The response, with ``status`` and ``headers``."""
        ...

    @property
    def payload(self) -> Any:
        """What was parsed of it; None for an answer without content."""
        ...

    @property
    def count(self) -> int | None:
        """How many rows the API gave; None where ``rows`` hides that, and no ``page_rows`` says it."""
        ...


class PageStyle(Protocol):
    """A page style, as an author may write one: it keeps nothing between two calls, all it needs is in the page.

    It may have the attribute ``end_statuses``, and ``keep`` and ``below`` for its links: see
    :class:`~airflow_async_rest.core.pages.LinkPages`. With a method ``ahead(page, answer)`` that yields the pages after
    one, as far as that answer tells, these are asked for side by side.
    """

    def begin(self) -> Page:
        """Return the page to begin with."""
        ...

    def after(self, page: Page, answer: PageAnswer) -> Page | None:
        """Return the page after one; None when that was the last. What it raises fails the item."""
        ...
