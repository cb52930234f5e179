import json
import os
import tracemalloc
from decimal import Decimal
from pathlib import Path

import pytest
from tables import every_row

from airflow_async_rest.core.errors import DeadLetterStoreError
from airflow_async_rest.core.letters.folder import (
    RESET,
    DeadLetterFolder,
    held_bytes,
    refused_record,
    to_record,
)
from airflow_async_rest.core.letters.lines import parse_exactly, whole_batches
from airflow_async_rest.core.letters.shown import shown_letter, shown_record
from airflow_async_rest.core.models import DeadLetter

FIELDS = {
    "index", "key", "method", "path", "query", "idempotency_key", "reason", "status", "attempts", "response_excerpt", "failed_at",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    return DeadLetterFolder(tmp_path / "a" / "b", 1)


@pytest.fixture
def letter(item_of, request_of):
    """Make a dead letter: ``letter(index, reason)``, with a request unless it is told otherwise."""

    def make(index=0, reason="http_422", *, row=None, key=None, detail="no", **request) -> DeadLetter:
        item = item_of(index, row, key=index if key is None else key)
        return DeadLetter.of(
            item,
            reason,
            detail=detail,
            status=422,
            attempts=1,
            request=None if row else request_of(**request),
        )

    return make


def read_back(folder) -> list[dict]:
    return list(folder.iter_records())


def test_a_record_has_what_it_takes_to_send_it_again(folder, letter):
    folder.write([letter(3, path="x/3", query="a=1", body=b'{"v":1.10}', idempotency_key="k3", method="PUT")])
    [record] = read_back(folder)
    assert set(record) == FIELDS | {"payload"}
    assert record["failed_at"].endswith("+00:00")
    assert {name: record[name] for name in ("index", "method", "path", "query", "idempotency_key", "payload")} == {
        "index": 3,
        "method": "PUT",
        "path": "x/3",
        "query": "a=1",
        "idempotency_key": "k3",
        "payload": {"v": Decimal("1.10")},
    }


def test_an_item_without_a_request_keeps_its_row(folder, letter):
    folder.write([letter(0, "encode", row={"v": float("nan"), "b": b"\xff", "o": 2**70, "\ud800": "\udfff"})])
    [record] = read_back(folder)
    assert set(record) == FIELDS | {"row"}
    assert record["row"] == {"v": "nan", "b": "/w==", "o": 2**70, "\\ud800": "\\udfff"}
    assert record["method"] is None


@pytest.mark.parametrize(
    "body", [b'{"a":123456789012345678901234567890.10}', b"[1E+400]", b"18446744073709551616", b'"\\n"', b"null", b"[]"]
)
def test_a_payload_is_stored_to_the_last_digit(folder, letter, body):
    folder.write([letter(body=body)])
    assert read_back(folder)[0]["payload"] == parse_exactly(body)


def test_a_request_without_a_body_has_no_payload(folder, letter):
    folder.write([letter(body=None, method="DELETE")])
    assert read_back(folder)[0]["payload"] is None


@pytest.mark.parametrize("detail", ["\ud800 a", "a\nb\u2028c\x85", "\0", "x" * 10_000])
def test_whatever_an_api_or_an_author_says_can_be_stored(folder, letter, detail):
    folder.write([letter(detail=detail)])
    excerpt = read_back(folder)[0]["response_excerpt"]
    assert excerpt == detail[:500].encode("utf-8", "backslashreplace").decode()


@pytest.mark.parametrize("key", [5, "a", ["a", 1], None, 2**70, Decimal("1.5")])
def test_a_key_of_any_type_can_be_stored(folder, item_of, key):
    folder.write([DeadLetter.of(item_of(0, key=key), "encode")])
    assert read_back(folder)[0]["key"] == key


def test_parts_are_numbered_by_try_and_sequence(tmp_path, letter):
    first = DeadLetterFolder(tmp_path, 1)
    assert [first.write([letter(0)]), first.write([letter(1)])] == [(1, 1), (1, 2)]
    assert DeadLetterFolder(tmp_path, 1).write([letter(2)]) == (1, 3)
    assert DeadLetterFolder(tmp_path, 10).write([letter(3)]) == (10, 1)
    assert DeadLetterFolder(tmp_path, 2).write([letter(4)]) == (2, 1)
    assert DeadLetterFolder(tmp_path).write([letter(5)]) == (10, 2)
    assert DeadLetterFolder(tmp_path).parts() == [(1, 1), (1, 2), (1, 3), (2, 1), (10, 1), (10, 2)]


def test_a_folder_without_parts_starts_with_the_first(tmp_path, letter):
    assert DeadLetterFolder(tmp_path / "new").write([letter()]) == (1, 1)


def test_a_part_is_never_changed(folder, letter, tmp_path):
    folder.write([letter(0)])
    before = (tmp_path / "a" / "b" / "1-1.jsonl").read_bytes()
    folder.write([letter(0, "timeout"), {"index": 0, "resolved": True}])
    assert (tmp_path / "a" / "b" / "1-1.jsonl").read_bytes() == before


def test_a_later_record_wins(folder, letter):
    folder.write([letter(0, "timeout"), letter(1, "timeout")])
    folder.write([letter(0, "http_422")])
    assert folder.read() == {0: "http_422", 1: "timeout"}
    assert [(record["index"], record["reason"]) for record in read_back(folder)] == [(0, "http_422"), (1, "timeout")]


def test_what_was_delivered_after_all_is_dead_no_more(folder, letter):
    folder.write([letter(0), letter(1)])
    folder.write([{"index": 0, "resolved": True}, {"index": 99, "resolved": True}])
    assert folder.read() == {1: "http_422"}
    folder.write([letter(0, "timeout")])
    assert folder.read() == {1: "http_422", 0: "timeout"}


def test_a_reset_makes_everything_before_it_void(folder, letter):
    folder.write([letter(0), letter(1)])
    folder.write([RESET])
    folder.write([letter(1, "timeout")])
    assert folder.read() == {1: "timeout"}
    assert [record["reason"] for record in read_back(folder)] == ["timeout"]


def test_only_some_parts_can_be_read(folder, letter):
    folder.write([letter(0)])
    folder.write([letter(1)])
    assert folder.read([(1, 1)]) == {0: "http_422"}
    assert folder.read([]) == {}


def test_what_is_written_while_reading_is_not_read(folder, letter):
    folder.write([letter(0), letter(1)])
    seen = []
    for record in folder.iter_records():
        folder.write([{"index": record["index"], "resolved": True}])
        seen.append(record["index"])
    assert seen == [0, 1]
    assert folder.read() == {}


def test_a_folder_that_is_not_there_has_no_dead_letters(folder):
    assert folder.parts() == []
    assert folder.read() == {}
    assert read_back(folder) == []


def test_other_files_are_left_alone(tmp_path, letter):
    for name in ("1-2.unfinished", "notes.txt", "1-3.jsonl.bak", "x-1.jsonl"):
        (tmp_path / name).write_bytes(b"{")
    folder = DeadLetterFolder(tmp_path, 1)
    folder.write([letter()])
    assert folder.parts() == [(1, 1)]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"index": 0, "reason": "timeout"}',
        b'{"index": 0, "reason": "timeout"}\n{"index": 1, "rea',
        b'{"index": 0, "reason": "timeout"}\n{"index": 1}',
        b"\n",
        b"[]\n",
        b"null\n",
        b'{"reason": "timeout"}\n',
        b'{"index": "0"}\n',
        b'{"resolved": true}\n',
        b"\xff\xfe\n",
        b"\0\0\0\n",
    ],
)
def test_a_part_that_is_not_what_was_written_is_an_error(tmp_path, content):
    (tmp_path / "1-1.jsonl").write_bytes(content)
    folder = DeadLetterFolder(tmp_path)
    with pytest.raises(DeadLetterStoreError, match=r"1-1\.jsonl cannot be read"):
        folder.read()
    with pytest.raises(DeadLetterStoreError):
        read_back(folder)


