"""What the tests of the client share."""

import pytest

from airflow_async_rest.core.transport.client import RestClient


@pytest.fixture(params=["own", "aiohttp"])
def each_transport(request, monkeypatch):
    """Whatever is said of the client is true of both its ways to send."""
    if request.param == "aiohttp":
        monkeypatch.setattr(RestClient, "_needs_session", lambda *_: True)
    return request.param
