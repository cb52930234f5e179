import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from batches import read_batch
from tables import every_row

from airflow_async_rest import RESULTS, Batch, Results
from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.errors import ConfigurationError, ResultsError
from airflow_async_rest.core.models import Verdict

OK, AGAIN, NO = Verdict.DELIVERED, Verdict.RETRY, Verdict.REFUSED
SEVEN_TO_NINE = ({"id": 7}, {"id": 8}, {"id": 9})


@pytest.fixture
def read(response_of):
    def make(results, answer, payloads=SEVEN_TO_NINE, status=200, key=("id",)):
        found = read_batch(response_of(status, json.dumps(answer).encode()), results, payloads, key)
        return found and [result.verdict for result in found]

    return make


@every_row(
    ("arguments", "text"),
    [
        ({"lists": "some"}, "Results(lists='some'): write one of 'all', 'failures'"),
        ({"match": "key"}, "write one of 'position', 'index', 'id', None"),
        ({"entries": 7}, "Results(entries=7): write a path such as 'data.items', or a tuple of several"),
        ({"error": ()}, "error=()"),
        ({"error": "a..b"}, "'a..b' is not a path"),
        ({"at": ""}, "at="),
        ({"key": ("a", 7)}, "key="),
        ({"match": "index"}, "write at=..., too"),
        ({"lists": "failures", "match": "position"}, "write 'index' or 'id', and at=..."),
        ({"first_index": "1"}, "first_index='1'): write a whole number"),
        ({"first_index": True}, "first_index=True"),
        ({"success_values": ("created",)}, "write success=..., too"),
        ({"success": "status", "success_values": "created"}, "write a tuple of values"),
        ({"code": "code"}, "go together"),
        ({"retry_codes": ("x",)}, "go together"),
        ({"key": ("a", "b")}, "write one path; several only in a list of failures"),
        ({"lists": "failures", "at": "a", "key": ("a", "b")}, "one for each path of at"),
        ({"stops": True}, "it goes with lists='failures'"),
        ({"stored": "results"}, "it goes with lists='failures'"),
        ({"lists": "failures", "may_be_objects": True}, "it goes with lists='all'"),
        ({"lines": "yes"}, "lines='yes'): write True or False"),
    ],
)
def test_a_wrong_argument_is_named(arguments, text):
    with pytest.raises(ConfigurationError) as raised:
        Results(**arguments)
    assert text in str(raised.value)


@pytest.mark.parametrize("results", RESULTS.values(), ids=RESULTS)
def test_results_are_the_same_again_from_their_json(results):
    plain = json.loads(json.dumps(results.to_json()))
    assert Results(**plain) == results
    assert Batch(results=results).reader == results


def test_an_id_needs_a_key(response_of):
    for results in (Results(match="id"), Results(lists="failures")):
        with pytest.raises(ConfigurationError, match=r"write key=\.\.\., its path in what transform returns"):
            read_batch(response_of(), results, SEVEN_TO_NINE, ("id", "part"))


def said(*ids, bad=()):
    """Entries about these ids, of which the places ``bad`` are refused."""
    return [{"id": number, "status": 422 if place in bad else 201} for place, number in enumerate(ids)]


NONE = {"name": "no id"}
GUID, OTHER = "6f9619ff-8b86-d011-b42d-00c04fc964ff", "1c3b7a02-9d4e-4f6a-8a5b-7e2f90ab31cd"


def at(time):
    return {"id": f"2026-01-01 {time}+01:00"}


