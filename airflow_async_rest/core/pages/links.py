"""Pages that a URL of the API's leads to."""

import re
from dataclasses import dataclass
from typing import Any

from airflow_async_rest.core.encoding.paths import MISSING, JsonPath
from airflow_async_rest.core.errors import AnswerError, ConfigurationError
from airflow_async_rest.core.pages.page import Page, PageAnswer
from airflow_async_rest.core.pages.style import Style, check_path, find, path_in_body
from airflow_async_rest.core.requests.headers import next_link

_PATH = re.compile(r"/(?:[^/?#\s\\\x00-\x1f%][^?#\s\\\x00-\x1f%]*)?")


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
            check_path("LinkPages(path)", self.path)
        check_link_options("LinkPages", self.keep, self.below)

    @property
    def next_path(self) -> JsonPath | None:
        """Where in the body the link is."""
        return path_in_body("LinkPages(path)", self.path)

    def begin(self) -> Page:
        """Return the page to begin with."""
        return Page()

    def after(self, page: Page, answer: PageAnswer) -> Page | None:
        """Return the page that the answer links to."""
        more = self._has_more(answer)
        if more is False:
            return None
        if self.path is None:
            link: Any = next_link(answer.response.headers)
        else:
            link = find("LinkPages(path)", self.path, answer)
        if link is MISSING or not link:
            if more:
                raise AnswerError(f"{self.more!r} says that there is a next page, but there is no link to it")
            return None
        if not isinstance(link, str):
            raise AnswerError(f"the link to the next page, at {self.path!r}, is {str(link)!r}, which is not a URL")
        return self._next_page(page, Page(link=link), answer)


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
