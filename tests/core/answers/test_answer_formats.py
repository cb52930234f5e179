"""The formats of answers: chosen by name or by content type, packed or not, in any charset."""

import codecs
import gzip
from functools import partial

import pytest
from tables import every_row

from airflow_async_rest import Csv
from airflow_async_rest.core.answers.columns import RowShape
from airflow_async_rest.core.answers.reader import AnswerReader
from airflow_async_rest.core.errors import AnswerError, ConfigurationError
from airflow_async_rest.core.models import Response

JSON, NDJSON, CSV, TSV = "application/json", "application/x-ndjson", "text/csv", "text/tab-separated-values"
TWO = [{"a": "1", "b": "ž"}, {"a": "2", "b": None}]


def read(body, answer_format=None, kind="", *, rows=None, may_be_cut=False, encoding="", max_bytes=10_000, **reading):
    headers = {"Content-Type": kind} if kind else {}
    headers |= {"Content-Encoding": encoding} if encoding else {}
    reader = AnswerReader(rows, RowShape(), answer_format=answer_format, max_bytes=max_bytes, **reading)
    return reader.read(Response(200, headers, body, 0.01, may_be_cut=may_be_cut), {"id": 7}).rows


def zipped(body):
    return gzip.compress(body, mtime=0)


AS_JSON = '[{"a":"1","b":"ž"},{"a":"2","b":null}]'
AS_NDJSON = '{"a":"1","b":"ž"}\r\n\n{"a":"2","b":null}\n'
AS_CSV = 'a,b\r\n1,ž\r\n\r\n"2",\r\n'
AS_TSV = 'a\tb\n1\tž\n"2"\t\n'
AS_SEMICOLONS = 'a;b\n1;ž\n"2";""\n'
FORMATS = [
    ("json", AS_JSON),
    ("ndjson", AS_NDJSON),
    ("csv", AS_CSV),
    ("tsv", AS_TSV),
    (Csv(delimiter=";"), AS_SEMICOLONS),
    (Csv(delimiter=","), AS_CSV),
]
BY_TYPE = [(JSON, AS_JSON), (NDJSON, AS_NDJSON), ("application/jsonlines", AS_NDJSON), (CSV, AS_CSV), (TSV, AS_TSV)]


@every_row("kind", ["", "text/html", "application/octet-stream", "application/gzip", JSON, NDJSON, CSV])
@every_row("pack", [bytes, zipped])
@every_row(("answer_format", "text"), FORMATS)
def test_the_chosen_format_wins_over_the_content_type(answer_format, text, pack, kind):
    if kind == "application/gzip" and pack is bytes:
        kind = "text/plain"  # else it is a damaged one
    assert read(pack(text.encode()), answer_format, kind) == TWO


@pytest.mark.parametrize(("kind", "text"), BY_TYPE)
def test_without_one_the_content_type_tells(kind, text):
    assert read(text.encode(), None, kind) == read(zipped(text.encode()), None, kind) == TWO


ENCODINGS = [
    ("utf-8-sig", "utf-8"),
    ("utf-8-sig", "ISO-8859-1"),
    ("utf-8", "ISO-8859-1"),
    ("utf-8", "us-ascii"),
    ("utf-16", "utf-8"),
    ("utf-16", "utf-16"),
    ("utf-16", "utf-16le"),
    ("utf-32", "utf-8"),
    ("utf-16-le", "utf-16"),
    ("utf-16-be", "utf-16"),
    ("utf-16-be", "utf-16be"),
    ("utf-32-be", "utf-32"),
    ("iso-8859-2", "ISO-8859-2"),
    ("windows-1250", "Windows-1250"),
]


@every_row(("encoding", "charset"), ENCODINGS)
@every_row("pack", [bytes, zipped])
@every_row(("kind", "text"), BY_TYPE)
def test_marks_and_charsets_are_understood_in_every_format(kind, text, pack, encoding, charset):
    assert read(pack(text.encode(encoding)), None, f"{kind}; charset={charset}") == TWO


@every_row(("encoding", "charset"), ENCODINGS)
def test_a_text_is_one_row(encoding, charset):
    kind = f"text/html; charset={charset}"
    assert read("<p>ž\r\n</p>".encode(encoding), "text", kind) == [{"text": "<p>ž\r\n</p>"}]
    assert read("a b".encode(encoding), "text", kind, rows=lambda payload, item: [
        {"word": word} for word in payload["text"].split()
    ]) == [{"word": "a"}, {"word": "b"}]  # fmt: skip


