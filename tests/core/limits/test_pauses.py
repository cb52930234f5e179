import json
import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from tables import every_row

from airflow_async_rest.core.limits.pauses import requested_pause
from airflow_async_rest.core.limits.quotas import QuotaHeaders

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp())


def pause(status=429, body=b"", /, **headers):
    """Ask with headers by their names, ``_`` for ``-``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return requested_pause(status, named, body, NOW)


@every_row(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("5", 5.0),
        (" 120 ", 120.0),
        ("007", 7.0),
        ("1.5", 1.5),
        ("\t0.25 ", 0.25),
        ("2.", 2.0),
        (".5", 0.5),
        ("9" * 30, 1e30),
        ("9" * 5000, math.inf),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),  # RFC 9110, 5.6.7: IMF-fixdate
        ("  Thu, 01 Jan 2026 12:00:30 GMT\t", 30.0),
        ("Thu, 01 Jan 2026 12:00:30 -0000", 30.0),
        ("Thu, 01 Jan 2026 13:00:30 +0100", 30.0),
        ("Thursday, 01-Jan-26 12:00:30 GMT", 30.0),  # RFC 850
        ("Thu Jan  1 12:00:30 2026", 30.0),  # asctime
        ("Thu, 01 Jan 2026 11:59:59 GMT", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("2026-01-01T12:00:30Z", 30.0),  # Zoom
        ("-5", None),
        ("-1.5", None),
        ("+5", None),
        ("1e3", None),
        ("1.5.2", None),
        ("1_000", None),
        (".", None),
        ("٣", None),
        ("", None),
        ("soon", None),
        ("inf", None),
        ("Infinity", None),
        ("nan", None),
        ("5, 10", 10.0),
        ("120, 120", 120.0),
        ("30s", 30.0),
        ("1.5 seconds", 1.5),
        ("5 apples", None),
        (str(EPOCH + 30), 30.0),
        (f"{EPOCH + 30}000", 30.0),
        (f"{EPOCH + 30}000000", 30.0),
        (f"{EPOCH + 30}000000000", 30.0),
        ("2026-01-01 12:00:30 UTC", 30.0),  # as Ruby writes it
        ("Thu", None),
        ("Thu, 99 Jan 2026 12:00:30 GMT", None),
        ("Wed, 21 Oct 99999999999999999999 07:28:00 GMT", None),
        ("Wed, 21 Oct 2015 07:28:00 +99999999999999999999", None),
        ("12:" + "9" * 5000, None),
    ],
)
@every_row("status", [200, 403, 409, 429, 503])
def test_retry_after_is_read_in_all_its_forms_beside_any_status(status, header, seconds):
    assert pause(status, Retry_After=header) == seconds


RESETS = [
    # Discord
    ({"X-RateLimit-Reset-After": "0.65"}, 0.65),
    ({"X-RateLimit-Reset": f"{EPOCH}.250", "X-RateLimit-Reset-After": "0.2"}, 0.2),
    # GitHub, GitLab
    ({"X-RateLimit-Reset": f"{EPOCH + 30}"}, 30.0),
    ({"X-RateLimit-Reset": "1372700873"}, 0.0),
    ({"X-RateLimit-Reset": f" {EPOCH + 1}.5 "}, 1.5),
    # Okta, and X, once Twitter
    ({"X-Rate-Limit-Reset": f"{EPOCH + 900}"}, 900.0),
    # Milliseconds since 1970: OpenRouter
    ({"X-RateLimit-Reset": f"{(EPOCH + 30) * 1000 + 500}"}, 30.5),
    ({"X-RateLimit-Reset": f"{(EPOCH - 30) * 1000}"}, 0.0),
    # Millionths and billionths
    ({"X-RateLimit-Reset": f"{EPOCH + 30}000000"}, 30.0),
    ({"X-RateLimit-Reset": f"{EPOCH + 30}000000000"}, 30.0),
    # Seconds from now: Reddit, and the IETF's draft up to its version 6
    ({"X-RateLimit-Reset": "436"}, 436.0),
    ({"RateLimit-Reset": "50"}, 50.0),
    ({"RateLimit-Reset": "0"}, 0.0),
    # GitLab
    ({"RateLimit-Reset": f"{EPOCH + 60}"}, 60.0),
    # Atlassian
    ({"X-RateLimit-Reset": "2026-01-01T12:01Z"}, 60.0),
    ({"X-RateLimit-Reset": "2026-01-01T12:00:30.5Z"}, 30.5),
    ({"X-RateLimit-Reset": "2026-01-01T13:00:30+01:00"}, 30.0),
    ({"X-RateLimit-Reset": "2025-12-31T12:00Z"}, 0.0),
    # The IETF's draft from its version 8 on, Cloudflare
    ({"RateLimit": '"default";r=0;t=30'}, 30.0),
    ({"RateLimit": '"default"; r=0; t=30; pk=:c2VjcmV0:'}, 30.0),
    ({"RateLimit": '"burst";r=0;t=5, "hour";r=0;t=60, "day";r=90;t=4000'}, 60.0),
    ({"RateLimit": '"a, b";t=30;r=0'}, 30.0),
    ({"RateLimit": '"hour";r=0, "burst";r=0;t=1', "RateLimit-Policy": '"hour";q=1000;w=3600'}, 3600.0),
    # Its drafts 6 and 7, of a gateway's limit and the API's
    ({"RateLimit": "limit=10, remaining=0, reset=80, limit=100, remaining=5, reset=1"}, 80.0),
    ({"RateLimit": '"default";r=0;t=' + "9" * 5000}, math.inf),
    ({"X-RateLimit-Reset": "9" * 5000}, math.inf),
    ({"X-RateLimit-Reset": "-5"}, None),
    ({"X-RateLimit-Reset": "nan"}, None),
    ({"X-RateLimit-Reset-After": "inf", "RateLimit-Reset": "7"}, 7.0),
    ({"X-RateLimit-Reset-After": "Thu, 01 Jan 2026 12:00:30 GMT"}, None),
    ({"RateLimit": '"default";r=0'}, None),
    ({"RateLimit": '"default";r=0;t=-1'}, None),
    ({"RateLimit": ""}, None),
    # OpenAI: says when all of a limit is back, not when the next request may come
    ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-remaining-requests": "0"}, None),
]


@every_row(("headers", "seconds"), RESETS)
def test_a_429_waits_until_the_limit_starts_again(headers, seconds):
    assert requested_pause(429, headers, b"", NOW) == seconds


@pytest.mark.parametrize(("remaining", "pause"), [("57", None), ("0", 30.0), ("?", 30.0)])
def test_a_429_beside_a_limit_that_is_not_used_up_is_for_another_one(remaining, pause):
    """As GitHub's secondary limits are."""
    headers = {"X-RateLimit-Remaining": remaining, "X-RateLimit-Reset": str(int(NOW.timestamp()) + 30)}
    assert requested_pause(429, headers, b"", NOW) == pause


