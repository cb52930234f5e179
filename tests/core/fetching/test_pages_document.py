"""What docs/pages.md says of page styles is so."""

import ast
import re

import pytest
from aiohttp import web
from checkout import REPOSITORY
from tables import every_row

import airflow_async_rest
from airflow_async_rest import CursorPages, LinkPages, NumberedPages, OffsetPages, PageStyle
from airflow_async_rest.core.models import Delivered
from airflow_async_rest.core.pages import page_style

DOCUMENT = (REPOSITORY / "docs" / "pages.md").read_text()
STYLES = {style.__name__: style for style in (CursorPages, LinkPages, NumberedPages, OffsetPages)}


def made_of(code: str):
    call = ast.parse(code, mode="eval").body
    return STYLES[call.func.id](
        *map(ast.literal_eval, call.args), **{word.arg: ast.literal_eval(word.value) for word in call.keywords}
    )


@every_row("code", re.findall(r"`((?:Link|Cursor|Numbered|Offset)Pages\(.*?\))`", DOCUMENT))
def test_every_style_in_it_can_be_made(code):
    assert page_style(made_of(code)).begin()


@pytest.mark.anyio
async def test_the_style_of_ones_own_works_as_it_is_written(api, fetch):
    code = re.search(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)[1]
    names = {"__name__": "dag"}
    exec(code, names)
    style: PageStyle = names["Days"](last=28)
    api.answer = lambda seen: web.json_response({"items": [{"n": int(seen.query.removeprefix("day="))}]})
    assert await fetch(page_style(style)) == (Delivered(7, 28), list(range(1, 29)))
    api.answer = lambda seen: web.json_response({"items": [], "closed": True})
    assert await fetch(page_style(style)) == (Delivered(7, 1), [])


def test_what_it_imports_is_exported():
    for names in re.findall(r"from airflow_async_rest import (.*)", DOCUMENT):
        assert set(names.split(", ")) <= set(airflow_async_rest.__all__)
