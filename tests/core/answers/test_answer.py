import json
from decimal import Decimal

import pytest
from tables import every_row

from airflow_async_rest.core.answers.columns import RowShape
from airflow_async_rest.core.answers.formats import parse_json, parse_payload
from airflow_async_rest.core.answers.reader import AnswerReader
from airflow_async_rest.core.answers.tally import Tally
from airflow_async_rest.core.errors import AnswerError, ConfigurationError
from airflow_async_rest.core.models import Response

JSON, NDJSON, CSV = "application/json", "application/x-ndjson", "text/csv"


def response(body, kind=JSON, status=200) -> Response:
    return Response(status, {"Content-Type": kind} if kind else {}, body, 0.01)


def answer_of(body, rows=None, kind=JSON, **parts):
    how = {name: parts.pop(name) for name in ("page_rows", "empty_ok") if name in parts}
    return AnswerReader(rows, RowShape(parts.pop("columns", None)), **how).read(
        response(body, kind, **parts), {"id": 7}
    )


def rows_of(body, rows=None, kind=JSON, **parts) -> list:
    return answer_of(body, rows, kind, **parts).rows


@every_row(
    ("body", "kind", "payload"),
    [
        (b'{"a": 1}', JSON, {"a": 1}),
        (b'[{"a": 1}]', "application/vnd.api+json; charset=utf-8", [{"a": 1}]),
        (b'{"a": 1}', "", {"a": 1}),
        (b'{"a": 1}', "text/plain", {"a": 1}),
        (b'\xef\xbb\xbf{"a": 1}', JSON, {"a": 1}),
        (b"null", JSON, None),
        (b'{"a": 1}\n\n{"a": 2}\r\n', NDJSON, [{"a": 1}, {"a": 2}]),
        (b'{"a": "1\\n2"}', "application/jsonl", [{"a": "1\n2"}]),
        (b"", NDJSON, []),
        (b"a,b\n1,2\n", CSV, [{"a": "1", "b": "2"}]),
        (b'a,b\r\n"1\r\n2","3,""4"""\r\n', "text/csv; header=present", [{"a": "1\r\n2", "b": '3,"4"'}]),
        (b'a,b\n,""\n', CSV, [{"a": None, "b": None}]),
        (b"a,b\n\n1,2\n\n", CSV, [{"a": "1", "b": "2"}]),
        (b"a,b\n", CSV, []),
        (b"", CSV, []),
        (b"\xef\xbb\xbfa\n1\n", CSV, [{"a": "1"}]),
        (b"\xef\xbb\xbfa\n1\n", "text/csv; charset=utf-8", [{"a": "1"}]),
        ("a\nč\n".encode(), CSV, [{"a": "č"}]),
        (b"a\n\xe8\n", "text/csv; charset=ISO-8859-2", [{"a": "č"}]),
    ],
)
def test_an_answer_is_read_as_its_content_type_says(body, kind, payload):
    assert parse_payload(response(body, kind)) == payload


@every_row("rows", ["data.items", None, lambda payload, item: payload["items"]])
@every_row("status", [204, 205, 304])
def test_an_answer_without_content_has_no_rows(status, rows):
    assert answer_of(b"", rows=rows, status=status).count == 0


@every_row("kind", [JSON, NDJSON, CSV, ""])
@every_row("rows", ["data.items", None, lambda payload, item: payload["items"]])
@every_row("body", [b"", b" \n"])
def test_an_empty_body_says_nothing_unless_that_is_said(body, rows, kind):
    with pytest.raises(AnswerError, match=r"has \d bytes and status 200, which does not say .* empty_ok=True it does"):
        rows_of(body, rows, kind)
    assert answer_of(body, rows, kind, empty_ok=True).count == 0


@every_row(
    ("body", "rows"),
    [
        (b"null", None),
        (b"null", "items"),
        (b"{}", "items"),
        (b'{"items": null}', "items"),
        (b'{"data": {"items": null}}', "data.items"),
        (b'{"data": null}', "data.items"),
        (b'{"data": {}}', "data.items[?ok]"),
        (b'{"items": null, "errors": []}', "items"),
        (b'{"items": null, "error": false}', "items"),
    ],
)
def test_null_where_the_rows_should_be_says_nothing_unless_that_is_said(body, rows):
    with pytest.raises(AnswerError, match="if that says that there are no rows, write empty_ok=True; it begins"):
        rows_of(body, rows)
    assert answer_of(body, rows, empty_ok=True).count == 0 or rows.endswith("]")
    assert rows_of(body, rows, empty_ok=True) == []


