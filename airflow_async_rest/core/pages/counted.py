"""Pages that are counted: by their number, or by the rows before them."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from airflow_async_rest.core.errors import AnswerError, ConfigurationError
from airflow_async_rest.core.pages.page import QUERY, Page, PageAnswer
from airflow_async_rest.core.pages.style import Style, check_names, check_path, find, find_number, is_nothing

_EMPTY, _SHORT = "empty", "short"


@dataclass(frozen=True)
class NumberedPages(Style):
    """Pages have numbers.

    :param param: the parameter of the number.
    :param first: of the first page: 1, or 0.
    :param size: rows of a page to ask for. Default: it is not sent, the API decides.
    :param size_param: the parameter of the size.
    :param pages: where the number of pages is: in the body, or in a header, such as ``"header.X-Total-Pages"``.
        Default: the API does not say.
    :param until: where it says neither that nor ``more``, which page is the last: the first ``"empty"`` one, which is
        right with every API and costs one more request; or a ``"short"`` one, with fewer rows than ``size``: not all
        APIs give as many as they are asked for.
    :param into: ``"query"``, or ``"body"``.
    :param concurrent: whether pages are asked for side by side, as many as ``concurrency`` allows, once the first one
        has told how many there are.
    """

    goes_by_rows: ClassVar[bool] = True
    param: str = "page"
    first: int = 1
    size: int | None = None
    size_param: str = "per_page"
    pages: str | None = None
    until: str = _EMPTY
    into: str = QUERY
    concurrent: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("NumberedPages", into=self.into, param=self.param, size_param=self.size_param)
        if isinstance(self.first, bool) or not isinstance(self.first, int):
            raise ConfigurationError(f"NumberedPages(first={self.first!r}): write 1 or 0.")
        if self.size is not None:
            _check_size("NumberedPages(size)", self.size)
            _check_differ("NumberedPages", param=self.param, size_param=self.size_param)
        _check_until("NumberedPages", self.until, self.size)
        if self.pages is not None:
            check_path("NumberedPages(pages)", self.pages)
        _check_concurrent("NumberedPages", self.concurrent, pages=self.pages)

    @property
    def knows_end(self) -> bool:
        """Whether the API says how many pages there are, or whether there are more."""
        return self.pages is not None or self.more is not None

    @property
    def counts_rows(self) -> bool:
        """Whether an empty page, or a short one, is the last."""
        return not self.knows_end

    def begin(self) -> Page:
        """Return the page to begin with."""
        return self._page(self.first)

    def after(self, page: Page, answer: PageAnswer) -> Page | None:
        """Return the page with the next number."""
        following = page.parameters[self.param] + 1
        if (more := self._has_more(answer)) is not None:
            return self._page(following) if more else None
        if self.pages is not None and not (page == self.begin() and is_nothing(answer)):
            pages, number = find_number("NumberedPages(pages)", self.pages, answer), following - self.first
            if answer.count and number > pages:
                raise AnswerError(
                    f"page {number} has rows, but {self.pages!r} says that there are {pages} pages: write the path of "
                    "the number of all pages, or leave pages= out"
                )
            return self._page(following) if number < pages else None
        enough = 1 if self.until == _EMPTY else self.size or 1
        return self._page(following) if (answer.count or 0) >= enough else None

    def ahead(self, page: Page, answer: PageAnswer) -> Iterator[Page]:
        """Yield the pages after one; none where the answer does not tell, and has a flag that does."""
        with suppress(AnswerError):
            pages = find_number("NumberedPages(pages)", str(self.pages), answer)
            return map(self._page, range(page.parameters[self.param] + 1, self.first + pages))
        return iter(())

    def _page(self, number: int) -> Page:
        size = {} if self.size is None else {self.size_param: self.size}
        return Page({self.param: number, **size}, self.into)


@dataclass(frozen=True)
class OffsetPages(Style):
    """A page begins after so many rows.

    :param limit: rows of a page to ask for. It may get fewer: the next page begins after those that came.
    :param param: the parameter of the offset.
    :param limit_param: the parameter of the limit.
    :param total: where the number of all rows is: in the body, or in a header, ``"header.X-Total-Count"``; of
        ``"header.Content-Range"`` (``items 0-24/319``) the last part. Default, or ``*`` there: the API does not say.
    :param until: where it says neither that nor ``more``, which page is the last: see :class:`NumberedPages`.
    :param into: ``"query"``, or ``"body"``.
    :param concurrent: whether pages are asked for side by side, as many as ``concurrency`` allows, once the first one
        has told how many there are.
    """

    goes_by_rows: ClassVar[bool] = True
    limit: int = 100
    param: str = "offset"
    limit_param: str = "limit"
    total: str | None = None
    until: str = _EMPTY
    into: str = QUERY
    concurrent: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("OffsetPages", into=self.into, param=self.param, limit_param=self.limit_param)
        _check_size("OffsetPages(limit)", self.limit)
        _check_differ("OffsetPages", param=self.param, limit_param=self.limit_param)
        _check_until("OffsetPages", self.until, self.limit)
        if self.total is not None:
            check_path("OffsetPages(total)", self.total)
        _check_concurrent("OffsetPages", self.concurrent, total=self.total)

    @property
    def knows_end(self) -> bool:
        """Whether the API says how many rows there are, or whether there are more."""
        return self.total is not None or self.more is not None

    @property
    def counts_rows(self) -> bool:
        """The next page begins after the rows that came."""
        return True

    def begin(self) -> Page:
        """Return the page to begin with."""
        return self._page(0)

    def after(self, page: Page, answer: PageAnswer) -> Page | None:
        """Return the page after the rows that came."""
        count = answer.count or 0
        offset = page.parameters[self.param] + count
        more = self._has_more(answer)
        if more and count == 0:
            raise AnswerError(f"a page is empty after {offset} rows, but {self.more!r} says that there are more")
        if more is None and self.total is not None and not (page == self.begin() and is_nothing(answer)):
            more = self._is_before_total(offset, count, answer)
        if more is None:
            more = count >= (1 if self.until == _EMPTY else self.limit)
        return self._page(offset) if more else None

    def _is_before_total(self, offset: int, count: int, answer: PageAnswer) -> bool | None:
        """Return whether rows are left; None where the API does not say how many there are."""
        if str(find("OffsetPages(total)", str(self.total), answer)).endswith("/*"):
            return None
        total = find_number("OffsetPages(total)", str(self.total), answer)
        if count and offset > total:
            raise AnswerError(
                f"{offset} rows have come, but {self.total!r} says that there are {total}: write the path of the "
                "number of all rows, or leave total= out"
            )
        if offset < total and count == 0:
            raise AnswerError(f"a page is empty after {offset} of the {total} rows that {self.total!r} counts")
        return offset < total

    def ahead(self, page: Page, answer: PageAnswer) -> Iterator[Page]:
        """Yield the pages after one, if each has as many rows as that one; none where the answer does not tell."""
        if count := answer.count:
            with suppress(AnswerError):
                end = find_number("OffsetPages(total)", str(self.total), answer)
                return map(self._page, range(page.parameters[self.param] + count, end, count))
        return iter(())

    def _page(self, offset: int) -> Page:
        return Page({self.param: offset, self.limit_param: self.limit}, self.into)


def _check_concurrent(style: str, concurrent: Any, **how_many: str | None) -> None:
    [(argument, path)] = how_many.items()
    if not isinstance(concurrent, bool):
        raise ConfigurationError(f"{style}(concurrent={concurrent!r}): write True or False.")
    if concurrent and path is None:
        raise ConfigurationError(
            f"{style}(concurrent=True): pages are requested side by side where the API says how many there are: say "
            f"where, with {argument}='meta.{argument}' or {argument}='header.X-...'."
        )


def _check_size(argument: str, size: Any) -> None:
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ConfigurationError(f"{argument} is {size!r}: write a whole number from 1 up.")


def _check_differ(style: str, **names: str) -> None:
    if len(set(names.values())) < len(names):
        both = ", ".join(f"{argument}={name!r}" for argument, name in names.items())
        raise ConfigurationError(f"{style}({both}): one parameter cannot be both; write the name of each.")


def _check_until(style: str, until: Any, size: int | None) -> None:
    if until not in {_EMPTY, _SHORT}:
        raise ConfigurationError(f"{style}(until={until!r}): write 'empty' or 'short'.")
    if until == _SHORT and size is None:
        raise ConfigurationError(f"{style}(until='short'): say what a full page is, with size=.")