@every_row(
    ("match", "payloads", "entries", "expected"),
    [
        # what a batch sent under the key is its own affair, whatever others send
        (None, SEVEN_TO_NINE, said(9, 8, 7, bad=[0]), [OK, OK, NO]),
        (None, (NONE, NONE, NONE), said(9, 8, 7, bad=[0]), [NO, OK, OK]),
        (None, ({"id": 7}, NONE, {"id": 9}), said(9, None, 7, bad=[0]), [OK, OK, NO]),
        (None, ({"id": 7}, NONE, {"id": 9}), said(9, 7, "made up", bad=[2]), [OK, NO, OK]),
        (None, ({"id": 7}, NONE, NONE), said("a", "b", 7, bad=[0, 1]), [OK, NO, NO]),
        (None, ({"id": 70}, {"id": 80}, {"id": 90}), said(90, 80, 70, bad=[0]), [OK, OK, NO]),
        # the same id twice
        (None, ({"id": 7}, {"id": 7}, {"id": 9}), said(9, 7, 7, bad=[0]), [OK, OK, NO]),
        (None, ({"id": 7}, {"id": 7}, {"id": 9}), said(9, 7, 7, bad=[1, 2]), [NO, NO, OK]),
        (None, ({"id": 7}, {"id": 7}, {"id": 9}), said(7, 7, 9, bad=[1]), [OK, NO, OK]),
        # nothing speaks against the order
        (None, SEVEN_TO_NINE, said(7, None, None, bad=[1]), [OK, NO, OK]),
        (None, SEVEN_TO_NINE, said("a", "b", "c", bad=[1]), [OK, NO, OK]),
        (None, SEVEN_TO_NINE, said(1, 2, 3, bad=[1]), [OK, NO, OK]),
        (None, SEVEN_TO_NINE, said(3, 1, 2), [OK, OK, OK]),
        (None, SEVEN_TO_NINE, said(53, 51, 52, bad=[1]), [OK, NO, OK]),
        (None, SEVEN_TO_NINE, said(None, None, None, bad=[1]), [OK, NO, OK]),
        (None, SEVEN_TO_NINE, said("", "", "", bad=[1]), [OK, NO, OK]),
        # elimination
        (None, SEVEN_TO_NINE, said(9, None, 7, bad=[1]), [OK, NO, OK]),
        ("id", SEVEN_TO_NINE, said(None, 9, None), [OK, OK, OK]),
        ("id", SEVEN_TO_NINE, said(9, None, 7, bad=[1]), [OK, NO, OK]),
        ("id", (NONE, NONE, NONE), said(1, 2, 3), [OK, OK, OK]),
        ("id", SEVEN_TO_NINE, said(9, 8, 7, bad=[0]), [OK, OK, NO]),
        ("position", SEVEN_TO_NINE, said(9, 8, 7, bad=[0]), [NO, OK, OK]),
        # as text or number
        (None, SEVEN_TO_NINE, said("9", "8", "7", bad=[0]), [OK, OK, NO]),
        (None, ({"id": "7"}, {"id": "8"}, {"id": "9"}), said(9, 8, 7.0, bad=[0]), [OK, OK, NO]),
        # as others write a time, or a GUID
        (
            None,
            (at("00:00:00"), at("09:00:00")),
            said("2026-01-01T08:00:00.000Z", "2025-12-31T23:00:00Z", bad=[0]),
            [OK, NO],
        ),
        (
            None,
            ({"id": GUID}, {"id": OTHER}),
            said(f"{{{OTHER.upper()}}}", GUID.replace("-", ""), bad=[0]),
            [OK, NO],
        ),
        (None, ({"id": -1}, {"id": 1.5}), said(1, 15, bad=[1]), [OK, NO]),
    ],
)
def test_entries_are_given_to_the_items_they_are_about(read, match, payloads, entries, expected):
    assert read(Results(match=match), entries, payloads) == expected


