import pytest

from airflow_async_rest.core.models import Verdict
from airflow_async_rest.core.response import classify_response, classify_status, is_permanent
from airflow_async_rest.core.retry import RequestRetry

DELIVERED, RETRY, REFUSED = Verdict.DELIVERED, Verdict.RETRY, Verdict.REFUSED


@pytest.mark.parametrize(
    ("status", "verdict"),
    [(200, DELIVERED), (201, DELIVERED), (204, DELIVERED), (299, DELIVERED), (199, REFUSED), (301, REFUSED), (302, REFUSED),
     (304, REFUSED), (400, REFUSED), (401, REFUSED), (404, REFUSED), (408, RETRY), (409, REFUSED), (422, REFUSED), (425, RETRY),
     (429, RETRY), (500, RETRY), (501, REFUSED), (502, RETRY), (503, RETRY), (504, RETRY), (599, RETRY)],
)  # fmt: skip
def test_a_status_has_a_verdict(status, verdict):
    assert classify_status(status, RequestRetry()) is verdict


@pytest.mark.parametrize(("status", "verdict"), [(409, RETRY), (503, REFUSED), (200, DELIVERED)])
def test_statuses_of_ones_own_replace_the_default(status, verdict):
    assert classify_status(status, RequestRetry(statuses={200, 409})) is verdict


async def asynchronous(response) -> bool:
    return True


@pytest.mark.parametrize(
    ("status", "check", "verdict", "reason"),
    [
        (200, None, DELIVERED, ""),
        (422, None, REFUSED, "http_422"),
        (503, None, RETRY, "http_503"),
        (200, lambda response: True, DELIVERED, ""),
        (422, lambda response: True, DELIVERED, ""),
        (422, lambda response: "yes", DELIVERED, ""),
        (200, lambda response: False, REFUSED, "response_check"),
        (200, lambda response: 0, REFUSED, "response_check"),
        (422, lambda response: False, REFUSED, "http_422"),
        (503, lambda response: False, RETRY, "http_503"),
        (200, lambda response: None, DELIVERED, ""),
        (503, lambda response: None, RETRY, "http_503"),
        (200, lambda response: RETRY, RETRY, "response_check"),
        (200, lambda response: REFUSED, REFUSED, "response_check"),
        (422, lambda response: REFUSED, REFUSED, "http_422"),
        (503, lambda response: REFUSED, REFUSED, "response_check"),
        (404, lambda response: DELIVERED, DELIVERED, ""),
        (200, lambda response: response.json(), REFUSED, "response_check"),
        (503, lambda response: 1 / 0, RETRY, "http_503"),
        (200, asynchronous, REFUSED, "response_check"),
    ],
)
def test_the_check_of_the_author_decides(response_of, status, check, verdict, reason):
    assert classify_response(response_of(status), RequestRetry(), check)[:2] == (verdict, reason)


@pytest.mark.parametrize(
    ("check", "detail"),
    [
        (lambda response: 1 / 0, "response_check raised ZeroDivisionError: division by zero"),
        (asynchronous, "response_check raised TypeError: it is an async function; write a plain one"),
        (lambda response: False, ""),
    ],
)
def test_a_check_that_raises_says_so(response_of, check, detail):
    assert classify_response(response_of(), RequestRetry(), check)[2] == detail


@pytest.mark.parametrize(
    ("reason", "permanent"),
    [
        ("http_400", True),
        ("http_422", True),
        ("http_429", False),
        ("http_408", False),
        ("http_503", False),
        ("http_501", False),
        ("http_302", False),
        ("encode", True),
        ("endpoint", True),
        ("response_check", True),
        ("transform", False),
        ("timeout", False),
        ("connection", False),
        ("tls", False),
    ],
)
def test_some_reasons_are_for_good(reason, permanent):
    assert is_permanent(reason, RequestRetry()) is permanent


def test_a_status_that_the_author_retries_is_not_for_good():
    assert not is_permanent("http_409", RequestRetry(statuses={409}))


def test_a_body_that_is_not_utf8_has_a_text(response_of):
    assert response_of(200, b"\xffa").text == "\ufffda"


def test_a_body_that_is_not_json_raises_a_value_error(response_of):
    with pytest.raises(ValueError, match="Expecting"):
        response_of(200, b"<html>").json()
