import json
from decimal import Decimal

import pytest
from batches import read_batch
from tables import every_row

from airflow_async_rest import Results
from airflow_async_rest.core.errors import ResultsError
from airflow_async_rest.core.models import Response, Verdict

OK, AGAIN, NO = Verdict.DELIVERED, Verdict.RETRY, Verdict.REFUSED


@pytest.fixture
def read(response_of):
    """Read an answer (JSON, or bytes) about two items with the ids 7 and 8."""

    def make(name, answer, status=200, payloads=({"_id": "7"}, {"_id": "8"})):
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        return read_batch(response_of(status, body), name, payloads)

    return make


def verdicts(results):
    return [(result.verdict, result.reason) for result in results]


def action(status, number=7, **more):
    return {"index": {"_index": "i", "_id": str(number), "status": status, **more}}


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([action(201), action(200, 8)], [(OK, ""), (OK, "")]),
        ([action(201), action(400, 8, error={"type": "mapper"})], [(OK, ""), (NO, "http_400")]),
        (
            [action(429, error={"type": "es_rejected"}), {"delete": {"status": 404}}],
            [(AGAIN, "http_429"), (NO, "http_404")],
        ),
        ([action(200, error={"type": "odd"}), action(503, 8)], [(NO, "refused"), (AGAIN, "http_503")]),
    ],
)
def test_elasticsearch_tells_by_item(read, items, expected):
    results = read("elasticsearch", {"took": 3, "errors": True, "items": items})
    assert verdicts(results) == expected
    assert all("mapper" in result.detail for result in results if result.reason == "http_400")


@every_row(
    "answer",
    [
        b"<html>",
        b"",
        [],
        {"errors": False},
        {"items": [action(200)]},
        {"items": [action(200), action(200, 9)]},
        {"items": [action(200, 8), action(200, 7)]},
        {"items": [action(200), {"index": {"_id": "8"}}]},
        {"items": [action(200), "x"]},
        {"items": [action(200), {"index": {"status": 200}, "create": {"status": 400}}]},
    ],
)
def test_an_answer_of_elasticsearch_that_does_not_fit_is_an_error(read, answer):
    with pytest.raises(ResultsError):
        read("elasticsearch", answer)


@every_row("name", ["elasticsearch", "multi_status", "list"])
@every_row("status", [400, 413, 422, 429, 503])
def test_a_refusal_of_all_is_judged_by_its_status(read, name, status):
    assert read(name, b"<html>no</html>", status) is None
    assert read(name, {"error": "no"}, status) is None


@every_row(
    "entries",
    [
        lambda a, b: [{"status": a}, {"status": b}],
        lambda a, b: {"results": [{"statusCode": a}, {"statusCode": b}]},
        lambda a, b: {"took": 1, "responses": [{"http_status": str(a)}, {"http_status": str(b)}]},
        lambda a, b: {"of": "mine", "entries": [{"status": f"HTTP/1.1 {a} X"}, {"status": f"{b} Y"}]},
    ],
)
@every_row("name", ["multi_status", "list"])
def test_statuses_are_found_where_apis_put_them(read, name, entries):
    assert verdicts(read(name, entries(201, 422), 207)) == [(OK, ""), (NO, "http_422")]
    assert verdicts(read(name, entries(503, 204), 207)) == [(AGAIN, "http_503"), (OK, "")]


@every_row(
    "answer",
    [b"", {}, [{"status": 201}], [{"status": 201}, {}], [{"status": "done"}, {"status": 1}], {"errors": ["x"]}],
)
def test_a_multi_status_that_does_not_fit_is_an_error(read, answer):
    with pytest.raises(ResultsError):
        read("multi_status", answer, 207)


@every_row("answer", [b"", b"<html>", {}, {"count": 2}, [{"id": 1}, {"id": 2}], {"errors": [], "x": 1}])
def test_another_success_than_a_multi_status_is_for_all(read, answer):
    assert read("multi_status", answer, 201) is None


@pytest.mark.parametrize(
    "answer", [[{"id": 1}], {"results": []}, {"failed": 1, "errors": [{"row": 1}]}, {"error": "x"}]
)
def test_unless_it_tells_of_fewer_items_or_of_errors(read, answer):
    with pytest.raises(ResultsError):
        read("multi_status", answer, 200)


def test_or_about_each_item_after_all(read):
    assert verdicts(read("multi_status", [{"status": 201}, {"status": 422}], 200)) == [(OK, ""), (NO, "http_422")]


# What an API calls an item by, where it does.


def about(*numbers, bad, name="id"):
    return [{name: number, "status": 422 if number == bad else 201} for number in numbers]


@pytest.fixture
def read_by_key(response_of):
    """Read a list about items with the keys 7, 8 and 9."""

    def make(entries, keys=(7, 8, 9), columns=("id",), results="list"):
        payloads = [dict(zip(columns, key if len(columns) > 1 else [key], strict=True)) for key in keys]
        response = response_of(200, json.dumps(entries).encode())
        return [result.verdict for result in read_batch(response, results, payloads, columns)]

    return make


@pytest.mark.parametrize(
    "entries",
    [
        about(7, 8, 9, bad=8),
        about(9, 8, 7, bad=8),
        about(8, 9, 7, bad=8),
        about("9", "7", "8", bad="8"),
        [{"status": 201}, {"status": 422}, {"status": 201}],
        [{"id": 7, "status": 201}, {"status": 422, "error": "x"}, {"id": 9, "status": 201}],
        about("doc-1", "doc-2", "doc-3", bad="doc-2"),
        about(101, 102, 103, bad=102),
        about(9, 8, 7, bad=8, name="row"),
    ],
)
def test_results_are_matched_by_the_key_where_they_have_it(read_by_key, entries):
    assert read_by_key(entries) == [OK, NO, OK]


