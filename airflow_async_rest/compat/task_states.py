"""What Airflow's API server knows of a task instance: its state store, from 3.3 on, and its arguments, undocumented."""

import json
from collections.abc import Collection, Iterator
from typing import Any

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
        raise _not_known() from error

    place = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}
    return session.scalar(select(TaskInstance.task_id).filter_by(**place)) is not None


def serialized_dag(session: Any, dag_id: str) -> dict[str, Any]:
    """Return a DAG as it is now, as Airflow keeps it; empty where it does not, or elsewhere."""
    try:
        from airflow.models.serialized_dag import SerializedDagModel  # noqa: PLC0415

        found = SerializedDagModel.get(dag_id, session=session)
        return {} if found is None else dict(found.data or {})
    except (ImportError, AttributeError, TypeError):
        return {}


def rendered_fields(session: Any, dag_id: str, run_id: str, task_id: str, map_index: int) -> dict[str, Any]:
    """Return the arguments with which a task instance has run; empty where Airflow does not keep them."""
    from sqlalchemy import select  # noqa: PLC0415

    try:
        from airflow.models.renderedtifields import RenderedTaskInstanceFields as Fields  # noqa: PLC0415

        place = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}
        return dict(session.scalar(select(Fields.rendered_fields).filter_by(**place)) or {})
    except (ImportError, AttributeError, TypeError):
        return {}


def kept_connection(session: Any, conn_id: str) -> Any:
    """Return a connection that Airflow keeps in its own database; None of another, which only workers may reach."""
    from sqlalchemy import select  # noqa: PLC0415

    try:
        from airflow.models.connection import Connection  # noqa: PLC0415

        return session.scalar(select(Connection).filter_by(conn_id=conn_id))
    except (ImportError, AttributeError, TypeError):
        return None


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
        raise _not_known() from error
    return task_state_store


def _not_known() -> Exception:
    from fastapi import HTTPException  # noqa: PLC0415  (2.11 has none, and asks for nothing that needs it)

    from airflow_async_rest.compat.core_api import NOT_KNOWN  # noqa: PLC0415

    return HTTPException(501, NOT_KNOWN)


def iter_values(
    session: Any, tasks: Collection[tuple[str, str, str, int]], key: str
) -> Iterator[tuple[tuple[str, str, str, int], Any]]:
    """Yield one key's values of task instances, each a DAG, a run, a task and a map index."""
    from sqlalchemy import select, tuple_  # noqa: PLC0415

    where = (_Stored.dag_id, _Stored.run_id, _Stored.task_id, _Stored.map_index)
    asked = select(*where, _Stored.value).where(tuple_(*where).in_(tasks)).filter_by(key=key)
    for *task, value in session.execute(asked):
        yield tuple(task), json.loads(value)