@every_row(("headers", "seconds"), RESETS)
@every_row("remaining", ["X-RateLimit-Remaining", "x-rate-limit-remaining", "RateLimit-Remaining"])
def test_so_does_a_403_or_a_503_with_nothing_remaining(headers, seconds, remaining):
    for status in (403, 503):
        assert requested_pause(status, {remaining: "0", **headers}, b"", NOW) == seconds


@every_row("status", [403, 429, 503])
@every_row(
    ("headers", "seconds"),
    [
        ({"X-Left": "0", "X-Until": "9"}, 9.0),
        ({"x-left": "0", "x-until": f"{EPOCH + 9}"}, 9.0),
        ({"X-Left": "0", "X-Until": "0"}, 0.0),
        ({"X-Left": "1", "X-Until": "9"}, None),  # it is for another limit
        ({"X-Left": "0", "X-Until": "later"}, None),
        ({"X-Left": "0"}, None),
        ({}, None),
        # The common ones are known as well, and what remains of one limit says nothing of another's reset.
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9"}, 9.0),
        ({"X-Left": "0", "X-Until": "9", "X-RateLimit-Remaining": "5", "X-RateLimit-Reset": "90"}, 9.0),
        ({"X-Left": "5", "X-Until": "90", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9"}, 9.0),
        ({"X-Left": "0", "X-Until": "9", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "90"}, 90.0),
    ],
)
def test_an_apis_own_headers_say_it_as_the_common_ones_do(status, headers, seconds):
    families = (QuotaHeaders("X-Left", "X-Until"),)
    assert requested_pause(status, headers, b"", NOW, families) == seconds


def test_of_an_apis_own_headers_the_reset_alone_counts_beside_a_429():
    families = (QuotaHeaders("X-Left", "X-Until"),)
    assert [requested_pause(status, {"X-Until": "9"}, b"", NOW, families) for status in (403, 429, 503)] == [
        None,
        9.0,
        None,
    ]


@every_row(
    ("status", "headers"),
    [
        (403, {}),
        (403, {"X-RateLimit-Remaining": "1"}),
        (403, {"X-RateLimit-Remaining": "none"}),
        (400, {"X-RateLimit-Remaining": "0"}),
        (200, {"X-RateLimit-Remaining": "0"}),
        (500, {"X-RateLimit-Remaining": "0"}),
        (503, {}),
        (503, {"X-RateLimit-Remaining": "1"}),
    ],
)
def test_else_when_a_limit_starts_again_is_no_pause(status, headers):
    assert requested_pause(status, {"X-RateLimit-Reset": "30", **headers}, b"", NOW) is None


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [
        (403, '"default";r=0;t=30', 30.0),
        (403, '"default";r=1;t=30', None),
        (429, '"default";r=1;t=30', 30.0),  # a request may cost more than one
        (429, '"day";r=5000;t=80000, "burst";r=1;t=2', 2.0),
    ],
)
def test_a_policy_says_itself_what_remains(status, header, seconds):
    assert pause(status, RateLimit=header) == seconds


@every_row(
    ("body", "seconds"),
    [
        ({"message": "You are being rate limited.", "retry_after": 64.57, "global": False}, 64.57),  # Discord
        ({"ok": False, "error_code": 429, "parameters": {"retry_after": 35}}, 35.0),  # Telegram
        # Google
        ({"error": {"code": 429, "details": [{"@type": "QuotaFailure"}, {"retryDelay": "3.5s"}]}}, 3.5),
        ([{"error": {"details": [{"retryDelay": "34s"}]}}], 34.0),
        ({"retryAfter": 3}, 3.0),
        ({"retry_after_ms": 1500}, 1.5),
        ({"retryAfterMs": "1500", "retryAfter": 2}, 1.5),
        ({"errors": [{"retry_after": "2.5"}]}, 2.5),
        ({"errors": [{"message": "THROTTLED", "extensions": {"retryAfter": 5}}]}, 5.0),  # GraphQL
        ({"retry_after_ms": 0, "retry_after": 2}, 2.0),
        ({"error": "rate_limited", "retry_after": " 7 "}, 7.0),
        ({"retry_after": "2026-01-01T12:00:30Z"}, 30.0),
        (b'{"retry_after": ' + b"9" * 5000 + b"}", math.inf),
        ({"retry_after": -1, "retryAfter": 4}, 4.0),
        ({"retry_after": True, "error": {"retry_after": 5}}, 5.0),
        ({"retry_after": 0}, 0.0),
        ({"retry_after": math.nan}, None),
        ({"retry_after": math.inf}, None),
        ({"retry_after": None}, None),
        ({"retry_after": [3]}, None),
        ({"retry_after": "soon"}, None),
        ({"retryDelay": "s"}, None),
        ({"data": {"retry_after": 3}}, None),
        ({}, None),
        (5, None),
    ],
)
def test_the_body_of_a_429_may_say_it(body, seconds):
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert pause(429, text) == seconds
    assert pause(503, text) is None
    assert pause(403, text, X_RateLimit_Remaining="0") is None


@every_row(
    "body",
    [
        b"",
        b"retry_after: 5",
        b"\xff\xfe{",
        b'{"retry_after": 1e999}',
        b'{"retry_after": 5' + b" " * 65_536 + b"}",
        b"[" * 65_000,
        b"[" * 400 + b"]" * 400,
        b'{"error":' * 7_000,
        b'{"retry_after": "\\ud800"}',
    ],
)
def test_a_body_that_cannot_be_read_says_nothing(body):
    assert pause(429, body) is None


@every_row(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500"}, 1.5),  # Azure OpenAI
        ({"x-ms-retry-after-ms": "85.5"}, 0.0855),  # Azure Cosmos DB
        ({"retry-after-ms": "250", "Retry-After": "1"}, 0.25),
        ({"retry-after-ms": "-1", "x-ms-retry-after-ms": "soon", "Retry-After": "2"}, 2.0),
        ({"Retry-After": "3", "X-RateLimit-Reset-After": "2.5"}, 3.0),
        # "now" in one form is no answer to when
        ({"retry-after-ms": "0", "Retry-After": "5"}, 5.0),
        ({"Retry-After": "0", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "30"}, 30.0),
        ({"Retry-After": "Thu, 01 Jan 2026 11:59:00 GMT", "X-RateLimit-Reset": "30"}, 30.0),
        ({"Retry-After": "0", "X-RateLimit-Remaining": "9", "X-RateLimit-Reset": "30"}, 0.5),
        ({"Retry-After": "soon", "X-RateLimit-Reset-After": "-1", "X-RateLimit-Reset": "9"}, 9.0),
        ({"Retry-After": "nan", "X-RateLimit-Reset": "soon"}, 0.5),
        ({}, 0.5),
    ],
)
def test_the_most_exact_form_that_can_be_read_counts(headers, seconds):
    assert requested_pause(429, headers, b'{"retry_after": 0.5}', NOW) == seconds


