"""The endpoints behind the tabs: for what Airflow's own REST API does not give.

All that can be changed here is the request to replay a task instance. Each endpoint asks Airflow whether the user may
see it, as Airflow's own do. Dead letters show what XCom shows of them.
"""

from collections.abc import Iterable
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, HTTPException, Query
from fastapi.responses import FileResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles

from airflow_async_rest import __version__
from airflow_async_rest.compat.core_api import (
    MAY_SEE_XCOM,
    SessionDep,
    UserDep,
    of_airflows_tables,
    readable_dags,
    with_visible_xcom,
)
from airflow_async_rest.compat.ui import HAS_TABS
from airflow_async_rest.core.errors import DeadLetterStoreError
from airflow_async_rest.core.letters.filter import LetterFilter
from airflow_async_rest.core.letters.folder import DeadLetterFolder
from airflow_async_rest.tasks.storage.folders import TaskScope, shows_payloads
from airflow_async_rest.ui import letters, state_endpoints
from airflow_async_rest.ui.pages import routes
from airflow_async_rest.ui.state_endpoints import Answer, MapIndex

_MOST_WINDOWS = 5_000
_LONGEST_PAGE = 200
_MOST_DAGS = 50

app = FastAPI(title="airflow-provider-async-rest", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
app.mount(f"/static/{__version__}", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
app.include_router(state_endpoints.router)
if not HAS_TABS:
    app.include_router(routes.router)


def _scope(dag_id: str, run_id: str, task_id: str, map_index: MapIndex = -1) -> TaskScope:
    return TaskScope(dag_id, run_id, task_id, map_index)


def _folder(scope: Annotated[TaskScope, Depends(_scope)], folder: str | None = None) -> DeadLetterFolder:
    """Open the folder. :raises HTTPException: 403 for another than the task instance's own, 503 when it is away."""
    try:
        return letters.open_letters(scope, folder or None)
    except letters.FolderRefusedError as error:
        raise HTTPException(403, str(error)) from error
    except letters.FolderAwayError as error:
        raise HTTPException(503, str(error)) from error


def _told(replays: Iterable[Any], dag_id: str, user: Any) -> list[Any]:
    """Return replays without the task that they are of, where the user may not read its DAG.

    :param dag_id: the DAG of the dead letters, whose XCom the user may see.
    """
    replays = list(replays)
    seen = {dag_id}
    if any(replay and str(replay["by"].get("dag_id")) != dag_id for replay in replays):
        seen |= readable_dags(user)
    return [
        {name: value for name, value in replay.items() if name != "by" or str(value.get("dag_id")) in seen}
        if replay
        else None
        for replay in replays
    ]


def _only(
    reason: Annotated[list[str] | None, Query()] = None, search: str = "", kind: str | None = None
) -> LetterFilter:
    return LetterFilter(reason, search, shows_payloads(), kind)


Offset = Annotated[int, Query(ge=0)]
Limit = Annotated[int, Query(ge=1, le=_LONGEST_PAGE)]
Folder = Annotated[DeadLetterFolder, Depends(_folder)]
Only = Annotated[LetterFilter, Depends(_only)]


@app.get("/dead-letters", dependencies=MAY_SEE_XCOM)
def dead_letters(
    dag_id: str, folder: Folder, only: Only, user: UserDep, *, offset: Offset = 0, limit: Limit = 50
) -> Answer:
    """Return a page of a task instance's dead letters; see :func:`airflow_async_rest.ui.letters.page`."""
    try:
        page = letters.page(folder, only, offset, limit)
    except DeadLetterStoreError as error:
        raise HTTPException(503, letters.why_away(error)) from error
    return Answer({**page, "replays": _told(page["replays"], dag_id, user)})


@app.get("/dead-letters/groups", dependencies=MAY_SEE_XCOM)
def grouped_letters(folder: Folder, only: Only) -> Answer:
    """Return the dead letters by what the API said; see :func:`airflow_async_rest.ui.letters.groups`."""
    try:
        return Answer(letters.groups(folder, only))
    except DeadLetterStoreError as error:
        raise HTTPException(503, letters.why_away(error)) from error


@app.get("/dead-letters/resolved", dependencies=MAY_SEE_XCOM)
def resolved_letters(folder: Folder, offset: Offset = 0, limit: Limit = 50) -> Answer:
    """Return a page of what was dead, and is delivered; see :func:`airflow_async_rest.ui.letters.resolved_page`."""
    try:
        return Answer(letters.resolved_page(folder, offset, limit))
    except DeadLetterStoreError as error:
        raise HTTPException(503, letters.why_away(error)) from error


@app.get("/dead-letters/download", dependencies=MAY_SEE_XCOM)
def download(folder: Folder, only: Only, format: Literal["jsonl", "csv"] = "jsonl") -> StreamingResponse:  # noqa: A002
    """Return a task instance's dead letters as a file: JSON Lines, as they are stored, or CSV."""
    content, kind = {
        "jsonl": (letters.as_json_lines, "application/jsonl"),
        "csv": (letters.as_csv, "text/csv; charset=utf-8"),
    }[format]
    headers = {"Content-Disposition": f'attachment; filename="dead_letters.{format}"'}
    pieces = content(folder, only)
    try:
        first = next(pieces, b"")  # a folder that cannot be read is reported while the status can still be chosen
    except DeadLetterStoreError as error:
        raise HTTPException(503, letters.why_away(error)) from error
    return StreamingResponse(chain([first], pieces), media_type=kind, headers=headers)


@app.get("/windows", dependencies=MAY_SEE_XCOM)
def windows(
    dag_id: str,
    user: UserDep,
    session: SessionDep,
    limit: Annotated[int, Query(ge=1, le=_MOST_WINDOWS)] = _MOST_WINDOWS,
) -> Answer:
    """Return the windows of a DAG; see :func:`airflow_async_rest.ui.windows.list_windows`."""
    found = of_airflows_tables("airflow_async_rest.ui.windows").list_windows(session, dag_id, limit)
    replays = _told((window["replay"] for window in found["windows"]), dag_id, user)
    shown = [{**window, "replay": replay} for window, replay in zip(found["windows"], replays, strict=True)]
    return Answer({**found, "windows": shown})


@app.get("/contract")
def contract() -> FileResponse:
    """Return the JSON Schema of what tasks leave behind, and of what these endpoints answer; it tells of no task."""
    return FileResponse(Path(__file__).with_name("contract.json"), media_type="application/schema+json")


@app.get("/deliveries", dependencies=MAY_SEE_XCOM)
def deliveries(
    user: UserDep, session: SessionDep, after: str = "", limit: Annotated[int, Query(ge=1, le=_MOST_DAGS)] = _MOST_DAGS
) -> Answer:
    """Return a page of all DAGs' tasks; see :func:`airflow_async_rest.ui.deliveries.list_deliveries`."""
    tables = of_airflows_tables("airflow_async_rest.ui.deliveries")
    visible = partial(with_visible_xcom, session, user)
    return Answer(tables.list_deliveries(session, readable_dags(user), visible, after, limit))
