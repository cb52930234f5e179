"""What is relied on of Airflow's API server and its tables, none of which is documented."""

import importlib

import pytest

_READ = {
    "dag.DagModel": "dag_id is_paused is_stale next_dagrun_create_after dag_display_name",
    "taskinstance.TaskInstance": "dag_id run_id task_id map_index operator state start_date end_date try_number",
    "dagrun.DagRun": "id dag_id run_id run_type run_after data_interval_start data_interval_end",
    "renderedtifields.RenderedTaskInstanceFields": "dag_id run_id task_id map_index rendered_fields",
    "serialized_dag.SerializedDagModel": "dag_id",
    "connection.Connection": "conn_id conn_type host schema port",
    "xcom.XComModel": "dag_run_id dag_id run_id task_id map_index key value",
    "task_state_store.TaskStateStoreModel": "dag_id run_id task_id map_index key value",
}


@pytest.fixture
def core_api():
    from airflow_async_rest.compat import core_api

    return core_api


@pytest.mark.parametrize("model", _READ)
def test_the_tables_that_the_tab_windows_reads_have_these_columns(model):
    module, _, name = model.partition(".")
    table = getattr(importlib.import_module(f"airflow.models.{module}"), name)
    assert set(_READ[model].split()) <= set(table.__table__.columns.keys())


def test_a_runs_state_is_a_column_by_its_private_name():
    from airflow.models.dagrun import DagRun

    assert DagRun._state.label("run_state").name == "run_state"
    assert "state" in DagRun.__table__.columns


def test_a_dag_is_serialized_with_the_arguments_of_its_tasks(airflow_db):
    from datetime import UTC, datetime

    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    from airflow_async_rest.operators.sql_to_rest import SqlToRestOperator
    from airflow_async_rest.ui.changes import defined_fields

    given = {"sql": "SELECT 1 AS id", "sql_conn_id": "db", "http_conn_id": "api"}
    with DAG("of_changes", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        SqlToRestOperator(task_id="post", endpoint="x/{id}", **given)
        SqlToRestOperator.partial(task_id="mapped", **given).expand(endpoint=["x", "y"])
    serialized = DagSerialization.to_dict(dag)
    assert defined_fields(serialized, "post") == {**given, "endpoint": "x/{id}"}
    assert defined_fields(serialized, "mapped") == given
    assert SerializedDagModel.get("no_such_dag") is None
    assert isinstance(SerializedDagModel.data, property)


def test_what_is_in_xcom_is_read_by_the_models_own_function():
    from types import SimpleNamespace

    from airflow.models.xcom import XComModel

    assert XComModel.deserialize_value(SimpleNamespace(value='{"delivered": 1}')) == {"delivered": 1}


def test_the_backend_of_object_storage_knows_the_file_of_a_reference(monkeypatch, tmp_path):
    from airflow.providers.common.io.xcom import backend

    monkeypatch.setattr(backend, "_get_base_path", lambda: backend.ObjectStoragePath(f"file://{tmp_path}"))
    file = tmp_path / "value.json"
    file.write_text("{}")
    assert backend.XComObjectStorageBackend._get_full_path(f"file://{file}").stat().st_size == 2
    with pytest.raises(ValueError, match="Invalid key"):
        backend.XComObjectStorageBackend._get_full_path("file:///elsewhere/value.json")


def test_access_to_a_dags_xcom_can_be_asked_for(core_api):
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import requires_access_dag

    assert callable(requires_access_dag("GET", DagAccessEntity.XCOM))
    assert core_api.MAY_SEE_XCOM[0].dependency is not core_api._nobody


def test_it_can_be_asked_which_dags_a_user_may_read_and_whose_xcom():
    import inspect

    from airflow.api_fastapi.auth.managers.base_auth_manager import BaseAuthManager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagDetails

    names = {
        "get_authorized_dag_ids": {"user"},
        "batch_is_authorized_dag": {"requests", "user"},
        "is_authorized_dag": {"method", "user", "access_entity", "details"},
    }
    for name, arguments in names.items():
        assert arguments <= set(inspect.signature(getattr(BaseAuthManager, name)).parameters)
    assert DagDetails("a", "team").id == "a"


def test_the_right_to_clear_a_task_can_be_asked_for(core_api):
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import requires_access_dag

    assert callable(requires_access_dag("PUT", DagAccessEntity.TASK_INSTANCE))
    assert core_api.MAY_CHANGE_TASK[0].dependency is not core_api._nobody


def test_the_task_state_store_is_written_by_the_functions_of_airflows_own_endpoints():
    import inspect

    from airflow.api_fastapi.core_api.routes.public import task_state_store as routes

    assert [*inspect.signature(routes.set_task_state_store).parameters] == ["scope", "key", "body", "session"]
    assert [*inspect.signature(routes.delete_task_state_store).parameters] == ["scope", "key", "session"]
    assert routes.TaskStateStoreBody(value={"reasons": None}).expires_at == "default"
    assert routes.TaskScope(dag_id="d", run_id="r", task_id="t", map_index=3).map_index == 3


def test_a_task_has_the_task_state_store_in_its_context():
    import inspect

    from airflow.sdk.execution_time import task_runner

    assert '"task_state_store": TaskStateStoreAccessor(' in inspect.getsource(
        task_runner.RuntimeTaskInstance.get_template_context
    )
