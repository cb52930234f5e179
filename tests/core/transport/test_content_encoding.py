import gzip
import zlib

import pytest
from tables import every_row

from airflow_async_rest.core.errors import AnswerUnreadableError
from airflow_async_rest.core.transport.content_encoding import decode_body

TEXT = b'{"a": 1}' * 20
NO_TEXT = b"\xff\xfe\x00"


def gzipped(data):
    return gzip.compress(data, mtime=0)  # tests have the same names in every process


def raw_deflate(data):
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@every_row(
    ("encoding", "body", "decoded"),
    [
        ("", TEXT, TEXT),
        ("identity", TEXT, TEXT),
        ("gzip", gzipped(TEXT), TEXT),
        ("x-gzip", gzipped(TEXT), TEXT),
        ("GZIP", gzipped(TEXT), TEXT),
        ("gzip", gzipped(TEXT) + gzipped(TEXT), TEXT + TEXT),
        ("gzip", gzipped(TEXT) + b"\0\0", TEXT),
        ("gzip", gzipped(b""), b""),
        ("gzip", gzipped(b"") + b"\0", b""),
        ("gzip", gzipped(b"") + gzipped(TEXT), TEXT),
        ("gzip", gzipped(b"1") * 5 + b"\0\0" + gzipped(TEXT), b"11111" + TEXT),
        ("gzip", b"", b""),
        ("deflate", zlib.compress(TEXT), TEXT),
        ("deflate", raw_deflate(TEXT), TEXT),
        ("deflate, gzip", gzipped(zlib.compress(TEXT)), TEXT),
        ("utf-8", TEXT, TEXT),
    ],
)
def test_encodings_are_undone(encoding, body, decoded):
    assert decode_body(encoding, body, 1_000) == decoded


@every_row(
    ("encoding", "body", "words"),
    [
        ("gzip", TEXT, "it is not gzip"),
        ("deflate", TEXT, "it is not deflate"),
        ("gzip", gzipped(TEXT)[:-9], "its gzip ends too early"),
        ("gzip", gzipped(TEXT) + gzipped(TEXT)[:-1], "its gzip ends too early"),
        ("gzip", gzipped(TEXT) + b"more", "it is not gzip"),
        ("gzip", gzipped(TEXT) + b"\0\x1e\x8b" + gzipped(TEXT)[2:], "it is not gzip"),
        ("gzip", gzipped(TEXT)[:-5] + b"x" + gzipped(TEXT)[-4:], "it is not gzip"),
        ("deflate", zlib.compress(TEXT)[:-9], "its deflate ends too early"),
        ("br", NO_TEXT, "its Content-Encoding is 'br'"),
        ("gzip", gzipped(b"x" * 1_001), "max_response_mb"),
        ("gzip", gzipped(b"x" * 600) * 2, "more than 1,000 bytes, .* max_response_mb"),
        ("deflate", zlib.compress(b"x" * 1_000_000), "max_response_mb"),
    ],
)
def test_a_body_that_is_not_what_its_header_says_is_an_error(encoding, body, words):
    with pytest.raises(AnswerUnreadableError, match=words):
        decode_body(encoding, body, 1_000)
