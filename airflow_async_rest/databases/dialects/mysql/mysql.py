"""MySQL and MariaDB."""

import contextlib
import copy
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy.dialects.mysql import BIT
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from airflow_async_rest.compat.sqlalchemy import create_engine
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.databases.dialects.dialect import Batches, Dialect, Upsert
from airflow_async_rest.databases.dialects.mysql import catalogue, cells, errors, session
from airflow_async_rest.databases.dialects.mysql.values import LOADED, checked
from airflow_async_rest.databases.errors import code_of, message_of
from airflow_async_rest.databases.names import quoted, without_marks
from airflow_async_rest.databases.quotes import Quotes
from airflow_async_rest.databases.values.columns import Column, Kind
from airflow_async_rest.databases.values.row_values import Fetch

log = logging.getLogger(__name__)

_CLIENT = "mysqlclient"
_NOT_ASKED_FOR = (
    """the connection's extra has no "local_infile": true, which is faster, and for servers to be trusted"""
)
# They commit, or may.
_NO_ROWS = re.compile(
    r"(?:[\s(]|/\*M?!\d*)*(CREATE|DROP|ALTER|TRUNCATE|RENAME|GRANT|REVOKE|BEGIN|COMMIT|ROLLBACK|START|LOCK|UNLOCK|SET|FLUSH|RESET"
    r"|PREPARE|EXECUTE|INSTALL|UNINSTALL|OPTIMIZE|REPAIR|CHECK|CACHE|XA|(?:ANALYZE|ANALYSE)\s+(?:(?:LOCAL|NO_WRITE_TO_BINLOG)\s+)?TABLES?)\b",
    re.IGNORECASE,
)
# It takes "5--1" for a sum.
_QUOTES = Quotes(backslashes=True, dollars=False, line_comment=r"\#[^\n]*|--(?=\s|\Z)[^\n]*", runs_comments=True)