def test_a_missing_part_is_an_error(folder, letter):
    folder.write([letter()])
    with pytest.raises(DeadLetterStoreError, match=r"1-2\.jsonl cannot be read"):
        folder.read([(1, 1), (1, 2)])


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path, letter):
    (tmp_path / "file").write_text("")
    with pytest.raises(DeadLetterStoreError, match="cannot be"):
        DeadLetterFolder(tmp_path / "file", 1).write([letter()])


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DeadLetterStoreError, match="cannot be read"):
        DeadLetterFolder(tmp_path / "file").parts()


def test_a_write_that_fails_leaves_no_part_and_its_number_is_used_again(folder, letter, monkeypatch):
    folder.write([letter(0)])
    with monkeypatch.context() as patch:
        for name in ("hardlink_to", "replace"):
            patch.setattr(Path, name, lambda self, target: os.open("/nowhere/at/all", os.O_RDONLY))
        with pytest.raises(DeadLetterStoreError):
            folder.write([letter(1)])
    assert folder.parts() == [(1, 1)]
    assert folder.write([letter(1)]) == (1, 2)


class ObjectPath:
    """As an object store has them: no renaming, and a path that is not ``pathlib``'s."""

    def __init__(self, objects: dict[str, bytes], name: str) -> None:
        self.objects, self.name = objects, name

    def __truediv__(self, name):
        return ObjectPath(self.objects, name)

    def mkdir(self, *, parents, exist_ok):
        assert parents
        assert exist_ok

    def exists(self):
        return bool(self.objects)

    def iterdir(self):
        return (ObjectPath(self.objects, name) for name in self.objects)

    def read_bytes(self):
        return self.objects[self.name]

    def write_bytes(self, data):
        self.objects[self.name] = data
        return len(data)


