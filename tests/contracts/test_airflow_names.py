"""All that is used of Airflow and not documented by it: for a new version, this is the place to look at first.

Where one of these is no longer there, the package does without, as it says beside it. (What has to be true of them
is in the other files beside this one.)
"""

import ast
from importlib import import_module

import pytest
from checkout import REPOSITORY

from airflow_async_rest.compat import names, secrets_masker

_NOBODY = "endpoints answer 501, and say why"
_NO_WINDOWS = f"the tab Windows: its {_NOBODY}"
_NO_DELIVERIES = f"the page Deliveries: its {_NOBODY}"
_NO_CHANGES = "the tab Delivery does not see that the DAG has changed"
_NO_TICKS = "the windows of CronPartitionTimetable: the run fails, and says how to give one"
_NO_SECRETS = "only the connection's own secrets are taken out of logs"
_STATE_ROUTES = "airflow.api_fastapi.core_api.routes.public.task_state_store"
_OPERATOR = "airflow.sdk.bases.operator.BaseOperator"
_RUNNING = "airflow.sdk.execution_time.task_runner.RuntimeTaskInstance"
WITHOUT = {
    "airflow.api_fastapi.app.get_auth_manager": _NOBODY,
    "airflow.api_fastapi.auth.managers.models.resource_details.DagAccessEntity": _NOBODY,
    "airflow.api_fastapi.auth.managers.models.resource_details.DagDetails": _NOBODY,
    "airflow.api_fastapi.common.db.common.SessionDep": _NOBODY,
    "airflow.api_fastapi.core_api.security.GetUserDep": _NOBODY,
    "airflow.api_fastapi.core_api.security.requires_access_dag": _NOBODY,
    _STATE_ROUTES: f"no replay by the tab: its {_NOBODY}",
    f"{_STATE_ROUTES}.TaskScope": _NOBODY,
    f"{_STATE_ROUTES}.TaskStateStoreBody": _NOBODY,
    f"{_STATE_ROUTES}.delete_task_state_store": _NOBODY,
    f"{_STATE_ROUTES}.set_task_state_store": _NOBODY,
    "airflow.models.connection.Connection": _NO_CHANGES,
    "airflow.models.dag.DagModel": _NO_DELIVERIES,
    "airflow.models.dagrun.DagRun": _NO_WINDOWS,
    "airflow.models.dagrun.DagRun._state": _NO_WINDOWS,
    "airflow.models.renderedtifields.RenderedTaskInstanceFields": _NO_CHANGES,
    "airflow.models.serialized_dag.SerializedDagModel": _NO_CHANGES,
    "airflow.models.task_state_store.TaskStateStoreModel": "as on a version that has none: the state is in a folder",
    "airflow.models.taskinstance.TaskInstance": _NO_WINDOWS,
    "airflow.models.taskinstancehistory.TaskInstanceHistory": _NO_DELIVERIES,
    "airflow.models.xcom.XComModel": f"both tabs: their {_NOBODY}",
    "airflow.models.xcom.XComModel.deserialize_value": _NO_WINDOWS,
    "airflow.sdk._shared.secrets_masker._secrets_masker": _NO_SECRETS,
    f"{_OPERATOR}._BaseOperator__from_mapped": "a wrong argument of a mapped task fails it "
    "before it runs, and is retried",
    "airflow.sdk.crypto.get_fernet": "no tokens that tasks share: refresh tokens are refused",
    "airflow.sdk.execution_time.xcom.resolve_xcom_backend": "reports that a backend keeps elsewhere do not show",
    "airflow.sdk.definitions.asset.AssetRef": "no counts on the events of references to assets",
    f"{_RUNNING}.get_relevant_upstream_map_indexes": "of a mapped task group only this one's instance is replayed",
    f"{_RUNNING}.get_task_states": "a replay of mapped tasks fails",
    "airflow.serialization.encoders.coerce_to_core_timetable": _NO_TICKS,
    "airflow.timetables.base.DagRunInfo": _NO_TICKS,
    "airflow.timetables.base.TimeRestriction": _NO_TICKS,
}
_ATTRIBUTES = {name for name in WITHOUT if name.startswith((_RUNNING, _OPERATOR)) or name.rpartition(".")[0] in WITHOUT}
# The same of versions before 3.3, which goes with them.
_OLDER = {
    "airflow.auth.managers.models.resource_details.DagAccessEntity",
    "airflow.auth.managers.models.resource_details.DagDetails",
    "airflow.stats.Stats",
    "airflow.utils.session.create_session",
    "airflow.www.extensions.init_auth_manager.get_auth_manager",
}
_DOCUMENTED = (
    *("airflow.plugins_manager.", "airflow.providers."),
    *("airflow.sdk.configuration.", "airflow.sdk.exceptions.", "airflow.sdk.log.", "airflow.sdk.observability."),
)


def imported() -> set[str]:
    """What the package imports of Airflow, as 3.3 has it."""
    trees = [ast.parse(path.read_text()) for path in (REPOSITORY / "airflow_async_rest").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    direct = {f"{node.module}.{name.name}" for node in nodes for name in node.names}
    by_name = {f"{places[0]}.{name}" for name, places in names._PLACES.items()}
    masker = f"{secrets_masker._PLACES[0]}._secrets_masker"
    return {name for name in direct | by_name | {masker} if name.startswith("airflow.")}


def is_documented(name: str) -> bool:
    return name.startswith(_DOCUMENTED) or name.count(".") == len(("airflow", "sdk"))


def find(name: str) -> object:
    """Import what a name says: a module, something of one, or of a class."""
    module, _, rest = name.rpartition(".")
    try:
        return import_module(name)
    except ImportError:
        return getattr(find(module), rest)


def test_what_is_imported_and_not_documented_is_on_the_list():
    assert {name for name in imported() if not is_documented(name)} - _OLDER == WITHOUT.keys() - _ATTRIBUTES


def test_an_attribute_that_is_on_the_list_is_used():
    texts = "".join(path.read_text() for path in (REPOSITORY / "airflow_async_rest").rglob("*.py"))
    assert [name for name in _ATTRIBUTES if name.rpartition(".")[2] not in texts] == []


@pytest.mark.parametrize("name", WITHOUT)
def test_airflow_has_what_is_on_the_list(name):
    assert find(name) is not None