GRAPHQL = b'{"data": {"items": null}, "errors": [{"message": "quota exceeded"}, {"message": "try later"}]}'


@every_row("empty_ok", [True, False])
@every_row(
    ("body", "rows", "words"),
    [
        (GRAPHQL, "data.items", "errors and without data: 'quota exceeded; try later'"),
        (GRAPHQL, None, "errors and without data: 'quota exceeded; try later'"),
        (GRAPHQL, lambda payload, item: payload["data"]["items"] or [], "errors and without data: 'quota exceeded;"),
        (b'{"data": null, "errors": [{"detail": "no"}]}', "data.items", "'no'"),
        (b'{"errors": [{"title": "no"}]}', "data.items", "'no'"),
        (b'{"errors": ["no", "way"]}', "data.items", "'no; way'"),
        (b'{"errors": {"id": ["unknown"]}}', "data.items", "unknown"),
        (b'{"error": {"message": "no"}}', "items", "error and without data: 'no'"),
        (b'{"error": "no", "items": null}', "items", "error and without data: 'no'"),
        (b'{"data": {"items": []}, "errors": [{"message": "no"}]}', "data.items", "'no'"),
        (b'{"data": {"items": []}, "errors": [{"message": "no"}]}', "data.items[?ok]", "'no'"),
        (b'{"data": {"items": [{"a": 1}, null]}, "errors": [{"message": "no"}]}', "data.items", "'no'"),
        (b'{"items": [], "error": {"message": "no"}}', "items", "error and without data: 'no'"),
    ],
)
def test_errors_beside_no_data_are_an_error_with_their_words(body, rows, words, empty_ok):
    with pytest.raises(AnswerError) as caught:
        rows_of(body, rows, empty_ok=empty_ok)
    assert str(caught.value).startswith("the API answers with ")
    assert words in str(caught.value)


FAILED = [
    {"success": False, "message": "no"},
    {"ok": "false"},
    {"succeeded": 0},
    {"status": "error", "message": "no"},
    {"status": "FAIL"},
    {"status": "failed", "message": "no"},
    {"status": False, "message": "no"},
    {"status": 500},
    {"statusCode": "429"},
    {"status": "OVER_QUERY_LIMIT", "error_message": "You have exceeded your quota"},  # Google Maps
    {"errorMessage": "no"},
]
WELL = [
    {"success": True},
    {"success": None, "ok": 1},
    {"status": "ok", "errorMessage": "Success", "errors": [], "error": "0"},
    {"status": "ZERO_RESULTS"},
    {"status": "failed"},  # as asked for: jobs that failed
    {"status": "rejected", "message": None},
    {"status": 200, "statusCode": "200 OK"},
    {"status": "active", "exception": None, "invalid": True, "failed_only": True},  # what was asked for
]


@every_row("empty_ok", [True, False])
@every_row("said", FAILED)
def test_an_answer_without_rows_that_says_that_it_failed_is_an_error(said, empty_ok):
    body = json.dumps({**said, "items": []}).encode()
    functions = (lambda payload, item: payload.get("no"), lambda payload, item: payload["items"])
    for rows in ("items", "no.items" if empty_ok else "items", *functions):
        with pytest.raises(AnswerError, match="it failed, and without rows"):
            rows_of(body, rows, empty_ok=empty_ok)


@every_row("said", FAILED)
def test_rows_beside_it_are_read(said):
    body = json.dumps({**said, "items": [{"a": 1}]}).encode()
    for rows in ("items", lambda payload, item: payload["items"]):
        assert rows_of(body, rows) == [{"a": 1}]


@every_row("said", WELL)
def test_an_answer_without_rows_that_says_nothing_of_a_failure_has_none(said):
    assert rows_of(json.dumps({**said, "items": []}).encode(), "items") == []


@every_row(
    ("body", "rows", "empty_ok"),
    [
        (b"[]", None, False),
        (b'{"items": []}', "items", False),
        (b"{}", "items", True),
        (b"null", None, True),
        (b"", None, True),
        (b'{"status": "queued"}', None, False),  # of the job that makes them
    ],
)
def test_no_rows_under_a_202_may_be_rows_that_are_not_ready(body, rows, empty_ok):
    with pytest.raises(AnswerError, match="status 202 and no list of rows: it may not be ready yet; response_check="):
        rows_of(body, rows, status=202, empty_ok=empty_ok)
    assert rows_of(b'[{"a": 1}]', status=202) == [{"a": 1}]


