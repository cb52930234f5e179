import pytest

from airflow_async_rest.core.judgment import judge
from airflow_async_rest.core.report import Totals
from airflow_async_rest.core.retry import RequestRetry


@pytest.mark.parametrize(
    ("reasons", "permanent", "advice"),
    [
        (["http_422", "encode"], True, "or let the API take them and replay the dead letters"),
        (["refused", "unmatched_results"], True, "or let the API take them and replay the dead letters"),
        (["encode", "endpoint"], True, "None of them can be made a request"),
        (["http_503", "encode"], False, "A retry sends only these again; or replay the dead letters"),
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
