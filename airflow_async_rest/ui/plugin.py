"""What Airflow finds by the entry point ``airflow.plugins``: a tab on the task instance, a tab on the DAG."""

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from airflow_async_rest import __version__

# The version is part of the path, so that no browser shows the files of another one.
_STATIC = f"async-rest/static/{__version__}"


async def _app(scope: Any, receive: Any, send: Any) -> None:
    """Answer as the endpoints' application; all of Airflow's processes load plugins, and only one serves them."""
    from airflow_async_rest.ui.endpoints import app  # noqa: PLC0415

    await app(scope, receive, send)


class AsyncRestPlugin(AirflowPlugin):
    """Two tabs, and the application that serves what they read."""

    name = "async_rest"
    fastapi_apps = [{"app": _app, "url_prefix": "/async-rest", "name": "Async REST"}]  # noqa: RUF012
    react_apps = [  # noqa: RUF012
        {"name": name, "url_route": name.lower(), "bundle_url": f"{_STATIC}/{name.lower()}.js", "destination": where}
        for name, where in (("Delivery", "task_instance"), ("Windows", "dag"))
    ]
