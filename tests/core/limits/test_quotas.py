"""What an answer tells of the API's limit: read, and kept to, before anything is refused."""

from datetime import UTC, datetime

import pytest
from multidict import CIMultiDict
from tables import every_row

from airflow_async_rest.core.limits.quotas import COMMON, Quota, QuotaHeaders, ToldLimit, iter_quotas

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp())


def told(headers, families=COMMON) -> list[Quota]:
    return list(iter_quotas(CIMultiDict(headers), families, NOW))


def family(remaining, ends, limit=100):
    return {"X-RateLimit-Limit": f"{limit}", "X-RateLimit-Remaining": f"{remaining}", "X-RateLimit-Reset": f"{ends}"}


@every_row(
    ("headers", "quotas"),
    [
        ({}, []),
        # RateLimit and RateLimit-Policy, draft 11 of the IETF
        ({"RateLimit": '"default";r=50;t=30'}, [(50, 30, None)]),
        ({"RateLimit": '"default";r=50;t=30', "RateLimit-Policy": '"default";q=100;w=60'}, [(50, 30, 100)]),
        ({"ratelimit": '"b";r=9;t=1, "d";r=900;t=80000', "ratelimit-policy": '"b";q=10;w=1,"d";q=1000;w=86400'},
         [(9, 1, 10), (900, 80000, 1000)]),
        ({"RateLimit": '"d";r=0;t=5;pk=:QUJD:'}, [(0, 5, None)]),
        ({"RateLimit": '"d";t=5;r=7'}, [(7, 5, None)]),
        ({"RateLimit": '"d" ; r=7 ; t=5'}, [(7, 5, None)]),
        ({"RateLimit": '"a, b;r=0;t=9";r=7;t=5'}, [(7, 5, None)]),  # a name with what looks like limits in it
        ({"RateLimit": '"a\\"b";r=7;t=5'}, [(7, 5, None)]),
        ({"RateLimit": "plain;r=7;t=5"}, [(7, 5, None)]),
        # without t, the window of the policy bounds the time
        ({"RateLimit": '"d";r=7', "RateLimit-Policy": '"d";q=10;w=60'}, [(7, 60, 10)]),
        # bytes, and requests at once, are not requests
        ({"RateLimit": '"d";r=7;t=5', "RateLimit-Policy": '"d";q=1000;qu="content-bytes";w=60'}, []),
        ({"RateLimit": '"d";r=7;t=5', "RateLimit-Policy": '"d";q=10;qu="requests";w=60'}, [(7, 5, 10)]),
        # earlier drafts
        ({"RateLimit": "limit=100, remaining=50, reset=5"}, [(50, 5, 100)]),
        ({"RateLimit": "limit=100, remaining=50, reset=5, remaining=0, reset=80"}, [(50, 5, 100), (0, 80, None)]),
        ({"RateLimit-Limit": "100, 100;w=60", "RateLimit-Remaining": "50", "RateLimit-Reset": "5"}, [(50, 5, 100)]),
        # the family
        ({"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "50", "X-RateLimit-Reset": "5"}, [(50, 5, 100)]),
        ({"x-ratelimit-remaining": " 50 ", "x-ratelimit-reset": str(EPOCH + 60)}, [(50, 60, None)]),
        ({"X-RateLimit-Remaining": "50", "X-RateLimit-Reset": str((EPOCH + 60) * 1000)}, [(50, 60, None)]),
        ({"X-RateLimit-Remaining": "50", "X-RateLimit-Reset": f"{EPOCH + 60}000000000"}, [(50, 60, None)]),
        ({"X-RateLimit-Remaining": "50", "X-RateLimit-Reset": "2026-01-01T12:00:30Z"}, [(50, 30, None)]),
        ({"X-RateLimit-Remaining": "50", "X-RateLimit-Reset": "Thu, 01 Jan 2026 12:00:30 GMT"}, [(50, 30, None)]),
        ({"X-Rate-Limit-Remaining": "50", "X-Rate-Limit-Reset": "0.5"}, [(50, 0.5, None)]),
        # by a clock two hours behind, as its Date says
        ({"x-ratelimit-remaining": "50", "x-ratelimit-reset": str(EPOCH - 7140), "date": "Thu, 01 Jan 2026 10:00:00 GMT"},
         [(50, 60, None)]),
        # nothing to spread over
        ({"X-RateLimit-Remaining": "50"}, []),
        ({"X-RateLimit-Limit": "50"}, []),
    ],
)  # fmt: skip
def test_what_remains_is_read(headers, quotas):
    found = told(headers)
    assert found == quotas
    assert all(quota.makes_sense for quota in found)


@every_row(
    "headers",
    [
        {"RateLimit": '"d";r=7'},
        {"RateLimit": '"d";t=7'},
        {"RateLimit": '"d";r=-1;t=5'},
        {"RateLimit": '"d";r=70;t=5', "RateLimit-Policy": '"d";q=7;w=5'},
        {"X-RateLimit-Remaining": "-1", "X-RateLimit-Reset": "5"},
        {"X-RateLimit-Remaining": "unlimited", "X-RateLimit-Reset": "5"},
        {"X-RateLimit-Remaining": "5", "X-RateLimit-Reset": "6m0s"},
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9", "X-RateLimit-Limit": "0"},
        {"X-RateLimit-Remaining": "11", "X-RateLimit-Reset": "9", "X-RateLimit-Limit": "10"},
        {"X-RateLimit-Remaining": "1", "X-RateLimit-Reset": "9", "X-RateLimit-Limit": "many"},
        {"X-RateLimit-Remaining": "9" * 400, "X-RateLimit-Reset": "9"},
        {"X-RateLimit-Remaining": "5", "X-RateLimit-Reset": str(EPOCH + 86_400 * 365)},
        {"X-RateLimit-Remaining": "5", "X-RateLimit-Reset": "9" * 400},
    ],
)
def test_what_makes_no_sense_is_known(headers):
    assert [quota.makes_sense for quota in told(headers)] == [False]


@every_row(
    ("lines", "quotas"),
    [
        ([("RateLimit", '"burst";r=9;t=1'), ("RateLimit", '"day";r=4;t=80')], [(9, 1, None), (4, 80, None)]),
        ([("RateLimit-Policy", '"a";q=5;w=1'), ("RateLimit-Policy", '"b";q=9;w=60'), ("RateLimit", '"b";r=7;t=5')],
         [(7, 5, 9)]),
        ([*family(90, 60).items(), *family(4, 30, 10).items()], [(90, 60, 100), (4, 30, 10)]),
        ([*family(90, 60).items(), *[each for each in family(4, 30).items() if "Limit-Limit" not in each[0]]],
         [(90, 60, 100), (4, 30, None)]),
        # Where they do not pair, the only reset is that of all.
        ([*family(90, 60).items(), ("X-RateLimit-Remaining", "4")], [(90, 60, 100), (4, 60, None)]),
        ([("X-RateLimit-Remaining", "4"), ("X-RateLimit-Remaining", "9"), ("X-RateLimit-Remaining", "2"),
          ("X-RateLimit-Reset", "60")], [(4, 60, None), (9, 60, None), (2, 60, None)]),
        ([("X-RateLimit-Remaining", "4"), ("X-RateLimit-Remaining", "9"), ("X-RateLimit-Remaining", "2"),
          ("X-RateLimit-Reset", "1"), ("X-RateLimit-Reset", "60")], [(4, 1, None), (9, 60, None), (2, 60, None)]),
        ([("X-RateLimit-Remaining", "4"), ("X-RateLimit-Reset", "1"), ("X-RateLimit-Reset", "60")],
         [(4, 1, None), (4, 60, None)]),
        # as a gateway puts two lines into one
        ([("X-RateLimit-Remaining", "90, 4"), ("X-RateLimit-Reset", "60, 30"), ("X-RateLimit-Limit", "100, 10")],
         [(90, 60, 100), (4, 30, 10)]),
        ([("X-RateLimit-Remaining", "90, 4"), ("X-RateLimit-Reset", "60")], [(90, 60, None), (4, 60, None)]),
    ],
)  # fmt: skip
def test_each_line_of_a_header_may_be_of_another_limit(lines, quotas):
    assert told(CIMultiDict(lines)) == quotas


def test_an_apis_own_names_are_read():
    families = (QuotaHeaders("X-Left", "X-Until", "X-All"),)
    headers = {"x-left": "5", "x-until": "9", "x-all": "10", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9"}
    assert told(headers, families) == [(5, 9, 10)]


@every_row(
    ("quota", "in_flight", "interval"),
    [
        (Quota(90, 60, 100), 0, 0.0),  # there is plenty
        (Quota(50, 60, 100), 0, 60 / 50),
        (Quota(90, 60, 100), 50, 60 / 40),  # what is in flight may still be counted
        (Quota(90, 60), 0, 60 / 90),  # how much there is in all, nobody knows
        (Quota(40, 60, 100), 60, 60 / 10),  # or has been counted already
        (Quota(1, 60, 100), 64, 60.0),
        (Quota(40, 0, 100), 0, 0.0),
    ],
)
def test_what_remains_is_spread_over_the_time_once_half_is_used(quota, in_flight, interval):
    assert quota.interval(in_flight) == pytest.approx(interval)


class Slowed:
    def __init__(self) -> None:
        self.paces, self.pauses = [], []

    def slow_down(self, interval, seconds):
        self.paces.append((round(interval, 2), round(seconds)))
        return True

    def pause(self, seconds):
        self.pauses.append(round(seconds))
        return True


def heeded(*answers, in_flight=0):
    limiter, said = Slowed(), []
    limit = ToldLimit(
        limiter, lambda: in_flight, longest_seconds=300, say=lambda text, *values: said.append(text % values)
    )
    for headers in answers:
        limit.heed(CIMultiDict(headers))
    return limiter.paces, limiter.pauses, said


@every_row(
    ("answer", "paces", "pauses"),
    [
        (family(40, 60), [(1.5, 60)], []),
        (family(90, 60), [(0.0, 60)], []),
        (family(0, 60), [], [60]),
        (family(0, 3600), [], []),  # its refusal ends the try, as a long Retry-After does
        (family(1, 3600), [], []),
        (family(0, 0), [], [0]),
        ({"RateLimit": '"b";r=9;t=1, "d";r=4;t=80'}, [(20.0, 80)], []),  # the strictest
        ({"RateLimit": '"b";r=0;t=1, "d";r=4;t=80'}, [], [1]),
        ({"RateLimit": '"d";r=40;t=60', **family(40, 60)}, [(1.5, 60)], []),  # one says what the whole is, one does not
        ({"RateLimit": "?"}, [], []),
    ],
)
def test_an_answer_slows_the_job_down(answer, paces, pauses):
    assert heeded(answer)[:2] == (paces, pauses)


def test_it_is_said_once():
    *_, said = heeded(family(40, 60), family(39, 59), family(-1, 60), family(-1, 60), family(0, 60), family(0, 59))
    assert said == [
        "The API tells that 40 requests remain for 60 s: they are spread over that time. (Logged once.)",
        "The API tells of a limit in a way that makes no sense, which is ignored. (Logged once.)",
        "The API tells that nothing remains of its limit for 60 s: all requests wait. (Logged once.)",
    ]
