"""Pages that the API leads to: by a URL; or by a cursor, the number of the next page, or the last row's key."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_async_rest.core.encoding.paths import MISSING, JsonPath, parse_path
from airflow_async_rest.core.errors import AnswerError, ConfigurationError
from airflow_async_rest.core.pages.page import QUERY, Page, PageAnswer
from airflow_async_rest.core.pages.style import Style, check_names
from airflow_async_rest.core.requests.headers import next_link

_PATH = re.compile(r"/(?:[^/?#\s\\\x00-\x1f%][^?#\s\\\x00-\x1f%]*)?")
# What to_string(...) makes of what is no cursor.
_MADE_OF_NOTHING = ("null", "false", "[]", "{}")


@dataclass(frozen=True)
class LinkPages(Style):
    """Each answer has the URL of the next page.

    A link is followed on the connection's own host only, below its base URL; a relative one leads on from its page.

    :param path: where it is: in the body, such as ``"links.next"``, or a header's whole value, ``"header.X-Next"``;
        missing, null or empty on the last page. Default: in the header ``Link``, as ``rel="next"`` (RFC 8288).
    :param keep: parameters of the item's own query that go along on every link, such as ``("token",)``, with the item's
        values whatever the link says. Default: a link has all it takes. (The connection's own key goes along anyway.)
    :param below: path on the connection's host below which links are followed, such as ``"/v2"``, or ``"/"`` for all of
        it: the connection's credentials go there. Default: the base URL.
    """

    path: str | None = None
    keep: tuple[str, ...] = ()
    below: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.path is not None:
            parse_path("LinkPages(path)", self.path)
        check_link_options("LinkPages", self.keep, self.below)

    @property
    def next_path(self) -> JsonPath | None:
        """Where in the body the link is."""
        return self._path_in_body("path")

    def begin(self) -> Page:
        """Return the page to begin with."""
        return Page()

    def after(self, page: Page, answer: PageAnswer) -> Page | None:  # noqa: ARG002
        """Return the page that the answer links to."""
        more = self._has_more(answer)
        if more is False:
            return None
        if self.path is None:
            link: Any = next_link(answer.response.headers)
        else:
            link = self._find("path", answer)
        if link is MISSING or not link:
            if more:
                raise AnswerError(f"{self.more!r} says that there is a next page, but there is no link to it")
            return None
        if not isinstance(link, str):
            raise AnswerError(f"the link to the next page, at {self.path!r}, is {str(link)!r}, which is not a URL")
        return Page(link=link)


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
        parse_path("CursorPages(cursor)", self.cursor)
        check_names("CursorPages", into=self.into, param=self.param)

    @property
    def next_path(self) -> JsonPath | None:
        """Where in the body the cursor is."""
        return self._path_in_body("cursor")

    def begin(self) -> Page:
        """Return the page to begin with: without a cursor."""
        return Page(into=self.into)

    def after(self, page: Page, answer: PageAnswer) -> Page | None:  # noqa: ARG002
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
        return Page({self.param: cursor}, self.into)

    def _find_cursor(self, answer: PageAnswer) -> Any:
        cursor = self._find("cursor", answer)
        is_made_of_nothing = cursor in _MADE_OF_NOTHING and parse_path("CursorPages(cursor)", self.cursor).computes
        return None if is_made_of_nothing else cursor


def check_link_options(style: str, keep: Any, below: Any) -> None:
    """Check what a style says of its links. :raises ConfigurationError: when it cannot be read."""
    if not isinstance(keep, list | tuple) or not all(isinstance(name, str) and name for name in keep):
        raise ConfigurationError(f"{style}(keep={keep!r}): write names of parameters of query=, as ('token',).")
    if below is not None and not (
        isinstance(below, str) and _PATH.fullmatch(below) and not {".", ".."} & set(below.split("/"))
    ):
        raise ConfigurationError(
            f"{style}(below={below!r}): write a path on the connection's host, such as '/v2', or '/' for all of it."
        )
