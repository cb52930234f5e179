"""Large rows: however many a chunk may have, few are fetched at once."""

import pytest

from airflow_async_rest.databases.values import row_values
from airflow_async_rest.hooks import chunked_sql

LARGE = 100_000
# The first 3,000 rows are small, or all are large. -> rows of the largest chunk
CASES = {"all are large": (0, 55), "they grow": (3000, 3300), "they shrink": (-3000, 5000)}


@pytest.fixture
def fetched(monkeypatch):
    """The bytes of each fetch."""
    sizes = []

    def fetch(*given):
        rows = row_values.fetch_readable(*given)
        sizes.append(sum(len(row[1]) for row in rows))
        return rows

    monkeypatch.setattr(chunked_sql, "fetch_readable", fetch)
    return sizes


@pytest.fixture
def sqlite(connect, tmp_path):
    (path := tmp_path / "source.db").touch()
    connect("source_db", conn_type="sqlite", host=str(path))


SQL = {
    "sqlite": "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < :rows) "
    "SELECT id, hex(zeroblob(({size}) / 2)) AS v FROM n",
    "psycopg": "SELECT id, repeat('x', {size}) AS v FROM generate_series(1, :rows) AS id ORDER BY id",
    "psycopg2": "SELECT id, convert_to(repeat('x', {size}), 'UTF8') AS v FROM generate_series(1, :rows) AS id ORDER BY id",
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("database", SQL)
def test_what_is_fetched_and_handed_on_is_bounded_by_bytes(request, fetched, database, case):
    request.getfixturevalue(database)
    small, most_rows = CASES[case]
    is_large = f"id > {small}" if small >= 0 else "id <= 500"
    rows = {0: 500}.get(small, abs(small) + 500)
    sql = SQL[database].format(size=f"CASE WHEN {is_large} THEN {LARGE} ELSE 10 END")
    counts, sizes = [], []
    for chunk in chunked_sql.ChunkedSqlHook("source_db").chunks(sql, {"rows": rows}, 5000):
        counts.append(len(chunk))
        sizes.append(sum(len(row["v"]) for row in chunk))
    assert sum(counts) == rows
    assert sum(sizes) == 500 * LARGE + (rows - 500) * 10
    assert max(counts) <= most_rows
    all_at_once = 25_000_000 if case == "they grow" else 0
    assert sorted(fetched)[-2 if all_at_once else -1] <= 1_100_000
    assert max(sizes) <= all_at_once + 5_500_000


def test_a_plain_driver_fetches_no_more_at_once(sqlite, monkeypatch, fetched):
    from airflow.providers.sqlite.hooks.sqlite import SqliteHook

    def no_dialect(self, engine_kwargs=None):
        raise NotImplementedError("no dialect")

    monkeypatch.setattr(SqliteHook, "get_sqlalchemy_engine", no_dialect)
    sql = SQL["sqlite"].format(size=LARGE).replace(":rows", "500")
    assert sum(map(len, chunked_sql.ChunkedSqlHook("source_db").chunks(sql, None, 5000))) == 500
    assert max(fetched) <= 1_100_000