@every_row(
    ("said", "is_whole"),
    [
        ("bytes 0-3/1000", False),
        ("bytes 4-7/8", False),
        ("Bytes 0-3/*", False),
        ("bytes 0-3/4", True),
        ("items 0-0/319", True),  # the next page has the others
        ("0-0/319", True),
        ("", True),
        ("bytes */4", True),
    ],
)
def test_a_part_of_the_bytes_is_no_answer(said, is_whole):
    """A file that is cut between two lines looks like a whole one."""
    given = Response(206, {"Content-Type": CSV, "Content-Range": said}, b"a\n1\n", 0.01)
    reader = AnswerReader(None, RowShape())
    if is_whole:
        assert reader.read(given, {}).rows == [{"a": "1"}]
    else:
        with pytest.raises(AnswerError, match="a part of the whole"):
            reader.read(given, {})


@pytest.mark.parametrize(
    ("body", "rows", "expected"),
    [
        (b'{"data": {"items": [{"a": 1}]}, "errors": [{"message": "a part"}]}', "data.items", [{"a": 1}]),
        (b'{"items": [{"a": 1}], "data": null, "error": "old"}', "items", [{"a": 1}]),
        (b'{"id": 1, "errors": 3}', None, [{"id": 1, "errors": 3}]),
        (b'{"data": 5, "error": "no"}', lambda payload, item: {"a": payload["data"]}, [{"a": 5}]),
    ],
)
def test_errors_beside_data_are_not(body, rows, expected):
    assert rows_of(body, rows) == expected


SIX = b'{"data": {"items": [{"a": 1, "ok": true}, {"a": 2, "ok": false}, {"a": 3, "ok": true}]}}'


@every_row(
    ("rows", "page_rows", "count"),
    [
        ("data.items", None, 3),
        ("data.items[?ok]", None, None),
        ("data.items[?ok]", "data.items", 3),
        (lambda payload, item: [], None, None),
        (lambda payload, item: [], "data.items", 3),
        (lambda payload, item: payload["data"]["items"] * 2, "data.items", 3),
        (lambda payload, item: payload["data"]["items"] * 2, "data[0].items || data.items", None),
    ],
)
def test_the_count_is_the_apis_whatever_is_made_of_its_rows(rows, page_rows, count):
    assert answer_of(SIX, rows, page_rows=page_rows).count == count
    assert AnswerReader(rows, RowShape(), page_rows=page_rows).counts == (count is not None)


@pytest.mark.parametrize(("page_rows", "keys"), [("", "data"), ("data", "items"), ("data.items.0", "a, ok")])
def test_an_object_at_page_rows_is_not_counted_as_a_row(page_rows, keys):
    with pytest.raises(AnswerError, match=f"at page_rows='{page_rows}' the answer has an object, with {keys}: write"):
        answer_of(SIX, lambda payload, item: payload["data"]["items"], page_rows=page_rows)


def test_the_page_rows_may_be_the_answer_itself():
    assert answer_of(b'[{"a": 1}, {"a": 2}]', lambda payload, item: payload[:1], page_rows="").count == 2


def test_page_rows_that_are_not_there_are_an_error():
    with pytest.raises(AnswerError, match="the answer has nothing at page_rows='items'"):
        rows_of(SIX, lambda payload, item: [], page_rows="items")
    assert answer_of(SIX, lambda payload, item: [], page_rows="items", empty_ok=True).count == 0


@pytest.mark.parametrize(("argument", "value"), [("page_rows", "a..b"), ("page_rows", 5), ("empty_ok", "yes")])
def test_how_rows_are_found_is_checked_by_name(argument, value):
    with pytest.raises(ConfigurationError, match=argument):
        AnswerReader(None, RowShape(), **{argument: value})


