"""The report of a task that fails, in XCom."""

from types import SimpleNamespace

import pytest

from airflow_async_rest.tasks.errors import push_report

REPORT = {"read": 3, "resumed_from": None, "complete": False}


@pytest.fixture
def pushed():
    """What a task has in XCom where no value may be None, as in 3.0."""
    return {}


@pytest.fixture
def instance(pushed):
    def push(key, value):
        if value is None:
            raise ConnectionError("Remote server returned validation error")
        pushed[key] = value

    return lambda *, multiple_outputs: SimpleNamespace(
        task=SimpleNamespace(multiple_outputs=multiple_outputs), xcom_push=push
    )


@pytest.mark.parametrize(("multiple_outputs", "more"), [(False, {}), (True, {"read": 3, "complete": False})])
def test_a_report_is_there_whole_and_in_parts_where_no_value_may_be_none(instance, pushed, multiple_outputs, more):
    push_report(instance(multiple_outputs=multiple_outputs), REPORT)
    assert pushed == {"return_value": REPORT, **more}


def test_xcom_that_takes_nothing_is_an_error(instance):
    failing = instance(multiple_outputs=True)
    with pytest.raises(ConnectionError):
        push_report(failing, None)
