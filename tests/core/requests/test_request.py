from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import ip_address
from urllib.parse import unquote
from uuid import UUID

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from orjson import Fragment
from tables import every_row

from airflow_async_rest.core.encoding.durations import CalendarDuration
from airflow_async_rest.core.encoding.foreign_values import ValueText
from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.errors import ConfigurationError, EncodeError, EndpointError
from airflow_async_rest.core.models import Item
from airflow_async_rest.core.requests.builder import (
    METHODS,
    EndpointTemplate,
    Identity,
    RequestBuilder,
    check_method,
    key_columns,
)


class Colour(str, Enum):  # noqa: UP042  (what str() writes of it differs)
    RED = "red"


@every_row(
    ("endpoint", "row", "path", "query"),
    [
        ("sensors/_doc/{id}", {"id": 5}, "sensors/_doc/5", ""),
        ("/sensors", {}, "sensors", ""),
        ("", {}, "", ""),
        ("/", {}, "/", ""),
        ("?id={id}", {"id": 7}, "", "id=7"),
        ("/?id={id}", {"id": 7}, "/", "id=7"),
        ("a b/č#", {}, "a%20b/%C4%8D%23", ""),
        ("x/%7Bliteral%7D/{{}}/{{{id}}}", {"id": 1}, "x/%7Bliteral%7D/%7B%7D/%7B1%7D", ""),
        ("{a}-{b}.json", {"a": "x", "b": "y"}, "x-y.json", ""),
        ("{id}/{id}", {"id": 1}, "1/1", ""),
        ("x/{id}", {"id": "a/b"}, "x/a%2Fb", ""),
        ("x/{id}", {"id": "?a=1#f&%2e"}, "x/%3Fa%3D1%23f%26%252e", ""),
        ("x/{id}", {"id": "a\r\nHost: evil"}, "x/a%0D%0AHost%3A%20evil", ""),
        ("x/{id}", {"id": "é\0"}, "x/%C3%A9%00", ""),
        ("x/{id}", {"id": "..."}, "x/...", ""),
        ("x/v.{id}", {"id": "."}, "x/v..", ""),
        ("x/{id}", {"id": 0}, "x/0", ""),
        ("x/{id}", {"id": True}, "x/true", ""),
        ("x/{id}", {"id": Decimal("1.50")}, "x/1.50", ""),
        ("x/{id}", {"id": Decimal("0E-7")}, "x/0.0000000", ""),
        ("x/{id}", {"id": Decimal("1E+3")}, "x/1000", ""),
        ("x/{id}", {"id": date(2026, 1, 2)}, "x/2026-01-02", ""),
        ("x/{id}", {"id": datetime(2026, 1, 2, tzinfo=UTC)}, "x/2026-01-02T00%3A00%3A00%2B00%3A00", ""),
        ("x/{id}", {"id": UUID(int=1)}, "x/00000000-0000-0000-0000-000000000001", ""),
        ("x/{id}", {"id": ip_address("::1")}, "x/%3A%3A1", ""),
        ("x/{id}", {"id": Colour.RED}, "x/red", ""),
        ("x/{id}", {"id": np.int64(7)}, "x/7", ""),
        ("x/{id}", {"id": np.datetime64("2026-01-02")}, "x/2026-01-02", ""),
        ("x?since={at}&n=1", {"at": "1+1 &?"}, "x", "since=1%2B1%20%26%3F&n=1"),
        ("x?up={at}", {"at": ".."}, "x", "up=.."),
        ("x?to=http://h/..", {}, "x", "to=http://h/.."),
        ("{a b}", {"a b": 1}, "1", ""),
    ],
)
def test_an_endpoint_is_filled_in_and_encoded(endpoint, row, path, query):
    assert EndpointTemplate(endpoint).render(row) == (path, query)


@pytest.mark.parametrize(
    ("endpoint", "key"),
    [
        ("", "1009b208473ff7a11179fb6247f94c21"),
        ("/", "1009b208473ff7a11179fb6247f94c21"),
        ("x/{id}", "85d53bdf3e91fbeaac7644d0f268f3e9"),
        ("?id={id}", "6475dfa3ab8fc109eb92f4c6f3c48a0b"),
        ("/?id={id}", "6475dfa3ab8fc109eb92f4c6f3c48a0b"),
    ],
)
def test_keys_are_those_of_earlier_versions(item_of, endpoint, key):
    builder = RequestBuilder(
        endpoint=EndpointTemplate(endpoint),
        method="POST",
        encode=JsonEncoder(),
        identity=Identity(("d", "t"), ("a", "b")),
        has_key=True,
    )
    assert builder.build([item_of(0, {"id": 7}, identity=b"7")])[0].idempotency_key == key


@pytest.mark.parametrize(
    "value",
    [None, "", ".", "..", b"ab", bytearray(b"x"), memoryview(b"x"), float("nan"), float("inf"), Decimal("NaN"), "\ud800"],
    ids=lambda value: ascii(value).partition(" at 0x")[0],
)  # fmt: skip
def test_a_value_that_makes_no_path_fails_its_item(value):
    with pytest.raises(EndpointError):
        EndpointTemplate("x/{id}/y").render({"id": value})


@every_row(
    "value",
    [
        {"a": 1}, [1], (1,), {1}, timedelta(days=1), CalendarDuration.of(timedelta(days=30), "P1M"), Fragment("{}"), ValueText("infinity"),
        np.timedelta64(1, "D"), np.timedelta64(1, "Y"), np.timedelta64(1, "ns"), np.longdouble(1), np.bytes_(b"a"),
        np.array([1]), np.datetime64("NaT"), np.float32("nan"), Decimal("sNaN"), Decimal("Infinity"), object(), 1j, 10**5000,
    ],
)  # fmt: skip
def test_a_value_of_many_forms_fails_its_item_and_is_named(value):
    with pytest.raises(EndpointError, match="column 'id' is "):
        EndpointTemplate("x/{id}").render({"id": value})