@every_row(
    ("match", "payloads", "entries"),
    [
        (None, SEVEN_TO_NINE, said(9, 8, 10)),  # one that was not sent, though all say the same
        (None, SEVEN_TO_NINE, said(8, 7, 7, bad=[0])),
        (None, SEVEN_TO_NINE, said(8, None, None, bad=[1])),
        (None, ({"id": 7}, {"id": 7}, {"id": 9}), said(9, 7, 7, bad=[1])),
        (None, ({"id": 7}, {"id": 7}), said(7, 7, bad=[1])),
        (None, ({"id": 7}, NONE, NONE), said(7, 8, 9, bad=[1])),
        ("id", SEVEN_TO_NINE, said("a", "b", "c")),
        (None, SEVEN_TO_NINE, said("2", "1", "3", bad=[0])),  # Microsoft Graph: places in the request
        (None, SEVEN_TO_NINE, said(1, 0, 2, bad=[0])),
        ("id", (NONE, NONE, NONE), said(1, 2, 3, bad=[1])),
        ("id", SEVEN_TO_NINE, said(7, None, None, bad=[1])),
        (None, SEVEN_TO_NINE, said(9, 8)),
        (None, SEVEN_TO_NINE, said(9, 8, 7, 7)),
    ],
)
def test_where_it_is_not_certain_which_is_about_which_it_is_an_error(read, match, payloads, entries):
    with pytest.raises(ResultsError):
        read(Results(match=match), entries, payloads)


def under(*names, bad):
    return {name: {"status": 422 if name in bad else 201} for name in names}


@every_row(
    ("results", "answer", "expected"),
    [
        (Results(entries="*"), under("9", "8", "7", bad="9"), [OK, OK, NO]),
        (Results(entries="a.b.*"), {"a": {"b": under("9", "8", "7", bad="9")}}, [OK, OK, NO]),
        (Results(entries="*", match="id"), under("9", "8", "7", bad="9"), [OK, OK, NO]),
        (Results(entries="*"), under("2", "1", "0", bad="2"), [OK, OK, NO]),
        (Results(entries="*", first_index=1), under("3", "1", "2", bad="3"), [OK, OK, NO]),
        # such as the API has made up: nothing but their order tells
        (Results(entries="*"), under("a", "c", "b", bad="a"), [NO, OK, OK]),
        (Results(entries="*", match="position"), under("9", "8", "7", bad="9"), [NO, OK, OK]),
        (
            Results(entries="*"),
            {"9": {"id": 51, "status": 422}, "7": {"status": 201}, "8": {"status": 201}},
            [OK, OK, NO],
        ),
    ],
)
def test_where_entries_are_the_values_of_an_object_its_names_tell_which_is_about_which(read, results, answer, expected):
    """An object has no order: a server may have put its names into another one."""
    assert read(results, answer) == expected


def test_places_are_names_without_a_key_too(read):
    assert read(Results(entries="*"), under("2", "1", "0", bad="2"), key=()) == [OK, OK, NO]


@pytest.mark.parametrize("names", [("9", "8", "6"), ("9", "8", "a")])
def test_names_of_which_some_were_not_sent_are_an_error(read, names):
    with pytest.raises(ResultsError):
        read(Results(entries="*"), under(*names, bad="9"))


def test_at_its_place_an_id_may_be_spelled_in_another_way(read):
    sent, results = ({"id": GUID}, {"id": OTHER}), Results(match="position", at="id")
    assert read(results, said(GUID.upper(), OTHER.upper(), bad=[1]), sent) == [OK, NO]
    with pytest.raises(ResultsError, match="where '6f9619ff"):
        read(results, said(OTHER, GUID, bad=[1]), sent)


@dataclass
class Reading:
    id: int


BIG, SMALL = 12345678901234567890123456789012345, Decimal("0.12345678901234567890123456789012345")


@every_row(
    ("first", "second"),
    [
        (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)),
        (Decimal("1.50"), Decimal("2.0")),
        (BIG, BIG + 1),
        (SMALL, SMALL + Decimal("1e-35")),
        ("7", "8"),
        (True, False),
    ],
)
def test_ids_are_compared_as_they_were_sent(response_of, first, second):
    encode = JsonEncoder()
    body = b'[{"id":%s,"status":422},{"id":%s,"status":201}]' % (encode(second), encode(first))
    results = read_batch(response_of(200, body), "list", ({"id": first}, {"id": second}), ("id",))
    assert [result.verdict for result in results] == [OK, NO]


