"""Arguments of operators, ``deliver`` and ``fetch``, checked by themselves and together: the same words everywhere.

A check names the arguments that it needs. Where DAG files are parsed, one that is rendered later is not known yet, and
the checks that need it are left out until the task runs.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, MappingView, Sequence
from datetime import timedelta
from functools import cache, partial
from typing import Any

from airflow_async_rest.core.batches.batch import Batch
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.limits.limits import parse_limits
from airflow_async_rest.core.requests.bodies import check_body_format
from airflow_async_rest.core.requests.builder import EndpointTemplate, check_method, key_columns
from airflow_async_rest.core.requests.headers import check_content_encoding, text_headers
from airflow_async_rest.core.requests.settings import (
    MOST_PREVIEWED,
    parse_concurrency,
    parse_max_failures,
    parse_preview,
)
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.load.plan import check_mode, parse_mode, parse_table
from airflow_async_rest.tasks.checking.query import (
    check_binds,
    check_connection,
    check_own_parameters,
    check_reading,
    check_statement,
)
from airflow_async_rest.tasks.checking.schema_file import check_schema
from airflow_async_rest.tasks.dead_letters import chosen_reasons, folder_uris
from airflow_async_rest.tasks.storage.paths import storage_uri
from airflow_async_rest.windows import check_ends

_LONGEST_QUOTA_WAIT = timedelta(days=366)


def check_arguments(given: Mapping[str, Any]) -> None:
    """Check the arguments that are known.

    :raises ConfigurationError: when one is wrong, or does not fit another; names it.
    """
    each, together = _EACH, _TOGETHER
    if "paginate" in given:  # it loads for those who ask
        from airflow_async_rest.tasks.checking import fetch_arguments  # noqa: PLC0415

        each, together = {**each, **fetch_arguments.EACH}, (*together, *fetch_arguments.TOGETHER)
    _check(given, each, together)


def _check(
    known: Mapping[str, Any], each: Mapping[str, Callable[[Any], object]], together: Iterable[Callable[..., None]]
) -> None:
    ours = set(each).union(*(needed | optional for needed, optional in map(_names_of, together)))
    for name in ours & known.keys():
        _check_lasts(name, known[name])
        _check_plain(name, known[name])
    for name, check in each.items():
        if name in known:
            check(known[name])
    for check_some in together:
        needed, optional = _names_of(check_some)
        if needed <= known.keys():
            check_some(**{name: known[name] for name in (needed | optional) & known.keys()})


def _check_lasts(argument: str, value: Any) -> None:
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    for one in (value, *(() if argument == "items" else inside)):  # which may be many
        if isinstance(one, Iterator | MappingView):
            raise ConfigurationError(
                f"{argument} {'is' if one is value else 'has'} a {type(one).__name__}, which cannot be copied, or is "
                "empty once it was read; and tasks are copied, and tried again: write a list or a dict."
            )


def _check_plain(argument: str, value: Any, *inside: int) -> None:
    """Find what checks cannot compare or write: an array, half of a character, a collection that is in itself."""
    if getattr(value, "ndim", 0):
        raise ConfigurationError(f"{argument} has a {type(value).__name__}: write a list, as its tolist() gives it.")
    if isinstance(value, str) and value.encode(errors="replace").decode() != value:
        raise ConfigurationError(f"{argument} has {value!r}, which is half of a character: write all of it.")
    if isinstance(value, Mapping | list | tuple) and argument != "items":  # which may be many
        if id(value) in inside:
            raise ConfigurationError(f"{argument} has a {type(value).__name__} that contains itself: write a flat one.")
        for each in (*value, *value.values()) if isinstance(value, Mapping) else value:
            _check_plain(argument, each, id(value), *inside)


def _function(argument: str, value: Any) -> None:
    if value is not None and not callable(value):
        raise ConfigurationError(f"{argument}={value!r}: write a function.")


def _retry(request_retry: Any) -> None:
    if request_retry is not None and not isinstance(request_retry, RequestRetry):
        raise ConfigurationError(
            f"request_retry={request_retry!r}: write RequestRetry(max_attempts=...), "
            "which is imported from airflow_async_rest."
        )


def _quota_wait(most: Any) -> None:
    if not isinstance(most, timedelta) or not timedelta(0) <= most <= _LONGEST_QUOTA_WAIT:
        raise ConfigurationError(
            f"max_quota_wait={most!r}: write a timedelta, such as timedelta(hours=6), of a year at most; timedelta(0) "
            "waits for no quota."
        )


def _batch(batch: Any) -> None:
    if batch is not None and not isinstance(batch, Batch):
        raise ConfigurationError(
            f"batch={batch!r}: write Batch(max_items=500, ...), which is imported from airflow_async_rest."
        )


def _folder(argument: str, path: Any) -> None:
    if path not in (None, "") and not str(path).strip().startswith("~"):  # of a user that this machine may not have
        storage_uri(argument, path)


def _folders(dead_letters: Any) -> None:
    for uri in folder_uris(dead_letters):
        _folder("dead_letters", uri)


def _unless_left_out(check: Callable[[Any], object]) -> Callable[[Any], object]:
    """Make a check that passes what means the default, where templates may have made a text of it."""
    return lambda value: None if value in (None, "") else check(value)


_EACH: Mapping[str, Callable[[Any], object]] = {
    "sql": check_statement,
    "parameters": check_own_parameters,
    **{name: partial(check_connection, name) for name in ("sql_conn_id", "http_conn_id", "destination_conn_id")},
    "endpoint": EndpointTemplate,
    "method": check_method,
    "headers": text_headers,
    "transform": partial(_function, "transform"),
    "response_check": partial(_function, "response_check"),
    "key": key_columns,
    "schema": check_schema,
    "concurrency": _unless_left_out(parse_concurrency),
    "rate_limit": _unless_left_out(parse_limits),
    "batch": _batch,
    "request_retry": _retry,
    "max_failures": parse_max_failures,
    "max_quota_wait": _quota_wait,
    "dead_letter_path": partial(_folder, "dead_letter_path"),
    "body_format": check_body_format,
    "destination_table": parse_table,
    "load_mode": parse_mode,
    "conflict_key": partial(key_columns, argument="conflict_key"),
    "preview_send": lambda value: parse_preview("preview_send", value, 1),
    "dead_letters": _folders,
    "reasons": chosen_reasons,
}


def _path_of_batch(batch: Batch | None, endpoint: str) -> None:
    if batch is not None and (columns := EndpointTemplate(endpoint).columns):
        raise ConfigurationError(
            f"endpoint={endpoint!r} has the placeholder {{{columns[0]}}}, and a batch has one path "
            "for many rows: write the path of the bulk endpoint, such as 'sensors/_bulk'."
        )


def _body_of_batch(batch: Batch | None, body_format: str | None) -> None:
    if batch is not None and body_format in ("form", "text"):
        raise ConfigurationError(
            f"body_format={body_format!r} is for one item a request: leave it out; Batch(format=...) says how "
            "many are written into one."
        )


def _method_of_batch(batch: Batch | None, method: str) -> None:
    if batch is not None and method.upper() == "GET":
        raise ConfigurationError("method='GET' has no body, which a batch needs: write POST or PUT.")


def _reader_of_batch(batch: Batch | None, response_check: Any) -> None:
    if batch is not None and batch.reader is not None and response_check is not None:
        implied = "" if batch.results else ", which format='bulk' has by itself (results='elasticsearch'),"
        raise ConfigurationError(
            f"response_check and Batch(results=...){implied} both read the answer: leave one out. A function as "
            "results may return None where the status is to decide."
        )


def _content_encoding(headers: Any, batch: Batch | None = None) -> None:
    if batch is None or not callable(batch.format):  # a function may compress
        check_content_encoding(text_headers(headers), "headers")


def _text_body(body_format: str | None, transform: Any) -> None:
    if body_format == "text" and transform is None:
        raise ConfigurationError("body_format='text' needs a transform that returns the text: a row is not one.")


def _order(order_by_key: Any, key: Any) -> None:
    if not isinstance(order_by_key, bool):
        raise ConfigurationError(f"order_by_key={order_by_key!r}: write True or False.")
    if order_by_key and not key:
        raise ConfigurationError("order_by_key=True needs key=: the column or columns whose rows stay in their order.")


def _schema_of_text(schema: Any, body_format: str | None) -> None:
    if schema is not None and body_format == "text":
        raise ConfigurationError("schema is of JSON, which body_format='text' is not: leave one of them out.")


def _preview(preview: Any, method: Any) -> None:  # noqa: ARG001  (a replay has no method, and a preview of its own)
    parse_preview("preview", preview, MOST_PREVIEWED)


@cache
def _names_of(check: Callable[..., Any]) -> tuple[set[str], set[str]]:
    """Return the arguments that a check needs, and those that it looks at where they are known."""
    parameters = inspect.signature(check).parameters.values()
    needed = {each.name for each in parameters if each.default is inspect.Parameter.empty}
    return needed, {each.name for each in parameters} - needed


_TOGETHER: Sequence[Callable[..., None]] = (
    check_reading,
    check_binds,
    check_ends,
    check_mode,
    _path_of_batch,
    _body_of_batch,
    _method_of_batch,
    _reader_of_batch,
    _content_encoding,
    _text_body,
    _schema_of_text,
    _order,
    _preview,
)
