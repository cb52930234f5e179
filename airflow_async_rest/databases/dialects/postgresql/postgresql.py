"""PostgreSQL.

Behind a pooler such as PgBouncer the next transaction of a session may be another client's: whatever is set is set for
one transaction.
"""

import contextlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text, types
from sqlalchemy.dialects.postgresql import TSRANGE, TSTZRANGE
from sqlalchemy.engine import Connection, Engine

from airflow_async_rest.compat.sqlalchemy import DOMAIN
from airflow_async_rest.core.errors import ConfigurationError, EncodeError
from airflow_async_rest.databases.dialects.dialect import Batches, Dialect, Upsert
from airflow_async_rest.databases.dialects.engines import begin_with
from airflow_async_rest.databases.dialects.postgresql import catalogue
from airflow_async_rest.databases.dialects.postgresql.copy_text import copy_text
from airflow_async_rest.databases.dialects.postgresql.fitting import fitted
from airflow_async_rest.databases.dialects.postgresql.types import check_encoding
from airflow_async_rest.databases.errors import original_of, state_of
from airflow_async_rest.databases.names import without_marks
from airflow_async_rest.databases.quotes import Quotes
from airflow_async_rest.databases.values.columns import Column, Kind
from airflow_async_rest.databases.values.row_values import Fetch, fetch_as_given

_COPY = re.compile(r"\s*copy\b", re.IGNORECASE)
_ESTIMATE = "EXPLAIN (FORMAT JSON) SELECT * FROM (\n{sql}\n) counted WHERE CAST(:async_rest AS boolean)"
# What a crash of the server takes back is rows and the checkpoint that counts them, together.
_FASTER = "SET LOCAL synchronous_commit = off"

# Of a statement beyond the server's limits, and of one with more binds than its protocol has room for: to drivers, as
# if it were gone.
_LIMITS, _TOO_MANY_BINDS = "54", "number of parameters must be between"
_READ_ONLY = "25006"
# What a server, or PgBouncer, says when it is connected; drivers give it no number. In another language it is as if the
# server were down.
_LOGIN_REFUSED = re.compile(
    r"\bauth(entication)? failed\b|\bno password supplied\b|\bno pg_hba\.conf entry\b|\bno such (user|database)\b"
    r"|\b(role|database) \".*?\" does not exist\b|\bis not permitted to log in\b|\bpermission denied for database\b"
)
# Raised by a trigger; a view's WITH CHECK OPTION; a value too long for its index; two rows of an upsert that a trigger,
# or another collation of the index, gives one key: one after the other, they are taken.
_REFUSALS = ("P0", "44", "54000", "21000")
_FORBIDDEN = "42501"
# What finds that a policy of the table does not allow a row. Its state is that of a missing right.
_FINDS_ROWS_WRONG = "ExecWithCheckOptions"
# A view that takes no rows, a constraint that an upsert cannot go by. To the driver it is as if the server were busy.
_WRONG_OBJECT = "55000"
# Of a text that is not valid in the encoding it is in, and of one that the encoding asked for cannot hold.
_NO_SUCH_CHARACTER, _NOT_IN_THAT_ENCODING = "22021", "22P05"

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


