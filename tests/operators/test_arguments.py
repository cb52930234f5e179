"""The arguments of operators, of ``deliver`` and ``fetch``, and of the jobs made of them are the same ones."""

import inspect
import re
import warnings
from dataclasses import MISSING, fields

import pytest
from tasks import sql_to_rest

from airflow_async_rest.hooks.rest import AsyncRestHook
from airflow_async_rest.operators.replay import ReplayDeadLettersOperator
from airflow_async_rest.operators.rest_to_sql import RestToSqlOperator
from airflow_async_rest.operators.sql_to_rest import SqlToRestOperator
from airflow_async_rest.tasks.arguments import Asking, Sending

# Of a replay, its dead letters say the rest.
REPLAYED = {"endpoint", "method", "transform", "key", "order_by_key", "schema", "dead_letter_path", "body_format"}


@pytest.mark.parametrize(
    ("function", "arguments", "without"),
    [
        (SqlToRestOperator.__init__, Sending, set()),
        (AsyncRestHook.deliver, Sending, set()),
        (RestToSqlOperator.__init__, Asking, set()),
        (AsyncRestHook.fetch, Asking, set()),
        (ReplayDeadLettersOperator.__init__, Sending, REPLAYED),
    ],
    ids=["SqlToRestOperator", "deliver", "RestToSqlOperator", "fetch", "ReplayDeadLettersOperator"],
)
def test_what_a_job_is_told_is_an_argument_of_the_same_name_and_default(function, arguments, without):
    defaults = {name: one.default for name, one in inspect.signature(function).parameters.items()}
    told = {one.name: inspect.Parameter.empty if one.default is MISSING else one.default for one in fields(arguments)}
    assert {name: default for name, default in told.items() if name not in without} == {
        name: defaults.get(name, "no argument") for name in told if name not in without
    }


def test_the_callbacks_of_success_are_those_of_the_dag_too():
    def tell(context):
        """Stand for a message of the author's."""

    task = sql_to_rest(default_args={"on_success_callback": tell})
    assert [callback.__name__ for callback in task.on_success_callback] == ["tell", "_forget"]


@pytest.mark.parametrize(
    ("default_args", "warned"),
    [
        (
            {"rate_limits": "1/s"},
            "'rate_limits', which is no argument of SqlToRestOperator.*The nearest is 'rate_limit'",
        ),
        ({"http_con_id": "api"}, "The nearest is 'http_conn_id'"),
        ({"retrys": 3, "retries": 3}, None),
        ({"conn_id": "db", "postgres_conn_id": "db", "bash_command": "x", "data": {}, "owner": "me"}, None),
        ({"rate_limit": "1/s", "email": []}, None),
    ],
)
def test_defaults_that_airflow_passes_over_are_warned_of(default_args, warned):
    """They may be another operator's: what is little like an argument here is none of ours."""
    from airflow.sdk import DAG

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with DAG("defaults", schedule=None, default_args=default_args):
            sql_to_rest()
    texts = [str(one.message) for one in caught if "default_args" in str(one.message)]
    assert bool(texts) is (warned is not None)
    assert warned is None or re.search(warned, texts[0])