@every_row(
    ("status", "lines", "seconds"),
    [
        (429, [("Retry-After", "5"), ("Retry-After", "50")], 50.0),
        (503, [("Retry-After", "50"), ("retry-after", "soon"), ("Retry-After", "5")], 50.0),
        (429, [("Retry-After", "Thu, 01 Jan 2026 12:00:05 GMT"), ("Retry-After", "Thu, 01 Jan 2026 12:00:30 GMT")], 30.0),
        (429, [("X-RateLimit-Reset", "30"), ("X-RateLimit-Reset", "30")], 30.0),
        (429, [("RateLimit", '"burst";r=9;t=1'), ("RateLimit", '"day";r=0;t=80')], 80.0),
        (403, [("RateLimit", '"burst";r=0;t=1'), ("RateLimit", '"day";r=9;t=80')], 1.0),
        (403, [("X-RateLimit-Remaining", "9"), ("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "7")], 7.0),
        (403, [("X-RateLimit-Remaining", "9, 0"), ("X-RateLimit-Reset", "7, 80")], 80.0),
        (403, [("X-RateLimit-Remaining", "0, 9"), ("X-RateLimit-Reset", "7, 80")], 7.0),
        (403, [("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "7"), ("X-RateLimit-Reset", "80")], 80.0),
    ],
)  # fmt: skip
def test_a_header_may_come_in_several_lines(status, lines, seconds):
    """A gateway and the API behind it each write one."""
    assert requested_pause(status, CIMultiDict(lines), b"", NOW) == seconds


@every_row("kind", [dict, CIMultiDict, lambda headers: CIMultiDictProxy(CIMultiDict(headers))])
@every_row("name", ["retry-after", "Retry-After", "RETRY-AFTER"])
def test_names_compare_without_their_case(kind, name):
    assert requested_pause(503, kind({name: "4"}), b"", NOW) == 4.0


@pytest.mark.slow("fifty examples")
@given(
    st.sampled_from(["Retry-After", "retry-after-ms", "X-RateLimit-Reset-After", "X-RateLimit-Reset", "RateLimit"]),
    st.text()
    | st.from_regex(r"[A-Z][a-z]{2}, \d+ (Jan|Feb) -?\d+ \d+:\d+:\d+ ?[+-]?\d*", fullmatch=True)
    | st.from_regex(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?([+-]\d\d:\d\d)?)?", fullmatch=True)
    | st.from_regex(r'"x"(;[rt]=[-0-9.]*)*', fullmatch=True),
)
def test_whatever_an_api_writes_is_no_reason_to_fail(name, header):
    for body in (b"", json.dumps({"error": {"retry_after": header}}).encode(), header.encode("utf-8", "replace")):
        seconds = requested_pause(429, {name: header}, body, NOW)
        assert seconds is None or seconds >= 0


def test_a_date_is_compared_with_the_clock():
    later = NOW + timedelta(seconds=10)
    assert requested_pause(429, {"Retry-After": "Thu, 01 Jan 2026 12:00:30 GMT"}, b"", later) == 20.0
    assert requested_pause(429, {"X-RateLimit-Reset": f"{EPOCH + 30}"}, b"", later) == 20.0


IMF = "%a, %d %b %Y %H:%M:%S GMT"
IN_AN_HOUR = [
    ({"Retry-After": "{then:%a, %d %b %Y %H:%M:%S GMT}"}, b""),
    ({"Retry-After": "{then:%Y-%m-%dT%H:%M:%SZ}"}, b""),
    ({"Retry-After": "{epoch}"}, b""),
    ({"X-RateLimit-Reset": "{epoch}"}, b""),
    ({"X-Rate-Limit-Reset": "{epoch}000"}, b""),
    ({"RateLimit-Reset": "{then:%Y-%m-%dT%H:%M:%SZ}"}, b""),
    ({}, b'{"retry_after": "%s"}'),
]


@every_row(("headers", "body"), IN_AN_HOUR)
@every_row("behind", [timedelta(hours=2), timedelta(hours=-2), timedelta(seconds=90), timedelta(0)])
def test_a_time_is_told_by_the_clock_of_the_answers_own_date(headers, body, behind):
    then = NOW - behind + timedelta(hours=1)
    told = {name: text.format(then=then, epoch=int(then.timestamp())) for name, text in headers.items()}
    body = body.replace(b"%s", then.isoformat().encode())
    told["date"] = (NOW - behind).strftime(IMF)
    assert requested_pause(429, told, body, NOW) == 3600.0


@every_row("date", ["", "now", "Thu, 99 Jan 2026 12:00:30 GMT", "1767268800", "Thu, 01 Jan 2026 12:00:10 GMT"])
def test_without_a_date_that_says_another_time_ours_counts_which_is_more_exact(date):
    now = NOW + timedelta(seconds=10.25)
    assert requested_pause(503, {"Date": date, "Retry-After": "Thu, 01 Jan 2026 12:00:30 GMT"}, b"", now) == 19.75


@every_row("header", ["30", "30s"])
def test_seconds_are_seconds_whatever_the_date(header):
    assert pause(429, Retry_After=header, Date="Thu, 01 Jan 2026 10:00:00 GMT") == 30.0
