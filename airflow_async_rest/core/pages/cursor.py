"""Pages that a cursor leads to: a text of the API's, the number of the next page, or the last row's key."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_async_rest.core.encoding.paths import MISSING, JsonPath, parse_path
from airflow_async_rest.core.errors import AnswerError
from airflow_async_rest.core.pages.page import QUERY, Page, PageAnswer
from airflow_async_rest.core.pages.style import Style, check_names, check_path, find, path_in_body

# What to_string(...) makes of what is no cursor.
_MADE_OF_NOTHING = ("null", "false", "[]", "{}")


@dataclass(frozen=True)
class CursorPages(Style):
    """Each answer has a cursor, which the request for the next page gives back.

    :param cursor: where it is: in the body, such as ``"meta.next_cursor"``, or the last row's key, ``"data.-1.id"``; or
        in a header, ``"header.X-Next-Page"``. Missing, null, empty, false or the number 0 on the last page. Where a 0
        leads on: ``"to_string(meta.next_cursor)"``.
    :param param: the parameter that it goes into.
    :param into: ``"query"``, or ``"body"`` for a search API that takes it there; a ``param`` with dots leads into the
        body's objects, such as ``"variables.after"`` for GraphQL.
    """

    cursor: str = "next_cursor"
    param: str = "cursor"
    into: str = QUERY

    def __post_init__(self) -> None:
        super().__post_init__()
        check_path("CursorPages(cursor)", self.cursor)
        check_names("CursorPages", into=self.into, param=self.param)

    @property
    def next_path(self) -> JsonPath | None:
        """Where in the body the cursor is."""
        return path_in_body("CursorPages(cursor)", self.cursor)

    def begin(self) -> Page:
        """Return the page to begin with: without a cursor."""
        return Page(into=self.into)

    def after(self, page: Page, answer: PageAnswer) -> Page | None:
        """Return the page that the cursor leads to."""
        more = self._has_more(answer)
        cursor = None if more is False else self._find_cursor(answer)
        if more and (cursor is MISSING or cursor in (None, "")):
            raise AnswerError(f"{self.more!r} says that there is a next page, but no cursor is at {self.cursor!r}")
        if cursor is MISSING or not (cursor or more):
            return None
        if self.into == QUERY and isinstance(cursor, Mapping | list):
            raise AnswerError(
                f"the cursor, at {self.cursor!r}, is {str(cursor)!r}, which cannot be written in a query: write the "
                f"path of a text in it; or cursor='to_string({self.cursor})', where the API takes JSON; or into='body'"
            )
        return self._next_page(page, Page({self.param: cursor}, self.into), answer)

    def _find_cursor(self, answer: PageAnswer) -> Any:
        cursor = find("CursorPages(cursor)", self.cursor, answer)
        is_made_of_nothing = cursor in _MADE_OF_NOTHING and parse_path("CursorPages(cursor)", self.cursor).computes
        return None if is_made_of_nothing else cursor