@every_row(
    ("body", "kind", "text"),
    [
        (b"", JSON, "of 0 bytes"),
        (b"<html>gateway</html>", "text/html", "it begins '<html>gateway</html>'"),
        (b'[{"a": 1}, {"a": ', JSON, "cannot be read as JSON"),
        (b'{"a": 1}\n{"a": ', NDJSON, "cannot be read as JSON"),
        (b"\xff\xfe\x00", JSON, "cannot be read as JSON"),
        (b"[" * 100_000, JSON, "cannot be read as JSON"),
        (b'{"a": 1e9999999999999999999}', JSON, "cannot be read as JSON"),
        (b"a,b\n1,2,3\n", CSV, "line 2 has 3 fields, and the first one 2"),
        (b"a,b\n1\n", CSV, "line 2 has 1 fields, and the first one 2"),
        (b"<a/>", "application/xml", "if it is not JSON, say what it is: answer_format="),
        (
            b'{"a": 1}\n{"a": 2}\n',
            "application/octet-stream",
            "say what it is: answer_format='ndjson', for example, or a function",
        ),
        (b'a,b\n1,"2', CSV, "cannot be read as CSV"),
        (b"a,a\n1,2\n", CSV, "two columns have one name"),
        (b"a\n\xe8\n", CSV, "cannot be read as CSV"),
        (b"a\n1\n", "text/csv; charset=klingon", "cannot be read as CSV"),
    ],
)
def test_what_is_not_what_its_content_type_says_has_a_clear_error(body, kind, text):
    with pytest.raises(AnswerError, match=r"the answer, of [\d,]+ bytes? and content type") as caught:
        parse_payload(response(body, kind))
    assert text in str(caught.value)
    assert len(str(caught.value)) < 600


@every_row(
    "number",
    ["12345678901234567890123", "0.1234567890123456789", "-123456789.123456789123", "1e400", "100000000000000000.5",
     "18446744073709551616", "1.00000000000000000001e-7"],
)  # fmt: skip
def test_a_long_number_keeps_every_digit(number):
    [value] = parse_json(f"[{number}]".encode())
    assert value == Decimal(number)
    assert isinstance(value, int | Decimal)


@every_row("value", [0, -1, 1.5, 2**63, 2**64 - 1, "12345678901234567890", True, None])
def test_plain_values_are_as_json_has_them(value):
    [parsed] = parse_json(json.dumps([value]).encode())
    assert (parsed, type(parsed)) == (value, type(value))


PAYLOAD = b'{"data": {"items": [{"a": 1}, {"a": 2}], "none": null, "one": {"a": 3}, "empty": []}}'


@every_row(
    ("rows", "expected"),
    [
        ("data.items", [{"a": 1}, {"a": 2}]),
        ("data.items.1", [{"a": 2}]),
        ("data.one", [{"a": 3}]),
        ("data.empty", []),
        (lambda payload, item: payload["data"]["items"], [{"a": 1}, {"a": 2}]),
        (lambda payload, item: {"a": item["id"]}, [{"a": 7}]),
        (lambda payload, item: None, []),
        (lambda payload, item: ({"a": n} for n in range(2)), [{"a": 0}, {"a": 1}]),
        (lambda payload, item: ({"a": 1},), [{"a": 1}]),
    ],
)
def test_rows_are_found_by_a_path_or_a_function(rows, expected):
    assert rows_of(PAYLOAD, rows) == expected


def test_an_answer_is_the_list_or_the_row_by_default():
    assert rows_of(b'[{"a": 1}, {"a": 2}]') == [{"a": 1}, {"a": 2}]
    assert rows_of(b'{"a": 1}') == [{"a": 1}]


def failing_rows(payload, item):
    yield {"a": 1}
    raise KeyError("s")


async def asynchronous(payload, item):
    return []


@every_row(
    ("rows", "text"),
    [
        ("data.missing", "the answer has nothing at rows='data.missing': if that says"),
        ("data.none", "the answer has null at rows='data.none': if that says"),
        ("data.items.7", "the answer has nothing at rows='data.items.7'"),
        ("data.items.0.a", "the rows of the answer are '1', which is not a list of objects"),
        (lambda payload, item: [1, 2], "a row of the answer is '1', which is not an object"),
        (lambda payload, item: [None], "a row of the answer is 'null', which is not an object"),
        (lambda payload, item: [[{"a": None}]], """a row of the answer is '[{"a": null}]', which is not an object"""),
        (lambda payload, item: "text", "the rows of the answer are 'text', which is not a list"),
        (lambda payload, item: 5, "the rows of the answer are '5', which is not a list"),
        (lambda payload, item: payload["nothing"], "the function rows raised KeyError: 'nothing'"),
        (failing_rows, "the function rows raised KeyError: 's'"),
        (asynchronous, "it is an async function; write a plain one"),
    ],
)
def test_rows_that_cannot_be_had_have_a_clear_error(rows, text):
    with pytest.raises(AnswerError) as caught:
        rows_of(PAYLOAD, rows)
    assert text in str(caught.value)


