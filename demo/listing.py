"""The listing of the demo's API: ``GET /readings/{style}?from=...&to=...`` gives the week's readings in pages.

The same rows as in the database, in every style of pages that is common:

* ``link-header``: the header ``Link`` has the next page's URL
* ``body-link``: ``links.next`` has it
* ``cursor``: ``meta.next_cursor``, sent back as ``cursor``
* ``page``: ``page`` (from 1) and ``per_page``; ``meta.pages`` says how many there are
* ``offset``: ``offset`` and ``limit``; ``meta.total`` says how many rows there are
"""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from demo.api_rules import Settings
from demo.listing_pages import MOST_ROWS, Span, encode_cursor, parse_number, parse_span, place_after
from demo.reads import Reads

Row = dict[str, Any]
Page = tuple[dict[str, Any], dict[str, str]]  # body and headers


class Listing:
    """An endpoint whose answers come in pages."""

    def __init__(self, settings: Settings) -> None:
        self._reads = Reads(settings.listing_per_second, settings.read_fault_share)

    async def get_page(self, request: web.Request) -> web.StreamResponse:
        """Return a page; 400 with the reason when the query names none."""
        if spoiled := self._reads.spoil(request):
            return spoiled
        style = STYLES.get(request.match_info["style"])
        if style is None:
            return web.json_response({"error": f"the styles are {', '.join(STYLES)}"}, status=404)
        try:
            body, headers = style(request, parse_span(request.query))
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response(body, headers=headers)

    def stats(self) -> dict[str, Any]:
        """Return the counts."""
        return self._reads.stats()


def link_header_page(request: web.Request, span: Span) -> Page:
    """Return a page with its links in the header ``Link``, of which the next one is not the first."""
    rows, cursor = _rows_after(request, span)
    links = {"first": request.url.without_query_params("cursor")}
    if cursor:
        links["next"] = request.url.update_query(cursor=cursor)
    return _body(rows), {"Link": ", ".join(f'<{url}>; rel="{relation}"' for relation, url in links.items())}


def body_link_page(request: web.Request, span: Span) -> Page:
    """Return a page with the next one's URL under ``links.next``; null after the last one."""
    rows, cursor = _rows_after(request, span)
    following = str(request.url.update_query(cursor=cursor)) if cursor else None
    return _body(rows, links={"self": str(request.url), "next": following}), {}


def cursor_page(request: web.Request, span: Span) -> Page:
    """Return a page with the cursor of the next one under ``meta.next_cursor``; null after the last one."""
    rows, cursor = _rows_after(request, span)
    return _body(rows, meta={"next_cursor": cursor}), {}


def numbered_page(request: web.Request, span: Span) -> Page:
    """Return a page by its number."""
    number = parse_number(request.query, "page", 1, least=1)
    size = _size(request, "per_page")
    rows = span.rows((number - 1) * size, size)
    return _body(rows, meta={"page": number, "per_page": size, "pages": -(-len(span) // size)}), {}


def offset_page(request: web.Request, span: Span) -> Page:
    """Return a page by the number of rows before it."""
    offset, limit = parse_number(request.query, "offset", 0, least=0), _size(request, "limit")
    return _body(span.rows(offset, limit), meta={"offset": offset, "limit": limit, "total": len(span)}), {}


STYLES: dict[str, Callable[[web.Request, Span], Page]] = {
    "link-header": link_header_page,
    "body-link": body_link_page,
    "cursor": cursor_page,
    "page": numbered_page,
    "offset": offset_page,
}


def _rows_after(request: web.Request, span: Span) -> tuple[list[Row], str | None]:
    """Return the rows after the request's cursor, and the cursor of the page after them, if there is one."""
    place, size = place_after(request.query.get("cursor"), span), _size(request, "limit")
    rows = span.rows(place, size)
    return rows, encode_cursor(rows[-1]) if place + size < len(span) else None


def _size(request: web.Request, name: str) -> int:
    """Return the number of rows that a page is to have, whatever the client asks for."""
    return min(parse_number(request.query, name, MOST_ROWS, least=1), MOST_ROWS)


def _body(rows: list[Row], **rest: Any) -> dict[str, Any]:
    return {"data": {"items": rows}, **rest}
