import pytest
from tables import every_row

from airflow_async_rest.core.errors import AnswerUnreadableError, ConnectionFailedError
from airflow_async_rest.core.models import Response, Verdict
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.core.sending.verdict import classify_response, classify_status, is_permanent, is_there_already

DELIVERED, RETRY, REFUSED = Verdict.DELIVERED, Verdict.RETRY, Verdict.REFUSED


@every_row(
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


@every_row(
    ("status", "check", "verdict", "reason"),
    [
        (200, None, DELIVERED, ""),
        (422, None, REFUSED, "http_422"),
        (503, None, RETRY, "http_503"),
        (200, lambda response: True, DELIVERED, ""),
        (422, lambda response: True, DELIVERED, ""),
        (422, lambda response: "yes", REFUSED, "http_422"),
        (200, lambda response: "yes", REFUSED, "response_check"),
        (200, lambda response: 1, REFUSED, "response_check"),
        (200, lambda response: {"ok": True}, REFUSED, "response_check"),
        (503, lambda response: [], RETRY, "http_503"),
        (207, None, REFUSED, "http_207"),
        (207, lambda response: None, REFUSED, "http_207"),
        (207, lambda response: True, DELIVERED, ""),
        (207, lambda response: False, REFUSED, "response_check"),
        (207, lambda response: REFUSED, REFUSED, "response_check"),
        (207, lambda response: {}, REFUSED, "response_check"),
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
        (asynchronous, "response_check is an async function; write a plain one"),
        (
            lambda response: "yes",
            "response_check returned 'yes': it must return True, False, a Verdict or None",
        ),
        (lambda response: False, ""),
    ],
)
def test_a_check_that_raises_says_so(response_of, check, detail):
    assert classify_response(response_of(), RequestRetry(), check)[2] == detail


@every_row(
    ("reason", "permanent"),
    [
        ("http_400", True),
        ("http_422", True),
        ("http_429", False),
        ("http_408", False),
        ("http_503", False),
        ("http_501", False),
        ("http_302", True),
        ("http_207", True),
        ("answer_unreadable", True),
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


UNREADABLE, CUT = AnswerUnreadableError("too long"), ConnectionFailedError("cut")


@every_row(
    ("status", "broken", "check", "needs_body", "expected"),
    [
        (201, UNREADABLE, None, False, (DELIVERED, "")),
        (201, CUT, None, False, (DELIVERED, "")),
        (201, UNREADABLE, None, True, (REFUSED, "answer_unreadable")),
        (201, CUT, None, True, (RETRY, "connection")),
        (201, UNREADABLE, lambda response: True, False, (REFUSED, "answer_unreadable")),
        (422, UNREADABLE, lambda response: True, True, (REFUSED, "http_422")),
        (503, CUT, None, True, (RETRY, "http_503")),
        (207, UNREADABLE, None, False, (REFUSED, "http_207")),
    ],
)
def test_of_an_answer_that_is_broken_the_status_decides_where_nobody_reads_it(
    status, broken, check, needs_body, expected
):
    response = Response(status, {}, b"", 0.01, broken)
    assert classify_response(response, RequestRetry(), check, needs_body=needs_body)[:2] == expected


@every_row(
    ("status", "retry", "verdict"),
    [
        (403, {}, RETRY),
        (409, {}, RETRY),
        (423, {}, RETRY),
        (401, {}, REFUSED),
        (413, {}, REFUSED),
        (403, {"statuses": {503}}, REFUSED),
    ],
)
def test_a_refusal_that_says_when_to_come_back_is_only_for_now(response_of, status, retry, verdict):
    response = response_of(status, **{"Retry-After": "1"})
    assert classify_response(response, RequestRetry(**retry)).verdict is verdict
    assert classify_response(response_of(status), RequestRetry(**retry)).verdict is REFUSED


PARTS = b"--b1\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\n--b1--\r\n"


@every_row(
    ("status", "kind", "body", "needs_body", "expected"),
    [
        (200, "multipart/mixed; boundary=b1", PARTS, False, (REFUSED, "http_200")),
        (202, "Multipart/Mixed;boundary=b1", b"\r\n" + PARTS, False, (REFUSED, "http_202")),
        (200, "multipart/mixed; boundary=b1", PARTS, True, (DELIVERED, "")),  # somebody reads it
        (200, "application/json", PARTS, False, (DELIVERED, "")),
        (200, "multipart/related; boundary=b1", PARTS, False, (DELIVERED, "")),  # one thing, with attachments
        (200, "multipart/mixed; boundary=b1", b"", False, (DELIVERED, "")),
        (503, "multipart/mixed; boundary=b1", PARTS, False, (RETRY, "http_503")),
    ],
)
def test_an_answer_in_parts_that_nobody_reads_is_no_success(status, kind, body, needs_body, expected):
    response = Response(status, {"Content-Type": kind}, body, 0.01)
    assert classify_response(response, RequestRetry(), needs_body=needs_body)[:2] == expected
    checked = classify_response(response, RequestRetry(), lambda response: True, needs_body=needs_body)
    assert checked.verdict is DELIVERED


@every_row(
    ("status", "body", "verdict"),
    [
        (409, b'{"title": "A request is outstanding for this Idempotency-Key"}', RETRY),
        (409, b'{"error": {"type": "idempotency_error", "code": "idempotency_key_in_use"}}', RETRY),  # Stripe
        (409, b'{"error": "already exists"}', REFUSED),
        (409, b"", REFUSED),
        (422, b'{"title": "Idempotency-Key is already used"}', REFUSED),  # with another payload
    ],
)
def test_a_409_about_the_idempotency_key_is_only_for_now(status, body, verdict):
    """The attempt before is still being acted on; its answer was lost."""
    assert classify_response(Response(status, {}, body, 0.01), RequestRetry()).verdict is verdict
    of_ones_own = RequestRetry(statuses={503})
    assert classify_response(Response(status, {}, body, 0.01), of_ones_own).verdict is REFUSED


@every_row(
    ("method", "path", "query", "status", "creates_only", "there"),
    [
        ("DELETE", "x/7", "", 404, False, True),
        ("DELETE", "x/7", "", 410, False, True),
        ("DELETE", "x/7", "", 409, False, False),
        ("PUT", "x/7", "", 404, False, False),
        ("PUT", "x/7", "", 412, True, True),
        ("PUT", "x/7", "", 412, False, False),
        ("PUT", "i/_create/7", "", 409, False, True),
        ("PUT", "i/_doc/7", "refresh=true&op_type=create", 409, False, True),
        ("POST", "x", "", 409, False, False),
    ],
)
def test_some_refusals_say_that_it_is_done(request_of, method, path, query, status, creates_only, there):
    request = request_of(method=method, path=path, query=query)
    assert is_there_already(request, status, creates_only=creates_only) is there


def test_a_status_that_the_author_retries_is_not_for_good():
    assert not is_permanent("http_409", RequestRetry(statuses={409}))


def test_a_body_that_is_not_utf8_has_a_text(response_of):
    assert response_of(200, b"\xffa").text == "\ufffda"


def test_a_body_that_is_not_json_raises_a_value_error(response_of):
    with pytest.raises(ValueError, match="Expecting"):
        response_of(200, b"<html>").json()