def test_an_object_store_does_as_well(letter):
    objects: dict[str, bytes] = {}
    folder = DeadLetterFolder(ObjectPath(objects, ""), 2)
    assert folder.write([letter(7)]) == (2, 1)
    assert list(objects) == ["2-1.jsonl", "parts.json"]
    assert folder.write([letter(8)]) == (2, 2)
    del objects["2-2.jsonl"]
    with pytest.raises(DeadLetterStoreError, match=r"cannot be read: missing"):
        folder.check()
    assert DeadLetterFolder(ObjectPath({"2-1.jsonl": objects["2-1.jsonl"]}, "")).read() == {7: "http_422"}


def test_a_record_is_shown_as_plain_json(letter):
    body = b'{"price":0.1,"huge":1E+400,"big":1180591620717411303424}'
    shown = shown_record(to_record(letter(body=body)), payloads=True)
    assert shown["payload"] == {"price": 0.1, "huge": "1E+400", "big": 2**70}
    json.dumps(shown, allow_nan=False)


def test_a_record_read_back_is_shown_as_it_was_at_first(folder, letter):
    dead = letter(body=b'{"price":0.1,"big":1180591620717411303424}', key=2**70)
    folder.write([dead])
    assert shown_record(read_back(folder)[0], payloads=True) == shown_record(to_record(dead), payloads=True)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a\0b", r"a\x00b"),
        ("\0\0", r"\x00\x00"),
        ("\\\0", r"\\x00"),
        (r"\u0000", r"\u0000"),
        ("\\\\u0000", r"\\u0000"),
    ],
)
def test_what_is_shown_has_no_nul_which_xcom_cannot_keep_on_postgresql(letter, postgres, text, seen):
    body, large = (json.dumps({text: what}).encode() for what in (text, "x" * 20_000))
    dead = letter(key=text, body=body, detail=text)
    shown = shown_record(to_record(dead), payloads=True)
    assert (shown["key"], shown["response_excerpt"], shown["payload"]) == (seen, seen, {seen: seen})
    raw = shown_letter(letter(body=text.encode() + large), payloads=True)
    with postgres.open() as connection:
        for one in (shown, raw, shown_letter(dead, payloads=True)):
            assert connection.execute("SELECT CAST(%s AS jsonb)", [json.dumps(one)]).fetchone() == (one,)


def test_a_large_payload_is_cut_and_marked(letter):
    body = json.dumps("x" * 5_000).encode()
    shown = shown_record(to_record(letter(body=body)), payloads=True)["payload"]
    assert len(shown) < 2_100
    assert shown.endswith("... [cut: 5002 characters in all]")


@pytest.mark.parametrize("row", [None, {"secret": 1}])
def test_payloads_and_rows_can_be_left_out(letter, row):
    shown = shown_record(to_record(letter(row=row)), payloads=False)
    assert set(shown) == FIELDS


