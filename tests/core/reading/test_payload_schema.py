"""Payloads that break the author's schema are dead letters, and are not sent."""

import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from engine import counts, make_bulk_job, make_job, run
from tables import every_row

from airflow_async_rest import Batch
from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
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
MANY = pytest.mark.slow("20,000 items")
GOOD = {"id": 1, "name": "a", "at": datetime(2026, 1, 1, tzinfo=UTC), "tags": ["x"]}


@every_row(
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


@every_row(
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


@every_row(
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


DRAFTS = [
    *(f"http://json-schema.org/draft-0{number}/schema#" for number in (3, 4, 6, 7)),
    *(f"https://json-schema.org/draft/{date}/schema" for date in ("2019-09", "2020-12")),
]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "$ref": "#/type"},
        {"allOf": [{}], "$ref": "#/allOf/x"},
        {"$schema": DRAFTS[0], "required": True, "properties": {"a": 5}},
        {"$ref": "http://["},
        {"$id": "http://[", "$ref": "#/$defs/a", "$defs": {"a": {"$ref": "b"}}},
    ],
)
def test_a_schema_that_leads_to_what_is_none_is_said_at_once(schema):
    with pytest.raises(ConfigurationError, match="^schema "):
        PayloadSchema(schema)


@every_row("draft", DRAFTS)
@every_row("ref", ["#nope", "#/$defs/nope", "https://example.com/sensor.json", "other.json", "urn:x:y"])
def test_a_schema_refers_to_nothing_outside_of_it(ref, draft):
    words = re.escape(f"schema refers to {ref!r}, which is not in it: write it into its")
    for schema in ({"$ref": ref}, {"properties": {"rare": {"items": {"$ref": ref}}}}):
        with pytest.raises(ConfigurationError, match=words):
            PayloadSchema({"$schema": draft, **schema})


@every_row(
    "schema",
    [
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object"}}},
        {"$ref": "#a", "$defs": {"b": {"$anchor": "a", "type": "object"}}},
        {"$ref": "#/$defs/a~1b%20c", "$defs": {"a/b c": {"type": "object"}}},
        {"$id": "https://example.com/base/a", "$ref": "b", "$defs": {"b": {"$id": "b", "type": "object"}}},
        {"$schema": DRAFTS[3], "$ref": "#/definitions/a", "definitions": {"a": {"type": "object"}}},
        {"$ref": DRAFTS[-1]},
        {"properties": {"child": {"$ref": "#"}}, "type": "object"},
        {"$schema": DRAFTS[0], "extends": {"$ref": "#/x"}, "x": {"type": "object"}},
        {"type": "object", "extends": {"$ref": "#"}},  # says nothing there
        {"type": "object", "then": {"$ref": "#/$defs/a"}, "$defs": {"a": False}},
        {"items": {"anyOf": [{"$ref": "#"}]}, "allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"type": "object"}}},
        {"enum": [{"$ref": "#/nope"}, {"v": 1}], "properties": {"$ref": {"type": "string"}}},
    ],
)
def test_what_is_in_it_may_be_referred_to_also_by_itself(schema):
    PayloadSchema(schema).check({"v": 1} if "enum" in schema else {"type": "object"})


@every_row(
    ("schema", "name"),
    [
        ({"$ref": "#"}, "#"),
        ({"allOf": [{"$ref": "#"}]}, "#"),
        ({"anyOf": [{"type": "integer"}, {"not": {"$ref": "#"}}]}, "#"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}, "#/$defs/"),
        ({"properties": {"a": {"if": {"$ref": "#/properties/a"}}}}, "#/properties/a"),
        ({"dependentSchemas": {"a": {"$ref": "#"}}}, "#"),
        ({"$schema": DRAFTS[0], "extends": {"$ref": "#"}}, "#"),
        ({"$schema": DRAFTS[0], "type": ["string", {"$ref": "#"}]}, "#"),
        ({"$dynamicAnchor": "a", "$dynamicRef": "#a"}, "#a"),
        ({"$schema": DRAFTS[4], "$recursiveRef": "#"}, "#"),
    ],
)
def test_a_check_that_would_have_no_end_is_said_at_once(schema, name):
    with pytest.raises(ConfigurationError, match=f"schema refers by '{re.escape(name)}.*' to itself about the same"):
        PayloadSchema(schema)


BIG = 10**20 + 1


