"""What of a value is lost or changed by the types of SQLite's columns, most of which make numbers of texts."""

from decimal import Decimal

import pytest

# type -> what is loaded, what is there then, what is refused
EDGES = {
    "real": (["1e300", "1e-300", " 5 ", "nan", "Infinity", "0e99999999999999999999"], [1e300, 1e-300, 5.0, "nan", "Infinity", 0.0],
             ["1e9999", "1e99999999999999999999", "-1" + "0" * 400, Decimal("1e-400"), "-1e-99999999999999999999", "\t1e999\n"]),
    "numeric": (["12", "1_000"], [12, "1_000"], ["1e9999", "1e-9999", "12345678901234567891"]),
    "bigint": ([2**63 - 1, str(-(2**63)), 1.2345678901234568e18, 5.0, 5.5], [2**63 - 1, -(2**63), 1234567890123456800, 5, 5.5], [2**64 + 1, "1e99999999999999999999"]),
    "boolean": ([True, "0", "yes"], [1, 0, 1], ["1e9999"]),
    "date": (["2026-11-01"], ["2026-11-01"], ["1e9999", "12345678901234567891"]),
    "datetime": (["2026-11-01T12:00:00+05:30"], ["2026-11-01 06:30:00"], ["1e99999999999999999999"]),
    "json": ([1, "1e9999", None], [1, '"1e9999"', None], [Decimal("1e9999"), Decimal("1e-9999")]),
    "text": (["1e9999", 2**64 + 1], ["1e9999", str(2**64 + 1)], []),
    "blob": (["1e9999"], ["1e9999"], []),
}  # fmt: skip


@pytest.mark.parametrize("type_", EDGES)
def test_what_a_type_keeps(sqlite, type_):
    given, there, refused = EDGES[type_]
    sqlite.create(f"id {{int}}, value {type_}")
    loaded = sqlite.load([{"id": n, "value": value} for n, value in enumerate(given + refused)])
    assert sorted(loaded.refused) == list(range(len(given), len(given + refused)))
    assert [value for _, value in sqlite.rows("id, value")] == there
