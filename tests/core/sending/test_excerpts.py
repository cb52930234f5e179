"""What is quoted of an answer, wherever that is: secrets are out before anything is cut off."""

import json
from types import SimpleNamespace

import aiohttp
import pytest
from tables import every_row

from airflow_async_rest.core.answers.columns import RowShape
from airflow_async_rest.core.answers.formats import parse_payload
from airflow_async_rest.core.answers.reader import AnswerReader
from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.errors import AsyncRestError
from airflow_async_rest.core.fetching.request import FetchRequestBuilder
from airflow_async_rest.core.models import Item, Request, Response
from airflow_async_rest.core.pages import LinkPages, NumberedPages, Page, page_style
from airflow_async_rest.core.requests.builder import EndpointTemplate, Identity
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.results.entries import EntryReader
from airflow_async_rest.core.results.results import Results
from airflow_async_rest.core.sending.excerpts import Excerpts
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.core.sending.verdict import classify_response
from airflow_async_rest.core.transport.content_encoding import decode_body
from airflow_async_rest.core.transport.session.errors import session_error

SECRET = "q7Zk3vLw9Xp2mN8Rt5yB4"
SETTINGS = ClientSettings("http://api", secrets=frozenset({SECRET}))
REQUEST = Request("GET", "x", "", None, "key")
BUILDER = FetchRequestBuilder(
    base_url="http://api",
    endpoint=EndpointTemplate("x"),
    method="GET",
    query=None,
    body=None,
    encode=JsonEncoder(),
    identity=Identity(),
)


def answer(body="{}", status=200, broken=None, **headers) -> Response:
    return Response(status, headers, body.encode(), 0.1, broken, SETTINGS.redaction)


def read(response: Response, rows="data"):
    return AnswerReader(rows, RowShape()).read(response, {})


def raise_text(text: str):
    raise ValueError(text)


def refused_by(check, text: str) -> str:
    return classify_response(answer(text, 400), RequestRetry(), check).detail


def entry_of(results: Results, entry) -> str:
    return EntryReader(results, RequestRetry()).read_failure(entry).detail


def own_style(after):
    return page_style(SimpleNamespace(begin=Page, after=after))


# what quotes a text of the API's -> how
QUOTES = {
    "body": lambda text: Excerpts(SETTINGS).of(REQUEST, answer(text, 400)),
    "location": lambda text: Excerpts(SETTINGS).of(REQUEST, answer("", 302, Location=f"/{text}/b")),
    "location: a host": lambda text: Excerpts(SETTINGS).of(REQUEST, answer("", 302, Location=f"http://x.{text}.y/")),
    "no JSON": lambda text: parse_payload(answer(text)),
    "content type": lambda text: parse_payload(answer("x", **{"Content-Type": f"text/{text}; a=b"})),
    "charset": lambda text: parse_payload(answer("x", **{"Content-Type": f'text/csv; charset="{text}"'})),
    "no such path": lambda text: read(answer(json.dumps({"other": text}))),
    "no rows": lambda text: read(answer(json.dumps({"data": text}))),
    "no row": lambda text: read(answer(json.dumps({"data": [text]}))),
    "rows raises": lambda text: read(answer(), lambda payload, item: raise_text(text)),
    "answer_format raises": lambda text: AnswerReader(None, RowShape(), answer_format=raise_text).read(
        answer(text), {}
    ),
    "a column's name": lambda text: AnswerReader(None, RowShape(), answer_format="csv").read(answer(f"a;{text}"), {}),
    "link: no URL": lambda text: LinkPages("a").after(Page(), read(answer(json.dumps({"a": [text]})), None)),
    "link: unreadable": lambda text: BUILDER.build(Item(0, 0, {}, None), Page(link=f"http://[{text}")),
    "link: elsewhere": lambda text: BUILDER.build(Item(0, 0, {}, None), Page(link=f"http://other/{text}")),
    "number of pages": lambda text: NumberedPages(pages="a").after(
        NumberedPages().begin(), read(answer(json.dumps({"a": text})), None)
    ),
    "flag": lambda text: NumberedPages(more="a").after(
        NumberedPages().begin(), read(answer(json.dumps({"a": text})), None)
    ),
    "own style raises": lambda text: own_style(lambda page, answer: raise_text(text)).after(Page(), None),
    "own style returns": lambda text: own_style(lambda page, answer: text).after(Page(), None),
    "check raises": lambda text: refused_by(lambda response: raise_text(response.text), text),
    "check returns": lambda text: refused_by(lambda response: response.text, text),
    "encoding": lambda text: decode_body(text, b"\xff\xfe", 100),
    "header too long": lambda text: Excerpts(SETTINGS).of(
        REQUEST, answer(broken=session_error(aiohttp.ClientResponseError(None, (), message=text), SETTINGS, None, answered=True))
    ),
    "payload": lambda text: Excerpts(SETTINGS).of(
        REQUEST, answer(broken=session_error(aiohttp.ClientPayloadError(text), SETTINGS, None, answered=True))
    ),
    "no HTTP": lambda text: session_error(aiohttp.ClientError(text), SETTINGS, None),
    "entry": lambda text: entry_of(Results(error="error"), {"error": text}),
    "entry: texts": lambda text: entry_of(Results(error="error", text=["a", "b"]), {"error": 1, "a": "...", "b": text}),
}  # fmt: skip


def quoted(quote, text: str) -> str:
    """What a dead letter says."""
    try:
        detail = quote(text)
    except AsyncRestError as error:
        detail = error
    return Excerpts(SETTINGS).text(str(detail))


@pytest.mark.slow("nine thousand excerpts")
@every_row("quoting", QUOTES)
def test_no_piece_of_a_secret_is_left_wherever_the_text_ends(quoting):
    found = [
        quoted(QUOTES[quoting], "." * before + SECRET + "." * after)
        for before in range(0, 510, 3)
        for after in (0, 600)
    ]
    assert sum("***" in text for text in found) > len(found) / 8
    pieces = [SECRET[start : start + 8].lower() for start in range(len(SECRET) - 7)]
    assert not [text for text in found if any(piece in text.lower() for piece in pieces)]
    assert max(map(len, found)) <= 500
