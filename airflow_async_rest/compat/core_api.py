"""What Airflow's API server has for its own endpoints: who may see what, and a session of its database.

None of it is documented. Where it is not found, nobody may see anything, and the answer says why.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any

from fastapi import Depends, HTTPException

NOT_KNOWN = "This version of Airflow keeps elsewhere what airflow-async-rest asks it for: update one of them."


def _nobody() -> None:
    raise HTTPException(501, NOT_KNOWN)


def of_airflows_tables(module: str) -> Any:
    """Import a module that reads Airflow's own tables. :raises HTTPException: 501 where they are others."""
    try:
        return import_module(module)
    except (ImportError, AttributeError) as error:  # other modules, or other columns
        raise HTTPException(501, NOT_KNOWN) from error


try:
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.common.db.common import SessionDep as _SessionDep
    from airflow.api_fastapi.core_api.security import requires_access_dag

    SessionDep = _SessionDep
    _may_see_xcom: Callable[..., Any] = requires_access_dag("GET", DagAccessEntity.XCOM)
    _may_change_task: Callable[..., Any] = requires_access_dag("PUT", DagAccessEntity.TASK_INSTANCE)
except (ImportError, AttributeError, TypeError):
    SessionDep = Annotated[Any, Depends(_nobody)]  # type: ignore[assignment, misc]
    _may_see_xcom = _may_change_task = _nobody

MAY_SEE_XCOM = [Depends(_may_see_xcom)]
# As Airflow's own Clear asks for it.
MAY_CHANGE_TASK = [Depends(_may_change_task)]
