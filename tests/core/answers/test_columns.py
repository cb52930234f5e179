import pytest
from tables import every_row

from airflow_async_rest.core.answers.columns import RowShape
from airflow_async_rest.core.answers.tally import Tally
from airflow_async_rest.core.errors import AnswerError, ConfigurationError

ITEM = {"id": 7, "of": {"city": "Brno"}, "label": "item's"}
WINDOW = {"start": "from", "end": "to"}
ROW = {"a": 1, "location": {"label": "here", "points": [{"x": 5}]}, "item": "row's", "window": "row's", "none": None}


def shaped(columns=None, row=ROW, **parts) -> dict:
    [made] = RowShape(columns, window=WINDOW, **parts).shape([row], ITEM)
    return made


@every_row(
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
    assert shaped({"c": path, "a": "a"}) == {"c": value, "a": 1}


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
    rows = [{"a": 1}, {"b": None}, {"a": None, "b": 2}]
    assert RowShape(["a", "b"], known=["a", "b"]).shape(rows, ITEM) == rows


@pytest.mark.parametrize(
    ("row", "made"),
    [
        ({"id": 1}, {"id": 1}),
        ({"id": 1, "price (EUR)": None}, {"id": 1, "a": None}),
        ({"id": 1, "tags": []}, {"id": 1, "b": None}),
        ({"id": 1, "tags": ["x"]}, {"id": 1, "b": "x"}),
    ],
)
def test_an_expression_is_missing_in_a_row_that_has_none_of_its_keys(row, made):
    columns = {"id": "id", "a": '"price (EUR)"', "b": "tags[0]"}
    assert shaped(columns, row, known=["id", "a", "b"]) == made


def test_a_list_has_columns_of_the_row_whatever_they_are_called():
    row = {"item": 1, "window": 2, "row": 3}
    shape = RowShape(["item", "window", "row"])
    tally = Tally(shape.asked)
    assert shape.shape([row], ITEM, tally=tally) == [row]
    assert shape.item_columns == ()
    assert not tally.ignored


def test_without_columns_every_key_is_one():
    assert shaped(row={"a": 1, "b": [2]}) == {"a": 1, "b": [2]}


def test_without_columns_those_of_the_table_are_loaded_whatever_their_case():
    shape = RowShape(known=["ID", "geoLabel"])
    tally = Tally(shape.asked)
    assert shape.shape([{"id": 1, "GEOLABEL": "x", "other": 2}, {"ID": 3}], ITEM, tally=tally) == [
        {"ID": 1, "geoLabel": "x"},
        {"ID": 3},
    ]
    assert tally.ignored == {"other": 1}
    assert shape.names is None


def test_a_key_that_is_a_columns_very_name_comes_before_one_in_another_case():
    shape = RowShape(known=["id"])
    tally = Tally(shape.asked)
    assert shape.shape([{"id": 1, "ID": 2}, {"ID": 2, "id": 1}], ITEM, tally=tally) == [{"id": 1}, {"id": 1}]
    assert tally.ignored == {"ID": 2}


def test_a_columns_name_may_differ_from_the_tables_in_case():
    shape = RowShape({"id": "a"}, known=["ID", "x"])
    assert shape.names == ("ID",)
    assert shape.shape([ROW], ITEM) == [{"ID": 1}]


def test_the_case_of_a_path_matters():
    assert shaped({"c": "A", "a": "a"}) == {"c": None, "a": 1}


def test_keys_that_go_nowhere_are_counted():
    shape = RowShape({"c": "a", "l": "row.location.label", "i": "item.id"})
    tally = Tally(shape.asked)
    shape.shape([{"a": 1, "x": 1}, {"location": {"label": 1}, "x": 1}, {"a": 1, "id": 5}], ITEM, tally=tally)
    assert tally.ignored == {"x": 2, "id": 1}


def test_only_so_many_keys_are_counted_by_name():
    shape = RowShape(["a"])
    tally = Tally(shape.asked)
    shape.shape([{"a": 1, **{f"k{row}-{n}": 1 for n in range(10)}} for row in range(100)], ITEM, tally=tally)
    assert len(tally.ignored) == 50


ERROR = {"error": "quota exceeded"}


@every_row(
    ("columns", "row"),
    [
        ({"id": "item.id", "name": "name"}, ERROR),
        ({"id": "item.id", "name": "name", "at": "window.start"}, ERROR),
        ({"name": "location.label", "points": "location.points.0"}, {"location": {"error": "no"}}),
        (["name", "id"], ERROR),
        ({"name": "names[0]"}, ERROR),
        ({"name": "names[0]", "id": "id"}, ERROR),
        ({"name": "name"}, {}),
        ({"id": "item.id", "name": "name || 'none'"}, ERROR),
        ({"name": "{first: first, last: last}"}, ERROR),
        ({"name": "name", "zone": '`"eu"`'}, ERROR),
        ({"name": "to_string(name)"}, ERROR),
    ],
)
def test_a_row_that_has_nothing_of_what_is_asked_for_is_none(columns, row):
    shape = RowShape(columns, window=WINDOW)
    with pytest.raises(AnswerError) as caught:
        shape.shape([row], ITEM)
    assert "has nothing that columns= asks for" in str(caught.value)
    assert str(row) in str(caught.value)


def test_a_row_of_which_no_key_is_a_column_is_none():
    with pytest.raises(AnswerError, match="no key of a row .* is a column of the table, which has id, name: .*quota"):
        RowShape(known=["id", "name"]).shape([{"id": 1}, ERROR], ITEM)


@every_row(
    ("columns", "row", "made"),
    [
        ({"name": "name", "id": "id"}, {"name": None}, {"name": None, "id": None}),
        ({"id": "item.id"}, ERROR, {"id": 7}),
        ({"id": "item.id", "at": "window.start"}, {}, {"id": 7, "at": "from"}),
        ({"name": "names[0]"}, {"names": []}, {"name": None}),
        ({"name": "names[0]", "id": "id"}, {"id": 5}, {"name": None, "id": 5}),
        ({"count": "length(keys(@))"}, {"x": 1}, {"count": 1}),
        ({"id": "id", "name": "name || 'none'"}, {"id": 5}, {"id": 5, "name": "none"}),
        ({"id": "item.id", "zone": '`"eu"`'}, ERROR, {"id": 7, "zone": "eu"}),
        ({"zone": '`"eu"`', "id": "id"}, {"id": 5}, {"id": 5, "zone": "eu"}),
        (None, ERROR, ERROR),
    ],
)
def test_a_row_that_has_something_is_one(columns, row, made):
    assert shaped(columns, row) == made


@every_row(
    ("path", "nearest"),
    [
        ("locatoin", "location"),
        ("Name", "name"),
        ("location.geolabel", "location.geoLabel"),
        ("geoLabel", "location.geoLabel"),
        ("label", None),
        ("location.points.0.xx", "location.points.0.x"),
        ("points.0.lat", "location.points.0.lat"),
        ("loc.lat", "location"),
        ("something", None),
        ("names[0]", "name"),
        ("nmae || 'none'", None),
        ("user.name.first", '"user.name"."first"'),
        ("price", '"price (EUR)"'),
        ("taxes.0.rate", '"taxes [%]"[0]."rate"'),
        ("$.größe", "größe"),
    ],
)
def test_a_path_that_no_row_has_is_counted_with_the_nearest_key(path, nearest):
    others = {"user.name": {"first": "f"}, "price (EUR)": 1, "taxes [%]": [{"rate": 1}], "größe": 1}
    location = {"geoLabel": "y", "points": [{"x": 1, "lat": 2}]}
    rows = [{"id": n, "name": "x", "location": location, **others} for n in range(100)]
    shape = RowShape({"id": "id", "c": path})
    tally = Tally(shape.asked)
    shape.shape(rows[:50], ITEM, tally=tally)
    shape.shape(rows[50:], ITEM, tally=tally)
    assert tally.unfound.counts == {path: 100}
    assert tally.unfound.nearest(path) == nearest
    assert nearest is None or shaped({"c": nearest}, rows[0])["c"] is not None


def test_a_path_that_one_row_has_is_found():
    shape = RowShape({"id": "id", "a": "a", "b": "b.c", "d": "d[0]", "e": "item.e"})
    tally = Tally(shape.asked)
    shape.shape([{"id": 1}, {"id": 2, "a": None}, {"b": {"c": 0}}, {"id": 3, "d": []}, {"id": 4}], ITEM, tally=tally)
    assert tally.unfound.counts == {}


def test_the_count_of_rows_without_a_path_goes_on_after_a_retry():
    shape = RowShape({"id": "id", "a": "a", "b": "b"})
    assert Tally(shape.asked).unfound.counts == {"id": 0, "a": 0, "b": 0}
    tally = Tally(shape.asked, unfound={"a": 5})
    shape.shape([{"id": 1}], ITEM, tally=tally)
    assert tally.unfound.counts == {"a": 6}


def test_what_two_fetches_count_is_counted_apart():
    shape = RowShape(["a"])
    tallies = [Tally(shape.asked, shown=shown) for shown in (str.upper, str)]
    for tally, key in zip(tallies, "bc", strict=True):
        shape.shape([{"a": 1, key: 2}], ITEM, tally=tally)
    assert [tally.ignored for tally in tallies] == [{"B": 1}, {"c": 1}]


def test_rows_are_copies():
    row = {"a": 1}
    assert shaped(row=row) is not row


def test_no_rows_are_no_rows():
    assert RowShape({"i": "item.id"}).shape([], ITEM) == []


def test_what_columns_ask_of_the_item_is_known_before_the_first_request():
    shape = RowShape({"a": "item.id", "b": "item.of.city", "c": "x", "d": "window.start"})
    assert shape.item_columns == (("id",), ("of", "of.city"))


@every_row(
    ("columns", "text"),
    [
        ({}, "write a dict such as"),
        ([], "write a dict such as"),
        ("id", "write a dict such as"),
        (5, "write a dict such as"),
        ({"": "a"}, "write a dict such as"),
        ({5: "a"}, "write a dict such as"),
        ([5], "5 is not a column"),
        (["a.b"], "write {'column': 'a.b'}"),
        ({"id": "a..b"}, "'a..b' is not a path"),
        ({"id": None}, "None is not a path"),
        ({"id": "window"}, "write 'window.start' or 'window.end'"),
        ({"id": "window.begin"}, "write 'window.start' or 'window.end'; what the row has there is 'row.window.begin'."),
        ({"id": "item"}, "write 'item.<name>'"),
        ({"id": "item."}, "columns: 'item.': write 'item.<name>'"),
        ({"id": "row."}, "columns: 'row.': write 'row.<name>'"),
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


@every_row("value", BASE64)
def test_columns_may_say_that_a_text_is_base64(value):
    """What is none is no text that a column of bytes would take for what it says."""
    shape = RowShape(
        {"a": "base64:photo.data", "b": "base64:item.photo", "c": "photo.data", "d": "d"}, known=list("abcd")
    )
    rows = shape.shape([{"photo": {"data": value}}, {"d": 1}], {"photo": value})
    assert rows == [{"a": BASE64[value], "b": BASE64[value], "c": value}, {"b": BASE64[value], "d": 1}]
    assert shape.item_columns == (("photo",),)
