"""The links on a task instance, for versions of Airflow that have no place for the tabs."""

from typing import Any

from airflow_async_rest.compat.names import BaseOperatorLink
from airflow_async_rest.compat.ui import page_url


class PageLink(BaseOperatorLink):
    """A link to one of our pages; a task has it before its first run, and while it runs."""

    @property
    def operators(self) -> list[type]:  # type: ignore[override]  # asked for where a DAG is shown, not in every process
        """Return the operators that have it: exactly these, no subclasses."""
        from airflow_async_rest.operators.replay import ReplayDeadLettersOperator  # noqa: PLC0415
        from airflow_async_rest.operators.rest_to_sql import RestToSqlOperator  # noqa: PLC0415
        from airflow_async_rest.operators.sql_to_rest import SqlToRestOperator  # noqa: PLC0415

        return [SqlToRestOperator, RestToSqlOperator, ReplayDeadLettersOperator]


class DeliveryLink(PageLink):
    """Leads to what became of the task instance."""

    name = "Delivery"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the page's address."""
        del operator
        places = ("dag_id", "run_id", "task_id", "map_index")
        return page_url("delivery", {place: getattr(ti_key, place) for place in places})


class WindowsLink(PageLink):
    """Leads to all windows of the DAG."""

    name = "Windows"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the page's address."""
        del operator
        return page_url("windows", {"dag_id": ti_key.dag_id})
