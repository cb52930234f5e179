"""The garbage collector while an operator runs: it is told before the engine is imported."""

import gc

import pytest

from airflow_async_rest.operators.replay import ReplayDeadLettersOperator
from airflow_async_rest.operators.rest_to_sql import RestToSqlOperator
from airflow_async_rest.operators.sql_to_rest import SqlToRestOperator


@pytest.mark.parametrize(
    "operator",
    [
        SqlToRestOperator(task_id="t", sql="SELECT 1", sql_conn_id="db", endpoint="x"),
        RestToSqlOperator(
            task_id="t", items=[1], endpoint="x/{item}", columns=["a"], destination_table="t", destination_conn_id="db"
        ),
        ReplayDeadLettersOperator(task_id="t", dead_letters=None),
    ],
    ids=lambda operator: type(operator).__name__,
)
def test_it_does_so_before_an_operator_imports_the_engine(operator):
    frozen = []

    class Named:
        def __getitem__(self, name):
            frozen.append(gc.get_freeze_count())
            raise LookupError(name)

    with pytest.raises(Exception, match=r"\w"):
        type(operator).execute.__wrapped__(operator, Named())
    assert frozen[0] > 0
    assert gc.get_freeze_count() == 0
