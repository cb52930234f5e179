"""How an API gives its rows in pages, and what the request for the next one is. Pure."""

from airflow_async_rest.core.pages.counted import NumberedPages, OffsetPages
from airflow_async_rest.core.pages.led import CursorPages, LinkPages
from airflow_async_rest.core.pages.own import Pages, page_style, style_parts
from airflow_async_rest.core.pages.page import Page, PageAnswer, PageStyle
from airflow_async_rest.core.pages.style import OnePage

__all__ = [
    "CursorPages",
    "LinkPages",
    "NumberedPages",
    "OffsetPages",
    "OnePage",
    "Page",
    "PageAnswer",
    "PageStyle",
    "Pages",
    "page_style",
    "style_parts",
]
