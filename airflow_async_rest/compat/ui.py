"""What the UIs of older versions ask for in another way than 3.3's does: the connection form, and the tabs.

Before 3.2 the form is drawn from the fields that the provider info has for later versions. Before 3.1 there is no place
for a tab: links lead to pages instead.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import airflow

from airflow_async_rest.provider_info import CONNECTION_FIELDS, FIELD_BEHAVIOUR

_VERSION = tuple(map(int, airflow.__version__.split(".")[:2]))
HAS_TABS = _VERSION >= (3, 1)
HAS_API_SERVER = _VERSION >= (3, 0)


def form_widgets() -> dict[str, Any]:
    """Return a WTForms field for each of the connection's own fields.

    All but one are texts, which the connection reads as what they mean: 2.11 cannot show a box that is not ticked, and
    of numbers knows whole ones only.

    :raises ImportError: without Flask-AppBuilder, without which 2 has no form, and 3.0 only the standard fields.
    """
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextFieldWidget  # noqa: PLC0415
    from wtforms import PasswordField, StringField  # noqa: PLC0415
    from wtforms.validators import Optional, any_of  # noqa: PLC0415

    def widget(field: dict[str, Any]) -> Any:
        schema, default = field["schema"], field["schema"].get("default")
        hidden = schema.get("format") == "password"
        choices = ["true", "false"] if "boolean" in schema["type"] else schema.get("enum")
        return (PasswordField if hidden else StringField)(
            field["label"],
            [Optional(), *([any_of([each for each in choices if each is not None])] if choices else [])],
            description=field["description"],
            default=default if default is None or isinstance(default, str) else json.dumps(default),
            widget=(BS3PasswordFieldWidget if hidden else BS3TextFieldWidget)(),
        )

    return {name: widget(field) for name, field in CONNECTION_FIELDS.items()}


def field_behaviour() -> dict[str, Any]:
    """Return the names and examples of the standard fields, as hooks spell it."""
    return {name.replace("-", "_"): value for name, value in FIELD_BEHAVIOUR.items()}


def bundle_url(path: str, version: tuple[int, ...] = _VERSION, base_url: str | None = None) -> str | None:
    """Return the address that a tab's script is registered with; None where no tab can be drawn.

    :param path: of the script, below the address of Airflow's UI.
    :param base_url: of the UI; default: as ``[api] base_url`` has it.
    """
    if version < (3, 1):  # where the UI takes no pages of plugins
        return None
    if version < (3, 3):  # before, a relative address is taken for the name of a module
        return f"{_base_path(version, base_url)}/{path}"
    return path


def page_url(
    page: str, query: Mapping[str, Any], version: tuple[int, ...] = _VERSION, base_url: str | None = None
) -> str:
    """Return the address of a page of ours, which stands there in the place of a tab.

    :param base_url: of the UI; default: as ``base_url`` has it, of ``[api]``, or of ``[webserver]`` in 2.
    """
    return f"{_base_path(version, base_url)}/async-rest/pages/{page}?{urlencode(query)}"


def task_path(dag_id: str, run_id: str, task_id: str, map_index: int, version: tuple[int, ...] = _VERSION) -> str:
    """Return where Airflow's own page of a task instance is, below the address of its UI."""
    if version < (3, 0):
        query = {"dag_run_id": run_id, "task_id": task_id, **({"map_index": map_index} if map_index >= 0 else {})}
        return f"dags/{quote(dag_id, safe='')}/grid?{urlencode(query)}"
    mapped = f"/mapped/{map_index}" if map_index >= 0 else ""
    dag, run, task = (quote(part, safe="") for part in (dag_id, run_id, task_id))
    return f"dags/{dag}/runs/{run}/tasks/{task}{mapped}"


def _base_path(version: tuple[int, ...], base_url: str | None) -> str:
    from airflow_async_rest.compat.names import conf  # noqa: PLC0415  (every process loads plugins)

    section = "api" if version >= (3, 0) else "webserver"
    base_url = conf.get(section, "base_url", fallback="") if base_url is None else base_url
    return urlsplit(base_url).path.rstrip("/")


def run_after(runs: Any) -> Any:
    """Return the column by which runs are in their order. :param runs: Airflow's table of them."""
    return runs.run_after if hasattr(runs, "run_after") else runs.execution_date  # 3; 2


def blueprint(show: Callable[[str, Any, Mapping[str, str]], tuple[int, str]]) -> Any:
    """Return what serves pages in the web server of 2, to those who may see the XCom of a DAG.

    :param show: ``(page, session, query)`` -> status and HTML.
    """
    from flask import Blueprint, abort, redirect, request  # noqa: PLC0415  (3 brings none along)

    made = Blueprint("async_rest", __name__, url_prefix="/async-rest/pages")

    @made.get("/<page>")  # type: ignore[untyped-decorator, unused-ignore]
    def shown(page: str) -> Any:
        from airflow.auth.managers.models.resource_details import DagAccessEntity, DagDetails  # noqa: PLC0415
        from airflow.utils.session import create_session  # noqa: PLC0415
        from airflow.www.extensions.init_auth_manager import get_auth_manager  # noqa: PLC0415

        query, manager = request.args.to_dict(), get_auth_manager()
        if not manager.is_logged_in():
            return redirect(manager.get_url_login(next_url=request.url))
        details = DagDetails(id=query.get("dag_id"))
        if not manager.is_authorized_dag(method="GET", access_entity=DagAccessEntity.XCOM, details=details):
            abort(403)
        with create_session() as session:
            status, html = show(page, session, query)
        return html, status

    return made
