"""What Airflow finds by the entry point ``airflow.plugins``: a tab on the task instance, one on the DAG, and a page.

Versions that have no place for tabs get links on the task instance, and pages to which these lead.
"""

from collections.abc import Mapping
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from airflow_async_rest import __version__
from airflow_async_rest.compat.ui import HAS_API_SERVER, HAS_TABS, blueprint, bundle_url

# The version is part of the path, so that no browser shows the files of another one.
_STATIC = f"async-rest/static/{__version__}"
_PLACES: dict[str, dict[str, Any]] = {
    "Delivery": {"destination": "task_instance"},
    "Windows": {"destination": "dag"},
    "Deliveries": {"destination": "nav", "category": "browse"},
}
_PAGES = [
    {"name": name, "url_route": name.lower(), "bundle_url": url, **where}
    for name, where in _PLACES.items()
    if (url := bundle_url(f"{_STATIC}/{name.lower()}.js")) is not None
]


async def _app(scope: Any, receive: Any, send: Any) -> None:
    """Answer as the endpoints' application; all of Airflow's processes load plugins, and only one serves them."""
    from airflow_async_rest.ui.endpoints import app  # noqa: PLC0415

    await app(scope, receive, send)


def _show(page: str, session: Any, query: Mapping[str, str]) -> tuple[int, str]:
    from airflow_async_rest.ui.pages.content import show  # noqa: PLC0415  (it has all of Airflow's tables)

    return show(page, session, query)


class AsyncRestPlugin(AirflowPlugin):
    """Two tabs, a page, and the application that serves what they read; or links and pages."""

    name = "async_rest"
    fastapi_apps = [{"app": _app, "url_prefix": "/async-rest", "name": "Async REST"}]  # noqa: RUF012
    react_apps = _PAGES

    # Both are made where they are asked for: all processes load plugins, and only web servers show links and pages.
    @property
    def operator_extra_links(self) -> list[Any]:  # type: ignore[override]
        """Return the links on tasks of the package's operators."""
        if HAS_TABS:
            return []
        from airflow_async_rest.ui.pages.links import DeliveryLink, WindowsLink  # noqa: PLC0415

        return [DeliveryLink(), WindowsLink()]

    @property
    def flask_blueprints(self) -> list[Any]:  # type: ignore[override]
        """Return what serves pages in the web server of 2."""
        return [] if HAS_API_SERVER else [blueprint(_show)]
