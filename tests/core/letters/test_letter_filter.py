"""Which dead letters a filter means, and what is no filter."""

import pytest
from tables import every_row

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.letters.filter import LetterFilter

LETTER = {
    "index": 4711,
    "key": ["Ünit", 5],
    "method": "PUT",
    "path": "sensors/7",
    "reason": "http_422",
    "status": 422,
    "idempotency_key": "abcdef",
    "response_excerpt": "No such Type",
    "payload": {"id": 7, "name": "Straße"},
    "failed_at": "2026-03-01T00:00:00+00:00",
}


@every_row(
    ("choice", "matches"),
    [
        ({}, True),
        ({"reasons": ["http_422", "timeout"]}, True),
        ({"reasons": ["timeout"]}, False),
        ({"reasons": []}, False),
        ({"search": "no SUCH type"}, True),
        ({"search": "SENSORS/7"}, True),
        ({"search": "ünit"}, True),
        ({"search": '"name":"STRASSE"'}, True),
        ({"search": "422"}, True),
        ({"search": "4711"}, False),  # its number is nothing that a person knows it by
        ({"search": "payload"}, False),  # a field's name is no content
        ({"reasons": ["http_422"], "search": "other"}, False),
        ({"kind": "No such Type"}, True),
        ({"kind": "No such"}, False),
        ({"kind": ""}, False),
        ({"kind": None}, True),
        ({"kind": "No such Type", "search": "other"}, False),
    ],
)
def test_it_means_what_it_says(choice, matches):
    assert LetterFilter.from_json({"count": 1} | choice).matches(LETTER) is matches


def test_a_row_of_a_dead_letter_without_a_request_is_searched_too():
    assert LetterFilter(search="berlin").matches({"index": 1, "reason": "encode", "row": {"city": "Berlin"}})


@every_row(
    "value",
    [
        None,
        [],
        "all",
        {"reason": []},
        {"reasons": "http_422"},
        {"reasons": [422]},
        {"search": ["x"]},
        {"kind": ["x"]},
        {"folder": "x"},
    ],
)
def test_what_is_not_understood_must_not_mean_all(value):
    accepted = r"\{'reasons': \['http_422'\] or null, 'search': 'text' or '', 'kind': 'text' or null\}"
    with pytest.raises(ConfigurationError, match=f"key 'replay' with .*: write {accepted}, or delete the key"):
        LetterFilter.from_json(value)
