"""What the engine's tests share. Nothing here, or in the tests beside it, imports Airflow."""

import asyncio
import inspect
import logging
import re
from types import SimpleNamespace
from unittest.mock import Mock

import aiohttp
import pytest
from aioresponses import aioresponses
from hypothesis import settings as hypothesis_settings

from airflow_async_rest.core.models import Item, Request, Response
from airflow_async_rest.core.transport.client import ClientSettings

# Half of Hypothesis' own number for each run: what they have not tried, the next run does.
hypothesis_settings.register_profile("fast", hypothesis_settings(), max_examples=50, deadline=None)
hypothesis_settings.load_profile("fast")


# Where each store is tried, or each way to send, fast keeps to what needs no server and to the way that most requests go.
SLOW_VALUES = {"aiohttp", "postgres", "redis"}
SLOW_FILES = re.compile(r'mark\.slow\(|each_transport|"aiohttp"|\b(?:postgres|redis)\b')  # fixtures have no quotes


def pytest_ignore_collect(collection_path, config):
    """Leave out files without a slow test where no fast one is asked for: reading all of them takes two seconds."""
    if "not fast" in config.option.markexpr and collection_path.suffix == ".py":
        return not SLOW_FILES.search(collection_path.read_text()) or None
    return None


def pytest_itemcollected(item):
    given = (
        {*item.fixturenames, *map(str, item.callspec.params.values())}
        if hasattr(item, "callspec")
        else {*item.fixturenames}
    )
    if not any(map(item.get_closest_marker, ("slow", "release"))) and not given & SLOW_VALUES:
        item.add_marker("fast")


@pytest.fixture
def mocked(monkeypatch):
    """aioresponses, mended: since aiohttp 3.14 a response asks for its request's writer."""
    make = aiohttp.ClientResponse.__init__
    more = {"stream_writer": Mock(output_size=0)} if "stream_writer" in inspect.signature(make).parameters else {}

    def init(self, *args, **kwargs):
        make(self, *args, **more, **kwargs)

    monkeypatch.setattr(aiohttp.ClientResponse, "__init__", init)
    with aioresponses() as scripted:
        yield scripted


@pytest.fixture
def lines():
    """A logger that keeps its lines: ``lines.log`` to write, ``lines.texts`` to read."""
    return Lines()


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.log = logging.Logger("test")  # noqa: LOG001  (of its own: no other handler sees it)
        self.log.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(f"{record.levelname} {record.getMessage()}")


@pytest.fixture
async def clock(monkeypatch):
    """The event loop's clock. It stands still until ``clock.now`` is changed: no machine is too slow for it."""
    loop = asyncio.get_running_loop()
    clock = SimpleNamespace(now=loop.time())
    monkeypatch.setattr(loop, "time", lambda: clock.now)
    return clock


@pytest.fixture
def settings():
    return ClientSettings("http://127.0.0.1:9", secrets=frozenset({"s3cret"}))


@pytest.fixture
def request_of():
    """Make a request with some parts of one's own."""
    return lambda **parts: Request(
        **{"method": "POST", "path": "x", "query": "", "body": b"{}", "idempotency_key": "k", **parts}
    )


@pytest.fixture
def response_of():
    return lambda status=200, body=b"", **headers: Response(status, headers, body, 0.01)


@pytest.fixture
def item_of():
    """Make the item of a row at a position."""
    return lambda index=0, row=None, **parts: Item(
        index, **{"key": index, "row": row or {"id": index}, "payload": row or {"id": index}, **parts}
    )


@pytest.fixture
def fetch(api, item_of):
    """Fetch one item: its outcome, and which rows came."""
    from fetches import fetcher

    return fetcher(api, item_of)


@pytest.fixture(scope="module")
def redis():
    """A Redis that keeps nothing on the disk."""
    from limit_stores import running_redis

    with running_redis() as server:
        yield server
