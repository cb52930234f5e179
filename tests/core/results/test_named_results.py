"""The answers that APIs document for bulk requests: all well, some refused, all refused."""

import json

import pytest
from batches import read_batch
from tables import every_row

from airflow_async_rest import RESULTS
from airflow_async_rest.core.errors import ResultsError
from airflow_async_rest.core.models import Verdict

OK, AGAIN, NO = Verdict.DELIVERED, Verdict.RETRY, Verdict.REFUSED
BY_STATUS = None  # of the whole answer
IDS = ({"id": "1"}, {"id": "2"}, {"id": "3"})
TRACES = tuple({"objectWriteTraceId": f"t{number}", "id": str(9 - number)} for number in (1, 2, 3))
ACTIONS = tuple({"_id": number} for number in (1, 2, 3))
COMPLETE = {"status": "COMPLETE", "startedAt": "2026-03-02T00:00:00Z", "completedAt": "2026-03-02T00:00:01Z"}


def action(number, status, name="index", **error):
    return {name: {"_index": "sensors", "_id": str(number), "status": status, **({"error": error} if error else {})}}


def invalid(index, *reasons):
    return {"index": index, "errors": [{"reason": reason, "message": f"no such field {index}"} for reason in reasons]}


def of_hubspot(*ids, name="ids"):
    return {"status": "error", "category": "VALIDATION_ERROR", "message": "no such id", "context": {name: [*ids]}}


def of_salesforce(code):
    return {"success": False, "errors": [{"statusCode": code, "message": "no", "fields": []}]}


STORED = {"id": "001RM000003oLnnYAE", "success": True, "errors": []}


def of_graphql(*errors):
    return {"data": {"productUpdate": {"product": None if errors else {"id": 1}, "userErrors": [*errors]}}}


WRONG = {"field": ["title"], "message": "is blank"}
LINE = {"success": True}