@pytest.mark.parametrize("rows", [5, "a..b", "", ["a"]])
def test_rows_must_be_a_path_or_a_function(rows):
    with pytest.raises(ConfigurationError, match="rows"):
        AnswerReader(rows, RowShape())


def test_the_count_is_of_the_rows_that_the_api_gave():
    answer = AnswerReader("data.items", RowShape({"b": "a"})).read(response(PAYLOAD), {})
    assert (answer.count, answer.rows) == (2, [{"b": 1}, {"b": 2}])


def test_a_function_cannot_change_the_item():
    item = {"id": 7}
    AnswerReader(lambda payload, given: given.clear(), RowShape()).read(response(b"[]"), item)
    assert item == {"id": 7}


def test_keys_that_are_not_loaded_go_on_being_counted():
    reader = AnswerReader(None, RowShape(["a"]))
    tally = Tally(reader.asked, ignored={"b": 5})
    reader.read(response(b'[{"a": 1, "b": 2}, {"a": 1, "c": 2}]'), {}, tally)
    assert tally.ignored == {"b": 6, "c": 1}


WRITTEN = ["1.50", "1e5", "0.00001", "1.0", "-2.500", "12345678901234567890.5", "7"]


@every_row("neighbour", ["1", "1.25", "12345678901234567890.123"])
@every_row("kind", ["application/json", "application/x-ndjson"])
def test_a_number_that_is_kept_as_text_is_what_the_api_has_written(kind, neighbour):
    lines = [f'{{"n": {neighbour}, "t": {number}, "deep": {{"x": [{number}]}}, "more": 1}}' for number in WRITTEN]
    body = "\n".join(lines) if kind.endswith("ndjson") else f"[{','.join(lines)}]"
    shape = RowShape({"n": "n", "t": "t", "deep": "deep"}, known=["n", "t", "deep"], texts=["t", "deep"])
    tally = Tally(shape.asked)
    answer = AnswerReader(None, shape).read(response(body.encode(), kind), {}, tally)
    assert [str(row["t"]) for row in answer.rows] == WRITTEN
    assert [str(row["deep"]["x"][0]) for row in answer.rows] == WRITTEN
    assert [float(row["n"]) for row in answer.rows] == [float(neighbour)] * len(WRITTEN)
    assert tally.ignored == {"more": len(WRITTEN)}


def test_what_a_function_makes_of_numbers_is_its_own():
    shape = RowShape(known=["t"], texts=["t"])
    reader = AnswerReader(lambda payload, item: {"t": payload["t"] * 1.0}, shape)
    assert reader.read(response(b'{"t": 1.50}'), {}).rows == [{"t": 1.5}]


PARTS = b'{"items": [{"t": 1.50, "n": 1.1, "ok": true}, {"t": 2.50, "n": 2.2}]}'


@every_row(
    ("rows", "path", "written"),
    [
        ("items", "t", ["1.50", "2.50"]),
        ("items", "t || n", ["1.50", "2.50"]),
        ("items[?ok]", "t", ["1.50"]),
        ("items[?n == `1.1`]", "t", ["1.5"]),
        ("items", "sum([t, n])", ["2.6", "4.7"]),
        ("items[?n > `1.1`]", "to_string(t)", ["2.5"]),
    ],
)
def test_expressions_find_the_same_rows_whatever_is_kept_as_text(rows, path, written):
    """A Decimal is not equal to a float, and JMESPath's functions take none for a number."""
    shape = RowShape({"n": "n", "t": path}, known=["n", "t"], texts=["t"])
    reader = AnswerReader(rows, shape, page_rows="items[?n == `1.1`]")
    assert [str(row["t"]) for row in reader.read(response(PARTS), {}).rows] == written


def test_a_number_is_read_exactly_where_the_rows_keys_are_the_columns():
    shape = RowShape(known=["T", "n"], texts=["T"])
    tally = Tally(shape.asked)
    [row] = AnswerReader(None, shape).read(response(b'{"t": 1.50, "n": 1.50, "other": 1}'), {}, tally).rows
    assert ({name: str(value) for name, value in row.items()}, tally.ignored) == (
        {"T": "1.50", "n": "1.5"},
        {"other": 1},
    )


def test_paths_that_no_row_has_are_counted_once_for_a_row_that_is_read_twice():
    shape = RowShape({"t": "t", "x": "x"}, known=["t", "x"], texts=["t"])
    tally = Tally(shape.asked)
    AnswerReader(None, shape).read(response(b'{"t": 1.50}'), {}, tally)
    assert tally.unfound.counts == {"x": 1}