@every_row(
    ("rules", "value", "passes"),
    [
        ({"enum": [BIG]}, BIG, True),
        ({"enum": [10**20]}, BIG, False),
        ({"const": BIG}, BIG, True),
        ({"const": 10**20}, BIG, False),
        ({"const": 2**64}, 2**64, True),
        ({"const": -(2**63) - 1}, -(2**63) - 1, True),
        ({"maximum": 10**20}, BIG, False),
        ({"multipleOf": 3}, 10**20 + 2, True),
        ({"multipleOf": 3}, BIG, False),
        ({"uniqueItems": True}, [BIG, BIG + 1], True),
        ({"uniqueItems": True}, [BIG, BIG], False),
        ({"uniqueItems": True}, [Decimal("0.1234567890123456789"), Decimal("0.1234567890123456788")], True),
        ({"maximum": 100}, Decimal("100.00000000000000001"), False),
        ({"maximum": 0.1}, Decimal("0.10000000000000000001"), False),
        ({"maximum": 0.1}, Decimal("0.10000000000000000000"), True),
        ({"exclusiveMaximum": 100}, Decimal("99.999999999999999999"), True),
        ({"exclusiveMinimum": 0}, Decimal("1E-400"), True),
        ({"minimum": 0.1, "maximum": 0.1}, Decimal("0.1000000000000000000000"), True),
        ({"enum": [0.1]}, Decimal("0.1000000000000000000000"), True),
        ({"const": Decimal("0.1000000000000000000001")}, Decimal("0.1000000000000000000001"), True),
        ({"const": Decimal("0.1000000000000000000001")}, 0.1, False),
        ({"type": "integer"}, Decimal("12345678901234567.5"), False),
        ({"type": "integer"}, Decimal("1.00000000000000000001"), False),
        ({"type": "integer"}, Decimal("12345678901234567890.0"), True),
        ({"type": "integer", "$schema": DRAFTS[1]}, Decimal("12345678901234567890.0"), False),
        ({"type": "integer", "$schema": DRAFTS[1]}, BIG, True),
        ({"type": "number"}, Decimal("1E+400"), True),
        ({"type": "integer"}, 10**4200, True),
        ({"multipleOf": 0.01}, Decimal("12345678901234567.891"), False),
        ({"multipleOf": 0.01}, Decimal("12345678901234567.89"), True),
        ({"type": "boolean"}, True, True),
    ],
)
@every_row("beside", [{}, {"price": Decimal("1.50"), "float": 0.1234567890123456}])
def test_numbers_are_checked_as_they_are_sent(rules, value, passes, beside):
    draft = {"$schema": rules["$schema"]} if "$schema" in rules else {}
    schema = PayloadSchema({**draft, "properties": {"v": {k: v for k, v in rules.items() if k != "$schema"}}})
    payload = {"v": value, **beside}
    for form in (payload, JsonEncoder()(payload)):
        if passes:
            schema.check(form)
        else:
            with pytest.raises(SchemaError):
                schema.check(form)


@pytest.mark.parametrize("text", ['{"a":NaN}', "[Infinity]", "-Infinity", "1e99999999999999999999"])
def test_what_only_python_reads_as_json_is_none(text):
    with pytest.raises(SchemaError, match="it is a text that is no JSON"):
        PayloadSchema({}).check(text)


@pytest.mark.parametrize("number", [float("inf"), float("nan"), Decimal("NaN")])
def test_a_schema_with_a_number_that_json_lacks_is_none(number):
    with pytest.raises(ConfigurationError, match="schema"):
        PayloadSchema({"maximum": number})


@pytest.mark.parametrize(
    ("items", "unique"),
    [
        ([{"a": 1, "b": 2}, {"b": 2, "a": 1.0}], False),
        pytest.param([{"a": number} for number in range(20_000)], True, marks=MANY),
        pytest.param([[number, {"a": number}] for number in range(20_000)] + [[7, {"a": 7}]], False, marks=MANY),
        ([1, True, "1", None, [1], {"1": 1}, 0, False, [], {}, ""], True),
        ([1, 1.0], False),
        ([True, True], False),
        ([[True], [1]], True),
        ([{"a": False}, {"a": 0}], True),
    ],
)
def test_items_are_told_apart_as_json_is_and_in_one_pass(items, unique):
    schema = PayloadSchema({"uniqueItems": True})
    if unique:
        schema.check(items)
    else:
        with pytest.raises(SchemaError, match="uniqueItems"):
            schema.check(items)


def test_a_long_path_leaves_room_for_the_rule():
    schema = {"additionalProperties": {"additionalProperties": {"type": "integer"}}}
    with pytest.raises(SchemaError) as raised:
        PayloadSchema(schema).check({"first": {"x" * 500 + "last": "text"}})
    assert len(str(raised.value)) < 300
    assert "$.first.xxx" in str(raised.value)
    assert str(raised.value).endswith('xlast: "type": "integer".')


@pytest.mark.parametrize(("levels", "passes"), [(100, True), (249, False)])
def test_how_deep_a_schema_that_is_in_itself_may_go(levels, passes):
    tree = {"anyOf": [{"type": "integer"}, {"properties": {"child": {"$ref": "#"}}, "type": "object"}]}
    payload = 1
    for _ in range(levels):
        payload = {"child": payload}
    if passes:
        PayloadSchema(tree).check(payload)
    else:
        with pytest.raises(SchemaError, match="nested too deep"):
            PayloadSchema(tree).check(payload)


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
