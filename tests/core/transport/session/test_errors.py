"""What aiohttp raises -> the error, and its cause."""

from types import SimpleNamespace

import aiohttp
import pytest

from airflow_async_rest.core.errors import ConnectionFailedError, RequestTimeoutError
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.transport.session.errors import had_connection, session_error

SETTINGS = ClientSettings("http://api.invalid")
SERVER = SimpleNamespace(host="api.invalid", port=443, ssl=True)


@pytest.mark.parametrize(
    "before", ["Bad status line:\n  Expected HTTP/, RTSP/ or ICE/:", "Expected HTTP/, RTSP/ or ICE/:"]
)
@pytest.mark.parametrize(
    ("came", "cause"), [(rb"b'220 mail.example.com ESMTP'", "no_http"), (rb"b'\x15\x03\x03'", "only_tls")]
)
def test_what_is_no_http_is_known_by_the_words_of_older_aiohttp_too(before, came, cause):
    about = SimpleNamespace(real_url="http://api.invalid/")
    error = aiohttp.ClientResponseError(about, (), status=400, message=f"{before}\n\n  {came.decode()}\n    ^")
    found = session_error(error, SETTINGS, None)
    assert (type(found), found.cause) == (ConnectionFailedError, cause)


@pytest.mark.parametrize("seconds", ["60.0", "0.5"])
def test_a_handshake_that_the_event_loop_ends_is_a_connect_timeout(seconds):
    """It names the time that was waited, which aiohttp has no setting for."""
    late = ConnectionAbortedError(f"SSL handshake is taking longer than {seconds} seconds: aborting the connection")
    error = aiohttp.ClientConnectorError(SERVER, late)
    found = session_error(error, SETTINGS, None)
    assert (type(found), found.cause) == (RequestTimeoutError, "connect_timeout")
    assert str(found) == f"no connection within {float(seconds):g} s (the event loop's own time for a TLS handshake)"
    assert not had_connection(error)
