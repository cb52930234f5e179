"""What Airflow's API server has for its own endpoints: who may see what, and a session of its database.

None of it is documented. Where it is not found, nobody may see anything, and the answer says why.
"""

from collections.abc import Callable, Collection
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
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
    from airflow.api_fastapi.common.db.common import SessionDep as _SessionDep
    from airflow.api_fastapi.core_api.security import GetUserDep as _UserDep
    from airflow.api_fastapi.core_api.security import requires_access_dag

    SessionDep = _SessionDep
    UserDep = _UserDep
    _may_see_xcom: Callable[..., Any] = requires_access_dag("GET", DagAccessEntity.XCOM)
    _may_change_task: Callable[..., Any] = requires_access_dag("PUT", DagAccessEntity.TASK_INSTANCE)
except (ImportError, AttributeError, TypeError):
    SessionDep = Annotated[Any, Depends(_nobody)]  # type: ignore[assignment, misc]
    UserDep = Annotated[Any, Depends(_nobody)]  # type: ignore[assignment, misc]
    _may_see_xcom = _may_change_task = _nobody


def readable_dags(user: Any) -> set[str]:
    """Return the ids of the DAGs that a user may read, as Airflow's own lists have them."""
    found: set[str] = get_auth_manager().get_authorized_dag_ids(user=user)
    return found


def with_visible_xcom(session: Any, user: Any, dag_ids: Collection[str]) -> set[str]:
    """Return those of some DAGs whose XCom a user may see: asked for all of them first, which managers do at once."""
    from airflow.models.dag import DagModel  # noqa: PLC0415  (it has all of Airflow's tables)

    team_of: Callable[..., dict[str, str]] = getattr(DagModel, "get_dag_id_to_team_name_mapping", lambda *_, **__: {})
    teams = team_of(list(dag_ids), session=session)
    asked: dict[str, Any] = {
        dag_id: {
            "method": "GET",
            "access_entity": DagAccessEntity.XCOM,
            "details": DagDetails(dag_id, teams[dag_id]) if dag_id in teams else DagDetails(dag_id),
        }
        for dag_id in dag_ids
    }
    manager = get_auth_manager()
    if manager.batch_is_authorized_dag(list(asked.values()), user=user):
        return set(asked)
    return {dag_id for dag_id, question in asked.items() if manager.is_authorized_dag(user=user, **question)}


MAY_SEE_XCOM = [Depends(_may_see_xcom)]
# As Airflow's own Clear asks for it.
MAY_CHANGE_TASK = [Depends(_may_change_task)]
