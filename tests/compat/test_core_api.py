"""What is done without what Airflow's API server has for its own endpoints: nobody sees anything, and is told why."""

import runpy
import sys
import warnings

import pytest


@pytest.fixture
def core_api():
    from airflow_async_rest.compat import core_api

    return core_api


def client_of(app):
    from fastapi.testclient import TestClient

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one of Starlette's, about its test client
        return TestClient(app, raise_server_exceptions=False)


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
    (user,) = core_api.UserDep.__metadata__
    for asked in (core_api.MAY_SEE_XCOM[0], user):
        monkeypatch.setitem(app.dependency_overrides, asked.dependency, lambda: None)
    answer = client_of(app).get("windows", params={"dag_id": "d"})
    assert (answer.status_code, answer.json()["detail"]) == (501, core_api.NOT_KNOWN)
