"""Each format of answers, as a real server sends it."""

import gzip

import pytest
from aiohttp import web
from fetches import pages_of
from servers import raw_server

from airflow_async_rest import Csv, NumberedPages
from airflow_async_rest.core.models import Delivered

pytestmark = pytest.mark.anyio

NDJSON = '{"n":"1"}\n{"n":"ž"}\n'
FORMATS = {
    "json": ("json", '[{"n":"1"},{"n":"ž"}]'),
    "ndjson": ("ndjson", NDJSON),
    "csv": ("csv", "n,m\r\n1,\r\nž,\r\n"),
    "tsv": ("tsv", "n\tm\n1\t\nž\t\n"),
    "semicolons": (Csv(delimiter=";"), 'n;m\n1;\n"ž";\n'),
    "a function": (lambda body: [{"n": n} for n in body.decode().split("|")], "1|ž"),
}  # fmt: skip


def zipped(body):
    return gzip.compress(body, mtime=0)


def in_two_members(body):
    return zipped(body[:5]) + zipped(body[5:])


def false_type(body, **headers):
    return web.Response(body=body, headers={"Content-Type": "text/html", **headers})


WAYS = {
    "plain": false_type,
    "Content-Encoding": lambda body: false_type(zipped(body), **{"Content-Encoding": "gzip"}),
    "a .gz file": lambda body: web.Response(body=zipped(body), content_type="application/gzip"),
    "a .gz file of another type": lambda body: false_type(in_two_members(body)),
    "a .gz file, packed": lambda body: false_type(zipped(zipped(body)), **{"Content-Encoding": "gzip"}),
    "packed, called a .gz file": lambda body: web.Response(
        body=zipped(body), headers={"Content-Type": "application/gzip", "Content-Encoding": "gzip"}
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", FORMATS)
async def test_each_format_is_read_however_it_is_packed_and_called(api, fetch, name, way):
    answer_format, text = FORMATS[name]
    api.answer = lambda seen: WAYS[way](text.encode())
    outcome, rows = await fetch(rows=None, answer_format=answer_format)
    assert (outcome, rows) == (Delivered(7, 1), ["1", "ž"])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "iso-8859-2"])
@pytest.mark.parametrize("name", list(FORMATS)[:5])
async def test_each_text_is_read_in_its_charset(api, fetch, name, encoding):
    answer_format, text = FORMATS[name]
    api.answer = lambda seen: web.Response(
        body=text.encode(encoding), headers={"Content-Type": f"text/x; charset={encoding.removesuffix('-sig')}"}
    )
    assert (await fetch(rows=None, answer_format=answer_format))[1] == ["1", "ž"]


async def test_a_text_is_one_row(api, fetch):
    api.answer = lambda seen: web.json_response({"n": 1})
    outcome, rows = await fetch(rows=None, answer_format="text", column="text")
    assert (outcome, rows) == (Delivered(7, 1), ['{"n": 1}'])


@pytest.mark.parametrize("cut", [-1, -9, 4])
@pytest.mark.parametrize("name", FORMATS)
async def test_a_file_that_is_cut_off_fails_its_item_and_nothing_of_it_is_taken(api, fetch, name, cut):
    answer_format, text = FORMATS[name]
    api.answer = lambda seen: false_type(in_two_members(text.encode())[:cut])
    letter, rows = await fetch(rows=None, answer_format=answer_format, empty_ok=True)
    assert (letter.reason, rows) == ("unreadable_answer", [])
    assert "its gzip ends too early" in letter.response_excerpt


async def test_what_a_file_unpacks_to_has_the_bound_of_the_connection(api, fetch):
    api.answer = lambda seen: false_type(zipped(b"n\n" + b"1\n" * 5_000))
    assert len((await fetch(rows=None, answer_format="csv"))[1]) == 5_000
    letter, rows = await fetch(rows=None, answer_format="csv", settings={"max_response_bytes": 10_000})
    assert (letter.reason, rows) == ("unreadable_answer", [])
    assert "more than 10,000 bytes, the most that the connection's max_response_mb allows" in letter.response_excerpt


@pytest.mark.parametrize("trust_close", [False, True])
@pytest.mark.parametrize("name", FORMATS)
async def test_an_answer_without_an_end_is_whole_where_it_shows_that(fetch, name, trust_close):
    answer_format, text = FORMATS[name]
    with raw_server(b"HTTP/1.0 200 OK\r\nContent-Type: text/csv\r\n\r\n" + text.encode()) as port:
        url, settings = f"http://127.0.0.1:{port}", {"trust_close": trust_close}
        outcome, rows = await fetch(rows=None, answer_format=answer_format, url=url, settings=settings)
    if name == "json" or trust_close:
        assert (outcome, rows) == (Delivered(7, 1), ["1", "ž"])
    else:
        assert (outcome.reason, rows) == ("unreadable_answer", [])
        assert "set trust_close of the connection to true" in outcome.response_excerpt


async def test_a_function_that_raises_fails_its_item_and_shows_no_secret(api, fetch):
    def of_old(body):
        raise ValueError(f"no reading in {body.decode()}")

    api.answer = lambda seen: web.Response(body=b"<reading token='s3cret'/>")
    letter, rows = await fetch(rows=None, answer_format=of_old)
    assert (letter.reason, rows) == ("unreadable_answer", [])
    assert "of_old of answer_format, which raised ValueError: no reading in <read" in letter.response_excerpt
    assert "s3cret" not in letter.response_excerpt


async def test_pages_go_by_what_a_format_has(api, fetch):
    def answer(seen):
        rows = pages_of(2, 2, 1)(seen).body
        return false_type(zipped(rows))

    api.answer = answer
    assert await fetch(NumberedPages(pages="pages"), answer_format="json") == (Delivered(7, 3), [0, 1, 2, 3, 4])
