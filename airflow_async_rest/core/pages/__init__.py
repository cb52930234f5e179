"""How an API gives its rows in pages, and what the request for the next one is. Pure."""

from airflow_async_rest.core.pages.counted import NumberedPages, OffsetPages
from airflow_async_rest.core.pages.custom import Pages, page_style, style_parts
from airflow_async_rest.core.pages.linked import CursorPages, LinkPages
from airflow_async_rest.core.pages.page import Page, PageAnswer, PageStyle

__all__ = [
    "CursorPages",
    "LinkPages",
    "NumberedPages",
    "OffsetPages",
    "Page",
    "PageAnswer",
    "PageStyle",
    "Pages",
    "page_style",
    "style_parts",
]