def test_payloads_that_are_no_dicts_have_ids_too(read):
    assert read("list", said(9, 8, 7, bad=[0]), (Reading(7), Reading(8), Reading(9))) == [OK, OK, NO]


@pytest.mark.parametrize("position", ["a.id", "key"])
def test_the_id_is_where_the_author_says(read, position):
    payloads = ({"a": {"id": 7}, "id": 9}, {"a": {"id": 9}, "id": 7})
    answer = [{"a": {"id": 9}, "key": 9, "status": 422}, {"a": {"id": 7}, "key": 7, "status": 201}]
    assert read(Results(key="a.id", at=position), answer, payloads) == [OK, NO]


FAILURES = {"entries": "bad", "lists": "failures"}


@every_row(
    ("results", "answer", "expected"),
    [
        (Results(entries="a.b", error="x"), {"a": {"b": [{"x": None}, {"x": 1}, {"x": []}]}}, [OK, NO, OK]),
        (Results(entries="", success="a"), [{"a": 1}, {"a": "false"}, {"a": None}], [OK, NO, NO]),
        (Results(success="a", success_values=[1, "done"]), [{"a": "1"}, {"a": "done"}, {"a": True}], [OK, OK, NO]),
        (Results(status="s", error="x"), [{"s": 200}, {"s": 200, "x": 1}, {"s": "503 x"}], [OK, NO, AGAIN]),
        (Results(status="s", success="o"), [{"s": 200, "o": False}, {"s": 200, "o": 1}, {"o": 1}], [NO, OK, OK]),
        (Results(error=("x", "*.x")), [{"x": 0, "a": {"x": 1}}, {"a": {"x": 0}}, {"x": 1}], [NO, OK, NO]),
        (Results(error="x"), [{"x": 0, "status": 500}, {"x": 0, "status": "active"}, {"x": 1}], [OK, OK, NO]),
        (
            Results(error="x", code="c", retry_codes=["a", 7]),
            [{"x": 1, "c": "a"}, {"x": 1, "c": ["a", "7"]}, {"x": 1, "c": ["a", "b"]}],
            [AGAIN, AGAIN, NO],
        ),
        (
            Results(match="index", at="n", first_index=1, error="x"),
            [{"n": 3, "x": 1}, {"n": "1", "x": 0}, {"n": 2, "x": 0}],
            [OK, OK, NO],
        ),
        (
            Results(entries="items", match="position", status="*.status", error="*.error"),
            {"items": [{"index": {"status": 201}}, {"create": {"status": 200, "error": "x"}}, {"a": {"status": 503}}]},
            [OK, NO, AGAIN],
        ),
        (Results(**FAILURES, match="index", at="n"), {"bad": [{"n": [0, "2"]}]}, [NO, OK, NO]),
        (Results(**FAILURES, match="index", at="n", status="s"), {"bad": [{"n": 1, "s": 503}]}, [OK, AGAIN, OK]),
        (Results(**FAILURES), {"bad": [{"id": "8"}, {"id": 9}, {"id": 9}]}, [OK, NO, NO]),
        (Results(**FAILURES), {"bad": None}, [OK, OK, OK]),
        (Results(**FAILURES, success="ok"), {"ok": True}, [OK, OK, OK]),
        (Results(**FAILURES, success="ok"), {"bad": [{"id": 7}]}, [NO, OK, OK]),
        (Results(**FAILURES, stored=("n", "m")), {"m": "3"}, [OK, OK, OK]),
        (Results(**FAILURES, stored=("n", "m")), {"bad": [{"id": 7}, {"id": 8}, {"id": 9}]}, [NO, NO, NO]),
        (Results(**FAILURES), {"failed": "0", "data": {"bad": {}, "errors": "0"}}, [OK, OK, OK]),
        (Results(**FAILURES), {"failed": 1, "errorCode": 1004, "bad": [{"id": 7}]}, [NO, OK, OK]),
        (Results(**FAILURES), {"numErrors": 2, "numFailed": 1, "bad": [{"id": 7}]}, [NO, OK, OK]),
        (Results(**FAILURES), {"stored": [{"bad": [1], "last_error": "x"}]}, [OK, OK, OK]),  # the objects' own
        (Results(lists="failures", entries="errors.list"), {"errors": {"list": []}}, [OK, OK, OK]),
        (Results(lists="failures"), {"failures": [{"id": 7}]}, [NO, OK, OK]),
        (Results(lists="failures"), [{"id": 7}], [NO, OK, OK]),
        (
            Results(entries="data.*.userErrors", lists="failures", match="index", at="field.1"),
            {"data": {"set": {"userErrors": [{"field": ["inputs", "1", "key"], "message": "no"}]}}},
            [OK, NO, OK],
        ),
    ],
)
def test_a_reader_of_ones_own(read, results, answer, expected):
    assert read(results, answer) == expected


