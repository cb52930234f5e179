import math

import pytest
from tables import every_row

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.sending.retry import RequestRetry


@pytest.mark.parametrize(
    ("attempts", "bound"), [(1, 0.5), (2, 1.0), (3, 2.0), (7, 32.0), (8, 60.0), (1000, 60.0), (10**6, 60.0)]
)
def test_the_bound_of_the_backoff_doubles_up_to_its_cap(monkeypatch, attempts, bound):
    monkeypatch.setattr("random.uniform", lambda low, high: (low, high))
    assert RequestRetry().backoff_seconds(attempts) == (0.0, bound)


def test_the_backoff_is_spread_over_the_whole_of_its_range():
    drawn = [RequestRetry().backoff_seconds(3) for _ in range(1000)]
    assert min(drawn) < 0.2
    assert max(drawn) > 1.8


@every_row("value", [0, -1, 1.5, "3", True, None, math.nan])
def test_wrong_attempts_are_refused(value):
    with pytest.raises(ConfigurationError, match="max_attempts="):
        RequestRetry(max_attempts=value)


@every_row("name", ["backoff_base_seconds", "backoff_max_seconds", "max_retry_after_seconds"])
@every_row("value", [-1, "3", True, None, math.nan, math.inf, 10**400])
def test_wrong_seconds_are_refused(name, value):
    with pytest.raises(ConfigurationError, match=f"{name}="):
        RequestRetry(**{name: value})


@every_row("statuses", ["429", 429, ["x"], {0}, {1000}, [None], [429.9], b"\xc8"])
def test_wrong_statuses_are_refused(statuses):
    with pytest.raises(ConfigurationError, match="statuses="):
        RequestRetry(statuses=statuses)


@pytest.mark.parametrize("statuses", [{429}, [429, 429], ("429",), frozenset({429})])
def test_statuses_may_be_any_collection(statuses):
    assert RequestRetry(statuses=statuses).statuses == {429}


def test_no_statuses_retry_no_answer():
    assert not RequestRetry(statuses=()).is_retriable(503)
