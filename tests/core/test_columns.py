import pytest

from airflow_async_rest.core.columns import MISSING, RowShape, follow, parse_path
from airflow_async_rest.core.errors import ConfigurationError

ITEM = {"id": 7, "of": {"city": "Brno"}, "label": "item's"}
WINDOW = {"start": "from", "end": "to"}
ROW = {"a": 1, "location": {"label": "here", "points": [{"x": 5}]}, "item": "row's", "window": "row's", "none": None}


def shaped(columns=None, row=ROW, **parts) -> dict:
    [made] = RowShape(columns, window=WINDOW, **parts).shape([row], ITEM)
    return made


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a", 1),
        ("location.label", "here"),
        ("location.points.0.x", 5),
        ("location.points.1.x", MISSING),
        ("location.points.x", MISSING),
        ("location.label.0", MISSING),
        ("none", None),
        ("none.a", MISSING),
        ("b", MISSING),
    ],
)
def test_a_path_leads_into_json(path, found):
    assert follow(ROW, parse_path("rows", path)) is found or follow(ROW, parse_path("rows", path)) == found


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", None, 5])
def test_what_is_no_path_is_refused_by_the_name_of_its_argument(path):
    with pytest.raises(ConfigurationError, match="rows: .* is no path"):
        parse_path("rows", path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a", 1),
        ("location.label", "here"),
        ("row.a", 1),
        ("row.item", "row's"),
        ("row.location.points.0.x", 5),
        ("item.id", 7),
        ("item.of.city", "Brno"),
        ("item.missing", None),
        ("window.start", "from"),
        ("window.end", "to"),
        ("missing", None),
        ("location.missing", None),
        ("none", None),
    ],
)
def test_a_column_is_of_the_row_the_item_or_the_window(path, value):
    assert shaped({"c": path}) == {"c": value}


def test_columns_keep_their_order():
    assert list(shaped({"z": "a", "i": "item.id", "b": "location.label"})) == ["z", "i", "b"]


def test_a_list_has_columns_that_are_called_as_in_the_rows():
    assert shaped(["a", "none", "missing"]) == {"a": 1, "none": None, "missing": None}


ABSENT_OR_NULL = {
    "in the row": ({"id": "a", "b": "b", "c": "none"}, {"id": 1, "c": None}),
    "deep in the row": ({"id": "location.label", "b": "location.missing", "c": "none.a"}, {"id": "here"}),
    "of the item": ({"id": "item.id", "b": "item.missing", "c": "item.of.none"}, {"id": 7}),
    "a list": (["id", "none", "b"], {"none": None}),
}


@pytest.mark.parametrize("case", ABSENT_OR_NULL)
def test_a_table_is_told_what_is_missing_and_what_is_null(case):
    columns, expected = ABSENT_OR_NULL[case]
    assert shaped(columns, known=["id", "b", "c", "none"]) == expected


def test_each_row_has_what_it_has():
    rows = [{"a": 1}, {"b": None}, {"a": None, "b": 2}, {}]
    assert RowShape(["a", "b"], known=["a", "b"]).shape(rows, ITEM) == rows


def test_a_list_has_columns_of_the_row_whatever_they_are_called():
    row = {"item": 1, "window": 2, "row": 3}
    shape = RowShape(["item", "window", "row"])
    assert shape.shape([row], ITEM) == [row]
    assert shape.item_columns == ()
    assert not shape.ignored


def test_without_columns_every_key_is_one():
    assert shaped(row={"a": 1, "b": [2]}) == {"a": 1, "b": [2]}


def test_without_columns_those_of_the_table_are_loaded_whatever_their_case():
    shape = RowShape(known=["ID", "geoLabel"])
    assert shape.shape([{"id": 1, "GEOLABEL": "x", "other": 2}, {"ID": 3}], ITEM) == [
        {"ID": 1, "geoLabel": "x"},
        {"ID": 3},
    ]
    assert shape.ignored == {"other": 1}
    assert shape.names is None


def test_a_key_that_is_a_columns_very_name_comes_before_one_in_another_case():
    shape = RowShape(known=["id"])
    assert shape.shape([{"id": 1, "ID": 2}, {"ID": 2, "id": 1}], ITEM) == [{"id": 1}, {"id": 1}]
    assert shape.ignored == {"ID": 2}


def test_a_columns_name_may_differ_from_the_tables_in_case():
    shape = RowShape({"id": "a"}, known=["ID", "x"])
    assert shape.names == ("ID",)
    assert shape.shape([ROW], ITEM) == [{"ID": 1}]


def test_the_case_of_a_path_matters():
    assert shaped({"c": "A"}) == {"c": None}


def test_keys_that_go_nowhere_are_counted():
    shape = RowShape({"c": "a", "l": "row.location.label", "i": "item.id"})
    shape.shape([{"a": 1, "x": 1}, {"location": {"y": 1}, "x": 1}, {"id": 5}], ITEM)
    assert shape.ignored == {"x": 2, "id": 1}


def test_only_so_many_keys_are_counted_by_name():
    shape = RowShape(["a"])
    shape.shape([{f"k{row}-{n}": 1 for n in range(10)} for row in range(100)], ITEM)
    assert len(shape.ignored) == 50


def test_rows_are_copies():
    row = {"a": 1}
    assert shaped(row=row) is not row


def test_no_rows_are_no_rows():
    assert RowShape({"i": "item.id"}).shape([], ITEM) == []


def test_what_columns_ask_of_the_item_is_known_before_the_first_request():
    shape = RowShape({"a": "item.id", "b": "item.of.city", "c": "x", "d": "window.start"})
    assert shape.item_columns == ("id", "of")


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({}, "write a dict such as"),
        ([], "write a dict such as"),
        ("id", "write a dict such as"),
        (5, "write a dict such as"),
        ({"": "a"}, "write a dict such as"),
        ({5: "a"}, "write a dict such as"),
        ([5], "5 is no column"),
        (["a.b"], "write {'column': 'a.b'}"),
        ({"id": "a..b"}, "'a..b' is no path"),
        ({"id": None}, "None is no path"),
        ({"id": "window"}, "write 'window.start' or 'window.end'"),
        ({"id": "window.begin"}, "write 'window.start' or 'window.end'"),
        ({"id": "item"}, "write 'item.<name>'"),
        ({"id": "row"}, "write 'row.<name>'"),
        ({"x": "a"}, "columns names 'x', which the destination table does not have; it has: id, Other."),
        ({"id": "a", "ID": "b"}, "columns names one column twice: id, ID."),
    ],
)
def test_columns_that_cannot_be_loaded_are_said_early(columns, text):
    with pytest.raises(ConfigurationError) as caught:
        RowShape(columns, known=["id", "Other"])
    assert text in str(caught.value)


BASE64 = {
    "/+8=": b"\xff\xef",
    "_-8": b"\xff\xef",
    " /+\n8= ": b"\xff\xef",
    "": b"",
    None: None,
    "?": {"base64": "?"},
    "a": {"base64": "a"},
    "é": {"base64": "é"},
    5: {"base64": 5},
}


@pytest.mark.parametrize("value", BASE64)
def test_columns_may_say_that_a_text_is_base64(value):
    """What is none is no text that a column of bytes would take for what it says."""
    shape = RowShape({"a": "base64:photo.data", "b": "base64:item.photo", "c": "photo.data"}, known=["a", "b", "c"])
    rows = shape.shape([{"photo": {"data": value}}, {}], {"photo": value})
    assert rows == [{"a": BASE64[value], "b": BASE64[value], "c": value}, {"b": BASE64[value]}]
    assert shape.item_columns == ("photo",)
