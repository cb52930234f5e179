import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from airflow_async_rest.core.batches.formats import batch_format
from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.errors import EncodeError


@pytest.fixture
def body_of(item_of):
    """Make the body of some payloads."""

    def make(name, *payloads, has_key=True, keys=None):
        form = batch_format(name, JsonEncoder(), has_key=has_key)
        items = [
            item_of(index, payload, payload=payload, key=(keys or range(100))[index])
            for index, payload in enumerate(payloads)
        ]
        for item, part in zip(items, form.parts(items), strict=True):
            item.part = part
        return form.join(items)

    return make


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("json_array", b'[{"a":1},{"a":2.50}]'),
        ({"records": "json_array"}, b'{"records":[{"a":1},{"a":2.50}]}'),
        ({'say "x"': "json_array"}, b'{"say \\"x\\"":[{"a":1},{"a":2.50}]}'),
        ("ndjson", b'{"a":1}\n{"a":2.50}\n'),
        ("bulk", b'{"index":{"_id":"0"}}\n{"a":1}\n{"index":{"_id":"1"}}\n{"a":2.50}\n'),
        (lambda payloads: {"inputs": payloads, "upsert": True}, b'{"inputs":[{"a":1},{"a":2.50}],"upsert":true}'),
        (lambda payloads: b"%d" % len(payloads), b"2"),
        (lambda payloads: "\n".join(str(payload["a"]) for payload in payloads), b"1\n2.50"),
    ],
)
def test_items_make_a_body(body_of, name, body):
    assert body_of(name, {"a": 1}, {"a": Decimal("2.50")}) == body


def test_lines_have_no_line_breaks_inside(body_of):
    lines = body_of("ndjson", {"text": "one\ntwo\u2028three"}, {"a": {"b": [1]}}).splitlines()
    assert [json.loads(line) for line in lines] == [{"text": "one\ntwo\u2028three"}, {"a": {"b": [1]}}]


@pytest.mark.parametrize(
    ("payload", "lines"),
    [
        ({"_id": "x", "a": 1}, [{"index": {"_id": "x"}}, {"a": 1}]),
        ({"a": 1, "_op_type": "create", "_index": "i"}, [{"create": {"_id": "0", "_index": "i"}}, {"a": 1}]),
        ({"_op_type": "delete"}, [{"delete": {"_id": "0"}}]),
        (
            {"_op_type": "update", "_routing": "r", "_retry_on_conflict": 3, "doc": {"a": 1}},
            [{"update": {"_id": "0", "routing": "r", "retry_on_conflict": 3}}, {"doc": {"a": 1}}],
        ),
        ({"version": 7, "pipeline": "p"}, [{"index": {"_id": "0"}}, {"version": 7, "pipeline": "p"}]),
    ],
)
def test_actions_take_their_fields_from_the_payload(body_of, payload, lines):
    assert [json.loads(line) for line in body_of("bulk", payload).splitlines()] == lines


def test_an_action_without_a_key_leaves_the_id_to_the_server(body_of):
    assert body_of("bulk", {"a": 1}, has_key=False) == b'{"index":{}}\n{"a":1}\n'


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (7, "7"),
        ("a/b", "a/b"),
        (Decimal("7.10"), "7.10"),
        (2**70, str(2**70)),
        (datetime(2026, 3, 1, tzinfo=UTC), "2026-03-01T00:00:00+00:00"),
    ],
)
def test_the_id_is_the_key_as_a_dead_letter_remembers_it(body_of, key, text):
    action = json.loads(body_of("bulk", {"a": 1}, keys=[key]).splitlines()[0])
    assert action == {"index": {"_id": text}}


@pytest.mark.parametrize(
    ("payload", "keys", "text"),
    [
        ({"a": 1}, [[1, 2]], "_id"),
        ([1], [1], "takes a dict for each item, not a list"),
        ({"_op_type": "upsert"}, [1], "knows index, create, update, delete"),
        ({"a": float("nan")}, [1], "nan has no JSON form"),
    ],
)
def test_what_cannot_be_an_action_says_why(body_of, payload, keys, text):
    with pytest.raises(EncodeError) as raised:
        body_of("bulk", payload, keys=keys)
    assert text in str(raised.value)


def test_a_function_that_raises_is_told_of(body_of):
    with pytest.raises(EncodeError, match="given as format raised KeyError: 'b'"):
        body_of(lambda payloads: payloads[0]["b"], {"a": 1})