class MySQL(Dialect):
    """MySQL, or MariaDB: which of them it is, only the server says.

    Times are without a zone there; those of a TIMESTAMP are in the session's, which is UTC.
    """

    name = "mysql"
    is_tried = True
    extra = "mysql"
    utc_in_session = "SET time_zone = '+00:00'"
    begin_read_only = "START TRANSACTION READ ONLY"
    begin_to_write = "START TRANSACTION READ WRITE"  # the session may commit each statement by itself
    # A CALL may commit, and nobody says so.
    mark_beginning = "SAVEPOINT async_rest_beginning"
    find_beginning = "RELEASE SAVEPOINT async_rest_beginning"
    quotes = _QUOTES
    ends_at_semicolon = True
    empty_in = ("(NULL) IS TRUE", "(NULL) IS NULL")
    has_any_type = False
    upsert = Upsert.UPDATE_JOIN
    converters = LOADED
    null_refused = "NULL in a TIMESTAMP that is NOT NULL would become the time that it is"
    # A TEXT, and not a VARCHAR of 4,000 characters: all of those of a table may have 65,535 bytes.
    sets_type = "TEXT CHARACTER SET ascii"
    create_index = ""
    explains = True

    def __init__(self) -> None:
        self._connect: Callable[[], Any] | None = None
        self._author_quotes: Quotes | None = None
        self._loads = False
        self._may_read_files = self._has_told = False
        self._variables: Mapping[str, str] = {}

    def prepare_connection(self, connection: Any) -> Any:
        """Refuse other drivers: what they do with millions of rows, with refused rows and with kills was never tried.

        :raises ConfigurationError: then.
        """
        extra = connection.extra_dejson
        if (client := extra.get("client", _CLIENT)) != _CLIENT:
            raise ConfigurationError(
                f'the connection {connection.conn_id!r} has "client": {client!r} in its extra: leave that out, and '
                "install mysqlclient (airflow-provider-async-rest[mysql]), which streams rows and loads many at once."
            )
        # As people write it there, who know it from the hook, where it is an argument.
        self._may_read_files = str(extra.get("local_infile", "")).lower() in {"1", "true"}
        prepared = copy.copy(connection)
        prepared.extra = json.dumps({**extra, "ssl": None, "ssl_mode": None} | session.tls(extra))
        return prepared

    def engine(self, hook: Any, connect: Callable[[], Any]) -> Engine:
        """Make an engine: not by the hook's URL, in which its extras are."""
        self._connect = connect
        return create_engine("mysql+mysqldb://", creator=connect, poolclass=NullPool)

    def connect(self, hook: Any) -> Any:
        """Connect with what the hook says, and what it does not."""
        from airflow_async_rest.databases.dialects.mysql.driver import connect  # noqa: PLC0415  (its driver)

        return connect(hook, local_infile=self._loads and self._may_read_files)

    def prepare_raw(self, raw: Any) -> None:
        """Set the session's modes and limits."""
        raw.kill = partial(self.cancel, raw)
        with contextlib.closing(raw.cursor()) as cursor:
            cursor.execute(session.ASK)
            self._variables = dict(cursor.fetchall())
            for statement in session.statements(self._variables, loads=self._loads):
                cursor.execute(statement)

    def prepare_to_load(self, engine: Engine) -> None:
        """Let sessions begin as a load needs them: strict, each statement seeing what others have committed."""
        self._loads = True

    @contextlib.contextmanager
    def query_only(self, connection: Connection) -> Iterator[None]:
        """Let all transactions of a session change nothing: DROP TABLE ends ours first, and so may a procedure."""
        with contextlib.suppress(DBAPIError):  # a server of old does not know it
            connection.exec_driver_sql("SET SESSION TRANSACTION READ ONLY").close()
        yield

    def check_query(self, bare: str) -> None:
        """Refuse what has no rows, and cannot be undone when that is noticed."""
        if found := _NO_ROWS.match(bare):
            raise ConfigurationError(
                f"sql is a {found[1].upper()}, which commits by itself, or returns no rows: write a SELECT."
            )

    def ended_transaction(self, error: BaseException) -> bool:
        """Return whether the savepoint is not there that a transaction began with."""
        return errors.is_after_deadlock(code_of(error) or 0, message_of(error))

    def quotes_in(self, sql: str) -> Quotes:
        """Return how quotes are written by the session's modes; asked only where that makes a difference."""
        if "\\" not in sql or self._connect is None:
            return self.quotes
        if self._author_quotes is None:
            self._connect().close()
            modes = self._variables.get("sql_mode", "").split(",")
            are_names, are_plain = "ANSI_QUOTES" in modes, "NO_BACKSLASH_ESCAPES" in modes
            self._author_quotes = _QUOTES._replace(backslashes=not are_plain, names_in_double=are_names)
        return self._author_quotes

    def cancel(self, raw: Any) -> None:
        """End the statement that is running, by another connection: this one is busy."""
        if raw is None or self._connect is None:
            return
        from airflow_async_rest.databases.dialects.mysql.driver import kill  # noqa: PLC0415  (its driver)

        kill(raw, self._connect)

    def prepare_values(self, raw: Any, *, embed_json: bool, reads_again: bool) -> Fetch:
        """Let cursors load JSON."""
        from airflow_async_rest.databases.dialects.mysql.reading import prepare  # noqa: PLC0415  (its driver)

        return prepare(raw, embed_json=embed_json, ask=self._ask)

    def _ask(self, query: str) -> list[tuple[Any, ...]]:
        if self._connect is None:
            return []
        with contextlib.closing(self._connect()) as other, contextlib.closing(other.cursor()) as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def is_transient(self, error: BaseException) -> bool:
        """Return whether the server is down or busy, and the SQL not wrong."""
        code = code_of(error)
        if code is None:
            return super().is_transient(error)
        return errors.passes_by_itself(code) or errors.is_after_deadlock(code, message_of(error))

    def is_login_refused(self, error: BaseException) -> bool:
        """Return whether the connection says something wrong."""
        return code_of(error) in errors.LOGIN_REFUSED

    def is_write_refused(self, error: BaseException) -> bool:
        """Return whether it refuses to change something because it was told to."""
        return code_of(error) in errors.READ_ONLY

    def is_refusal(self, error: BaseException) -> bool:
        """Return whether it refuses a row."""
        return super().is_refusal(error) or errors.refuses_a_row(code_of(error))

    def is_forbidden(self, error: BaseException) -> bool:
        """Return whether it says that the user may not do something."""
        return code_of(error) in errors.FORBIDDEN

    def is_wrong(self, error: BaseException) -> bool:
        """Return whether a load need not be tried again."""
        return code_of(error) is not None and not self.is_transient(error) and not self.is_refusal(error)

    def columns_of(self, connection: Connection, table: str, schema: str | None) -> Sequence[Any]:
        """Describe a table's columns, with types that may be NULL, and that only statements of ours change."""
        return catalogue.columns_of(connection, table, schema)

    def create_staging(self, table: str, source: str, ours: Mapping[str, str], columns: Mapping[str, str]) -> str:
        """Write the statement that makes a staging table, whose key is the rows' places."""
        place = next(iter(ours))
        types = {**ours, place: f"{ours[place]} NOT NULL PRIMARY KEY"}
        types |= {name: f"{type_} NULL DEFAULT NULL" for name, type_ in columns.items()}
        return f"CREATE TABLE {table} ({', '.join(f'{name} {type_}' for name, type_ in types.items())})"

    def grant_of_tables(self, schema: str | None) -> str:
        """Say what the user needs to make tables, and to remove them."""
        return f"GRANT CREATE, DROP, ALTER, INDEX, SELECT, INSERT, UPDATE, DELETE ON {schema}.*"

    def stage(
        self, connection: Connection, into: str, columns: Sequence[Column], batches: Batches, *, are_whole: bool
    ) -> list[tuple[int, str]]:
        """Let the server read a file of the rows, where that is allowed; else insert many at once."""
        from airflow_async_rest.databases.dialects.mysql import bulk  # noqa: PLC0415  (its driver)

        raw: Any = connection.connection.dbapi_connection
        batches = list(batches)
        # Of one row, an INSERT says which value it refuses.
        if self._loads_by_files() and (len(batches) > 1 or len(batches[0][0]) > 1):
            names = [quoted(column.name, connection.dialect) for column in columns]
            table = into.removesuffix(f" ({', '.join(names)})")
            try:
                rows = self._written(cells.FILE, columns, batches)
                bulk.load_data(raw, without_marks(table), [*map(without_marks, names)], columns, rows)
            except Exception as error:
                if code_of(error) not in errors.NO_LOCAL_FILES:
                    raise
                self._may_read_files = False
                log.info("Rows are staged by INSERTs: LOAD DATA LOCAL is refused: %s", message_of(error))
            else:
                return []
        rows = self._written(cells.SQL, columns, batches)
        bulk.insert(raw, without_marks(into), rows, int(self._variables["max_allowed_packet"]))
        return []

    def _loads_by_files(self) -> bool:
        """Return whether the server may read files of rows; say once why, or why not."""
        is_on = self._variables.get("local_infile") == "ON"
        if not self._has_told:
            self._has_told = True
            why = "the server has local_infile=OFF" if self._may_read_files else _NOT_ASKED_FOR
            by = "LOAD DATA LOCAL" if self._may_read_files and is_on else f"INSERTs: {why}"
            log.info("Rows are staged by %s", by)
        return self._may_read_files and is_on

    def _written(
        self, form: cells.Form, columns: Sequence[Column], batches: Batches
    ) -> Iterator[Iterator[tuple[str, ...]]]:
        converters = [checked(column, self.converter(column.kind)) for column in columns]
        return (cells.rows(form, columns, batch, converters) for batch in batches)

    def kind_of(self, type_: Any) -> Kind:
        """Return the kind of a column's type: bits are a whole number."""
        return Kind.INTEGER if isinstance(type_, BIT) else super().kind_of(type_)

    def joined(self, texts: Sequence[str]) -> str:
        """Write texts one after the other."""
        return f"CONCAT({', '.join(texts)})"


class MariaDB(MySQL):
    """MariaDB."""

    name = "mariadb"
