import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from tables import every_row

from airflow_async_rest.core.errors import ConfigurationError, FailuresError, StoppedError
from airflow_async_rest.core.letters.folder import refused_record
from airflow_async_rest.core.models import DeadLetter
from airflow_async_rest.core.watching.log import JobLog, sentence_of

REPORT = {
    "read": 10,
    "delivered": 6,
    "failed": 3,
    "skipped": 1,
    "unfinished": 0,
    "requests": 12,
    "retries": 2,
    "elapsed_seconds": 1.25,
    "resumed_from": None,
    "items_per_second": 4.8,
    "latency_ms": {"p50": 1.0, "p95": 2.0, "p99": None},
    "reasons": {"http_422": 2, "timeout": 1},
    "dead_letters": "s3://b/x",
    "in_flight": 4,
    "concurrency": 16,
    "limit_share_used": 0.5,
    "error": None,
}


@pytest.fixture
def log(lines):
    return JobLog(lines.log, lambda text: text.replace("s3cret", "***"))


@pytest.fixture
def letter(item_of):
    return lambda index, reason="http_422": DeadLetter.of(
        item_of(index), reason, detail="because " + "x" * 400, attempts=2
    )


def test_the_first_line_says_what_where_and_how(log, lines):
    log.started(
        "Delivering to PUT http://x", {"window_start": "a", "window_end": None}, 16, (100, 60.0), "from the first row"
    )
    log.started("Replaying to http://x", {"window_start": None}, 1, None, "from the start")
    assert lines.texts == [
        "INFO Delivering to PUT http://x: window_start a, concurrency 16, rate limit 100 per 60 s; from the first row.",
        "INFO Replaying to http://x: concurrency 1, rate limit none; from the start.",
    ]


def test_a_reason_is_logged_a_few_times_and_then_only_counted(log, lines, letter):
    for index in range(10):
        log.failed(letter(index))
    log.failed(letter(10, "timeout"))
    assert len(lines.texts) == 4
    assert lines.texts[0].startswith("WARNING Item 0 failed: http_422, sent 2 times: because xxx")
    assert len(lines.texts[0]) < 300
    assert lines.texts[2].endswith("(further ones like it are only counted)")
    assert lines.texts[3].startswith("WARNING Item 10 failed: timeout")


def test_an_answer_without_a_word_leaves_no_colon(log, lines, letter):
    log.failed(replace(letter(0), response_excerpt=""))
    assert lines.texts == ["WARNING Item 0 failed: http_422, sent 2 times"]


@pytest.mark.parametrize(
    ("fetch", "attempts", "said"), [(True, 4, "4 requests"), (True, 1, "sent once"), (False, 4, "sent 4 times")]
)
def test_the_pages_of_an_item_are_requests_of_their_own(log, lines, letter, fetch, attempts, said):
    log.failed(replace(letter(0), attempts=attempts, fetch=fetch))
    assert f"http_422, {said}: " in lines.texts[0]


@pytest.mark.parametrize(("method", "said"), [("POST", 1), ("PATCH", 1), ("PUT", 0), ("GET", 0), ("DELETE", 0)])
def test_an_uncertain_request_is_told_once_where_it_matters(log, lines, request_of, method, said):
    for _ in range(3):
        log.uncertain(request_of(method=method))
    assert len(lines.texts) == said


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "INFO 7 done, 3 failed (2 http_422, 1 timeout), 4.8 items/s, latency p50/p99 1.0/None ms, 4 of 16 requests in flight, 0 items not settled, 50% of the rate limit used."),
        ({"limit_share_used": None, "failed": 0, "reasons": {}}, "INFO 7 done, 0 failed, 4.8 items/s, latency p50/p99 1.0/None ms, 4 of 16 requests in flight, 0 items not settled."),
    ],
)  # fmt: skip
def test_progress_is_one_line(log, lines, changes, line):
    log.progress({**REPORT, **changes})
    assert lines.texts == [line]


@pytest.mark.parametrize(
    ("error", "changes", "start", "end"),
    [
        (None, {"dead_letters": None}, "INFO Done: 10 read, 6 delivered, 3 failed (2 http_422, 1 timeout), 1 skipped, 0 unfinished; ", "4.8 items/s."),
        (OSError("x"), {}, "INFO Failed: 10 read", "; dead letters in s3://b/x."),
    ],
)  # fmt: skip
def test_the_last_line_has_all_the_numbers(log, lines, error, changes, start, end):
    log.ended({**REPORT, **changes}, error)
    [line] = lines.texts
    assert line.startswith(start)
    assert line.endswith(end)
    assert "12 requests (2 retries) in 1.2 s, " in line


@every_row(
    ("error", "sentence"),
    [
        (ConfigurationError("rate_limit='5 a day': write '100/s'."), "rate_limit='5 a day': write '100/s'."),
        (ConfigurationError("column x does not exist\nLINE 1: SELECT x\n          ^"), "column x does not exist"),
        (ConfigurationError("no x\nLINE 2: ...x\n   ^\nHINT: x^2\n^ is all"), "no x HINT: x^2 ^ is all"),
        (ConfigurationError("It is wrong. " + "And more of it. " * 20), "It is wrong. " + "And more of it. " * 11),
        (StoppedError("a" + " word" * 100), "a" + " word" * 39 + " …"),
        (FailuresError("3 of 3 failed; and so on", permanent=True, summary="3 of 3 failed: no"), "3 of 3 failed: no"),
        (ConfigurationError("x" * 193 + "s3cret" + "y" * 100), "x" * 193 + "***" + "yy …"),
        (ConfigurationError("an \x1b[31manswer"), "an \\x1b[31manswer"),
        (KeyError("name"), "KeyError: 'name'"),
        (OSError(), "OSError"),
    ],
)  # fmt: skip
def test_an_error_is_told_in_one_line_without_secrets(error, sentence):
    told = sentence_of(error, lambda text: text.replace("s3cret", "***"))
    assert told == sentence.rstrip()
    assert len(told) <= 200


