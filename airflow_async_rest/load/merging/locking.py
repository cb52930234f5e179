"""One merge at a time into a table: of two that replace one window, neither sees what the other has not committed."""

from sqlalchemy import text
from sqlalchemy.engine import Connection

from airflow_async_rest.load.names import without_marks

# Those of which a table can be locked for one transaction; of others, the lines of its loads in the register are.
LOCK_TABLES = frozenset({"postgresql", "oracle", "sqlite"})
# Before anything is read: by a snapshot from before the lock, what others have loaded meanwhile could not be seen.
_SEE_WHAT_IS_COMMITTED = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"
# An advisory lock, which no other program waits for; of a partition, it is that of the whole table. Any number of our
# own that others are not likely to use comes before the table's.
_ADVISORY = """
    SELECT pg_advisory_xact_lock{shared}(
        ((CAST(1634891636 AS bigint)) << 32) | CAST(CAST(COALESCE(pg_partition_root(t.oid), t.oid) AS oid) AS bigint)
    )
    FROM (SELECT CAST(:table AS regclass) AS oid) AS t
"""


def lock_table(connection: Connection, table: str, *, shared: bool) -> None:
    """Wait until no other merge into a table is under way, and let none begin before this transaction ends.

    For databases of :data:`LOCK_TABLES` only; SQLite does so anyway: a transaction that writes is the only one.

    :param table: its name in SQL.
    :param shared: whether others that ask for a shared lock may run beside this one.
    """
    match connection.dialect.name:
        case "postgresql":
            connection.exec_driver_sql(_SEE_WHAT_IS_COMMITTED)
            statement = text(_ADVISORY.format(shared="_shared" if shared else ""))
            connection.execute(statement, {"table": without_marks(table)})
        case "oracle" if not shared:  # which waits for those who have changed the table, and these wait for it
            connection.execute(text(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"))