@pytest.mark.parametrize("row", [{"a": ".", "b": "."}, {"a": "x", "b": None}, {"a": "x"}])
def test_values_that_make_no_path_together_fail_their_item(row):
    with pytest.raises(EndpointError):
        EndpointTemplate("x/{a}{b}").render(row)


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_a_value_never_leaves_its_place_in_the_path(value):
    assume(value not in {".", ".."})
    path, query = EndpointTemplate("a/{id}/b").render({"id": value})
    first, middle, last = path.split("/")
    assert (first, unquote(middle), last, query) == ("a", value, "b", "")
    assert not set(middle) & set("?#\r\n \\")


@every_row(
    "endpoint",
    [
        "https://evil/x", "//evil/x", "{id", "id}", "{}", "{id!r}", "{id:>5}", "{id:}", "{row[id]}", "{row.id}",
        "x/{{id}}", "x/{{ id }}?a=1", "x/{{id}}/{kind}", "x/{kind}?a={{ id }}", "x/{id}\n", "x\0", "{{ds}}", "x/{{ params.region }}/y", "{:id}", "{a:b}",
        "..", "../admin", "a/../b", "./a", "a/{id}/..", "../{id}?x=1", None, 5, b"x",
    ],
)  # fmt: skip
def test_a_wrong_endpoint_is_refused_by_name(endpoint):
    with pytest.raises(ConfigurationError, match="endpoint="):
        EndpointTemplate(endpoint)


def test_the_columns_of_an_endpoint_are_known_beforehand():
    assert EndpointTemplate("{a}/{b}?c={a}").columns == ("a", "b")


def builder(**parts) -> RequestBuilder:
    return RequestBuilder(
        **{
            "endpoint": EndpointTemplate(parts.pop("path", "x/{id}")),
            "method": "PUT",
            "encode": JsonEncoder(),
            "identity": Identity(("dag", "task"), ("2026-01-01", "2026-01-02")),
            "has_key": True,
            **parts,
        }
    )


def item(index=0, row_id=1, payload=None) -> Item:
    return Item(index, row_id, {"id": row_id}, payload or {"id": row_id, "v": 1}, identity=b"%d" % row_id)


def key_of(made: Item | None = None, **parts) -> str:
    return builder(**parts).build([made or item()])[0].idempotency_key


def test_the_same_row_makes_the_same_request_again():
    assert builder().build([item()]) == builder().build([item()])
    assert key_of(item(index=7)) == key_of(item(index=8))


@every_row(
    ("made", "parts"),
    [
        (item(row_id=2), {}),
        (item(payload={"id": 1, "v": 2}), {}),
        (None, {"method": "POST"}),
        (None, {"path": "y/{id}"}),
        (None, {"path": "x/{id}?a=1"}),
        (None, {"identity": Identity(("dag", "task"), ("2026-01-02", "2026-01-03"))}),
        (None, {"identity": Identity(("dag", "task"))}),
        (None, {"identity": Identity(("dag", "other"), ("2026-01-01", "2026-01-02"))}),
        (None, {"identity": Identity(("da", "gtask"), ("2026-01-01", "2026-01-02"))}),
    ],
)
def test_what_is_another_request_has_another_key(made, parts):
    assert key_of(made, **parts) != key_of()


@pytest.mark.parametrize(("has_key", "same"), [(True, True), (False, False)])
def test_mapped_tasks_are_told_apart_where_the_position_stands_in_for_a_key(has_key, same):
    first, second = (key_of(has_key=has_key, identity=Identity(map_index=index)) for index in (0, 1))
    assert (first == second) is same


def test_keys_stay_the_same_from_one_release_to_the_next():
    assert key_of() == "856b728edc5cfffa5ce7b3af02eb68c1"


@every_row(
    ("method", "sends_body", "has_body"),
    [("POST", None, True), ("PATCH", None, True), ("DELETE", None, False), ("GET", None, False), ("DELETE", True, True), ("POST", False, False)],
)  # fmt: skip
def test_the_method_decides_whether_there_is_a_body(method, sends_body, has_body):
    [request] = builder(method=method, sends_body=sends_body).build([item()])
    assert request.body == (b'{"id":1,"v":1}' if has_body else None)


def test_a_payload_without_a_json_form_fails_its_item():
    with pytest.raises(EncodeError):
        builder().build([item(payload={"v": float("nan")})])


@every_row("method", [*METHODS, *map(str.lower, METHODS)])
def test_a_method_is_known_in_any_case(method):
    assert check_method(method) == method.upper()


@pytest.mark.parametrize("method", ["HEAD", "", None, 5, "POST\r\nX: y"])
def test_an_unknown_method_is_refused(method):
    with pytest.raises(ConfigurationError, match="method="):
        check_method(method)


@pytest.mark.parametrize(
    ("key", "columns"), [(None, ()), ("id", ("id",)), (["a", "b"], ("a", "b")), (("a",), ("a",)), ([], ())]
)
def test_a_key_is_one_column_or_several(key, columns):
    assert key_columns(key) == columns


@every_row("key", ["", " ", 5, [1], [None], ["a", ""], b"id", 0])
def test_a_key_that_names_no_columns_is_refused(key):
    with pytest.raises(ConfigurationError, match="key="):
        key_columns(key)
