"""Tests of what the README and the pages say."""

import sys
from types import SimpleNamespace

import pytest


@pytest.fixture
def operators():
    from airflow_async_rest.operators.replay import ReplayDeadLettersOperator
    from airflow_async_rest.operators.rest_to_sql import RestToSqlOperator
    from airflow_async_rest.operators.sql_to_rest import SqlToRestOperator

    return {cls.__name__: cls for cls in (SqlToRestOperator, RestToSqlOperator, ReplayDeadLettersOperator)}


@pytest.fixture
def no_pandas(monkeypatch):
    """Samples import it, and their functions are not called here."""
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace())
