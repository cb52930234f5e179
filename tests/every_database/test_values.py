"""Values, from the API into a table and from the table into an API: the same."""

import base64
import json
from decimal import Decimal

import pytest
from every_database.loading import number_of
from task_runner import run_try
from tasks import sql_to_rest

TEXTS = {
    "emoji": "\N{PILE OF POO}\N{FAMILY}\N{ZERO WIDTH JOINER}\N{GIRL}",
    "combining": "e\N{COMBINING ACUTE ACCENT} \N{LATIN SMALL LETTER E WITH ACUTE}",
    "right to left": "שלום \N{RIGHT-TO-LEFT OVERRIDE}مرحبا",
    "escapes": "\\N\\\\ 'quoted' \"double\" `back` %s %(x)s :name ? \t\n\r end",
    "Chinese": "漢字" * 20,
}


@pytest.mark.parametrize("kind", TEXTS)
def test_a_text_is_loaded_as_it_is(database, load, kind):
    database.create("id {integer}, label {text}")
    loaded = load([{"id": 0, "label": TEXTS[kind]}, {"id": 1, "label": "plain"}])
    assert loaded.state == "success", loaded.error
    assert database.rows("id, label") == [(0, TEXTS[kind]), (1, "plain")]


DECIMALS = [
    "12345678901234567890.123456789012345678",
    "-99999999999999999999.999999999999999999",
    "0.000000000000000001",
]


def test_decimals_of_38_digits_are_exact(database, load):
    database.needs("exact decimals")
    database.create("id {integer}, amount {number}")
    loaded = load([f'{{"id": {n}, "amount": {digits}}}' for n, digits in enumerate(DECIMALS)])
    assert loaded.state == "success", loaded.error
    assert [amount for _, amount in database.rows("id, amount")] == [Decimal(digits) for digits in DECIMALS]


DOCUMENTS = [
    {"nested": {"list": [1, [2, {"deep": None}]], "text": 'é\N{PILE OF POO} "quoted" \\ \''}},
    [],
    {"number": 1.5, "true": True, "big": 12345678901234567890},
    "text",
    {"null": None},
]


@pytest.fixture
def sent(database, api, supervisor):
    """Send what a query gives: the bodies that the API gets, in order of the ids."""

    def send(sql):
        api.reset()
        api.answer = lambda seen: 200
        task = sql_to_rest(sql=sql, endpoint="rows/{id}")
        state, error = run_try(task, supervisor)
        assert state == "success", error
        return [json.loads(seen.body, parse_float=Decimal) for seen in sorted(api.delivered, key=number_of)]

    return send


def test_json_is_loaded_and_sent_as_it_is(database, load, sent):
    database.create("id {integer}, document {json}")
    loaded = load([{"id": n, "document": document} for n, document in enumerate(DOCUMENTS)])
    assert loaded.state == "success", loaded.error
    database.needs("json")
    expected = json.loads(json.dumps(DOCUMENTS), parse_float=Decimal)
    assert [row["document"] for row in sent("SELECT id, document FROM things ORDER BY id")] == expected


def test_bytes_are_loaded_and_sent_as_base64(database, load, sent):
    database.create("id {integer}, photo {binary}")
    photos = [base64.b64encode(content).decode() for content in (b"\x00\xff'\\\n", bytes(range(256)), b"")]
    rows = [{"id": n, "photo": photo} for n, photo in enumerate(photos)]
    loaded = load(rows, columns={"id": "id", "photo": "base64:photo"})
    assert loaded.state == "success", loaded.error
    assert [bytes(photo) for _, photo in database.rows("id, photo")] == [base64.b64decode(photo) for photo in photos]
    assert sent("SELECT id, photo FROM things ORDER BY id") == rows


# kind -> as it is written in SQL, as it is sent
VALUES = {
    "integer": ("9223372036854775807", 9223372036854775807),
    "number": (DECIMALS[0], Decimal(DECIMALS[0])),
    "text": ("text", "text"),
    "naive": ("2026-11-01 12:30:00", "2026-11-01T12:30:00+00:00"),
    "aware": ("2026-11-01 12:30:00", "2026-11-01T12:30:00+00:00"),
    "day": ("2026-11-01", "2026-11-01"),
    "json": ('{"a": [null, 1]}', {"a": [None, 1]}),
    "binary": ("00ff", "AP8="),
}


@pytest.mark.parametrize("kind", VALUES)
def test_a_value_is_sent_as_the_readme_says(database, sent, kind):
    database.needs({"number": "exact decimals", "naive": "times", "aware": "times"}.get(kind, kind))
    text, expected = VALUES[kind]
    database.create(f"id {{integer}}, thing {{{kind}}}")
    database.insert([{"id": ("integer", "1"), "thing": (kind, text)}])
    [row] = sent("SELECT id, thing FROM things")
    assert row["thing"] == expected
    assert type(row["thing"]) is type(expected)
