import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_async_rest.core.account.report import RowTotals, Totals
from airflow_async_rest.core.answers.tally import Tally
from airflow_async_rest.core.sending.meter import LatencyHistogram, Meter


@given(st.lists(st.floats(min_value=1e-4, max_value=600), min_size=1))
def test_a_percentile_is_right_to_a_few_percent(latencies):
    histogram = LatencyHistogram()
    for seconds in latencies:
        histogram.add(seconds)
    ordered = sorted(latencies)
    for name, milliseconds in histogram.percentiles_ms((0.0, 0.5, 1.0)).items():
        rank = max(1, -(-len(ordered) * int(name[1:]) // 100))
        assert milliseconds == pytest.approx(ordered[rank - 1] * 1000, rel=0.03, abs=0.01)


def test_percentiles_of_many_requests_are_those_of_all():
    histogram = LatencyHistogram()
    for number in range(1, 1001):
        histogram.add(number / 1000)
    found = histogram.percentiles_ms()
    assert found == {
        name: pytest.approx(exact, rel=0.03) for name, exact in {"p50": 500, "p95": 950, "p99": 990}.items()
    }


def test_nothing_counted_has_no_percentile():
    assert LatencyHistogram().percentiles_ms() == {"p50": None, "p95": None, "p99": None}


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-9])
def test_a_latency_below_the_floor_counts(seconds):
    histogram = LatencyHistogram()
    histogram.add(seconds)
    assert histogram.percentiles_ms()["p50"] == 0.1


def test_latencies_go_on_after_a_retry():
    first = LatencyHistogram()
    first.add(0.1)
    first.add(10)
    again = LatencyHistogram(json.loads(json.dumps(first.to_json())))
    again.add(0.1)
    assert again.percentiles_ms()["p50"] == pytest.approx(100, rel=0.03)
    assert sum(again.to_json().values()) == 3


def test_the_meter_counts_attempts_above_the_first_as_retries():
    meter = Meter()
    for attempt in (1, 2, 3):
        meter.sending(attempt)
    assert (meter.requests, meter.retries, meter.in_flight) == (3, 2, 3)
    meter.sent()
    assert meter.in_flight == 2


@pytest.fixture
def totals():
    totals = Totals()
    totals.read, totals.delivered, totals.skipped = 10, 6, 1
    for reason in ("http_422", "http_422", "timeout"):
        totals.failed_again(reason)
    totals.meter.sending(1)
    totals.meter.sent(0.1)
    return totals


def test_failed_is_the_sum_of_the_reasons(totals):
    assert totals.failed == 3


def test_a_reason_that_nobody_has_any_more_is_gone(totals):
    totals.no_longer_failed("timeout")
    assert dict(totals.reasons) == {"http_422": 2}


def test_what_was_never_counted_is_not_taken_back(totals):
    totals.no_longer_failed("encode")
    assert totals.failed == 3


def test_totals_go_on_after_a_retry(totals):
    again = Totals(json.loads(json.dumps({**totals.to_json(), "elapsed_seconds": 100.0})))
    again.failed_again("timeout")
    report = again.report(unfinished=0)
    assert {**report, "elapsed_seconds": 0, "items_per_second": 0} == {
        **totals.report(unfinished=0),
        "failed": 4,
        "reasons": {"http_422": 2, "timeout": 2},
        "elapsed_seconds": 0,
        "items_per_second": 0,
    }
    assert report["elapsed_seconds"] >= 100
    assert report["items_per_second"] <= 0.1


def test_the_report_has_the_most_frequent_reason_first(totals):
    assert list(totals.report(0)["reasons"]) == ["http_422", "timeout"]


def test_the_numbers_of_a_report_add_up(totals):
    report = totals.report(unfinished=0)
    assert report["read"] == report["delivered"] + report["failed"] + report["skipped"] + report["unfinished"]


def test_rows_of_a_load_are_reported_and_go_on_after_a_retry(totals):
    assert "rows_loaded" not in totals.report(0)
    totals.rows = RowTotals(staged=4, loaded=20, refused=3)
    totals.tally = Tally(ignored={"b": 1, "a": 2}, unfound={"never": 20, "nothing.was.read": 0})
    again = Totals(json.loads(json.dumps(totals.to_json())))
    for report in (totals.report(0), again.report(0)):
        assert (report["rows_loaded"], report["rows_refused"], report["rows_staged"]) == (20, 3, 4)
        assert list(report["keys_ignored"].items()) == [("a", 2), ("b", 1)]
        assert report["paths_not_found"] == {"never": 20}
        assert report["reasons"] == {"row_refused": 3, "http_422": 2, "timeout": 1}
        assert report["failed"] == 3  # items; of refused rows the item is delivered


def test_a_sample_of_latencies_is_spread_as_all_of_them():
    histogram = LatencyHistogram()
    for number in range(1, 1001):
        histogram.add(number / 1000)
    sample = histogram.sample_ms(40)
    assert len(sample) == 40
    assert sample == sorted(sample)
    assert sample[0] == pytest.approx(13, rel=0.1)
    assert sample[-1] == pytest.approx(988, rel=0.03)
    assert sum(sample) / 40 == pytest.approx(500, rel=0.03)


def test_a_sample_of_few_latencies_is_all_of_them():
    histogram = LatencyHistogram()
    for seconds in (0.2, 0.1, 0.1):
        histogram.add(seconds)
    assert histogram.sample_ms(40) == [pytest.approx(ms, rel=0.03) for ms in (100, 100, 200)]
    assert LatencyHistogram().sample_ms(40) == []


def test_latencies_since_a_moment_are_those_that_came_after_it():
    histogram = LatencyHistogram()
    histogram.add(0.1)
    before = histogram + LatencyHistogram()
    histogram.add(0.1)
    histogram.add(1)
    assert (histogram - before).sample_ms(40) == [pytest.approx(ms, rel=0.03) for ms in (100, 1000)]


def test_replays_of_all_tries_are_kept_and_a_later_sitting_adds_to_its_own():
    first = Totals()
    first.begin_replay(2)
    first.note_replay({"sent": 3, "delivered": 1, "failed": 1})
    assert first.report(0)["replay"] == {"sent": 3, "delivered": 1, "failed": 1}
    second = Totals(first.to_json())  # what was on its way goes once more
    second.begin_replay(2)
    second.note_replay({"sent": 1, "delivered": 1, "failed": 0})
    assert second.report(0)["replay"] == {"sent": 3, "delivered": 2, "failed": 1}
    third = Totals(second.to_json())
    assert "replay" not in third.report(0)
    third.begin_replay(3)
    assert third.report(0)["replays"] == {
        "2": {"sent": 3, "delivered": 2, "failed": 1},
        "3": {"sent": 0, "delivered": 0, "failed": 0},
    }


def test_a_window_without_replays_says_nothing_of_them():
    totals = Totals()
    totals.note_replay({"sent": 1, "delivered": 1, "failed": 0})
    assert {"replay", "replays"}.isdisjoint(totals.report(0) | totals.to_json())


def test_the_latest_replays_are_kept():
    totals = Totals()
    for number in range(1, 31):
        totals = Totals(totals.to_json())
        totals.begin_replay(number)
    assert list(totals.replays) == [str(number) for number in range(11, 31)]
