"""Rows out of a database into a REST API by date window: Airflow operators and hooks.

The names below are the value objects of DAG authors, and what reads dead letters. They load on first use, and none of
them loads aiohttp or Airflow, so that importing this package costs a DAG file nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_async_rest.core.answers.csv_format import Csv as Csv
    from airflow_async_rest.core.batches.batch import Batch as Batch
    from airflow_async_rest.core.models import Request as Request
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
    from airflow_async_rest.core.sending.auth import Auth as Auth
    from airflow_async_rest.core.sending.retry import RequestRetry as RequestRetry
    from airflow_async_rest.tasks.dead_letters import read_dead_letters as read_dead_letters
    from airflow_async_rest.windows import Window as Window
    from airflow_async_rest.windows import split_windows as split_windows

__version__ = "0.1.0"

_NAMES = {
    "core.answers.csv_format": ["Csv"],
    "core.batches.batch": ["Batch"],
    "core.models": ["Request", "Response", "Verdict"],
    "core.pages": ["CursorPages", "LinkPages", "NumberedPages", "OffsetPages", "Page", "PageAnswer", "PageStyle"],
    "core.results.results": ["RESULTS", "Results"],
    "core.sending.auth": ["Auth"],
    "core.sending.retry": ["RequestRetry"],
    "tasks.dead_letters": ["read_dead_letters"],
    "windows": ["Window", "split_windows"],
}
_HOMES = {name: f"{__name__}.{module}" for module, names in _NAMES.items() for name in names}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
