"""What Airflow finds by the entry point ``airflow.plugins``: a tab on the task instance, one on the DAG, and a page."""

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from airflow_async_rest import __version__
from airflow_async_rest.compat.ui import bundle_url

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


class AsyncRestPlugin(AirflowPlugin):
    """Two tabs, a page, and the application that serves what they read."""

    name = "async_rest"
    fastapi_apps = [{"app": _app, "url_prefix": "/async-rest", "name": "Async REST"}]  # noqa: RUF012
    react_apps = _PAGES
