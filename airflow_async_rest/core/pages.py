"""How an API gives its rows in pages, and what the request for the next one is. Pure."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from math import ceil
from typing import Any, ClassVar, Protocol

from airflow_async_rest.core.errors import AnswerError, ConfigurationError
from airflow_async_rest.core.headers import next_link
from airflow_async_rest.core.paths import MISSING, JsonPath, parse_path

_QUERY, _BODY = "query", "body"
_EMPTY, _SHORT = "empty", "short"
_FIRST_FAILURE, _LAST_FAILURE = 400, 599


@dataclass(frozen=True, slots=True)
class Page:
    """Which page is asked for.

    :param parameters: of its request, besides the item's own.
    :param into: where they belong: the query or the body.
    :param link: its URL, where the API gave it.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    into: str = _QUERY
    link: str | None = None


class PageAnswer(Protocol):
    """What a page style looks at: an :class:`~airflow_async_rest.core.answer.Answer`."""

    @property
    def response(self) -> Any: ...  # noqa: D102
    @property
    def payload(self) -> Any: ...  # noqa: D102
    @property
    def count(self) -> int | None: ...  # noqa: D102


class Pages(Protocol):
    """A page style.

    It goes by the link or the cursor of a page, which may have the rows of another; or by the rows alone.
    """

    @property
    def end_statuses(self) -> Collection[int]:
        """HTTP statuses that a page after the last one has."""
        ...

    @property
    def goes_by_rows(self) -> bool:
        """Whether nothing but its rows tells a page from another."""
        ...

    @property
    def knows_end(self) -> bool:
        """Whether the API says how many pages, or rows, there are."""
        ...

    @property
    def counts_rows(self) -> bool:
        """Whether it must be known how many rows the API gave."""
        ...

    @property
    def next_path(self) -> JsonPath | None:
        """Where in the body it is said what the next page is."""
        ...

    def begin(self) -> Page:
        """Give the page to begin with."""
        ...

    def after(self, page: Page, answer: PageAnswer) -> Page | None:
        """Give the page after one; None when that was the last.

        :raises AnswerError: when the answer does not tell.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class _Style:
    """What all page styles have.

    :param end_statuses: HTTP statuses by which the API says of a page after the first that there are no more, such as
        ``(404,)``; of a page that it counts in ``pages`` or ``total``, they do not say so. Default: none, it fails the
        item.
    """

    goes_by_rows: ClassVar[bool] = False
    end_statuses: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        statuses = self.end_statuses
        if not isinstance(statuses, list | tuple) or not all(map(_is_status_of_failure, statuses)):
            raise ConfigurationError(
                f"{type(self).__name__}(end_statuses={statuses!r}): write HTTP statuses from 400 to 599, as (404,)."
            )

    @property
    def knows_end(self) -> bool:
        """Whether the API says how many pages, or rows, there are."""
        return False

    @property
    def counts_rows(self) -> bool:
        """Whether it must be known how many rows the API gave."""
        return False

    @property
    def next_path(self) -> JsonPath | None:
        """Where in the body it is said what the next page is."""
        return None


class OnePage(_Style):
    """Everything is in one answer."""

    def begin(self) -> Page:
        """Give the only page."""
        return Page()

    def after(self, page: Page, answer: PageAnswer) -> None:
        """Give none."""


@dataclass(frozen=True)
class LinkPages(_Style):
    """Each answer has the URL of the next page.

    A link is followed on the connection's own host only, below its base URL; a relative one leads on from its page.

    :param path: where it is in the body, such as ``"links.next"``; missing, null or empty on the last page. Default:
        in the header ``Link``, as ``rel="next"`` (RFC 8288).
    """

    path: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.next_path

    @property
    def next_path(self) -> JsonPath | None:
        """Where the link is; None: in a header."""
        return None if self.path is None else parse_path("LinkPages(path)", self.path)

    def begin(self) -> Page:
        """Give the page to begin with."""
        return Page()

    def after(self, page: Page, answer: PageAnswer) -> Page | None:  # noqa: ARG002
        """Give the page that the answer links to."""
        path = self.next_path
        link: Any = next_link(answer.response.headers) if path is None else path.find(answer.payload)
        if link is MISSING or not link:
            return None
        if not isinstance(link, str):
            raise AnswerError(f"the link to the next page, at {self.path!r}, is {str(link)!r}, which is no URL")
        return Page(link=link)


@dataclass(frozen=True)
class CursorPages(_Style):
    """Each answer has a cursor, which the request for the next page gives back.

    :param cursor: where it is in the body, such as ``"meta.next_cursor"``; missing, null, empty, false or the number 0
        on the last page. Where a 0 leads on: ``"to_string(meta.next_cursor)"``.
    :param param: the parameter that it goes into.
    :param into: ``"query"``, or ``"body"`` for a search API that takes it there; with ``param="variables.after"`` into
        the object ``variables`` of the body, as GraphQL wants it.
    """

    cursor: str = "next_cursor"
    param: str = "cursor"
    into: str = _QUERY

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.next_path
        _check_names("CursorPages", into=self.into, param=self.param)

    @property
    def next_path(self) -> JsonPath:
        """Where the cursor is."""
        return parse_path("CursorPages(cursor)", self.cursor)

    def begin(self) -> Page:
        """Give the page to begin with: without a cursor."""
        return Page(into=self.into)

    def after(self, page: Page, answer: PageAnswer) -> Page | None:  # noqa: ARG002
        """Give the page that the cursor leads to."""
        cursor = self.next_path.find(answer.payload)
        if cursor is MISSING or not cursor:
            return None
        if self.into == _QUERY and isinstance(cursor, Mapping | list):
            raise AnswerError(
                f"the cursor, at {self.cursor!r}, is {str(cursor)!r}, which has no form in a query: write the path of "
                f"a text in it; or cursor='to_string({self.cursor})', where the API takes JSON; or into='body'"
            )
        return Page({self.param: cursor}, self.into)


@dataclass(frozen=True)
class NumberedPages(_Style):
    """Pages have numbers.

    :param param: the parameter of the number.
    :param first: of the first page: 1, or 0.
    :param size: rows of a page to ask for. Default: it is not sent, the API decides.
    :param size_param: the parameter of the size.
    :param pages: where in the body the number of pages is. Default: the API does not say.
    :param until: where it does not, which page is the last: the first ``"empty"`` one, which is right with every API
        and costs one more request; or a ``"short"`` one, with fewer rows than ``size``: not all APIs give as many as
        they are asked for.
    :param into: ``"query"``, or ``"body"``.
    """

    goes_by_rows: ClassVar[bool] = True
    param: str = "page"
    first: int = 1
    size: int | None = None
    size_param: str = "per_page"
    pages: str | None = None
    until: str = _EMPTY
    into: str = _QUERY

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_names("NumberedPages", into=self.into, param=self.param, size_param=self.size_param)
        if isinstance(self.first, bool) or not isinstance(self.first, int):
            raise ConfigurationError(f"NumberedPages(first={self.first!r}): write 1 or 0.")
        if self.size is not None:
            _check_size("NumberedPages(size)", self.size)
        _check_until("NumberedPages", self.until, self.size)
        if self.pages is not None:
            parse_path("NumberedPages(pages)", self.pages)

    @property
    def knows_end(self) -> bool:
        """Whether the API says how many pages there are."""
        return self.pages is not None

    @property
    def counts_rows(self) -> bool:
        """Whether an empty page, or a short one, is the last."""
        return self.pages is None

    def begin(self) -> Page:
        """Give the page to begin with."""
        return self._page(self.first)

    def after(self, page: Page, answer: PageAnswer) -> Page | None:
        """Give the page with the next number."""
        following = page.parameters[self.param] + 1
        if self.pages is not None and not (page == self.begin() and _is_nothing(answer)):
            pages, number = _number("NumberedPages(pages)", self.pages, answer), following - self.first
            if answer.count and number > pages:
                raise AnswerError(
                    f"page {number} has rows, and {self.pages!r} says that there are {pages} pages: name the number of "
                    "all pages, or leave pages= out"
                )
            return self._page(following) if number < pages else None
        enough = 1 if self.until == _EMPTY else self.size or 1
        return self._page(following) if (answer.count or 0) >= enough else None

    def _page(self, number: int) -> Page:
        size = {} if self.size is None else {self.size_param: self.size}
        return Page({self.param: number, **size}, self.into)


@dataclass(frozen=True)
class OffsetPages(_Style):
    """A page begins after so many rows.

    :param limit: rows of a page to ask for. It may get fewer: the next page begins after those that came.
    :param param: the parameter of the offset.
    :param limit_param: the parameter of the limit.
    :param total: where in the body the number of all rows is. Default: the API does not say.
    :param until: where it does not, which page is the last: see :class:`NumberedPages`.
    :param into: ``"query"``, or ``"body"``.
    """

    goes_by_rows: ClassVar[bool] = True
    limit: int = 100
    param: str = "offset"
    limit_param: str = "limit"
    total: str | None = None
    until: str = _EMPTY
    into: str = _QUERY

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_names("OffsetPages", into=self.into, param=self.param, limit_param=self.limit_param)
        _check_size("OffsetPages(limit)", self.limit)
        _check_until("OffsetPages", self.until, self.limit)
        if self.total is not None:
            parse_path("OffsetPages(total)", self.total)

    @property
    def knows_end(self) -> bool:
        """Whether the API says how many rows there are."""
        return self.total is not None

    @property
    def counts_rows(self) -> bool:
        """The next page begins after the rows that came."""
        return True

    def begin(self) -> Page:
        """Give the page to begin with."""
        return self._page(0)

    def after(self, page: Page, answer: PageAnswer) -> Page | None:
        """Give the page after the rows that came."""
        count = answer.count or 0
        offset = page.parameters[self.param] + count
        if self.total is not None and not (page == self.begin() and _is_nothing(answer)):
            total = _number("OffsetPages(total)", self.total, answer)
            if count and offset > total:
                raise AnswerError(
                    f"{offset} rows have come, and {self.total!r} says that there are {total}: name the number of all "
                    "rows, or leave total= out"
                )
            if offset < total and count == 0:
                raise AnswerError(f"a page is empty after {offset} of {total} rows, which {self.total!r} speaks of")
            return self._page(offset) if offset < total else None
        enough = 1 if self.until == _EMPTY else self.limit
        return self._page(offset) if count >= enough else None

    def _page(self, offset: int) -> Page:
        return Page({self.param: offset, self.limit_param: self.limit}, self.into)


def _is_nothing(answer: PageAnswer) -> bool:
    """Tell an answer without content, which says that there are no more rows, and not how many there are."""
    return answer.payload is None and not answer.count


def _number(argument: str, path: str, answer: PageAnswer) -> int:
    """Return how many there are; a part of a page is one. :raises AnswerError: when the API does not say."""
    found = parse_path(argument, path).find(answer.payload)
    with suppress(TypeError, ValueError, OverflowError):
        number = ceil(int(found) if isinstance(found, str) else found)
        if number >= 0 and not isinstance(found, bool):
            return number
    shown = "nothing" if found is MISSING else repr(found)
    raise AnswerError(
        f"{argument}: the answer has {shown} at {path!r}, where a number should be, from 0 up; without it, pages are "
        "asked for until one is empty"
    )


def _is_status_of_failure(status: Any) -> bool:
    return type(status) is int and _FIRST_FAILURE <= status <= _LAST_FAILURE


def _check_names(style: str, *, into: str, **names: Any) -> None:
    for argument, name in names.items():
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"{style}({argument}={name!r}): write the name of a parameter of the API.")
    if into not in {_QUERY, _BODY}:
        raise ConfigurationError(f"{style}(into={into!r}): write 'query' or 'body'.")


def _check_size(argument: str, size: Any) -> None:
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ConfigurationError(f"{argument} is {size!r}: write a whole number from 1 up.")


def _check_until(style: str, until: Any, size: int | None) -> None:
    if until not in {_EMPTY, _SHORT}:
        raise ConfigurationError(f"{style}(until={until!r}): write 'empty' or 'short'.")
    if until == _SHORT and size is None:
        raise ConfigurationError(f"{style}(until='short'): say what a full page is, with size=.")