def test_a_dead_letter_of_a_fetch_says_so_and_what_to_ask_for_once_more(folder, item_of, request_of):
    folder.write([DeadLetter.of(item_of(3), "http_500", request=request_of(method="GET", body=None), fetch=True)])
    [record] = read_back(folder)
    assert (record["fetch"], record["method"], record["payload"], record["row"]) == (True, "GET", None, {"id": 3})


@every_row("body", [None, b'"a"', b'"%s"' % (b"b" * 100_000)])
@every_row("row", [{"id": "c"}, {"id": "d" * 5_000}])
def test_payload_and_row_of_a_fetch_are_both_cut_or_both_left_out(item_of, request_of, body, row):
    dead = DeadLetter.of(item_of(3, row), "http_500", request=request_of(body=body), fetch=True)
    assert held_bytes(dead) >= len(body or b"") + len(row["id"])
    for shown in (shown_letter(dead, payloads=True), shown_record(to_record(dead), payloads=True)):
        assert len(str(shown["payload"])) < 2_100
        assert shown["row"] == row or (len(shown["row"]) < 2_100 and "[cut: 5010 characters" in shown["row"])
    for shown in (shown_letter(dead, payloads=False), shown_record(to_record(dead), payloads=False)):
        assert shown.keys() == FIELDS | {"fetch"}


# Rows that a database refused.


def refused(index, number, **row):
    return refused_record(index, number, row or {"n": number}, f"no {number}")


def places(records) -> list[tuple[int, int]]:
    return [(record["index"], record["row_number"]) for record in records]


def test_a_refused_row_is_kept_with_the_databases_words(folder):
    folder.write([refused_record(3, 1, {"v": Decimal("1.10"), "b": b"\xff", "n": float("nan")}, "too\ud800 long")])
    [record] = folder.read_refused()
    assert record.pop("failed_at").endswith("+00:00")
    assert record == {
        "index": 3,
        "row_number": 1,
        "key": 3,
        "reason": "row_refused",
        "row": {"v": Decimal("1.10"), "b": "/w==", "n": "nan"},
        "response_excerpt": "too\\ud800 long",
    }


def test_a_refused_row_is_no_item(folder, letter):
    folder.write([letter(3), refused(3, 0), refused(4, 0)])
    assert folder.read() == {3: "http_422"}
    assert [record["index"] for record in read_back(folder)] == [3]
    assert whole_batches(folder.read_latest()) == ()
    folder.write([{"index": 3, "resolved": True}])
    assert places(folder.read_refused()) == [(3, 0), (4, 0)]


def test_a_row_that_was_taken_after_all_is_refused_no_more(folder):
    folder.write([refused(3, 0), refused(3, 1)])
    folder.write([{"index": 3, "row_number": 0, "resolved": True}, {"index": 9, "row_number": 0, "resolved": True}])
    assert places(folder.read_refused()) == [(3, 1)]
    folder.write([refused(3, 1, n=5), refused(3, 0)])
    assert sorted(places(folder.read_refused())) == [(3, 0), (3, 1)]
    assert {"n": 5} in [record["row"] for record in folder.read_refused()]


def test_a_reset_makes_refused_rows_void(folder):
    folder.write([refused(3, 0)])
    folder.write([RESET])
    folder.write([refused(4, 0)])
    assert places(folder.read_refused()) == [(4, 0)]


def test_refused_rows_of_some_parts_can_be_read(folder):
    folder.write([refused(3, 0)])
    folder.write([{"index": 3, "row_number": 0, "resolved": True}])
    assert places(folder.read_refused([(1, 1)])) == [(3, 0)]
    assert folder.read_refused() == []


def test_a_refused_row_is_shown_with_and_without_its_values():
    assert shown_record(refused(3, 1), payloads=True)["row"] == {"n": 1}
    assert "row" not in shown_record(refused(3, 1), payloads=False)


def test_large_rows_are_written_without_a_second_copy_of_all(folder, item_of):
    row = {"id": 1, "v": "x" * 100_000}
    letters = [DeadLetter.of(item_of(index, row), "transform") for index in range(100)]
    tracemalloc.start()
    try:
        folder.write(letters)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100 * 100_000 * 1.5
    assert len(folder.read()) == 100
