"""What failed, as a program of one's own reads it."""

import json
from decimal import Decimal
from uuid import uuid4

import pytest

from airflow_async_rest import read_dead_letters
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.letters.folder import RESET, refused_record
from airflow_async_rest.core.models import DeadLetter, Item, Request
from airflow_async_rest.tasks.dead_letters import folder_uris
from airflow_async_rest.tasks.storage.folders import open_folder


def letter(index, reason="http_422", body=b"{}"):
    request = Request("PUT", f"x/{index}", "", body, f"k{index}")
    return DeadLetter.of(Item(index, f"key {index}", {}, {}), reason, status=422, request=request)


@pytest.fixture
def folder(tmp_path):
    """A folder of two tries; 1 and 4 are dead, and a row of 7 was refused."""
    first, second = (open_folder(str(tmp_path), number) for number in (1, 2))
    first.write([letter(8)])
    first.write([RESET])
    first.write([letter(1, "timeout"), letter(2), letter(3)])
    second.write([letter(4, "http_503"), {"index": 3, "resolved": True}, refused_record(7, 1, {"v": 0.5}, "too long")])
    second.write([letter(1, "http_400"), {"index": 2, "resolved": True}])
    return f"file://{tmp_path}"


def read(*arguments, **only):
    return [(record["index"], record["reason"]) for record in read_dead_letters(*arguments, **only)]


@pytest.mark.parametrize(
    ("reasons", "found"),
    [
        (None, [(1, "http_400"), (4, "http_503"), (7, "row_refused")]),
        (["http_400", "timeout"], [(1, "http_400")]),
        (("row_refused",), [(7, "row_refused")]),
        ({"http_422"}, []),
    ],
)
def test_the_latest_record_of_what_is_still_dead_is_read(folder, reasons, found):
    assert read(folder, reasons=reasons) == found


def test_a_record_has_what_the_document_says(folder):
    record = next(read_dead_letters(folder, reasons=["http_503"]))
    assert {name: record[name] for name in ("key", "status", "method", "path", "payload", "idempotency_key")} == {
        "key": "key 4",
        "status": 422,
        "method": "PUT",
        "path": "x/4",
        "payload": {},
        "idempotency_key": "k4",
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("21.5", 21.5),
        ("1e-7", 1e-7),
        ("-0.0", 0.0),
        ("1.10", 1.1),
        ("0.1234567890123456789", Decimal("0.1234567890123456789")),
        ("1E+400", Decimal("1E+400")),
        ("18446744073709551617", 2**64 + 1),
        ("9" * 5_000, Decimal("9" * 5_000)),
    ],
)
def test_numbers_are_pythons_own_and_keep_every_digit(tmp_path, text, value):
    open_folder(str(tmp_path), 1).write([letter(0, body=b'{"v":%s}' % text.encode())])
    [record] = read_dead_letters(str(tmp_path))
    assert (type(record["payload"]["v"]), record["payload"]["v"]) == (type(value), value)


def test_records_of_usual_values_have_a_json_form(folder):
    assert len(json.loads(json.dumps([*read_dead_letters(folder)]))) == 3
    assert next(read_dead_letters(folder, reasons=["row_refused"]))["row"] == {"v": 0.5}


def test_folders_are_named_as_the_replay_has_them(folder, tmp_path):
    other = tmp_path / "other"
    open_folder(str(other), 1).write([letter(0, "connection")])
    everything = [(1, "http_400"), (4, "http_503"), (7, "row_refused"), (0, "connection")]
    assert read([folder, None, str(other), f"{folder}/"]) == everything
    assert read(f" [{folder!r}, None, {str(other)!r}]") == everything
    for nothing in (None, "", "None", [], [None]):
        assert read(nothing) == []


def test_a_folder_in_object_storage_is_read():
    uri = f"memory://bucket/{uuid4().hex}"
    open_folder(uri, 1).write([letter(0)])
    assert read(uri) == [(0, "http_422")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dead_letters": "relative"}, r"dead_letters='relative': write an absolute path"),
        ({"dead_letters": "/nothing/here"}, r"dead_letters: there is no folder '/nothing/here' with dead letters"),
        ({"dead_letters": 5}, r"dead_letters=5: write a folder's URI"),
        ({"dead_letters": {"dead_letters": "/x", "read": 5}}, r"dead_letters=.*: write a folder's URI"),
        ({"dead_letters": "s3:///x"}, r"dead_letters='s3:///x': .*after s3:// comes the bucket"),
        *(
            ({"dead_letters": None, "reasons": wrong}, r"reasons=.*: write a list such as")
            for wrong in ("http_422", [], [422], 422)
        ),
    ],
)
def test_a_wrong_argument_is_named_at_the_call(arguments, message):
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException, match=message):
        read_dead_letters(**arguments)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda part: part.unlink(), r"1-3\.jsonl cannot be read: missing"),
        (lambda part: part.write_bytes(part.read_bytes()[:-9]), r"1-3\.jsonl cannot be read: it is cut off"),
    ],
)
def test_some_never_pass_for_all(folder, tmp_path, spoil, message):
    from airflow.sdk.exceptions import AirflowException

    spoil(tmp_path / "1-3.jsonl")
    with pytest.raises(AirflowException, match=message):
        list(read_dead_letters(folder))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "[" + "'file:///x'," * 100_000 + "]",
            r"dead_letters is a text of 1200002 characters, .* Give the list itself",
        ),
        ("[" * 5_000, "dead_letters"),
        ("[" * 500 + "]" * 500, "dead_letters"),
        ("[1, 2]", "dead_letters"),
        ("[" + "-" * 100_000 + "1]", "dead_letters"),
    ],
    ids=["long", "deep", "nested", "numbers", "signs"],
)
def test_a_list_that_went_through_a_template_is_read_within_bounds(value, message):
    with pytest.raises(ConfigurationError, match=message) as error:
        folder_uris(value)
    assert len(str(error.value)) < 1000


def test_a_list_that_went_through_a_template_is_read():
    assert folder_uris(" ['file:///x', None, 'file:///y']") == ["file:///x", "file:///y"]
    assert len(folder_uris(str([f"file:///{number:0100}" for number in range(8000)]))) == 8000
