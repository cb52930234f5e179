import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.retry import RequestRetry, parse_retry_after

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("5", 5.0),
        (" 120 ", 120.0),
        ("007", 7.0),
        ("9" * 30, 1e30),
        ("9" * 5000, math.inf),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 12:00:30 -0000", 30.0),
        ("Thu, 01 Jan 2026 13:00:30 +0100", 30.0),
        ("Thursday, 01-Jan-26 12:00:30 GMT", 30.0),
        ("Thu Jan  1 12:00:30 2026", 30.0),
        ("Thu, 01 Jan 2026 11:59:59 GMT", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("-5", None),
        ("+5", None),
        ("1e3", None),
        ("٣", None),
        ("", None),
        ("soon", None),
        ("inf", None),
        ("nan", None),
        ("5, 10", None),
        ("Thu", None),
        ("Thu, 99 Jan 2026 12:00:30 GMT", None),
        ("Wed, 21 Oct 99999999999999999999 07:28:00 GMT", None),
        ("Wed, 21 Oct 2015 07:28:00 +99999999999999999999", None),
        ("12:" + "9" * 5000, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(header, seconds):
    assert parse_retry_after(header, NOW) == seconds


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d+ (Jan|Feb) -?\d+ \d+:\d+:\d+ ?[+-]?\d*", fullmatch=True))
def test_whatever_an_api_writes_is_no_reason_to_fail(header):
    seconds = parse_retry_after(header)
    assert seconds is None or seconds >= 0


def test_a_date_is_compared_with_the_clock():
    assert parse_retry_after("Wed, 21 Oct 9998 07:28:00 GMT") > 1e9


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


@pytest.mark.parametrize("value", [0, -1, 1.5, "3", True, None, math.nan])
def test_wrong_attempts_are_refused(value):
    with pytest.raises(ConfigurationError, match="max_attempts="):
        RequestRetry(max_attempts=value)


@pytest.mark.parametrize("name", ["backoff_base_seconds", "backoff_max_seconds", "max_retry_after_seconds"])
@pytest.mark.parametrize("value", [-1, "3", True, None, math.nan, math.inf])
def test_wrong_seconds_are_refused(name, value):
    with pytest.raises(ConfigurationError, match=f"{name}="):
        RequestRetry(**{name: value})


@pytest.mark.parametrize("statuses", ["429", 429, ["x"], {0}, {1000}, [None]])
def test_wrong_statuses_are_refused(statuses):
    with pytest.raises(ConfigurationError, match="statuses="):
        RequestRetry(statuses=statuses)


@pytest.mark.parametrize("statuses", [{429}, [429, 429], ("429",), frozenset({429})])
def test_statuses_may_be_any_collection(statuses):
    assert RequestRetry(statuses=statuses).statuses == {429}


def test_no_statuses_retry_no_answer():
    assert not RequestRetry(statuses=()).is_retriable(503)