@every_row(
    ("results", "answer"),
    [
        (Results(error="x"), [{"x": 0}, {"x": 0}, {"y": 0}]),
        (Results(success="x"), [{"x": 1}, {"x": 1}, {"status": 200}]),
        (Results(status="x"), [{"x": 200}, {"x": 200}, {"x": "active"}]),
        (Results(status="x", error="y"), [{"x": 200}, {"x": 200}, {"x": "active", "y": None}]),
        (Results(status="*.x"), [{"a": {"x": 200}}, {"a": {"x": 200}}, {"a": {"x": 200}, "b": {"x": 400}}]),
        (Results(error="*.x"), [{"a": {"x": 0}}, {"a": {"x": 0}}, {"a": {"x": 0}, "b": {}}]),
        (Results(entries="a", error="x"), {"b": [{"x": 0}] * 3}),
        (Results(match="index", at="n", error="x"), [{"n": 0, "x": 0}, {"n": 1, "x": 0}, {"n": 1, "x": 1}]),
        (Results(**FAILURES, match="index", at="n", first_index=1), {"bad": [{"n": 0}]}),
        (Results(**FAILURES, match="index", at="n"), {"bad": [{"n": 1.5}]}),
        (Results(**FAILURES, match="index", at="n"), {"bad": [{"n": []}]}),
        (Results(**FAILURES), {"bad": "all of them"}),
        (Results(**FAILURES), {"bad": [{"id": 7}], "error": "and more"}),
        (Results(**FAILURES), {"worse": [{"id": 7}], "rejected": 1}),
        # What should say that all went well does not.
        (Results(**FAILURES, success="ok"), {}),
        (Results(**FAILURES, success="ok"), {"bad": []}),
        (Results(**FAILURES, success=("ok", "fine")), {"message": "x"}),
        (Results(**FAILURES, stored=("n", "m")), {"bad": [{"id": 7}]}),
        # The list is elsewhere, or has another name.
        (Results(**FAILURES), {"data": {"bad": [{"id": 7}]}}),
        (Results(**FAILURES), {"BAD": {"7": "too hot"}}),
        (Results(lists="failures", entries="a_b.*.*", at="id"), {"aB": {"t": [{"id": 7}]}}),
        (Results(**FAILURES), {"result": {"failures": [{"id": 7}]}}),
        (Results(**FAILURES), {"result": {"failed": 1, "accepted": 2}}),
        (Results(**FAILURES), {"status": "fail", "data": {}}),  # JSend
        # More failed than are named, as where an API names the first ten.
        (Results(**FAILURES), {"failed": 2, "bad": [{"id": 7}]}),
        (Results(**FAILURES), {"FailedRecordCount": "2", "bad": [{"id": 7}]}),
    ],
)
def test_what_a_reader_of_ones_own_cannot_understand_is_an_error(read, results, answer):
    with pytest.raises(ResultsError):
        read(results, answer)


