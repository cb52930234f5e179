"""Pages that are counted: by their number, or by the rows before them."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from airflow_async_rest.core.encoding.paths import parse_path
from airflow_async_rest.core.errors import AnswerError, ConfigurationError
from airflow_async_rest.core.pages.page import QUERY, Page, PageAnswer
from airflow_async_rest.core.pages.style import Style, check_names, is_nothing
from airflow_async_rest.core.spelling import counted

_EMPTY, _SHORT = "empty", "short"


class _Counted(Style):
    """What numbers and offsets have in common.

    :cvar _size: the argument for the rows of a page to ask for; ``<_size>_param`` is the one for its parameter.
    :cvar _count: the argument for where it is said how many pages, or rows, there are.
    """

    goes_by_rows: ClassVar[bool] = True
    _size: ClassVar[str]
    _count: ClassVar[str]
    param: str
    until: str
    into: str

    def __post_init__(self) -> None:
        super().__post_init__()
        style, size = type(self).__name__, getattr(self, self._size)
        names = {name: getattr(self, name) for name in ("param", f"{self._size}_param")}
        check_names(style, into=self.into, **names)
        default = getattr(type(self), self._size)  # None, where the API may decide
        if size is not default and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
            raise ConfigurationError(f"{self._argument(self._size)} is {size!r}: write a whole number from 1 up.")
        if size is not None and len(set(names.values())) < len(names):
            both = ", ".join(f"{argument}={name!r}" for argument, name in names.items())
            raise ConfigurationError(f"{style}({both}): one parameter cannot be both; write the name of each.")
        if self.until not in (_EMPTY, _SHORT):
            raise ConfigurationError(f"{style}(until={self.until!r}): write 'empty' or 'short'.")
        if self.until == _SHORT and size is None:
            raise ConfigurationError(f"{style}(until='short'): say what a full page is, with size=.")
        self._check_concurrent(style)

    def _check_concurrent(self, style: str) -> None:
        count = self._count
        if self._path is not None:
            parse_path(self._argument(count), self._path)
        if not isinstance(self.concurrent, bool):
            raise ConfigurationError(f"{style}(concurrent={self.concurrent!r}): write True or False.")
        if self.concurrent and self._path is None:
            raise ConfigurationError(
                f"{style}(concurrent=True): pages are requested side by side where the API says how many there are: "
                f"say where, with {count}='meta.{count}' or {count}='header.X-...'."
            )

    @property
    def _path(self) -> str | None:
        path: str | None = getattr(self, self._count)
        return path

    @property
    def knows_end(self) -> bool:
        """Whether the API says how many pages, or rows, there are, or whether there are more."""
        return self._path is not None or self.more is not None

    def _enough(self, size: int) -> int:
        """Return how many rows a page has that is not the last, where the API says nothing."""
        return 1 if self.until == _EMPTY else size


@dataclass(frozen=True)
class NumberedPages(_Counted):
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

    _size: ClassVar[str] = "size"
    _count: ClassVar[str] = "pages"
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
        if isinstance(self.first, bool) or not isinstance(self.first, int):
            raise ConfigurationError(f"NumberedPages(first={self.first!r}): write 1 or 0.")

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
        more = self._has_more(answer)
        if more is None and self.pages is not None and not (page == self.begin() and is_nothing(answer)):
            pages, number = self._find_number("pages", answer), following - self.first
            if answer.count and number > pages:
                raise AnswerError(
                    f"page {number} has rows, but {self.pages!r} says that there {'is' if pages == 1 else 'are'} "
                    f"{counted(pages, 'page')}: write the path of the number of all pages, or leave pages= out"
                )
            more = number < pages
        if more is None:
            more = (answer.count or 0) >= self._enough(self.size or 1)
        return self._page(following) if more else None

    def ahead(self, page: Page, answer: PageAnswer) -> Iterator[Page]:
        """Yield the pages after one; none where the answer does not tell, and has a flag that does."""
        with suppress(AnswerError):
            pages = self._find_number("pages", answer)
            return map(self._page, range(page.parameters[self.param] + 1, self.first + pages))
        return iter(())

    def _page(self, number: int) -> Page:
        size = {} if self.size is None else {self.size_param: self.size}
        return Page({self.param: number, **size}, self.into)


@dataclass(frozen=True)
class OffsetPages(_Counted):
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

    _size: ClassVar[str] = "limit"
    _count: ClassVar[str] = "total"
    limit: int = 100
    param: str = "offset"
    limit_param: str = "limit"
    total: str | None = None
    until: str = _EMPTY
    into: str = QUERY
    concurrent: bool = False

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
            raise AnswerError(
                f"a page is empty after {counted(offset, 'row')}, but {self.more!r} says that there are more"
            )
        if more is None and self.total is not None and not (page == self.begin() and is_nothing(answer)):
            more = self._is_before_total(offset, count, answer)
        if more is None:
            more = count >= self._enough(self.limit)
        return self._page(offset) if more else None

    def _is_before_total(self, offset: int, count: int, answer: PageAnswer) -> bool | None:
        """Return whether rows are left; None where the API does not say how many there are."""
        if str(self._find("total", answer)).endswith("/*"):
            return None
        total = self._find_number("total", answer)
        if count and offset > total:
            raise AnswerError(
                f"{counted(offset, 'row has', 'rows have')} come, but {self.total!r} says that there are {total}: "
                "write the path of the number of all rows, or leave total= out"
            )
        if offset < total and count == 0:
            raise AnswerError(
                f"a page is empty after {offset:,} of the {counted(total, 'row')} that {self.total!r} counts"
            )
        return offset < total

    def ahead(self, page: Page, answer: PageAnswer) -> Iterator[Page]:
        """Yield the pages after one, if each has as many rows as that one; none where the answer does not tell."""
        if count := answer.count:
            with suppress(AnswerError):
                end = self._find_number("total", answer)
                return map(self._page, range(page.parameters[self.param] + count, end, count))
        return iter(())

    def _page(self, offset: int) -> Page:
        return Page({self.param: offset, self.limit_param: self.limit}, self.into)
