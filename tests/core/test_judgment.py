import pytest

from airflow_async_rest.core.errors import AuthenticationError, CredentialsError
from airflow_async_rest.core.judgment import explain, is_whole, judge
from airflow_async_rest.core.loading import RowTotals
from airflow_async_rest.core.report import Totals
from airflow_async_rest.core.retry import RequestRetry


@pytest.mark.parametrize(
    ("reasons", "permanent", "advice"),
    [
        (["http_422", "encode"], True, "or let the API take them and replay the dead letters"),
        (["refused", "unmatched_results"], True, "or let the API take them and replay the dead letters"),
        (["answer_unreadable"], True, "before a replay with reasons=['answer_unreadable'] sends them again"),
        (["encode", "endpoint"], True, "None of them can be made a request"),
        (["http_503", "encode"], False, "A retry sends only these again; or replay the dead letters"),
        (["transform"], False, "A retry makes requests of these once more; a replay cannot"),
        (["transform", "encode"], False, "A retry makes requests of these once more; a replay cannot"),
        (["transform", "http_503"], False, "A retry sends only these again; or replay the dead letters"),
        (["not_stored"], False, "A retry sends only these again; or replay the dead letters"),
    ],
)
def test_what_failed_says_what_can_be_done(reasons, permanent, advice):
    totals = Totals()
    for reason in reasons:
        totals.failed_again(reason)
    error = judge(totals, 0, RequestRetry(), "file:///dead")
    assert error.permanent is permanent
    assert str(error).endswith(" in file:///dead")
    assert advice in str(error)


def of_fetch(*reasons, refused=0, read=100) -> Totals:
    totals = Totals()
    totals.read, totals.rows = read, RowTotals(refused=refused)
    for reason in reasons:
        totals.failed_again(reason)
    return totals


@pytest.mark.parametrize(
    ("reasons", "refused", "permanent", "text"),
    [
        (["http_404"], 0, True, "1 of 100 items failed (1 http_404); max_failures allows 0. Is the path right"),
        (["http_404", "http_422"], 0, True, "max_failures allows 0. A retry would change nothing"),
        (["http_500"], 0, False, "1 of 100 items failed (1 http_500); max_failures allows 0. A retry fetches only these"),
        (["unreadable_answer"], 0, False, "A retry fetches only these again. They are listed in file:///dead"),
        ([], 3, True, "0 of 100 items failed and 3 rows were refused (3 row_refused); max_failures allows 0. The database"),
        (["http_410"], 3, True, "with the database's words, in file:///dead"),
        (["timeout"], 3, False, "1 of 100 items failed and 3 rows were refused (3 row_refused, 1 timeout)"),
    ],
)  # fmt: skip
def test_what_was_not_fetched_or_loaded_says_what_can_be_done(reasons, refused, permanent, text):
    error = judge(of_fetch(*reasons, refused=refused), 0, RequestRetry(), "file:///dead")
    assert error.permanent is permanent
    assert text in str(error)
    assert "replay" not in str(error)


@pytest.mark.parametrize(
    ("reasons", "delivered", "hint"),
    [
        (["http_404"] * 3, 0, "Is the path right"),
        (["http_404"] * 3, 1, ""),
        (["http_403"] * 3, 0, "allowed to do that"),
        (["http_405"], 0, "Is the method right"),
        (["http_404", "http_422"], 0, ""),
    ],
)
def test_where_all_fail_alike_and_nothing_was_accepted_the_cause_is_named(reasons, delivered, hint):
    totals = Totals()
    totals.read, totals.delivered = 100, delivered
    for reason in reasons:
        totals.failed_again(reason)
    text = str(judge(totals, 0, RequestRetry(), "file:///dead"))
    assert (hint in text) if hint else "?" not in text


@pytest.mark.parametrize(
    ("accepted", "kind", "text"),
    [
        (0, AuthenticationError, "answers 401. Nothing was accepted yet"),
        (8, CredentialsError, "answers 401. 8 items were accepted before: a retry goes on where this try ended"),
    ],
)
def test_credentials_that_were_good_once_are_worth_a_retry(accepted, kind, text):
    error = explain(CredentialsError("connection 'api': the API answers 401"), accepted)
    assert type(error) is kind
    assert text in str(error)
    assert str(error).startswith("connection 'api'")


@pytest.mark.parametrize(
    ("reasons", "refused", "max_failures", "whole", "good"),
    [
        ([], 0, 0, True, True),
        ([], 1, 0, True, False),
        ([], 1, 1, True, True),
        (["timeout"], 0, 0, False, False),
        (["timeout"], 0, 1, True, True),
        (["timeout"], 1, 1, True, False),
        (["timeout"], 1, 0.02, True, True),
        (["timeout"], 2, 0.02, True, False),
        (["timeout"] * 3, 0, 0.02, False, False),
    ],
)
def test_refused_rows_count_as_failures_and_leave_a_load_whole(reasons, refused, max_failures, whole, good):
    totals = of_fetch(*reasons, refused=refused)
    assert is_whole(totals, max_failures) is whole
    assert (judge(totals, max_failures, RequestRetry(), "") is None) is good
