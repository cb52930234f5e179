"""Page styles that authors write."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from typing import Any

from airflow_async_rest.core.encoding.paths import JsonPath
from airflow_async_rest.core.errors import AnswerError, ConfigurationError
from airflow_async_rest.core.pages.counted import NumberedPages, OffsetPages
from airflow_async_rest.core.pages.linked import CursorPages, LinkPages, check_link_options
from airflow_async_rest.core.pages.page import BODY, QUERY, Page, PageAnswer, PageStyle
from airflow_async_rest.core.pages.style import check_statuses

_STYLES = (LinkPages, CursorPages, NumberedPages, OffsetPages)


def page_style(paginate: Any) -> "Pages | None":
    """Return the page style of an argument ``paginate``; None where everything is in one answer.

    :raises ConfigurationError: when it is not one.
    """
    if paginate is None or type(paginate) in _STYLES:
        return paginate  # type: ignore[no-any-return]
    if isinstance(paginate, type):
        name = paginate.__name__
        raise ConfigurationError(f"paginate={name} is a class: write {name}(...), an instance of it.")
    methods = (getattr(paginate, "begin", None), getattr(paginate, "after", None))
    if not all(map(callable, methods)):
        raise ConfigurationError(
            f"paginate={paginate!r}: write LinkPages(), CursorPages(...), NumberedPages(...) or OffsetPages(...), "
            "which are imported from airflow_async_rest; or a style of your own, with begin() and after(page, answer)."
        )
    return OwnStyle(paginate)


def style_parts(paginate: PageStyle | None) -> list[Any] | None:
    """Return what decides which pages an item has, for a job's fingerprint; of an author's class, its name.

    What only ends pages that would fail otherwise is left out, and whether they are asked for side by side: items that
    are delivered stay so.
    """
    if paginate is None:
        return None
    values: dict[str, Any] = {}
    if is_dataclass(paginate) and not isinstance(paginate, type):
        values = {field.name: getattr(paginate, field.name) for field in fields(paginate)}
    unset = {name for name in ("more", "keep", "below") if not values.get(name)}
    return [
        type(paginate).__name__,
        {k: v for k, v in values.items() if k not in {"end_statuses", "concurrent", *unset}},
    ]


class OwnStyle:
    """An author's page style, whose pages are looked at.

    :raises ConfigurationError: when what it says of itself, or its first page, cannot be read.
    """

    def __init__(self, style: PageStyle) -> None:
        self._style = style
        self._name = type(style).__name__
        self.end_statuses: tuple[int, ...] = getattr(style, "end_statuses", ())
        self.keep: tuple[str, ...] = getattr(style, "keep", ())
        self.below: str | None = getattr(style, "below", None)
        # One that is made of ours has these, too.
        self.goes_by_rows: bool = getattr(style, "goes_by_rows", False)
        self.knows_end: bool = getattr(style, "knows_end", False)
        self.counts_rows: bool = getattr(style, "counts_rows", False)
        self.next_path: JsonPath | None = getattr(style, "next_path", None)
        self._ahead: Callable[[Page, PageAnswer], Iterable[Page]] | None = getattr(style, "ahead", None)
        self.concurrent: bool = getattr(style, "concurrent", callable(self._ahead))
        check_statuses(self._name, self.end_statuses)
        check_link_options(self._name, self.keep, self.below)

    def begin(self) -> Page:
        """Return the first page. :raises ConfigurationError: when there is none."""
        try:
            page = self._style.begin()
        except Exception as error:  # the author's code may raise anything
            raise ConfigurationError(f"paginate: {self._name}.begin() raised {_described(error)}") from error
        if fault := "is not a Page" if page is None else _fault_of(page):
            raise ConfigurationError(f"paginate: {self._name}.begin() returned {page!r}, which {fault}.")
        return page

    def after(self, page: Page, answer: PageAnswer) -> Page | None:
        """Return the page after one; None for the end. :raises AnswerError: when the author's code cannot tell."""
        try:
            following = self._style.after(page, answer)
        except Exception as error:  # the author's code may raise anything
            raise AnswerError(f"paginate: {self._name}.after() raised {_described(error)}") from error
        if fault := _fault_of(following):
            raise AnswerError(f"paginate: {self._name}.after() returned {following!r}, which {fault}")
        return following

    def ahead(self, page: Page, answer: PageAnswer) -> Iterator[Page]:
        """Yield the pages after one. :raises AnswerError: when the author's code cannot tell."""
        for following in self._iter_ahead(page, answer):
            if fault := "is not a Page" if following is None else _fault_of(following):
                raise AnswerError(f"paginate: {self._name}.ahead() yielded {following!r}, which {fault}")
            yield following

    def _iter_ahead(self, page: Page, answer: PageAnswer) -> Iterator[Any]:
        try:
            yield from self._ahead(page, answer) if self._ahead else ()
        except Exception as error:  # the author's code may raise anything
            raise AnswerError(f"paginate: {self._name}.ahead() raised {_described(error)}") from error


Pages = LinkPages | CursorPages | NumberedPages | OffsetPages | OwnStyle


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _fault_of(page: Any) -> str:
    """Say what is wrong with a page, or with none; nothing for a good one."""
    if page is None:
        return ""
    if not isinstance(page, Page):
        return "is not a Page: return Page(...), or None for the end"
    if page.into not in (QUERY, BODY):
        return f"has into={page.into!r}: write 'query' or 'body'"
    if page.link is not None and (not isinstance(page.link, str) or not page.link):
        return f"has link={page.link!r}: write a URL, or leave it out"
    return _fault_of_parameters(page.parameters, in_query=page.into == QUERY)


def _fault_of_parameters(parameters: Any, *, in_query: bool) -> str:
    if not isinstance(parameters, Mapping) or not all(isinstance(name, str) and name for name in parameters):
        return "has parameters that are not a dict of names: write parameters={'page': 2}"
    try:
        json.dumps(dict(parameters), allow_nan=False, ensure_ascii=False, default=_as_float).encode()
    except (TypeError, ValueError, RecursionError) as error:
        return f"has a parameter that has no JSON form ({error}): write a text or a number"
    unfit = next((name for name, value in parameters.items() if not _has_form_in_query(value)), None)
    if in_query and unfit is not None:
        return f"has {unfit}={parameters[unfit]!r} for the query: write a text or a number, or leave it out"
    return ""


def _has_form_in_query(value: Any) -> bool:
    return isinstance(value, str | int | float | Decimal) and value != ""


def _as_float(value: Any) -> float:
    """Return a number as JSON has it: an answer's fractions may be Decimals."""
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"Object of type {type(value).__name__}")
