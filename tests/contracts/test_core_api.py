"""What is relied on of Airflow's API server and its tables, none of which is documented, and what is done without."""

import importlib
import runpy
import sys
import warnings

import pytest

_READ = {
    "taskinstance.TaskInstance": "dag_id run_id task_id map_index operator state start_date end_date try_number",
    "dagrun.DagRun": "id dag_id run_id run_after data_interval_start data_interval_end",
    "xcom.XComModel": "dag_id run_id task_id map_index key value",
    "task_state_store.TaskStateStoreModel": "dag_id run_id task_id map_index key value",
}


@pytest.fixture
def core_api():
    from airflow_async_rest.compat import core_api

    return core_api


def client_of(app):
    from fastapi.testclient import TestClient

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one of Starlette's, about its test client
        return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize("model", _READ)
def test_the_tables_that_the_tab_windows_reads_have_these_columns(model):
    module, _, name = model.partition(".")
    table = getattr(importlib.import_module(f"airflow.models.{module}"), name)
    assert set(_READ[model].split()) <= set(table.__table__.columns.keys())


def test_a_runs_state_is_a_column_by_its_private_name():
    from airflow.models.dagrun import DagRun

    assert DagRun._state.label("run_state").name == "run_state"
    assert "state" in DagRun.__table__.columns


def test_what_is_in_xcom_is_read_by_the_models_own_function():
    from types import SimpleNamespace

    from airflow.models.xcom import XComModel

    assert XComModel.deserialize_value(SimpleNamespace(value='{"delivered": 1}')) == {"delivered": 1}


def test_access_to_a_dags_xcom_can_be_asked_for(core_api):
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import requires_access_dag

    assert callable(requires_access_dag("GET", DagAccessEntity.XCOM))
    assert core_api.MAY_SEE_XCOM[0].dependency is not core_api._nobody


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("airflow.api_fastapi.core_api.security", None),
        ("airflow.api_fastapi.core_api.security", "requires_access_dag"),
        ("airflow.api_fastapi.auth.managers.models.resource_details", "DagAccessEntity"),
        ("airflow.api_fastapi.common.db.common", None),
    ],
)
def test_without_airflows_own_check_of_access_nobody_sees_anything(core_api, monkeypatch, module, name):
    from fastapi import FastAPI

    if name is None:
        monkeypatch.setitem(sys.modules, module, None)
    else:
        monkeypatch.delattr(f"{module}.{name}")
    found = runpy.run_path(core_api.__file__)
    app = FastAPI()
    app.get("/seen", dependencies=found["MAY_SEE_XCOM"])(lambda: "seen")
    answer = client_of(app).get("seen")
    assert (answer.status_code, answer.json()["detail"]) == (501, core_api.NOT_KNOWN)
    assert found["SessionDep"] is not core_api.SessionDep  # which the rest of the application can be made with


def test_without_airflows_tables_the_tab_windows_is_told_so(core_api, monkeypatch):
    from airflow_async_rest.ui.endpoints import app

    monkeypatch.setitem(sys.modules, "airflow_async_rest.ui.windows", None)
    monkeypatch.setitem(app.dependency_overrides, core_api.MAY_SEE_XCOM[0].dependency, lambda: None)
    answer = client_of(app).get("windows", params={"dag_id": "d"})
    assert (answer.status_code, answer.json()["detail"]) == (501, core_api.NOT_KNOWN)
