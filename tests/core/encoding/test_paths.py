from types import MappingProxyType

import pytest
from tables import every_row

from airflow_async_rest.core.answers.columns import RowShape
from airflow_async_rest.core.answers.tally import Tally
from airflow_async_rest.core.encoding.paths import MISSING, follow, parse_path
from airflow_async_rest.core.errors import AnswerError, ConfigurationError
from airflow_async_rest.core.pages import CursorPages, LinkPages, NumberedPages, OffsetPages

ROW = {
    "a": 1,
    "location": {"label": "here", "points": [{"x": 5}, {"x": 6}], "user.name": "Ann", "user": {"name": "Bob"}},
    "none": None,
    "@odata.nextLink": "/2",
    "user.name": "Eve",
    "user": {"name": "Joe"},
    "points[0]": "a key",
    "price (EUR)": 9,
    "7": "seven",
    "lists": [[1, 2], [3]],
}


@every_row(
    ("path", "found"),
    [
        ("a", 1),
        ("location.label", "here"),
        ("location.points.0.x", 5),
        ("location.points.-1.x", 6),
        ("location.points.-2.x", 5),
        ("location.points.-3.x", MISSING),
        ("location.points.2.x", MISSING),
        ("location.points.x", MISSING),
        ("location.points.²", MISSING),
        ("location.label.0", MISSING),
        ("lists.1.0", 3),
        ("7", "seven"),
        ("none", None),
        ("none.a", MISSING),
        ("b", MISSING),
        ("b.c", MISSING),
        # A text that is a key is that key, at the beginning and further on.
        ("@odata.nextLink", "/2"),
        ("user.name", "Eve"),
        ("location.user.name", "Ann"),
        ("points[0]", "a key"),
        # JMESPath.
        ("location.points[0].x", 5),
        ("location.points[-1].x", 6),
        ("location.points[].x", [5, 6]),
        ("location.points[?x > `5`] | [0].x", 6),
        ('"user.name"', "Eve"),
        ('"price (EUR)"', 9),
        ("length(location.points)", 2),
        ("{x: location.points[0].x, y: a}", {"x": 5, "y": 1}),
        ("location.label || a", "here"),
        ("missing[0]", None),
        ("none || missing", None),
    ],
)
@every_row("kind", [dict, MappingProxyType])
def test_a_path_leads_into_json(path, found, kind):
    assert parse_path("rows", path).find(kind(ROW)) == found


@every_row("value", [None, 5, "text", [], [1]])
@every_row("path", ["a", "a.b", "a.0.b"])
def test_a_path_leads_nowhere_where_there_is_no_object(value, path):
    assert parse_path("rows", path).find(value) is MISSING


def test_a_path_can_begin_in_a_list():
    assert parse_path("rows", "1.a").find([{"a": 1}, {"a": 2}]) == 2
    assert parse_path("rows", "-1").find([1, 2]) == 2
    assert parse_path("rows", "[].a").find([{"a": 1}, {"a": 2}]) == [1, 2]


def test_names_lead_to_places_from_the_end_as_well():
    assert follow({"a": [1, 2]}, ("a", "-1")) == 2


@every_row("path", ["", ".", "a.", ".a", "a..b", None, 5, ["a"]])
def test_what_is_no_path_is_refused_by_the_name_of_its_argument(path):
    with pytest.raises(ConfigurationError, match="rows: .* is not a path"):
        parse_path("rows", path)


WRONG = ["items[", "items[?a", "a | ", "{a", "price (EUR)", "a & b", '"a', "size(items)", "[?size(a)].b"]


@every_row("path", WRONG)
@every_row(
    ("make", "argument"),
    [
        (lambda path: parse_path("rows", path), "rows"),
        (lambda path: RowShape({"c": path}), "columns"),
        (lambda path: RowShape({"c": f"item.{path}"}), "columns"),
        (lambda path: RowShape({"c": f"row.{path}"}), "columns"),
        (LinkPages, "LinkPages(path)"),
        (CursorPages, "CursorPages(cursor)"),
        (lambda path: NumberedPages(pages=path), "NumberedPages(pages)"),
        (lambda path: OffsetPages(total=path), "OffsetPages(total)"),
    ],
)
def test_what_does_not_parse_is_an_error_at_once(path, make, argument):
    with pytest.raises(ConfigurationError) as caught:
        make(path)
    assert str(caught.value).startswith(f"{argument}: {path!r} cannot be read as JMESPath: ")


def test_an_expression_that_an_answer_does_not_fit_is_an_error_of_that_answer():
    with pytest.raises(AnswerError, match=r"'length\(a\)' cannot be followed in the answer"):
        parse_path("rows", "length(a)").find({"a": 5})


@every_row(
    ("path", "is_one"),
    [
        ("data.items", True),
        ("data[0].items", True),
        ('"data.all".items', True),
        ("items[?ok]", False),
        ("items[*]", False),
        ("items[].parts[]", False),
        ("items | [0]", False),
        ("reverse(items)", False),
    ],
)
def test_a_path_that_may_leave_something_out_is_told_from_one_that_does_not(path, is_one):
    assert parse_path("rows", path).leads_to_one_place is is_one


ITEM = {"id": 7, "tags": ["x", "y"], "user.name": "Ann", "user": {"name": "Bob"}}


@every_row(
    ("path", "value"),
    [
        ("item.tags[1]", "y"),
        ("item.tags.-1", "y"),
        ("item.user.name", "Ann"),
        ('item."user".name', "Bob"),
        ("row.user.name", "Eve"),
        ("row.location.points[].x", [5, 6]),
        ("user.name", "Eve"),
        ("@odata.nextLink", "/2"),
    ],
)
def test_columns_are_of_the_item_or_the_row_first_and_then_a_path(path, value):
    shape = RowShape({"c": path})
    assert shape.shape([ROW], ITEM) == [{"c": value}]


def test_a_list_of_columns_has_names_only():
    row = {"price (EUR)": 9, "a[0]": 1}
    shape = RowShape(list(row))
    tally = Tally(shape.asked)
    assert shape.shape([row], ITEM, tally=tally) == [row]
    assert not tally.ignored


def test_keys_that_an_expression_looks_at_are_not_ignored():
    shape = RowShape({"c": "location.points[].x", "d": "user.name"})
    tally = Tally(shape.asked)
    shape.shape([{"location": {}, "user.name": 1, "user": 2, "other": 3}], ITEM, tally=tally)
    assert tally.ignored == {"other": 1}
