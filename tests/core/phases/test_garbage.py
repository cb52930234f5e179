"""The garbage collector while a job runs: it ignores what was there before, and is as it was afterwards."""

import gc

import pytest

from airflow_async_rest.core.phases.garbage import collecting_new_garbage_only
from airflow_async_rest.operators.replay import ReplayDeadLettersOperator
from airflow_async_rest.operators.rest_to_sql import RestToSqlOperator
from airflow_async_rest.operators.sql_to_rest import SqlToRestOperator


def test_what_is_there_is_ignored_also_by_one_job_in_another():
    before = gc.get_threshold()
    with collecting_new_garbage_only():
        frozen = gc.get_freeze_count()
        assert frozen > 0
        with collecting_new_garbage_only():
            assert gc.get_freeze_count() >= frozen
        assert gc.get_freeze_count() >= frozen
        assert gc.get_threshold()[0] > before[0]
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)


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
