"""The endpoints of a task instance: its state, whatever store is in use, and what it has pushed; on any Airflow.

Who may see XCom sees it. Who may clear the task may ask it to replay; that is all that can be changed here.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Body, Depends, HTTPException, Query
from fastapi.responses import JSONResponse

from airflow_async_rest.compat.core_api import MAY_CHANGE_TASK, MAY_SEE_XCOM, SessionDep, of_airflows_tables
from airflow_async_rest.compat.task_states import kept_connection, rendered_fields, serialized_dag, task_exists
from airflow_async_rest.core.encoding.json_encoder import encode_anything
from airflow_async_rest.core.encoding.json_text import whole_characters
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.keeping.stores import StateStore
from airflow_async_rest.core.letters.filter import LetterFilter
from airflow_async_rest.ui.changes import changed_fields, defined_fields, endpoint_of, has_moved
from airflow_async_rest.ui.letters import FolderRefusedError, why_away
from airflow_async_rest.ui.states import KEYS, TaskInstanceId, store_of

_TASK = "/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
_PATH = f"{_TASK}/state-store"
_CHANGES = f"{_TASK}/changes"
_PUSHED = f"{_TASK}/pushed"
_REPLAY = f"{_PATH}/replay"
_TO_WRITE = "0660"
_LONGEST_REQUEST = 20_000

router = APIRouter()


class Answer(JSONResponse):
    """JSON with what others have written: half a surrogate pair is a replacement character, and NaN is null."""

    def render(self, content: Any) -> bytes:
        """Return the JSON in UTF-8, which has no bytes for half a pair."""
        try:
            return orjson.dumps(content)
        except orjson.JSONEncodeError:
            text = whole_characters(json.dumps(content, ensure_ascii=False, default=str))
            return encode_anything(json.loads(text, parse_constant=lambda _: None))


# As far as Airflow's tables have numbers for it.
MapIndex = Annotated[int, Query(ge=-1, le=2**31 - 1)]


def _task(dag_id: str, run_id: str, task_id: str, map_index: MapIndex = -1) -> TaskInstanceId:
    return TaskInstanceId(dag_id, run_id, task_id, map_index)


Task = Annotated[TaskInstanceId, Depends(_task)]


@contextmanager
def _stored(task: TaskInstanceId, session: Any, mode: str = "0640") -> Iterator[StateStore]:
    """Open the state store.

    :param mode: that files need for it, where the API server runs as another user than the tasks.
    :raises HTTPException: 403 for a folder that leads elsewhere, 503 when it is away.
    """
    try:
        yield store_of(task, session)
    except FolderRefusedError as error:
        raise HTTPException(403, str(error)) from error
    except HTTPException:
        raise
    except Exception as error:  # whatever the storage raises
        raise HTTPException(503, why_away(error, "use the state of the task", mode)) from error


@router.get(_PATH, dependencies=MAY_SEE_XCOM)
def stored_values(task: Task, session: SessionDep) -> Answer:
    """Return what a task instance has stored, as Airflow's own endpoint lists it."""
    with _stored(task, session) as store:
        found = [{"key": key, "value": value} for key in KEYS if (value := store.get(key)) is not None]
    return Answer({"task_state_store": found, "total_entries": len(found)})


@router.get(_CHANGES, dependencies=MAY_SEE_XCOM)
def changes(task: Task, session: SessionDep) -> Answer:
    """Return what of the task has changed in its DAG since it ran, by name, and its endpoint as it is now."""
    defined = defined_fields(serialized_dag(session, task.dag_id), task.task_id)
    rendered = rendered_fields(session, *task)
    changed = changed_fields(defined, rendered)
    with _stored(task, session) as store:
        progress = store.get("progress")
    api = progress.get("api") if isinstance(progress, dict) else None
    if isinstance(conn_id := rendered.get("http_conn_id"), str) and has_moved(api, kept_connection(session, conn_id)):
        changed = [*changed, *(["http_conn_id"] if "http_conn_id" not in changed else [])]
    return Answer({"changed": changed, "endpoint": endpoint_of(defined)})


@router.get(_PUSHED, dependencies=MAY_SEE_XCOM)
def pushed(task: Task, session: SessionDep) -> Answer:
    """Return what the task instance has pushed; see :func:`airflow_async_rest.ui.reports.pushed_values`."""
    return Answer(of_airflows_tables("airflow_async_rest.ui.reports").pushed_values(session, task))


@router.get(_PATH + "/{key}", dependencies=MAY_SEE_XCOM)
def stored_value(task: Task, session: SessionDep, key: str) -> Answer:
    """Return one value."""
    with _stored(task, session) as store:
        value = store.get(key) if key in KEYS else None
    if value is None:
        raise HTTPException(404, f"The task instance has stored nothing as {key!r}.")
    return Answer({"key": key, "value": value})


@router.put(_REPLAY, dependencies=MAY_CHANGE_TASK, status_code=204)
def ask_for_replay(task: Task, session: SessionDep, value: Annotated[Any, Body(embed=True)]) -> None:
    """Leave the task a request to send dead letters again, when it runs next."""
    _check_request(value)
    try:
        LetterFilter.from_json(value)
    except ConfigurationError as error:
        raise HTTPException(422, str(error)) from error
    if not task_exists(session, *task):
        raise HTTPException(404, "There is no such task instance.")
    with _stored(task, session, _TO_WRITE) as store:
        store.set("replay", value)


def _check_request(value: Any) -> None:
    """Check that any store can keep a request. :raises HTTPException: 422 when none can."""
    try:
        length = len(json.dumps(value, allow_nan=False))
    except ValueError as error:
        raise HTTPException(422, "The request has a number that JSON does not have, as NaN: leave it out.") from error
    if length > _LONGEST_REQUEST:
        raise HTTPException(
            422,
            f"The request has {length:,} characters of JSON, and may have {_LONGEST_REQUEST:,}: "
            "choose by fewer reasons, or by a shorter search.",
        )


@router.delete(_REPLAY, dependencies=MAY_CHANGE_TASK, status_code=204)
def withdraw_replay(task: Task, session: SessionDep) -> None:
    """Withdraw the request."""
    with _stored(task, session, _TO_WRITE) as store:
        store.delete("replay")
