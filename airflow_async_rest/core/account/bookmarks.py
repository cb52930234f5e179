"""Where an item has come to on its way from page to page, and which items are on their way. No I/O."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from airflow_async_rest.core.account.stored import whole_number
from airflow_async_rest.core.pages import Page


@dataclass(frozen=True, slots=True)
class Bookmark:
    """What it takes to go on after some pages of an item.

    :param page: the next one.
    :param after: path of the request for the page before, from which a relative link leads on.
    :param pages: how many were read.
    :param rows: how many they had.
    :param given: digest of what the API gave with the last one.
    :param repeats: whether the next one is asked for as the last one was.
    :param opening: digest of what the API gave with the first one.
    """

    page: Page
    after: str
    pages: int
    rows: int
    given: str
    repeats: bool = False
    opening: str = ""

    def to_json(self) -> dict[str, Any] | None:
        """Return it as a checkpoint keeps it; None when JSON does not keep what the page is asked for by."""
        try:
            value = asdict(replace(self, page=replace(self.page, parameters=dict(self.page.parameters))))
            return value if json.loads(json.dumps(value)) == value else None
        except (TypeError, ValueError):
            return None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Bookmark":
        """Read it back. :raises TypeError: when it is not one."""
        page, texts = Page(**value["page"]), (value["after"], value["given"], value.get("opening", ""))
        if not isinstance(page.parameters, Mapping) or not all(isinstance(text, str) for text in texts):
            raise TypeError("it is no bookmark")
        counts = {name: whole_number(value[name]) for name in ("pages", "rows")}
        return cls(**{**value, **counts, "page": page})


class OpenItems:
    """The items of which some pages are kept, and the last one is not.

    :param removed: items whose kept rows are to be removed.
    :ivar bookmarks: index -> where an item has come to, in this try or an earlier one.
    """

    def __init__(self, bookmarks: Mapping[int, Bookmark], removed: frozenset[int]) -> None:
        self.bookmarks = dict(bookmarks)
        self._kept = set(bookmarks)
        self._removed = set(removed)

    def remove(self, index: int) -> None:
        """Note that an item failed, or begins again: what is kept of it is to be removed."""
        del self.bookmarks[index]
        if index in self._kept:
            self._removed.add(index)

    def take(self) -> tuple[dict[int, Bookmark], frozenset[int]]:
        """Return where items have come to, and those to be removed, which is now the caller's to do."""
        self._kept = set(self.bookmarks)
        removed, self._removed = frozenset(self._removed), set()
        return dict(self.bookmarks), removed

    def give_back(self, removed: frozenset[int]) -> None:
        """Take back what could not be removed."""
        self._removed |= removed
