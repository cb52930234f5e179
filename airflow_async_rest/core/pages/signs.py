"""What an answer says of a next page in the usual words, whoever asks for one. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from airflow_async_rest.core.encoding.paths import written_path
from airflow_async_rest.core.requests.headers import next_link

_LINKS_AND_CURSORS = (
    *("next", "nextLink", "next_link", "@odata.nextLink", "odata.nextLink", "nextUrl", "next_url", "nextRecordsUrl"),
    *("nextPage", "next_page", "nextPageToken", "next_page_token", "nextCursor", "next_cursor"),
    *("nextToken", "next_token", "NextToken", "continuationToken", "continuation_token", "ContinuationToken"),
)
_FLAGS = ("hasMore", "has_more", "hasNext", "has_next", "hasNextPage", "has_next_page", "IsTruncated", "isTruncated")
_SIGNS = frozenset({*_LINKS_AND_CURSORS, *_FLAGS})
_RANGE = re.compile(r"-([0-9]{1,18})/([0-9]{1,18})\s*$")  # items 0-24/319
# Of objects within objects; what is in lists is the API's rows.
_LEVELS = 4


def sign_of_more(payload: Any, headers: Mapping[str, str], row: Any) -> str | None:
    """Find what says that a page is not the last one: its path in the body, or its header; None: nothing does.

    :param row: the only one, which has names of its own; None where there are several.
    """
    if next_link(headers):
        return "header.Link"
    if headers.get("X-Next-Page", "").strip():
        return "header.X-Next-Page"
    if (found := _RANGE.search(headers.get("Content-Range", ""))) and int(found[1]) + 1 < int(found[2]):
        return "header.Content-Range"
    names = _find(payload, row, _LEVELS)
    return written_path(names) if names else None


def _find(value: Any, row: Any, levels: int) -> tuple[str, ...]:
    if not isinstance(value, Mapping) or value is row:
        return ()
    for name in _SIGNS & value.keys():
        if _says_more(name, value[name]):
            return (name,)
    if levels > 1:
        for name, inner in value.items():
            if found := _find(inner, row, levels - 1):
                return name, *found
    return ()


def _says_more(name: str, value: Any) -> bool:
    if isinstance(value, Mapping):  # as HAL and JSON:API have links
        value = value.get("href")
    if name in _FLAGS:
        return value is True
    return isinstance(value, str | int) and not isinstance(value, bool) and bool(value)