@every_row("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@every_row(("kind", "text"), BY_TYPE[:2])
def test_json_shows_its_encoding_by_its_zeros(kind, text, encoding):
    assert read(text.encode(encoding), None, kind) == TWO


@every_row("charset", ["binary", "utf8mb4", "klingon", "utf-16", "utf-16le", "utf-32", "utf-8-sig", ""])
def test_a_charset_that_nobody_knows_or_that_json_shows_it_is_not_says_nothing_of_it(charset):
    assert read(AS_JSON.encode(), None, f"{JSON}; charset={charset}") == TWO


def test_latin_1_is_latin_1_where_it_is_no_utf_8():
    assert read(b'{"a":"\xe9"}', None, f"{JSON}; charset=iso-8859-1") == [{"a": "é"}]
    assert read(b"a\n\xe9\n", "csv", "text/plain; charset=iso-8859-1") == [{"a": "é"}]


@every_row(
    ("body", "answer_format", "kind", "words"),
    [
        (AS_JSON.encode("iso-8859-2"), "json", JSON, "cannot be read as JSON"),
        (AS_CSV.encode("iso-8859-2"), "csv", CSV, "cannot be read as CSV: 'utf-8' codec can't decode"),
        (AS_CSV.encode("iso-8859-2"), "tsv", CSV, "say what its charset is: answer_format=Csv(charset='windows-1252')"),
        (AS_CSV.encode("utf-16-le"), "csv", CSV, "have NULs in them, as UTF-16 has: write Csv(charset='utf-16')"),
        (AS_CSV.encode("utf-16"), Csv(), "", None),
        (AS_CSV.encode("utf-16")[:-1], Csv(), "", "cannot be read as CSV: 'utf-16-le' codec can't decode"),
        ("žž".encode("utf-16-le"), "text", "text/plain; charset=utf-16", "it is utf-16, without a byte order mark"),
        ("ab".encode("utf-16-le"), "text", "text/plain", "it has NULs in it, as UTF-16 has"),
        (b"\xff\xfe\x00", "text", "text/plain", "cannot be read as text"),
        (b"a", "text", "text/plain; charset=klingon", "unknown encoding: klingon"),
        (b"61", "text", "text/plain; charset=hex", "is not a text encoding"),
    ],
)
def test_what_is_not_in_its_charset_is_an_error(body, answer_format, kind, words):
    if words is None:
        assert read(body, answer_format, kind) == TWO
        return
    with pytest.raises(AnswerError) as raised:
        read(body, answer_format, kind)
    assert words in str(raised.value)


@every_row("mark", [codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE])
@every_row("pack", [bytes, zipped])
@every_row("answer_format", ["json", "csv", "text", len])
@every_row("text", [b"", b"\n"])
def test_an_answer_that_has_a_mark_and_nothing_else_is_empty(mark, pack, answer_format, text):
    body = pack(mark + (text if mark == codecs.BOM_UTF8 else b""))
    with pytest.raises(AnswerError, match="which does not say that there are no rows"):
        read(body, answer_format)
    assert read(body, answer_format, empty_ok=True) == []


def test_a_packed_file_of_nothing_is_empty():
    with pytest.raises(AnswerError, match="has 0 bytes and status 200, which does not say"):
        read(zipped(b""), None, "application/gzip")
    assert read(zipped(b""), None, "application/gzip", empty_ok=True) == []


PACKED = zipped(AS_CSV.encode())
IN_TWO = zipped(AS_CSV[:8].encode()) + zipped(AS_CSV[8:].encode())


@every_row(
    ("body", "kind", "encoding"),
    [
        (IN_TWO, "application/gzip", ""),
        (IN_TWO, CSV, ""),
        (zipped(b"") + PACKED + zipped(b""), "application/x-gzip", ""),
        (PACKED + b"\0" * 512, "application/gzip", ""),
        (AS_CSV.encode(), "application/gzip", "gzip"),  # packed for the way only, and called so twice
        (PACKED, "application/gzip", "gzip"),
        (b"".join(zipped(bytes([byte])) for byte in AS_CSV.encode()), "", ""),
    ],
)
def test_a_packed_file_is_unpacked(body, kind, encoding):
    assert read(body, "csv", kind, encoding=encoding) == TWO


@every_row(
    ("body", "words"),
    [
        *[(PACKED[:length], "its gzip ends too early") for length in (3, 12, len(PACKED) - 8, len(PACKED) - 1)],
        *[(IN_TWO[:length], "its gzip ends too early") for length in (len(IN_TWO) - 1, len(IN_TWO) - 29)],
        (PACKED[:-6] + b"xx" + PACKED[-4:], ".gz file by its beginning, or its content type, but cannot be unpacked"),
        (PACKED[:15] + b"xx" + PACKED[17:], ".gz file by its beginning, or its content type, but cannot be unpacked"),
        (PACKED + b"more", ".gz file by its beginning, or its content type, but cannot be unpacked"),
        (PACKED + b"\x1e\x8b" + PACKED[2:], ".gz file by its beginning, or its content type, but cannot be unpacked"),
        (b"\x1e" + PACKED[1:], ".gz file by its beginning, or its content type, but cannot be unpacked"),
        (AS_CSV.encode(), ".gz file by its beginning, or its content type, but cannot be unpacked"),
        (zipped(b"a\n" + b"1" * 10_000), "has more than 10,000 bytes, the most that the connection's max_response_mb"),
        (zipped(b"a\n" + b"1" * 6_000) * 2, "has more than 10,000 bytes"),
        (zipped(bytes(5_000_000)), "has more than 10,000 bytes"),
    ],
)
@every_row("answer_format", ["csv", "text", bytes.decode])
def test_a_packed_file_that_is_cut_or_damaged_or_too_large_is_an_error(body, words, answer_format):
    with pytest.raises(AnswerError) as raised:
        read(body, answer_format, "application/gzip", empty_ok=True)
    assert words in str(raised.value)


def test_many_small_members_take_no_time():
    assert len(read(zipped(b"1\n") * 20_000, "csv", max_bytes=100_000)) == 19_999


LONG = "x" * 300_000


@every_row(
    ("body", "answer_format", "rows"),
    [
        (f"a,b\n{LONG},1\n", "csv", [{"a": LONG, "b": "1"}]),
        (f'a,b\n"{LONG}\n{LONG}",1\n', "csv", [{"a": f"{LONG}\n{LONG}", "b": "1"}]),
        (f"{LONG}\n1\n", "csv", [{LONG: "1"}]),
        ('a,b\n"1\r\n\r\n2","3\n"\n', "csv", [{"a": "1\r\n\r\n2", "b": "3\n"}]),
        ('a,b\n"1,""2""",\'3\'\n', "csv", [{"a": '1,"2"', "b": "'3'"}]),
        ("a,b\r1,2\r", "csv", [{"a": "1", "b": "2"}]),
        ("\r\n\na,b\n1,2\n", "csv", [{"a": "1", "b": "2"}]),
        ("a\n\n1\n\n", "csv", [{"a": "1"}]),
        ("a,b\n1;2,3|4\n", "csv", [{"a": "1;2", "b": "3|4"}]),
        ("a,b\n1\0,2\n", "csv", [{"a": "1\0", "b": "2"}]),
        ("sep=;\r\na;b\r\n1,5;2\r\n", "csv", [{"a": "1,5", "b": "2"}]),
        ("sep=;\na;b\n1,5;2\n", Csv(delimiter=";"), [{"a": "1,5", "b": "2"}]),
        ("a;b\n1,5;2\n", Csv(delimiter=";"), [{"a": "1,5", "b": "2"}]),
        ("a;b\n1\n", Csv(delimiter=","), [{"a;b": "1"}]),
        ('"a;b",c\n1;2,3\n', "csv", [{"a;b": "1;2", "c": "3"}]),
        ('5" a,c\n1,2\n', "csv", [{'5" a': "1", "c": "2"}]),
        ("a|b\n1|2\n", Csv("|"), [{"a": "1", "b": "2"}]),
        ("a\tb\n1,\t2;\n", "tsv", [{"a": "1,", "b": "2;"}]),
        ('a\tb\n"1\tit\'s 5"\n', Csv("\t", quote=None), [{"a": '"1', "b": "it's 5\""}]),
        ("a,b\n'1,2',3\n", Csv(quote="'"), [{"a": "1,2", "b": "3"}]),
        ("a;b\n1;2\n".encode("utf-16-le"), Csv(";", charset="utf-16"), [{"a": "1", "b": "2"}]),
        (b"a\n\x9e\n", Csv(charset="windows-1250"), [{"a": "ž"}]),
    ],
)
def test_csv_is_read_as_it_was_meant(body, answer_format, rows):
    body = body if isinstance(body, bytes) else body.encode()
    assert read(body, answer_format, "text/plain; charset=utf-8") == rows


@every_row("answer_format", ["csv", None, Csv(), Csv(charset="utf-8")])
@every_row("delimiter", [";", "\t", "|"])
@every_row("header", ["a{}b", '"a"{}"b"', "id{0}amount, EUR{0}name", "a{}", '\r\n"a\n,"{}b', '5" a{}b'])
def test_what_separates_fields_is_never_guessed(answer_format, delimiter, header):
    body = f"{header.format(delimiter)}\n1{delimiter}2\n".encode()
    with pytest.raises(AnswerError) as raised:
        read(body, answer_format, CSV)
    assert f"write answer_format=Csv(delimiter={delimiter!r}) where that separates fields" in str(raised.value)


@every_row(
    ("body", "words"),
    [
        (b'a,b\n"1,2\n3,4\n', "unexpected end of data"),
        (b'a,b\n"1"2,3\n', "expected after"),
        (b"a,b\n1,2\n3\n", "line 3 has 1 fields, and the first one 2"),
        (b"a,b\n1,2,3\n", "line 2 has 3 fields, and the first one 2"),
        (b'{"error": "no such export", "code": 7}', "cannot be read as CSV: it is JSON"),
        (b'\xef\xbb\xbf{"error":"x"}', "it is JSON"),
        (b'\n{\n  "error": "x"\n}\n', "it is JSON"),
        (b'[{"a":1}]', "it is JSON"),
        (b'{"a":1}\n{"a":2}\n', "it is JSON"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>\n", "cannot be read as CSV: it is HTML or XML"),
        (b"<error>x</error>", "it is HTML or XML"),
    ],
)
def test_csv_that_is_none_is_an_error(body, words):
    with pytest.raises(AnswerError, match=words):
        read(body, "csv")


@every_row("header", ["[id]", "{id}", "<id>", "[1", "[", '"{}"', "{}a"])
def test_names_of_columns_may_have_brackets(header):
    assert read(f"{header},b\n1,2\n".encode(), "csv") == [{header.strip('"'): "1", "b": "2"}]


def test_a_content_type_with_an_empty_charset_names_none():
    assert read(b"[]", "json", "text/plain; charset=") == []
    assert read(b"a\n1\n", "csv", 'text/csv; charset=""') == [{"a": "1"}]
    assert read("ž".encode(), "text", "text/plain; charset=") == [{"text": "ž"}]


def by_name(body):
    return [{"n": line} for line in body.decode().split("|")]


def generated(body, more=0):
    yield {"n": len(body) + more}


def broken(body):
    yield {"n": 1}
    raise KeyError("no such thing")


async def asynchronous(body):
    return []


async def generating(body):
    yield {}


class Asynchronous:
    async def __call__(self, body):
        return []


class Parser:
    def __call__(self, body):
        raise ZeroDivisionError


@every_row(
    ("answer_format", "rows", "found"),
    [
        (by_name, None, [{"n": "1"}, {"n": "2"}]),
        (generated, None, [{"n": 3}]),
        (partial(generated, more=4), None, [{"n": 7}]),
        (lambda body: {"x": {"y": [{"n": 1}]}}, "x.y", [{"n": 1}]),
        (lambda body: body, lambda payload, item: {"n": payload, "id": item["id"]}, [{"n": b"1|2", "id": 7}]),
        (lambda body: {"n": 1.5}, None, [{"n": 1.5}]),
    ],
)
@every_row("pack", [bytes, zipped])
def test_what_a_function_returns_goes_on_to_rows(answer_format, rows, found, pack):
    assert read(pack(b"1|2"), answer_format, rows=rows) == found


@every_row(
    ("answer_format", "words"),
    [
        (broken, "refused by the function broken of answer_format, which raised KeyError: 'no such thing'"),
        (partial(broken), "the function broken of answer_format"),
        (Parser(), "the function Parser of answer_format, which raised ZeroDivisionError"),
        (lambda body: asynchronous(body or 1), "which raised TypeError: it is an async function; write a plain one"),
        (lambda body: generating(body or 1), "which raised TypeError: it is an async function; write a plain one"),
        (lambda body: None, "the answer has null"),
        (lambda body: b"bytes", "which is not a list of objects"),
        (lambda body: [b"bytes"], "which is not an object"),
    ],
)
def test_what_a_function_raises_fails_the_item_by_its_name(answer_format, words):
    with pytest.raises(AnswerError) as raised:
        read(b"1|2", answer_format)
    assert words in str(raised.value)


def test_a_function_reads_an_answer_once():
    bodies = []
    shape = RowShape({"t": "t"}, known=["t"], texts=["t"])
    reader = AnswerReader(None, shape, answer_format=lambda body: bodies.append(body) or {"t": 1.5})
    assert reader.read(Response(200, {}, b"x", 0.01), {}).rows == [{"t": 1.5}]
    assert bodies == [b"x"]


@pytest.mark.parametrize("answer_format", [asynchronous, generating, Asynchronous(), partial(asynchronous)])
def test_an_async_function_is_refused_before_anything_is_asked(answer_format):
    with pytest.raises(ConfigurationError, match="answer_format=.*: it is an async function; write a plain one"):
        AnswerReader(None, RowShape(), answer_format=answer_format)


@every_row("answer_format", ["xml", "JSON", "", 5, ["csv"], {"csv": ";"}, Csv, b"csv", False])
def test_what_is_no_format_is_refused_by_name(answer_format):
    with pytest.raises(ConfigurationError, match=r"answer_format=.*: write one of 'json', 'ndjson', 'csv', 'tsv', 'te"):
        AnswerReader(None, RowShape(), answer_format=answer_format)


@every_row(
    ("arguments", "words"),
    [
        ({"delimiter": ";;"}, "Csv(delimiter=';;'): write one character"),
        ({"delimiter": ""}, "Csv(delimiter=''): write one character"),
        ({"delimiter": "\n"}, "Csv(delimiter='\\n'): write one character"),
        ({"quote": 5}, "Csv(quote=5): write one character"),
        ({"quote": ","}, "Csv(quote=','): that is the delimiter"),
        ({"delimiter": '"'}, "that is the delimiter"),
        ({"charset": "klingon"}, "Csv(charset='klingon'): it is unknown"),
        ({"charset": "hex"}, "Csv(charset='hex'): it is unknown"),
        ({"charset": 8}, "Csv(charset=8): it is unknown"),
    ],
)
def test_what_is_no_csv_is_refused_by_name(arguments, words):
    with pytest.raises(ConfigurationError) as raised:
        Csv(**arguments)
    assert words in str(raised.value)


@every_row("pack", [bytes, zipped])
@every_row(
    ("answer_format", "text", "name"),
    [
        ("ndjson", AS_NDJSON, "NDJSON"),
        ("csv", AS_CSV, "CSV"),
        (Csv(";"), AS_SEMICOLONS, "CSV"),
        ("tsv", AS_TSV, "TSV"),
        ("text", AS_CSV, "text"),
        (by_name, AS_CSV, "the function by_name of answer_format"),
    ],
)
def test_no_format_but_json_shows_that_nothing_is_cut_off(answer_format, text, name, pack):
    with pytest.raises(AnswerError, match=f"which {name} does not show.*set trust_close"):
        read(pack(text.encode()), answer_format, JSON, may_be_cut=True)


@every_row("pack", [bytes, zipped])
@every_row("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-be"])
def test_json_that_is_chosen_shows_it_whatever_its_content_type_says(pack, encoding):
    whole = AS_JSON.encode(encoding)
    assert read(pack(whole), "json", CSV, may_be_cut=True) == TWO
    for length in (len(whole) - 1, len(whole) - 4):
        with pytest.raises(AnswerError, match="cannot be read as JSON"):
            read(pack(whole[:length]), "json", CSV, may_be_cut=True)
    with pytest.raises(AnswerError, match="which a number does not show"):
        read(pack("12".encode(encoding)), "json", CSV, may_be_cut=True)


def read_file(body, **shape):
    reader = AnswerReader(None, RowShape(**shape), answer_format="csv")
    return reader.read(Response(200, {}, body, 0.01), {"id": 7}).rows


@every_row(
    "shape",
    [
        {"known": ["a", "b"]},
        {"columns": ["a"]},
        {"columns": {"x": "a", "i": "item.id"}},
        {"columns": {"x": "to_string(a)"}},
    ],
)
def test_a_line_that_names_no_column_is_no_file_without_rows(shape):
    """An error message of one line looks as a file of one column does."""
    assert read_file(b"A,a\n" if "columns" in shape else b"A\n", **shape) == []
    with pytest.raises(AnswerError, match="no rows, and none of its columns is loaded: 'Service unavailable'"):
        read_file(b"Service unavailable\n", **shape)


@every_row("shape", [{}, {"columns": {"i": "item.id"}}])
def test_where_no_column_is_asked_for_nobody_knows_better(shape):
    assert read_file(b"Service unavailable\n", **shape) == []


def test_what_a_function_makes_of_an_answer_may_have_any_names():
    assert read(b"x", lambda body: {1: "x", ("a",): 2, "items": []}, rows="items") == []
