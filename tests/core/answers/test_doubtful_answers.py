"""Answers that are a success, and say in some way that not all is well: none of them is one."""

import json

import pytest
from batches import read_batch
from tables import every_row

from airflow_async_rest import Results
from airflow_async_rest.core.errors import ResultsError
from airflow_async_rest.core.models import Response, Verdict

PAYLOADS = [{"id": number} for number in range(4)]
GOOD = [{"status": 201}] * 4
BY_INDEX = Results(lists="failures", match="index", at="index", entries="errors")
ANYWHERE = Results(lists="failures", match="index", at="index")
COUNTED = Results(lists="failures", match="index", at="index", entries="errors", stored="inserted")


def read(results, answer, status=200, payloads=PAYLOADS, key=("id",), **batch):
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return read_batch(Response(status, {}, body, 0.01), results, payloads, key, **batch)


@every_row(
    ("results", "answer"),
    [
        ("multi_status", b'{"status":201}\n{"status":422}\n'),
        ("multi_status", b'[{"status":201},{"status":422},{"sta'),
        ("multi_status", {"data": {"results": [{"status": 201}, {"status": 422}]}}),
        ("multi_status", {"response": [{"status": 201}, {"status": 422}]}),
        ("multi_status", {"status": "error", "message": "db down"}),
        ("multi_status", {"result": "failure"}),
        ("multi_status", False),
        (BY_INDEX, {"status": 500, "message": "boom"}),
        (BY_INDEX, {"success": 0}),
        (BY_INDEX, {"result": "failed"}),
        (ANYWHERE, {"response": {"errors": [{"index": 1}]}}),
        (ANYWHERE, {"errors": [{"index": 0}], "failed": [{"index": 2}]}),
        (ANYWHERE, {"errors": [{"index": "9" * 5_000}]}),
        ("bigquery", {"status": "error", "message": "quota"}),
        ("bigquery", {"success": "false"}),
        ("splunk_hec", {"code": 15, "text": "Error in handling indexed fields"}),
        ("hubspot", {"status": "CANCELED"}),
        ("braze", {"message": "Fatal error, nothing processed"}),
        (COUNTED, {"errors": [], "inserted": "1"}),
        (COUNTED, {"errors": [], "inserted": 1.0}),
        (COUNTED, {"errors": [], "inserted": None}),
        (COUNTED, {"errors": [], "inserted": {"a": 1}}),
        ("list", [{"success": "partial"}, *GOOD[1:]]),
        ("list", [{"status": 201, "statusCode": 422}, *GOOD[1:]]),
        ("list", [{"status": "ok", "failed": True}, *GOOD[1:]]),
        ("list", [{"ok": True, "error_code": 5, "errorMessage": "x"}, *GOOD[1:]]),
        ("list", {"success": False, "results": GOOD}),
        ("list", {"status": "error", "results": GOOD}),
        ("list", {"failed": 2, "results": GOOD}),
        (Results(match="index", at="index"), [{"index": [0, 1], "status": 200}] * 4),
    ],
)
def test_an_answer_that_leaves_a_doubt_is_an_error(results, answer):
    with pytest.raises(ResultsError):
        read(results, answer)


@pytest.mark.parametrize(
    ("results", "status", "answer"),
    [
        ("multi_status", 201, [{"id": 1, "status": "active"}] * 4),
        ("multi_status", 201, [{"id": 1, "status": 500}] * 4),
        ("multi_status", 200, b""),
        ("multi_status", 200, b"accepted"),
        ("multi_status", 201, {"id": 1, "status": 500}),
    ],
)
def test_stored_objects_and_plain_words_speak_for_all(results, status, answer):
    assert read(results, answer, status) is None


@every_row(
    ("results", "answer"),
    [
        (BY_INDEX, {"errors": [], "success": True}),
        ("splunk_hec", {"code": 0, "text": "Success"}),
        ("hubspot", {"status": "COMPLETE", "results": [{}] * 4}),
        ("braze", {"message": "success"}),
        (COUNTED, {"errors": [], "inserted": "4"}),
        ("list", [{"success": "true"}, {"success": 1}, {"success": "yes"}, {"status": "200 OK"}]),
        ("list", {"success": True, "failed": 0, "results": GOOD}),
        ("elasticsearch", {"errors": False, "items": [{"index": {"status": 201}}] * 4}),
    ],
)
def test_an_answer_without_a_doubt_is_none(results, answer):
    assert [result.verdict for result in read(results, answer)] == [Verdict.DELIVERED] * 4


@pytest.mark.parametrize("status", [503, 429, 401])
def test_what_is_about_the_whole_request_is_no_items_verdict(status):
    assert read("list", [{"error": "unavailable"}], status, payloads=[{"id": 1}]) is None
    assert read("list", {"code": status, "details": [{"error": "no"}]}, status, payloads=[{"id": 1}]) is None


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (["ab-1", "ab-2", "ab-3"], ["AB-1", "AB-2", "AB-3"]),
        (["ab1   ", "ab2   ", "ab3   "], ["ab1", "ab2", "ab3"]),
        (["007", "008", "009"], [7, 8, 9]),
    ],
)
def test_ids_that_are_spelled_otherwise_are_the_same(sent, said):
    entries = [{"id": one, "status": 422 if number == 2 else 201} for number, one in enumerate(said)]
    results = read("list", entries[::-1], payloads=[{"id": one} for one in sent])
    assert [result.status for result in results] == [None, None, 422]
    with pytest.raises(ResultsError):  # not certain
        read(
            "list", entries[::-1], payloads=[{"id": one} for one in [*sent[:2], said[0] if sent[0] != "007" else "07"]]
        )


def test_one_key_may_stand_at_several_places_of_an_entry():
    results = Results(lists="failures", match="id", at=("id", "ref"), key="id", entries="errors")
    verdicts = [result.verdict for result in read(results, {"errors": [{"ref": 2}, {"id": 0}]})]
    assert verdicts == [Verdict.REFUSED, Verdict.DELIVERED, Verdict.REFUSED, Verdict.DELIVERED]


def test_a_function_gets_payloads_of_its_own():
    payloads = [{"id": 1}]
    read(lambda response, given: [given[0].clear() or True], [], payloads=payloads)
    assert payloads == [{"id": 1}]