class PostgreSQL(Dialect):
    """PostgreSQL.

    Times are bound with their zone, in a session whose zone is UTC, so that columns of all types compare rightly.
    Staging tables need not be logged: after a crash of the server they are empty, and that is noticed.
    """

    name = "postgresql"
    is_tried = True
    extra = "postgres"
    utc_in_transaction = "SET LOCAL TIME ZONE 'UTC'"
    # While the API takes its time, the transaction that reads is idle, and lasts. A server may write dates and
    # intervals in forms that drivers misread or refuse, and floats with fewer digits than they have. Each is asked for
    # by its name, as not all have it that speak PostgreSQL's language.
    before_reading = """
SELECT set_config(name, CASE name
    WHEN 'DateStyle' THEN 'ISO'
    WHEN 'IntervalStyle' THEN 'postgres'
    WHEN 'extra_float_digits' THEN coalesce(max_val, '1')
    ELSE '0' END, true)
FROM pg_settings
WHERE name IN ('DateStyle', 'IntervalStyle', 'extra_float_digits', 'idle_in_transaction_session_timeout',
               'transaction_timeout')
"""
    begin_read_only = "SET TRANSACTION READ ONLY"
    fails_whole = True
    quotes = Quotes(nested_comments=True, backticks=False, e=True, line_comment=r"--[^\r\n]*")
    ends_at_semicolon = True
    empty_in = ("(NULL) IS TRUE", "(NULL) IS NULL")
    streams_only_selects = True
    has_any_type = False
    upsert = Upsert.ON_CONFLICT
    defaults_are_expressions = True
    staging_table = "UNLOGGED TABLE"
    is_indexed_late = True
    create_index = "CREATE INDEX IF NOT EXISTS {index} ON {schema}{table} ({column})"
    # The driver reads no time that is infinite, before the year 1 or after 9999, and gives some as its own types; so it
    # does of arrays, and of their numbers not all digits.
    read_as_text = frozenset(Kind) - {Kind.BOOLEAN, Kind.BINARY, Kind.INTEGER, Kind.NUMBER, Kind.TEXT, Kind.TEXT_ARRAY}
    lock_to_drop = "LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE NOWAIT"
    before_drop, after_drop = "SET LOCAL lock_timeout = '10s'", "SET LOCAL lock_timeout = DEFAULT"
    explains = True
    before_merge = "SET LOCAL synchronous_commit = on"
    check_deferred = "SET CONSTRAINTS ALL IMMEDIATE"
    locks_tables = True

    def prepare_raw(self, raw: Any) -> None:
        """Undo what an extra may ask for: rows come as tuples, in transactions of ours.

        Statements are not kept prepared: behind a pooler the next one may reach another session.

        :raises ConfigurationError: when the connection does not say how texts are encoded.
        """
        driver = _driver_of(raw)
        if driver == "psycopg":
            from psycopg.rows import tuple_row  # noqa: PLC0415  (an optional provider's driver)

            raw.row_factory, raw.autocommit, raw.prepare_threshold = tuple_row, False, None
            check_encoding(raw.info.parameter_status("client_encoding"))
        elif driver == "psycopg2":
            from psycopg2 import extensions, extras  # type: ignore[import-untyped]  # noqa: PLC0415

            raw.cursor_factory = None
            extensions.register_adapter(UUID, extras.UUID_adapter)  # the only type of binds that it has to be told
            check_encoding(raw.encoding)

    def prepare_to_load(self, engine: Engine) -> None:
        """Let each transaction begin in UTC."""
        statements = f"{self.utc_in_transaction}; {_FASTER}"

        def begin(raw: Any) -> None:
            with contextlib.closing(raw.cursor()) as cursor:
                cursor.execute(statements)

        begin_with(engine, begin)

    def check_query(self, bare: str) -> None:
        """Refuse a COPY."""
        if _COPY.match(bare):
            raise ConfigurationError("sql is a COPY, whose rows have no columns: write the SELECT of its rows.")

    def bind(self, value: Any) -> Any:
        """Refuse what no text can have."""
        if isinstance(value, str) and "\0" in value:
            raise EncodeError("PostgreSQL takes no text with a zero byte: leave it out.")
        return value

    def bind_time(self, utc: datetime) -> datetime:
        """Return a time with its zone."""
        return utc

    def estimate(self, connection: Connection, sql: str, binds: Mapping[str, Any]) -> int | None:
        """Ask the planner. A bind makes psycopg take a single statement only; psycopg2 would take several."""
        if connection.dialect.driver != "psycopg":
            return None
        with connection.begin_nested():
            asked = connection.execute(text(_ESTIMATE.format(sql=sql)), {**binds, "async_rest": True})
            return int(asked.scalar_one()[0]["Plan"]["Plan Rows"])

    def prepare_values(self, raw: Any, *, embed_json: bool, reads_again: bool) -> Fetch:
        """Let cursors load what they can."""
        driver = _driver_of(raw)
        if driver == "psycopg":
            from airflow_async_rest.databases.dialects.postgresql import psycopg_values  # noqa: PLC0415

            psycopg_values.prepare(raw, embed_json=embed_json)
        elif driver == "psycopg2":
            from airflow_async_rest.databases.dialects.postgresql import psycopg2_values  # noqa: PLC0415

            psycopg2_values.prepare(raw, embed_json=embed_json)
        return fetch_as_given

    def is_transient(self, error: BaseException) -> bool:
        """Return whether the server is down or busy, and the SQL not wrong, nor beyond its limits."""
        is_beyond = state_of(error).startswith(_LIMITS) or _TOO_MANY_BINDS in str(original_of(error))
        return super().is_transient(error) and not is_beyond and not self.is_login_refused(error)

    def is_login_refused(self, error: BaseException) -> bool:
        """Return whether the connection's user, password or database is wrong."""
        return _LOGIN_REFUSED.search(str(original_of(error))) is not None

    def is_write_refused(self, error: BaseException) -> bool:
        """Return whether a transaction, or a replica, may only be read."""
        return state_of(error) == _READ_ONLY

    def is_refusal(self, error: BaseException) -> bool:
        """Return whether it refuses a row."""
        return super().is_refusal(error) or state_of(error).startswith(_REFUSALS) or _is_against_policy(error)

    def is_forbidden(self, error: BaseException) -> bool:
        """Return whether the user may not do something."""
        return state_of(error) == _FORBIDDEN and not _is_against_policy(error)

    def is_wrong(self, error: BaseException) -> bool:
        """Return whether a load need not be tried again."""
        return self.is_write_refused(error) or state_of(error) == _WRONG_OBJECT or super().is_wrong(error)

    def encoding_advice(self, error: BaseException) -> str:
        """Say which encoding to name."""
        state = state_of(error)
        if state == _NOT_IN_THAT_ENCODING:
            return 'write {"client_encoding": "UTF8"} into the connection\'s extra'
        if "0x00" in str(error):  # which no text can have, whatever it consists of
            return ""
        if state != _NO_SUCH_CHARACTER and not isinstance(error, UnicodeDecodeError):
            return ""
        return 'name the encoding of the texts in the connection\'s extra, such as {"client_encoding": "LATIN1"}'

    def columns_of(self, connection: Connection, table: str, schema: str | None) -> Sequence[Any] | None:
        """Describe a table's columns by one short query."""
        return catalogue.columns_of(connection, table, schema)

    def kind_of(self, type_: Any) -> Kind:
        """Return the kind of a column's type: of a domain, that of the type below it."""
        while isinstance(type_, DOMAIN):
            type_ = type_.data_type
        if isinstance(type_, types.Time):
            return Kind.ZONED_TIME_OF_DAY if type_.timezone else Kind.TIME_OF_DAY
        if isinstance(type_, TSRANGE | TSTZRANGE):
            return Kind.NAIVE_RANGE if isinstance(type_, TSRANGE) else Kind.ZONED_RANGE
        return super().kind_of(type_)

    def unique_keys(self, inspector: Any, table: str, schema: str | None) -> Mapping[frozenset[str], bool]:
        """Find the columns by which a table's rows are unique, by one short query."""
        found = catalogue.unique_keys(inspector.bind, table, schema)
        return super().unique_keys(inspector, table, schema) if found is None else found

    def stage(
        self, connection: Connection, into: str, columns: Sequence[Column], batches: Batches, *, are_whole: bool
    ) -> list[tuple[int, str]]:
        """Copy rows: the server reads some while the next ones are written."""
        texts = (
            copy_text(
                [
                    (column.kind, fitted(column, values) if column.staged_as else values)
                    for column, values in zip(columns, batch, strict=True)
                ]
            )
            for batch in batches
        )
        statement = without_marks(f"COPY {into} FROM STDIN WITH (ENCODING 'UTF8')")
        raw: Any = connection.connection.dbapi_connection
        with raw.cursor() as cursor:
            if hasattr(cursor, "copy"):
                with cursor.copy(statement) as copy:
                    for text_of_some in texts:
                        copy.write(text_of_some)
            else:  # psycopg2
                import io  # noqa: PLC0415  (only there)

                cursor.copy_expert(statement, io.BytesIO(b"".join(texts)))
        return []

    def lock_table(self, connection: Connection, table: str, *, is_shared: bool) -> None:
        """Take an advisory lock."""
        connection.exec_driver_sql(_SEE_WHAT_IS_COMMITTED)
        statement = text(_ADVISORY.format(shared="_shared" if is_shared else ""))
        connection.execute(statement, {"table": without_marks(table)})


def _driver_of(raw: Any) -> str:
    return type(raw).__module__.partition(".")[0]


def _is_against_policy(error: BaseException) -> bool:
    """Return whether row-level security refuses a row."""
    return getattr(getattr(original_of(error), "diag", None), "source_function", None) == _FINDS_ROWS_WRONG