@pytest.mark.parametrize(
    "entries",
    [about(8, 7, 7, bad=7), about(8, 7, 10, bad=7), [{"id": 9, "status": 201}, {"status": 422}, {"status": 201}]],
)
def test_results_about_other_items_are_an_error(read_by_key, entries):
    with pytest.raises(ResultsError, match="not in the order of the items"):
        read_by_key(entries)


def test_keys_are_compared_as_what_they_are_in_json(read_by_key):
    assert read_by_key(about(2.5, 1.5, 3, bad=1.5), keys=(Decimal("1.50"), Decimal("2.5"), Decimal(3))) == [NO, OK, OK]
    assert read_by_key(about(9, 8, 7, bad=8), keys=([7, 1], [8, 1], [9, 1]), columns=("id", "part")) == [OK, NO, OK]


@every_row(
    ("entry", "expected"),
    [
        ({"status": 422, "error": "too hot"}, (NO, "http_422")),
        ({"status": "created"}, (OK, "")),
        ({"result": "noop"}, (OK, "")),
        ({"status": "failed", "message": "too hot"}, (NO, "refused")),
        ({"success": True, "errors": []}, (OK, "")),
        ({"success": False, "errors": []}, (NO, "refused")),
        ({"ok": True, "error": "too hot"}, (NO, "refused")),
        ({"error": None}, (OK, "")),
        ({"errors": [{"message": "too hot"}]}, (NO, "refused")),
        ({"status": 200, "error": "too hot"}, (NO, "refused")),
        ({"id": 7, "status": 429}, (AGAIN, "http_429")),
    ],
)
def test_a_list_tells_by_status_success_or_error(read, entry, expected):
    [result, other] = read("list", [entry, {"status": 200}])
    assert ((result.verdict, result.reason), other.verdict) == (expected, OK)
    assert ("too hot" in result.detail) == ("too hot" in json.dumps(entry))


@every_row("entry", [{}, {"id": 7}, {"status": "active"}, {"status": 1}, {"code": 200}, 201, None, "ok"])
def test_an_entry_that_says_nothing_is_an_error(read, entry):
    with pytest.raises(ResultsError):
        read("list", [{"status": 200}, entry])


def test_in_a_refusal_of_all_an_item_without_an_error_was_not_stored_for_that(read):
    results = read("list", [{"error": None}, {"error": "bad"}], 422)
    assert verdicts(results) == [(AGAIN, "not_stored"), (NO, "refused")]
    assert verdicts(read("list", [{"status": 201}, {"error": "bad"}], 422)) == [(OK, ""), (NO, "refused")]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([True, False], [(OK, ""), (NO, "refused")]),
        ([(False, "too hot"), 503], [(NO, "refused"), (AGAIN, "http_503")]),
        ((Verdict.RETRY, (422, "x")), [(AGAIN, "not_stored"), (NO, "http_422")]),
        ([Verdict.DELIVERED, (Verdict.REFUSED, "x")], [(OK, ""), (NO, "refused")]),
        (None, None),
    ],
)
def test_a_function_says_it_in_short(read, said, expected):
    seen = []
    results = read(lambda response, payloads: seen.append((response.status, payloads)) or said, [])
    assert (results if results is None else verdicts(results)) == expected
    assert seen == [(200, [{"_id": "7"}, {"_id": "8"}])]


@every_row("said", [[True], [True, None], [True, "x"], [True, 7], "yes", {0: True}, [True, (1, 2, 3)]])
def test_a_function_that_says_something_else_is_an_error(read, said):
    with pytest.raises(ResultsError, match=r"function|result for 2 items"):
        read(lambda response, payloads: said, [])


def test_a_function_that_raises_or_is_asynchronous_is_an_error_only_in_a_success(read):
    async def later(response, payloads):
        return [True, True]

    with pytest.raises(ResultsError, match="raised JSONDecodeError"):
        read(lambda response, payloads: response.json(), b"<html>")
    with pytest.raises(ResultsError, match="returned a coroutine"):
        read(later, [])
    assert read(lambda response, payloads: response.json(), b"<html>", 503) is None


def test_without_results_the_answer_speaks_for_all(read):
    assert read(None, [{"status": 500}, {"status": 500}]) is None


@pytest.mark.parametrize(("encoding", "lines"), [("iso-8859-2", False), ("utf-16", True), ("utf-16-le", False)])
def test_an_answer_is_read_in_its_charset(response_of, encoding, lines):
    entries = ['{"status": 201}', '{"status": 422, "error": "ž"}']
    text = "\n".join(entries) if lines else f"[{','.join(entries)}]"
    response = response_of(200, text.encode(encoding), **{"Content-Type": f"text/json; charset={encoding}"})
    results = Results(status="status", error="error", lines=lines)
    read = [read_batch(response, results, [{}, {}])]
    response.may_be_cut = True
    read.append(read_batch(response, results, [{}, {}]))
    assert [(result.verdict, result.detail) for result in read[0]] == [(OK, ""), (NO, "ž")]
    assert read[1] == read[0]


@pytest.mark.parametrize("results", [None, "list", "multi_status"])
def test_an_answer_in_parts_is_an_error_unless_a_function_reads_it(results):
    parts = b"--b1\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\n--b1--\r\n"
    response = Response(200, {"Content-Type": "multipart/mixed; boundary=b1"}, parts, 0.01)
    with pytest.raises(ResultsError):
        read_batch(response, results, ({"id": 1},), ("id",))
    [result] = read_batch(response, lambda response, payloads: [404], ({"id": 1},), ("id",))
    assert result.verdict is NO
