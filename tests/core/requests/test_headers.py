import pytest
from tables import every_row

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.requests.headers import check_content_encoding, check_headers


@every_row(
    ("name", "value"),
    [("Content-Length", "5"), ("content-length", ""), ("Transfer-Encoding", "chunked"), ("Trailer", "X"), ("Upgrade", "h2c"),
     ("TE", "gzip"), ("Connection", "upgrade"), ("Connection", "Authorization")],
)  # fmt: skip
def test_a_header_that_frames_the_message_is_named(name, value):
    with pytest.raises(ConfigurationError, match=f"^headers: '{name}' says how a message is sent"):
        check_headers({name: value}, "headers")


@every_row(
    ("name", "value"),
    [("Connection", "close"), ("connection", "Keep-Alive"), ("TE", "trailers"), ("Keep-Alive", "timeout=5"),
     ("Host", "virtual.example.com"), ("Expect", "100-continue"), ("Content-Language", "cs")],
)  # fmt: skip
def test_others_may_be_set(name, value):
    check_headers({name: value}, "headers")


@pytest.mark.parametrize("value", ["gzip", "GZIP", "identity, br", "deflate", "zstd"])
def test_a_body_is_not_called_compressed(value):
    with pytest.raises(ConfigurationError, match="^headers: 'content-encoding' calls the body compressed"):
        check_content_encoding({"content-encoding": value}, "headers")


@pytest.mark.parametrize("headers", [{"Content-Encoding": "identity"}, {"Content-Encoding": "utf-8"}, {"X": "gzip"}])
def test_what_is_true_of_a_body_may_be_said(headers):
    check_content_encoding(headers, "headers")


def test_half_a_surrogate_pair_is_refused_before_anything_is_sent():
    with pytest.raises(ConfigurationError, match="^headers: the value of 'X-Team' has half a surrogate pair"):
        check_headers({"X-Team": "a\ud800"}, "headers")
