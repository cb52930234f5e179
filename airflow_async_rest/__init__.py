"""Rows out of a database into a REST API by date window: Airflow operators and hooks.

The names below are the value objects of DAG authors, and what reads dead letters. They load on first use, and none of
them loads aiohttp or Airflow, so that importing this package costs a DAG file nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_async_rest.core.answers.csv_format import Csv as Csv
    from airflow_async_rest.core.batches.batch import Batch as Batch
    from airflow_async_rest.core.models import Response as Response
    from airflow_async_rest.core.models import Verdict as Verdict
    from airflow_async_rest.core.pages import CursorPages as CursorPages
    from airflow_async_rest.core.pages import LinkPages as LinkPages
    from airflow_async_rest.core.pages import NumberedPages as NumberedPages
    from airflow_async_rest.core.pages import OffsetPages as OffsetPages
    from airflow_async_rest.core.pages import Page as Page
    from airflow_async_rest.core.pages import PageAnswer as PageAnswer
    from airflow_async_rest.core.pages import PageStyle as PageStyle
    from airflow_async_rest.core.results.results import RESULTS as RESULTS
    from airflow_async_rest.core.results.results import Results as Results
    from airflow_async_rest.core.sending.retry import RequestRetry as RequestRetry
    from airflow_async_rest.tasks.dead_letters import read_dead_letters as read_dead_letters
    from airflow_async_rest.windows import Window as Window
    from airflow_async_rest.windows import split_windows as split_windows

__version__ = "0.1.0"

_HOMES = {
    "RESULTS": "airflow_async_rest.core.results.results",
    "Batch": "airflow_async_rest.core.batches.batch",
    "Csv": "airflow_async_rest.core.answers.csv_format",
    "CursorPages": "airflow_async_rest.core.pages",
    "LinkPages": "airflow_async_rest.core.pages",
    "NumberedPages": "airflow_async_rest.core.pages",
    "OffsetPages": "airflow_async_rest.core.pages",
    "Page": "airflow_async_rest.core.pages",
    "PageAnswer": "airflow_async_rest.core.pages",
    "PageStyle": "airflow_async_rest.core.pages",
    "RequestRetry": "airflow_async_rest.core.sending.retry",
    "Response": "airflow_async_rest.core.models",
    "Results": "airflow_async_rest.core.results.results",
    "Verdict": "airflow_async_rest.core.models",
    "Window": "airflow_async_rest.windows",
    "read_dead_letters": "airflow_async_rest.tasks.dead_letters",
    "split_windows": "airflow_async_rest.windows",
}

__all__ = [
    "RESULTS",
    "Batch",
    "Csv",
    "CursorPages",
    "LinkPages",
    "NumberedPages",
    "OffsetPages",
    "Page",
    "PageAnswer",
    "PageStyle",
    "RequestRetry",
    "Response",
    "Results",
    "Verdict",
    "Window",
    "__version__",
    "read_dead_letters",
    "split_windows",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