DOCUMENTED = [
    ("elasticsearch", 200, {"errors": False, "items": [action(n, 201) for n in (1, 2, 3)]}, [OK, OK, OK]),
    (
        "elasticsearch",
        200,
        {
            "errors": True,
            "items": [action(1, 200), action(2, 400, type="mapper_parsing_exception"), action(3, 429, type="es")],
        },
        [OK, NO, AGAIN],
    ),
    (
        "elasticsearch",
        200,
        {"items": [action(1, 201, "create"), action(2, 409, "create", type="conflict"), action(3, 404, "delete")]},
        [OK, NO, NO],
    ),
    ("elasticsearch", 429, {"error": {"type": "circuit_breaking_exception"}, "status": 429}, BY_STATUS),
    ("bigquery", 200, {"kind": "bigquery#tableDataInsertAllResponse"}, [OK, OK, OK]),
    ("bigquery", 200, {"kind": "...", "insertErrors": [invalid(1, "invalid")]}, [OK, NO, OK]),
    (
        "bigquery",
        200,
        {"insertErrors": [invalid(2, "stopped"), invalid(1, "invalid", "stopped"), invalid(0, "stopped")]},
        [AGAIN, NO, AGAIN],
    ),
    ("bigquery", 400, {"error": {"code": 400, "errors": [{"reason": "invalid"}]}}, BY_STATUS),
    ("braze", 201, {"message": "success", "attributes_processed": 3}, [OK, OK, OK]),
    (
        "braze",
        201,
        {"message": "success", "errors": [{"type": "'external_id' is blank", "input_array": "events", "index": 2}]},
        [OK, OK, NO],
    ),
    ("braze", 400, {"message": "Valid data must be provided", "errors": [{"index": 0}]}, [NO, AGAIN, AGAIN]),
    ("braze", 401, {"message": "Invalid API key"}, BY_STATUS),
    ("splunk_hec", 200, {"text": "Success", "code": 0}, [OK, OK, OK]),
    ("splunk_hec", 200, {"text": "Success", "code": 0, "ackId": 7}, [OK, OK, OK]),
    ("splunk_hec", 400, {"text": "Invalid data format", "code": 6, "invalid-event-number": 1}, [OK, NO, AGAIN]),
    ("splunk_hec", 400, {"text": "Incorrect index", "code": 7, "invalid-event-number": 0}, [NO, AGAIN, AGAIN]),
    ("splunk_hec", 400, {"text": "No data", "code": 5}, BY_STATUS),
    ("splunk_hec", 403, {"text": "Invalid token", "code": 4}, BY_STATUS),
    ("splunk_hec", 503, {"text": "Server is busy", "code": 9, "invalid-event-number": 2}, [OK, OK, AGAIN]),
    ("hubspot", 200, {**COMPLETE, "results": [{"id": "1"}, {"id": "2"}, {"id": "3"}]}, [OK, OK, OK]),
    ("hubspot", 201, {**COMPLETE, "results": [{"id": "51"}, {"id": "52"}, {"id": "53"}]}, [OK, OK, OK]),
    ("hubspot", 204, b"", [OK, OK, OK]),
    (
        "hubspot",
        207,
        {**COMPLETE, "results": [{"id": "2"}], "numErrors": 1, "errors": [of_hubspot("3", "1")]},
        [NO, OK, NO],
    ),
    ("hubspot", 400, {"status": "error", "message": "Duplicate IDs found", "category": "VALIDATION"}, BY_STATUS),
    ("hubspot", 409, {"status": "error", "message": "Contact already exists. Existing ID: 7"}, BY_STATUS),
    ("kinesis", 200, {"FailedRecordCount": 0, "Records": [{"SequenceNumber": "49", "ShardId": "0"}] * 3}, [OK] * 3),
    (
        "kinesis",
        200,
        {
            "FailedRecordCount": 2,
            "Records": [
                {"SequenceNumber": "49543", "ShardId": "shardId-000000000000"},
                {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded"},
                {"ErrorCode": "InternalFailure", "ErrorMessage": "Internal service failure."},
            ],
        },
        [OK, AGAIN, AGAIN],
    ),
    ("kinesis", 400, {"__type": "ProvisionedThroughputExceededException", "message": "Rate"}, [AGAIN] * 3),
    ("kinesis", 400, {"__type": "ValidationException", "message": "no"}, BY_STATUS),
    ("firehose", 200, {"FailedPutCount": 0, "RequestResponses": [{"RecordId": "a"}] * 3}, [OK] * 3),
    (
        "firehose",
        200,
        {
            "FailedPutCount": 1,
            "RequestResponses": [
                {"RecordId": "a"},
                {"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down."},
                {"ErrorCode": "InvalidArgument", "ErrorMessage": "no"},
            ],
        },
        [OK, AGAIN, NO],
    ),
    ("firehose", 400, {"__type": "InvalidArgumentException"}, BY_STATUS),
    ("fcm", 200, {"success": 3, "failure": 0, "results": [{"message_id": "0:1"}] * 3}, [OK] * 3),
    (
        "fcm",
        200,
        {
            "success": 1,
            "failure": 2,
            "results": [{"message_id": "0:1"}, {"error": "NotRegistered"}, {"error": "Unavailable"}],
        },
        [OK, NO, AGAIN],
    ),
    ("fcm", 401, b"<HTML>Unauthorized</HTML>", BY_STATUS),
    ("salesforce", 200, [STORED, STORED, STORED], [OK, OK, OK]),
    (
        "salesforce",
        200,
        [STORED, of_salesforce("DUPLICATES_DETECTED"), of_salesforce("UNABLE_TO_LOCK_ROW")],
        [OK, NO, AGAIN],
    ),
    (
        "salesforce",
        200,
        [
            of_salesforce("ALL_OR_NONE_OPERATION_ROLLED_BACK"),
            of_salesforce("REQUIRED_FIELD_MISSING"),
            of_salesforce("PROCESSING_HALTED"),
        ],
        [AGAIN, NO, AGAIN],
    ),
    ("salesforce", 400, [{"errorCode": "JSON_PARSER_ERROR", "message": "Unexpected character"}], BY_STATUS),
    ("graphql", 200, [of_graphql()] * 3, [OK, OK, OK]),
    (
        "graphql",
        200,
        [of_graphql(), of_graphql(WRONG), {"data": {"productUpdate": None}, "errors": [{"message": "throttled"}]}],
        [OK, NO, NO],
    ),
    ("graphql", 200, {"data": {"m0": {"userErrors": []}, "m1": {"userErrors": [WRONG]}, "m2": {"userErrors": []}}},
     [OK, NO, OK]),
    ("graphql", 400, {"errors": [{"message": "syntax error"}]}, BY_STATUS),
    ("marketo", 200, {"success": True, "result": [{"id": n, "status": "created"} for n in (1, 2, 3)]}, [OK] * 3),
    (
        "marketo",
        200,
        {
            "requestId": "e42b#14272d07d78",
            "success": True,
            "result": [
                {"id": 50, "status": "updated"},
                {"status": "skipped", "reasons": [{"code": "1004", "message": "Lead not found"}]},
                {"status": "skipped", "reasons": [{"code": "1022", "message": "Object in use"}]},
            ],
        },
        [OK, NO, AGAIN],
    ),
    ("marketo", 200, {"success": False, "errors": [{"code": "606", "message": "Max rate limit"}]}, [AGAIN] * 3),
    ("typesense", 200, b'{"success":true}\n{"success":true}\n{"success":true}', [OK, OK, OK]),
    (
        "typesense",
        200,
        (b'{"success":true}\n{"code":400,"document":"{","error":"Bad JSON.","success":false}\n'
        b'{"code":503,"error":"Not Ready or Lagging","success":false}'),
        [OK, NO, AGAIN],
    ),
    ("typesense", 404, b'{"message": "Not Found"}', BY_STATUS),
    ("multi_status", 207, [{"status": 201}, {"status": "422 Unprocessable"}, {"status": 503}], [OK, NO, AGAIN]),
    ("multi_status", 201, [{"id": 1, "status": "active"}, {"id": 2, "status": 500}, {"id": 3}], BY_STATUS),
    ("multi_status", 422, {"message": "no"}, BY_STATUS),
    ("list", 200, [{"ok": True}, {"error": "too hot"}, {"status": "429"}], [OK, NO, AGAIN]),
    ("list", 400, {"message": "no"}, BY_STATUS),
]  # fmt: skip


@every_row(("name", "status", "answer", "expected"), DOCUMENTED)
def test_a_documented_answer_is_read(response_of, name, status, answer, expected):
    payloads = ACTIONS if name == "elasticsearch" else IDS
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    results = read_batch(response_of(status, body), name, payloads, ("id",))
    assert (results and [result.verdict for result in results]) == expected


def test_each_named_reader_has_documented_answers():
    assert {name for name, *_ in DOCUMENTED} == set(RESULTS)


@every_row(
    ("name", "status", "answer"),
    [
        ("elasticsearch", 200, {"errors": False}),
        ("bigquery", 200, {"insertErrors": [invalid(3, "invalid")]}),
        ("bigquery", 200, {"insertErrors": [invalid(-1, "invalid")]}),
        ("bigquery", 200, {"insertErrors": [invalid(1, "invalid"), invalid(1, "stopped")]}),
        ("bigquery", 200, {"insertErrors": [{"errors": [{"reason": "invalid"}]}]}),
        ("bigquery", 200, {"insertErrors": {"index": 1}}),
        ("bigquery", 200, {"error": {"code": 404}}),
        ("bigquery", 200, b"null"),
        ("bigquery", 200, b"<html>"),
        # somebody else answers, and names no failures either
        ("hubspot", 200, {"message": "Endpoint request timed out"}),
        ("hubspot", 200, COMPLETE),
        ("braze", 200, {"data": {}}),
        ("splunk_hec", 200, {"text": "Success"}),
        ("bigquery", 200, b""),
        ("bigquery", 200, []),
        ("braze", 201, {"message": "success", "errors": ["'external_id' is blank"]}),
        ("braze", 201, {"message": "success", "errors": [{"index": True}]}),
        ("splunk_hec", 200, {"text": "?", "code": 6, "invalid-event-number": 7}),
        ("hubspot", 207, {**COMPLETE, "results": [{"id": "1"}, {"id": "2"}]}),
        ("hubspot", 207, {**COMPLETE, "results": [], "errors": [], "numErrors": 0}),
        ("hubspot", 207, {**COMPLETE, "results": [{"id": "1"}], "errors": [of_hubspot("3")]}),
        ("hubspot", 207, {**COMPLETE, "results": [{"id": "1"}] * 2, "errors": [of_hubspot("4")]}),
        ("hubspot", 207, {**COMPLETE, "results": [{"id": "1"}] * 2, "errors": [{"status": "error", "context": {}}]}),
        ("hubspot", 200, {**COMPLETE, "numErrors": 1}),
        ("kinesis", 200, {"FailedRecordCount": 1, "Records": [{"SequenceNumber": "1"}, {"SequenceNumber": "2"}, {}]}),
        ("firehose", 200, {"RequestResponses": [{"RecordId": "a"}] * 2}),
        ("fcm", 200, {"results": [{"message_id": "1"}, {"message_id": "2"}, {"canonical": 1}]}),
        ("salesforce", 200, [STORED, STORED, {"id": "001"}]),
        ("graphql", 200, {"data": {"m0": {"userErrors": []}, "m1": None, "m2": {"userErrors": []}}}),
        ("graphql", 200, {"data": {f"m{n}": {"userErrors": []} for n in range(3)}, "errors": [{"path": ["m1"]}]}),
        ("graphql", 200, {"data": None, "errors": [{"message": "throttled"}]}),
        ("graphql", 200, [of_graphql(), of_graphql(), {"data": {"a": {"userErrors": []}, "b": None}}]),
        ("marketo", 200, {"success": False, "errors": [{"code": "601", "message": "Access token invalid"}]}),
        ("typesense", 200, b'{"success":true}\n{"success":true}'),
        ("typesense", 200, b'{"success":true}\n{"success":true}\n{"succ'),
        ("multi_status", 200, [{"message_id": "m"}, {"message_id": "n"}, {"error": "NotRegistered"}]),
        ("multi_status", 201, [{"id": 1}, {"id": 2}, {"failureReason": "no"}]),
        ("multi_status", 201, {"results": [{"id": 1}, {"id": 2}, {"id": 3, "validationErrors": ["x"]}]}),
        ("multi_status", 201, {"taken": 2, "rejected": 1}),
        ("multi_status", 200, {"success": False}),
        ("multi_status", 200, b"null"),
        ("list", 200, [{"status": 200}, {"status": 200}, {"status": "active"}]),
        ("list", 200, {"results": [{"status": 200}] * 3, "errors": ["one was not stored"]}),
    ],
)
def test_an_answer_that_cannot_be_understood_is_an_error(response_of, name, status, answer):
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    payloads = ACTIONS if name == "elasticsearch" else IDS
    with pytest.raises(ResultsError):
        read_batch(response_of(status, body), name, payloads, ("id",))


def test_hubspot_compares_each_kind_of_id_with_what_was_sent_as_it(response_of):
    """A created object's trace id may be another one's id."""
    answer = {**COMPLETE, "results": [{}, {}], "errors": [of_hubspot("t3", name="objectWriteTraceId")]}
    results = read_batch(response_of(207, json.dumps(answer).encode()), "hubspot", TRACES)
    assert [result.verdict for result in results] == [OK, OK, NO]
    swapped = ({"id": "1", "objectWriteTraceId": "2"}, {"id": "2", "objectWriteTraceId": "1"})
    answer = {"results": [{}], "errors": [of_hubspot("1", name="objectWriteTraceId")]}
    results = read_batch(response_of(207, json.dumps(answer).encode()), "hubspot", swapped)
    assert [result.verdict for result in results] == [OK, NO]


@every_row(
    ("name", "answer", "text"),
    [
        ("bigquery", {"insertErrors": [invalid(0, "invalid")]}, "no such field 0"),
        ("braze", {"errors": [{"type": "is blank", "index": 0}]}, "is blank"),
        ("hubspot", {"errors": [of_hubspot("1")]}, "no such id"),
        ("kinesis", {"Records": [{"ErrorCode": "X", "ErrorMessage": "Rate exceeded"}]}, "Rate exceeded"),
        ("fcm", {"results": [{"error": "NotRegistered"}]}, "NotRegistered"),
        ("salesforce", [of_salesforce("DUPLICATES_DETECTED")], "DUPLICATES_DETECTED"),
        ("graphql", [of_graphql(WRONG)], "is blank"),
        ("marketo", {"result": [{"status": "skipped", "reasons": [{"message": "Lead not found"}]}]}, "Lead not found"),
        ("typesense", {"success": False, "error": "Bad JSON."}, "Bad JSON."),
    ],
)
def test_a_refused_item_has_the_sentence_of_the_api(response_of, name, answer, text):
    [result] = read_batch(response_of(200, json.dumps(answer).encode()), name, IDS[:1], ("id",))
    assert result.verdict is NO
    assert text in result.detail
