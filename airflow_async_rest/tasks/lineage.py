"""Where data comes from and where it goes, for OpenLineage and for the assets of a task."""

import logging
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_async_rest.compat.names import Asset, AssetRef
from airflow_async_rest.connections.secrets import without_known_secrets

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context

log = logging.getLogger(__name__)

_ROWS = ("rows_loaded", "rows_refused", "rows_staged")
TOLD_TO_ASSETS = ("window_start", "window_end", "read", "delivered", "failed", "skipped", "rows_loaded", "rows_refused")


def describe_outlets(context: "Context", report: Mapping[str, Any]) -> None:
    """Add the window and the counts to the events of the task's outlets, beside what the author has put there.

    An alias has no event, only those of assets that the author adds to it.
    """
    task: Any = context["ti"].task
    told = {name: report[name] for name in TOLD_TO_ASSETS if report.get(name) is not None}
    for outlet in task.outlets:
        if isinstance(outlet, Asset | AssetRef):
            try:
                extra = context["outlet_events"][outlet].extra
            except Exception as error:  # noqa: BLE001  (Airflow is asked which asset a reference means)
                task.log.warning("The event of %r could not be given the counts: %s", outlet, error)
            else:
                extra.update({**told, **extra})


def sql_to_rest_lineage(task: Any, report: Mapping[str, Any]) -> "OperatorLineage[Any, Any]":
    """Return what OpenLineage is to know of a ``SqlToRestOperator``: the tables of its query, and the endpoint.

    :param report: of the task; empty before its end.
    :raises ImportError: when OpenLineage's provider is not installed.
    """
    lineage = _lineage_of_sql(task.sql_conn_id, task.sql)
    lineage.inputs = _with_row_count(lineage.inputs, report.get("read"))
    lineage.outputs = _written(_endpoint(task), report.get("delivered"))
    return lineage


def rest_to_sql_lineage(task: Any, report: Mapping[str, Any]) -> "OperatorLineage[Any, Any]":
    """Return what OpenLineage is to know of a ``RestToSqlOperator``: the endpoint, tables of ``sql``, the destination.

    :param report: of the task; empty before its end.
    :raises ImportError: when OpenLineage's provider is not installed.
    """
    lineage = _lineage_of_sql(task.sql_conn_id, task.sql)
    fetched = sum(report[name] for name in _ROWS) if report else None
    keys = _with_row_count(lineage.inputs, report.get("read"))
    lineage.inputs = [*_with_row_count(_endpoint(task), fetched), *keys]
    # As OpenLineage's parser would find it in a statement: so the table is called as in the lineage of other tasks.
    table = ".".join(f'"{part}"' for part in task.destination_table.split("."))
    destination = _lineage_of_sql(task.destination_conn_id, f"INSERT INTO {table} DEFAULT VALUES")
    lineage.outputs = _written(destination.outputs, report.get("rows_loaded"))
    return lineage


def _lineage_of_sql(conn_id: str | None, sql: str | None) -> "OperatorLineage[Any, Any]":
    """Return the tables of a statement; none where the hook, or the parser, cannot tell them."""
    from airflow.providers.common.compat.openlineage.utils.sql import get_openlineage_facets_with_sql  # noqa: PLC0415
    from airflow.providers.openlineage.extractors import OperatorLineage  # noqa: PLC0415

    from airflow_async_rest.databases.database import database_hook  # noqa: PLC0415

    lineage = None
    if conn_id is not None and sql is not None:
        try:
            hook = database_hook("sql_conn_id", conn_id)
            sql = without_known_secrets(sql)  # a template may have put one there
            lineage = get_openlineage_facets_with_sql(hook=hook, sql=sql, conn_id=conn_id, database=None)
        except Exception as error:  # noqa: BLE001  (whatever hooks and drivers raise: a task goes on without lineage)
            _tell_unknown("tables", conn_id, error)
    return lineage or OperatorLineage()


def _endpoint(task: Any) -> list[Any]:
    """Return the API as a dataset: the server is the namespace, the path the name. What is secret stays out."""
    from openlineage.client.event_v2 import Dataset  # noqa: PLC0415

    from airflow_async_rest.connections.connection import RestConnection  # noqa: PLC0415
    from airflow_async_rest.connections.secrets import settings_of_job  # noqa: PLC0415

    try:
        settings = settings_of_job(RestConnection(task.http_conn_id).settings(), {}, task.endpoint)
        url = urlsplit(settings.base_url)
        path = re.split(r"[?#]", task.endpoint)[0]  # a query may hold a key
        name = "/".join(part.strip("/") for part in (url.path, path) if part.strip("/"))
        return [Dataset(f"{url.scheme}://{url.netloc}", settings.redact(name) or "/")]
    except Exception as error:  # noqa: BLE001  (a wrong connection is the task's to report)
        _tell_unknown("API", task.http_conn_id, error)
        return []


def _tell_unknown(what: str, conn_id: str, error: Exception) -> None:
    log.debug("OpenLineage cannot tell the %s of connection %s: %s", what, conn_id, without_known_secrets(str(error)))


def _with_row_count(datasets: Sequence[Any], rows: int | None) -> list[Any]:
    """Make inputs of datasets; with how many rows were read, if they came from one."""
    from openlineage.client.event_v2 import InputDataset  # noqa: PLC0415
    from openlineage.client.facet_v2 import input_statistics_input_dataset  # noqa: PLC0415

    statistics = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(rowCount=rows)
    facets: dict[str, Any] = {"inputStatistics": statistics} if rows is not None and len(datasets) == 1 else {}
    return [InputDataset(one.namespace, one.name, inputFacets=facets, facets=one.facets) for one in datasets]


def _written(datasets: Sequence[Any], rows: int | None) -> list[Any]:
    """Make outputs of datasets; with how many rows were written."""
    from openlineage.client.event_v2 import OutputDataset  # noqa: PLC0415
    from openlineage.client.facet_v2 import output_statistics_output_dataset  # noqa: PLC0415

    statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=rows)
    facets: dict[str, Any] = {"outputStatistics": statistics} if rows is not None else {}
    return [OutputDataset(one.namespace, one.name, outputFacets=facets, facets=one.facets) for one in datasets]
