"""Airflow's own task state store, in its API server: there is one from 3.3 on. None of this is documented."""

import json
from collections.abc import Collection, Iterator
from typing import Any

from fastapi import HTTPException

from airflow_async_rest.compat.core_api import NOT_KNOWN

try:  # from 3.3 on
    from airflow.models.task_state_store import TaskStateStoreModel as _Stored
except ImportError:  # before: workers have none, either
    _Stored = None  # type: ignore[assignment, misc]


def has_state_store() -> bool:
    """Return whether this version of Airflow has one."""
    return _Stored is not None


def task_exists(session: Any, dag_id: str, run_id: str, task_id: str, map_index: int) -> bool:
    """Return whether Airflow knows a task instance. :raises HTTPException: 501 where it keeps them elsewhere."""
    from sqlalchemy import select  # noqa: PLC0415

    try:
        from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415  (it has all of Airflow's tables)
    except ImportError as error:
        raise HTTPException(501, NOT_KNOWN) from error

    place = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}
    return session.scalar(select(TaskInstance.task_id).filter_by(**place)) is not None


class AirflowsStore:
    """The state of one task instance; see :class:`~airflow_async_rest.core.keeping.stores.StateStore`."""

    def __init__(self, session: Any, dag_id: str, run_id: str, task_id: str, map_index: int) -> None:
        self._session = session
        self._place = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}

    def get(self, key: str) -> Any:
        """Return a value, or None."""
        from sqlalchemy import select  # noqa: PLC0415

        found = self._session.scalar(select(_Stored.value).filter_by(**self._place, key=key))
        return None if found is None else json.loads(found)

    def set(self, key: str, value: Any) -> None:
        """Keep a value, as long as Airflow keeps those of tasks."""
        routes = _routes()
        body = routes.TaskStateStoreBody(value=value)
        routes.set_task_state_store(routes.TaskScope(**self._place), key, body, self._session)

    def delete(self, key: str) -> None:
        """Forget a key."""
        routes = _routes()
        routes.delete_task_state_store(routes.TaskScope(**self._place), key, self._session)


def _routes() -> Any:
    try:
        from airflow.api_fastapi.core_api.routes.public import task_state_store  # noqa: PLC0415
    except ImportError as error:
        raise HTTPException(501, NOT_KNOWN) from error
    return task_state_store


def iter_values(
    session: Any, dag_id: str, places: Collection[tuple[str, str, int]], key: str
) -> Iterator[tuple[tuple[str, str, int], Any]]:
    """Yield one key's values of task instances, each a run, a task and a map index."""
    from sqlalchemy import select, tuple_  # noqa: PLC0415

    where = (_Stored.run_id, _Stored.task_id, _Stored.map_index)
    wanted = tuple_(*where).in_(places)
    for run_id, task_id, map_index, value in session.execute(
        select(*where, _Stored.value).where(_Stored.dag_id == dag_id, wanted).filter_by(key=key)
    ):
        yield (run_id, task_id, map_index), json.loads(value)
