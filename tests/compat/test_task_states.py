"""What is done where Airflow has no task state store, and where it keeps the functions for it elsewhere."""

import runpy
import sys

import pytest
from fastapi import HTTPException

from airflow_async_rest.compat import task_states
from airflow_async_rest.compat.core_api import NOT_KNOWN


def test_airflow_has_a_state_store_where_it_has_a_table_for_it(monkeypatch):
    assert task_states.has_state_store()
    monkeypatch.setitem(sys.modules, "airflow.models.task_state_store", None)
    assert not runpy.run_path(task_states.__file__)["has_state_store"]()


@pytest.mark.parametrize("call", ["set", "delete"])
def test_functions_that_are_elsewhere_are_told(monkeypatch, call):
    from airflow.api_fastapi.core_api.routes import public

    monkeypatch.setitem(sys.modules, f"{public.__name__}.task_state_store", None)
    monkeypatch.delattr(public, "task_state_store", raising=False)
    store = task_states.AirflowsStore(None, "dag", "run", "task", -1)
    with pytest.raises(HTTPException) as error:
        getattr(store, call)("replay", *([{"reasons": None}] if call == "set" else []))
    assert (error.value.status_code, error.value.detail) == (501, NOT_KNOWN)


def test_task_instances_that_are_elsewhere_are_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "airflow.models.taskinstance", None)
    with pytest.raises(HTTPException) as error:
        task_states.task_exists(None, "dag", "run", "task", -1)
    assert (error.value.status_code, error.value.detail) == (501, NOT_KNOWN)
