"""Payloads that break the author's schema are dead letters, and are not sent."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from engine import counts, make_bulk_job, make_job, run

from airflow_async_rest import Batch
from airflow_async_rest.core.errors import ConfigurationError, SchemaError
from airflow_async_rest.core.reading.payload_schema import PayloadSchema
from airflow_async_rest.core.reading.source import RowSource

SENSOR = {
    "type": "object",
    "properties": {
        "id": {"type": "integer", "maximum": 99},
        "name": {"type": "string", "pattern": "^[a-z]+$"},
        "at": {"type": "string", "format": "date-time"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["id", "name"],
    "additionalProperties": False,
}
NESTED = {"not": {}}
for _ in range(2_000):
    NESTED = {"not": NESTED}
GOOD = {"id": 1, "name": "a", "at": datetime(2026, 1, 1, tzinfo=UTC), "tags": ["x"]}


@pytest.mark.parametrize(
    ("schema", "payload"),
    [
        (SENSOR, GOOD),
        (SENSOR, '{"id": 1, "name": "a"}'),  # a text is the body
        (SENSOR, b'{"id": 1, "name": "a"}'),
        ({"properties": {"v": {"type": "number", "multipleOf": 0.5}}}, {"v": Decimal("1.5")}),
        ({"multipleOf": 0.01}, 19.99),
        ({"multipleOf": 0.01}, Decimal("19.99")),
        ({"multipleOf": 1e-3}, 1.1),
        ({"multipleOf": 0.5}, int("1" * 401)),
        ({"multipleOf": 0.01}, b'"a text"'),
        ({"properties": {"v": {"type": "integer"}}}, {"v": 10**30}),
        ({"type": "string"}, "half of a pair: \ud800"),  # no JSON, as below
        ({"properties": {"at": {"format": "date-time"}}}, {"at": "yesterday"}),  # a format is a remark, by default
        ({"type": "object"}, {"v": float("nan")}),  # no JSON: that is another fault
        ({"$schema": "http://json-schema.org/draft-04/schema#", "maximum": 5, "exclusiveMaximum": True}, 4),
        ({"$ref": "https://json-schema.org/draft/2020-12/schema"}, {"type": "object"}),
        ({}, None),
    ],
)
def test_a_payload_that_meets_the_schema_passes(schema, payload):
    PayloadSchema(schema).check(payload)


@pytest.mark.parametrize(
    ("schema", "payload", "detail"),
    [
        (SENSOR, GOOD | {"id": "secret"}, '$.id: "type": "integer"'),
        (SENSOR, GOOD | {"id": 100}, '$.id: "maximum": 99'),
        (SENSOR, GOOD | {"name": "SECRET"}, '$.name: "pattern": "^[a-z]+$"'),
        (SENSOR, GOOD | {"tags": ["x", 5]}, '$.tags[1]: "type": "string"'),
        (SENSOR, {"id": 1}, '$: "required": ["name"]'),
        ({"multipleOf": 0.01}, 19.999, '$: "multipleOf": 0.01'),
        ({"multipleOf": 0.5}, b"1e999", "a number that is too large"),
        ({"type": "object"}, "[" * 100_000 + "]" * 100_000, "nested too deep"),
        (SENSOR, GOOD | {"more": "secret"}, '$: "additionalProperties": false'),
        (SENSOR, "secret", "it is a text that is no JSON"),
        ({"properties": {"a": False}}, {"a": "secret"}, "nothing may be there"),
        ({"enum": [*range(1000)]}, "5.5", "..."),
        (
            {"$schema": "http://json-schema.org/draft-04/schema#", "maximum": 5, "exclusiveMaximum": True},
            5,
            '"maximum"',
        ),
        ({"$ref": "https://json-schema.org/draft/2020-12/schema"}, {"type": "objet"}, "$.type"),
    ],
)
def test_what_breaks_it_is_named_by_place_and_rule_and_no_value(schema, payload, detail):
    with pytest.raises(SchemaError) as raised:
        PayloadSchema(schema).check(payload)
    assert detail in str(raised.value)
    assert "secret" not in str(raised.value).lower()
    assert len(str(raised.value)) < 300


def test_a_text_that_is_sent_as_json_is_a_text():
    PayloadSchema({"type": "string"}, texts_are_bodies=False).check("abc")
    with pytest.raises(SchemaError):
        PayloadSchema({"type": "string"}).check("5")


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (5, "schema=5: write a JSON Schema as a dict"),
        (["id"], "write a JSON Schema as a dict"),
        ({"type": "objet"}, "schema is no valid JSON Schema: at $.type, 'objet' is not valid"),
        ({"properties": {"a": {"pattern": "["}}}, "at $.properties.a.pattern"),
        ({"$schema": "http://json-schema.org/draft-04/schema#", "exclusiveMaximum": 5}, "at $"),
        ({"$schema": 5}, "schema"),
        ({"$schema": [5]}, "schema"),
        (NESTED, "schema cannot be used: RecursionError"),
    ],
)
def test_a_schema_that_is_none_is_said(schema, words):
    with pytest.raises(ConfigurationError) as raised:
        PayloadSchema(schema)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "$ref": "#/type"},
        {"allOf": [{}], "$ref": "#/allOf/x"},
        {"$schema": "http://json-schema.org/draft-03/schema#", "required": True, "properties": {"a": 5}},
    ],
)
def test_a_schema_that_leads_to_what_is_none_is_said_before_anything_is_sent(schema):
    with pytest.raises(ConfigurationError, match="^schema "):
        PayloadSchema(schema).check({})


@pytest.mark.parametrize("ref", ["#nope", "#/$defs/nope", "https://example.com/sensor.json", "other.json"])
def test_a_schema_refers_to_nothing_outside_of_it(ref):
    with pytest.raises(ConfigurationError, match="which is not in it: write it into its"):
        PayloadSchema({"$ref": ref}).check({})


def test_a_schema_without_an_end_fails_its_payloads():
    with pytest.raises(SchemaError, match="nested too deep"):
        PayloadSchema({"$ref": "#"}).check({})


FEW = {"properties": {"id": {"not": {"multipleOf": 10}}}}


def test_what_breaks_it_is_never_sent_and_the_others_are(api, tmp_path):
    job = make_job(api, tmp_path, 100, max_failures=10)
    source = RowSource(job.source.chunks, key=("id",), schema=PayloadSchema(FEW))
    report = run(make_job(api, tmp_path, 100, max_failures=10, source=source))
    assert counts(report)[1:3] == [90, 10]
    assert report["reasons"] == {"schema": 10}
    assert len(api.seen) == 90


def test_of_a_batch_only_the_item_is_left_out(api, tmp_path):
    bulk = make_bulk_job(api, tmp_path, Batch(max_items=20), 100, max_failures=10)
    bulk.source._source.schema = PayloadSchema(FEW)
    report = run(bulk)
    assert (counts(report)[1:3], report["reasons"]) == ([90, 10], {"schema": 10})
    assert sorted(len(seen.json()) for seen in api.seen) == [10, 20, 20, 20, 20]


def test_a_schema_that_refers_to_nothing_stops_before_the_first_request(api, tmp_path):
    job = make_job(api, tmp_path, 100)
    source = RowSource(job.source.chunks, key=("id",), schema=PayloadSchema({"$ref": "#/$defs/nope"}))
    with pytest.raises(ConfigurationError, match="schema refers to"):
        run(make_job(api, tmp_path, 100, source=source))
    assert api.seen == []