def test_failures_of_an_id_that_was_sent_twice_are_those_of_both_or_an_error(read):
    twice = ({"id": 7}, {"id": 7}, {"id": 9})
    assert read(Results(**FAILURES), {"bad": [{"id": 7}, {"id": 7}]}, twice) == [NO, NO, OK]
    with pytest.raises(ResultsError, match="was sent 2 times"):
        read(Results(**FAILURES), {"bad": [{"id": 7}]}, twice)


def test_a_failure_names_its_item_also_where_it_spells_the_id_in_another_way(read):
    sent = ({"id": GUID}, {"id": OTHER}, at("09:00:00"))
    said = {"bad": [{"id": f"{{{OTHER.upper()}}}"}, {"id": "2026-01-01T08:00:00.000Z"}]}
    assert read(Results(**FAILURES), said, sent) == [OK, NO, NO]
    with pytest.raises(ResultsError, match="which no item was sent with"):  # it may be either
        read(Results(**FAILURES), {"bad": [{"id": "A"}]}, ({"id": "a"}, {"id": "a "}))


def test_in_a_refusal_the_items_that_are_not_named_go_again(read):
    assert read(Results(**FAILURES), {"bad": [{"id": 8}]}, status=422) == [AGAIN, NO, AGAIN]
    assert read(Results(**FAILURES), {"bad": [{"id": 1}]}, status=422) is None
    assert read(Results(**FAILURES), {"bad": []}, status=422) is None


@every_row(
    ("entries", "expected"),
    [
        # none, as those write it who write all values as texts
        ([{"error": "false"}, {"error": "0"}, {"errors": " None "}], [OK, OK, OK]),
        ([{"error": "no"}, {"error": "ok"}, {"error": ""}], [NO, NO, OK]),
        # Azure AI Search: all of it says the same
        (
            [
                {"key": "8", "status": False, "statusCode": 422, "errorMessage": "no"},
                {"key": "9", "status": False, "statusCode": 503, "errorMessage": "busy"},
                {"key": "7", "status": True, "statusCode": 201, "errorMessage": None},
            ],
            [NO, AGAIN, OK],
        ),
        ([{"status": "fail", "message": "no"}, {"ok": "ko"}, {"status": "success"}], [NO, NO, OK]),
    ],
)
def test_the_usual_words_of_a_failure(read, entries, expected):
    assert read("list", {"value": entries}) == expected


def test_an_error_of_zero_is_none_also_as_a_text(read):
    assert read(Results(error="code"), [{"code": "0"}, {"code": 0}, {"code": "12"}]) == [OK, OK, NO]


def test_a_count_of_zero_is_none_also_as_a_text(read):
    assert read("list", {"failed": "0", "results": [{"success": True}] * 3}) == [OK, OK, OK]
    assert read("multi_status", {"partialSuccess": {"rejectedLogRecords": "0"}}) is None


@every_row(
    "answer",
    [
        {"status": "fail", "data": {"title": "is blank"}},
        {"UnprocessedItems": {"sensors": [{"PutRequest": {}}]}},
        {"Envelope": {"Body": {"Fault": {"faultcode": "Client", "faultstring": "no"}}}},
        {"partialSuccess": {"rejectedLogRecords": "5"}},
    ],
)
def test_a_success_that_tells_of_failures_in_an_apis_own_form_is_an_error(read, answer):
    with pytest.raises(ResultsError):
        read("multi_status", answer)


@pytest.mark.parametrize("entry", [{"success": "false", "error": None}, {"status": False, "error": None}])
def test_a_success_that_is_denied_in_other_words_is_none(read, entry):
    assert read("list", [entry, {"status": 200, "success": False}, {"status": 200}]) == [NO, NO, OK]