def test_why_it_failed_is_a_line_of_its_own_after_the_counts(log, lines):
    log.ended({**REPORT, "error": "column x does not exist"}, ConfigurationError("column x does not exist, and more"))
    assert lines.texts[0].startswith("INFO Failed: 10 read")
    assert lines.texts[1:] == ["ERROR column x does not exist"]


def test_a_long_reason_is_told_in_lines_that_a_small_window_shows(log, lines):
    sentence = "rate_limit='often': write a count and a unit, " * 4 + "x" * 90
    log.ended({**REPORT, "error": sentence}, ConfigurationError("it"))
    said = [line.removeprefix("ERROR ") for line in lines.texts[1:]]
    assert max(map(len, said)) <= 80
    assert "".join(said).replace(" ", "") == sentence.replace(" ", "")


def test_the_last_line_of_a_retry_says_that_it_counts_all_tries(log, lines):
    log.ended({**REPORT, "resumed_from": 4}, None)
    assert "12 requests (2 retries) in 1.2 s of all tries, " in lines.texts[0]


def test_what_cannot_be_written_is_told_once_and_let_pass(log, lines):
    for _ in range(3):
        with log.complaining("write the checkpoint"):
            raise OSError("no s3cret here")
    with log.complaining("publish"):
        raise TimeoutError
    assert lines.texts == [
        "WARNING Could not write the checkpoint: no *** here",
        "WARNING Could not publish: TimeoutError()",
    ]


def test_being_cancelled_is_not_let_pass(log):
    with pytest.raises(asyncio.CancelledError), log.complaining("write"):
        raise asyncio.CancelledError


def test_warnings_say_what_to_do(log, lines):
    log.without_key()
    log.starting_over(ValueError("the rows differ"))
    assert "ORDER BY" in lines.texts[0]
    assert lines.texts[1] == "WARNING Starting over from the first row: the rows differ."


def test_a_pause_is_logged_a_few_times(log, lines):
    for _ in range(7):
        log.paused(1.5)
    assert lines.texts[0] == "INFO The API asks for a pause of 1.5 s: all requests wait."
    assert lines.texts[-1].endswith("(Further pauses are not logged.)")
    assert len(lines.texts) == 5


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        (777, "Item 777 failed"),
        ("a b", "Item a b failed"),
        (datetime(2026, 3, 1, 12, tzinfo=UTC), 'Item "2026-03-01T12:00:00+00:00" failed'),
        (
            [datetime(2026, 3, 1, tzinfo=UTC), date(2026, 3, 1)],
            'Item ["2026-03-01T00:00:00+00:00","2026-03-01"] failed',
        ),
        ([None, Decimal("1.50")], "Item [null,1.50] failed"),
    ],
)
def test_an_item_is_named_as_its_dead_letter_names_it(log, lines, letter, key, shown):
    log.failed(replace(letter(0), key=key))
    assert shown in lines.texts[0]


def test_a_refused_row_is_counted_as_its_dead_letter_counts_it(log, lines):
    record = refused_record(2, 0, {}, "too long")
    log.refused(record["index"], record["row_number"], "too long")
    assert lines.texts == [
        "WARNING Row 0 of item 2 (both counted from 0, as in the dead letters) is not loaded: too long"
    ]


def test_paths_that_no_row_has_are_said_to_change_nothing_in_rows_that_are_there(log, lines):
    log.paths_not_found({"paths_not_found": ["a.b"]}, lambda path: None)
    [line] = lines.texts
    assert "an upsert leaves what is there" in line
    assert "empty" not in line


LOADED = REPORT | {"rows_loaded": 1, "rows_refused": 0, "rows_staged": 0, "keys_ignored": ["id"]}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"requests": 1, "retries": 1}, "1 request (1 retry) in"),
        ({"requests": 2, "retries": 0}, "2 requests (0 retries) in"),
        (LOADED, "; 1 row loaded; keys of"),  # fetch has no database that refuses any
        (LOADED | {"rows_refused": 2}, "; 1 row loaded, 2 refused by the database;"),
        (LOADED, "; keys of the rows that are no columns of the table, and so not loaded: id;"),
        (LOADED | {"rows_loaded": 2}, "; 2 rows loaded"),
    ],
)
def test_numbers_stand_with_their_nouns(log, lines, changes, said):
    log.ended({**REPORT, **changes}, None)
    assert said in lines.texts[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"concurrency": 1, "in_flight": 1, "unfinished": 1}, "1 of 1 request in flight, 1 item not settled"),
        (
            {"shared_limit": {"used_by_all": None, "waiting": 1, "store": "open"}},
            "1 request waits for the shared limit",
        ),
        (
            {"shared_limit": {"used_by_all": None, "waiting": 2, "store": "open"}},
            "2 requests wait for the shared limit",
        ),
    ],
)
def test_the_progress_has_numbers_with_their_nouns(log, lines, changes, said):
    log.progress({**REPORT, **changes})
    assert said in lines.texts[0]
