"""What PostgreSQL would round, or cut off, to make a value fit into a column."""

from datetime import datetime, time

import pytest

LAST = "2026-11-01 23:59:59"
# type -> what is loaded, what is there then, what is refused
EDGES = {
    "timestamp(0)": ([f"{LAST}.9Z", "2026-11-02T05:29:59.9+05:30", datetime.fromisoformat(f"{LAST}.9"), None], [LAST] * 3 + [None], []),
    "timestamptz(0)": ([f"{LAST}.9Z", datetime.fromisoformat(f"{LAST}.9+00:00")], [f"{LAST}+00"] * 2, []),
    "timestamptz(3)": ([f"{LAST}.9999Z", f"{LAST}.5Z"], [f"{LAST}.999+00", f"{LAST}.5+00"], ["later"]),
    "time(0)": (["23:59:59.9", time(23, 59, 59, 900_000), "12:30"], ["23:59:59", "23:59:59", "12:30:00"], []),
    "timetz(1)": (["23:59:59.99+02"], ["23:59:59.9+02"], []),
    "seconds": ([f"{LAST}.9Z"], [LAST], []),
    "varchar(3)": (["abc", "ab ", "é𝄞x", 123], ["abc", "ab ", "é𝄞x", "123"], ["abc  ", "abcd", "ab  "]),
    '"char"': (["a", ""], ["a", ""], ["ab", "é"]),
    "name": (["x" * 63], ["x" * 63], ["x" * 64, "é" * 32]),
    "tstzrange": (["[2026-07-01T12:00:00 GMT+2,)"], ['["2026-07-01 10:00:00+00",)'], []),
    "date[]": ([["2026-11-01", None]], ["{2026-11-01,NULL}"], [[1772430912]]),
    "time[]": ([["12:30 Z"]], ["{12:30:00}"], [["12:30 EST"]]),
    "timetz": (["12:30 GMT+2"], ["12:30:00+02"], []),
}  # fmt: skip


@pytest.mark.parametrize("type_", EDGES)
def test_what_a_type_keeps(postgresql, type_):
    given, there, refused = EDGES[type_]
    postgresql.execute("CREATE DOMAIN seconds AS timestamp(0)")
    postgresql.create(f"id {{int}}, value {type_}")
    loaded = postgresql.load([{"id": n, "value": value} for n, value in enumerate(given + refused)])
    assert sorted(loaded.refused) == list(range(len(given), len(given + refused)))
    assert [value for _, value in postgresql.rows("id, value::text")] == there
