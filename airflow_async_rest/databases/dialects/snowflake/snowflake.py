"""Snowflake, by its own connector."""

import contextlib
import copy
import io
import json
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection, Engine

from airflow_async_rest.compat.sqlalchemy import QueryResult
from airflow_async_rest.core.errors import ConfigurationError, EncodeError
from airflow_async_rest.databases.dialects.dialect import Batches, Dialect, Upsert
from airflow_async_rest.databases.dialects.snowflake import engine as engines
from airflow_async_rest.databases.errors import classes_of, original_of, state_of
from airflow_async_rest.databases.names import without_marks
from airflow_async_rest.databases.quotes import Quotes
from airflow_async_rest.databases.values.columns import Column, Kind
from airflow_async_rest.databases.values.json_values import json_reader
from airflow_async_rest.databases.values.row_values import Fetch, Rows, fetch_as_given

# Each session has these; of the others, what the connection's extra says.
_SESSION = {
    "TIMEZONE": "UTC",
    "AUTOCOMMIT": False,
    "MULTI_STATEMENT_COUNT": 1,
    "STRICT_JSON_OUTPUT": True,  # else what is undefined is written so, which is no JSON
    "TIMESTAMP_INPUT_FORMAT": "AUTO",
    "DATE_INPUT_FORMAT": "AUTO",
    "TIME_INPUT_FORMAT": "AUTO",
}
# While an API takes its time, the session is idle.
_UNLESS_SAID = {"CLIENT_SESSION_KEEP_ALIVE": True, "QUERY_TAG": "airflow-async-rest"}

# The connector's classes for a server that does not answer, or not now.
_AWAY = frozenset(
    {"OperationalError", "InternalError", "InternalServerError", "ServiceUnavailableError", "GatewayTimeoutError"}
) | {
    "BadGatewayError",
    "TooManyRequests",
    "RequestTimeoutError",
    "OtherHTTPRetryableError",
    "RequestExceedMaxRetryError",
}
# Of these and what the server says, it raises one class. 603: an internal error; 604: canceled; 606, 608: no warehouse
# runs, or not now; 625: locked for too long, or by too many; 630: the statement's time is up; 90073: no credits until
# a resource monitor gives some; 390108 to 390114: the session, or its token, has ended.
_LATER = frozenset({603, 604, 606, 608, 625, 630, 90073, 390108, 390111, 390112, 390114})
_DATA = range(100_000, 101_000)
_FORBIDDEN, _FORBIDDEN_STATE = 3001, "42501"
_NOT_LET_IN = frozenset({"08001", "28000"})

# By which the connector tells columns that are JSON: VARIANT, OBJECT, ARRAY, MAP.
_JSON_CODES = frozenset({5, 9, 10, 17})
_STAGE = "async_rest_files"
_INTO = re.compile(r'\s*(?P<schema>(?:(?:"(?:[^"]|"")*"|[\w$]+)\.)*)(?:"(?:[^"]|"")*"|[\w$]+)\s*\(')


class Snowflake(Dialect):
    """Snowflake.

    Sessions are in UTC from their beginning. There are no savepoints: a statement that fails undoes itself, and leaves
    the transaction as it was. What makes or drops a table commits.
    """

    name = engines.NAME
    is_tried = True
    extra = "snowflake"
    has_savepoints = False
    reads_by_select_only = True
    quotes = Quotes(backslashes=True, backticks=False, line_comment=r"(?:--|//)[^\n]*")
    ends_at_semicolon = True
    has_any_type = False
    upsert = Upsert.MERGE
    loads_views = False
    # Four statements each time, of some tenths of a second: so there are few large files. Ten times as many rows wait
    # at most, within the same 40 MB; of five columns, 500,000 took 195 MB at their peak, where they take 82 by 1,000.
    chunk_rows = 10_000
    staging_table = "TRANSIENT TABLE"
    staged_column = "CAST(NULL AS {type})"  # which may be NULL, whatever the column is
    prepare_staging = "CREATE TEMPORARY STAGE IF NOT EXISTS {schema}" + _STAGE
    place_type = "NUMBER(19)"
    sets_type = "VARCHAR"
    create_index = ""
    null_refused = "NULL in a column that is NOT NULL"

    def prepare_connection(self, connection: Any) -> Any:
        """Return Airflow's connection with what every session has."""
        extra = connection.extra_dejson
        given = extra.get("session_parameters") or {}
        if not isinstance(given, dict):
            raise ConfigurationError(
                "the SQL connection's extra has session_parameters that are no object: write "
                '{"session_parameters": {"QUERY_TAG": "airflow"}}, or leave them out.'
            )
        prepared, session = copy.copy(connection), _UNLESS_SAID | given | _SESSION
        prepared.extra = json.dumps(extra | {"session_parameters": session})
        return prepared

    def engine(self, hook: Any, connect: Callable[[], Any]) -> Engine:
        """Make an engine, without the SQLAlchemy dialect that the hook needs for one."""
        del hook
        return engines.snowflake_engine(connect)

    def prepare_raw(self, raw: Any) -> None:
        """Let the server place binds, with their types; the connector would write them into the text."""
        raw._paramstyle = "qmark"  # noqa: SLF001  (the hook has no way to say it; a test looks at it)

    def bind(self, value: Any) -> Any:
        """Return what the connector takes."""
        if isinstance(value, UUID):
            return str(value)
        return value.total_seconds() if isinstance(value, timedelta) else value

    def cancel(self, raw: Any) -> None:
        """Cancel what a session runs, by another statement of it."""
        if raw is not None:
            with contextlib.closing(raw.cursor()) as cursor:
                cursor.execute("SELECT SYSTEM$CANCEL_ALL_QUERIES(?)", [raw.session_id])

    def prepare_values(self, raw: Any, *, embed_json: bool, reads_again: bool) -> Fetch:
        """Return how rows are fetched: of columns of JSON the connector gives texts."""
        del raw, reads_again
        read, places = json_reader(embed=embed_json), list[int]()

        def fetch(result: QueryResult, count: int) -> Rows:
            if result.cursor is not None and not places:
                places.extend(n for n, column in enumerate(result.cursor.description) if column[1] in _JSON_CODES)
            rows = fetch_as_given(result, count)
            return [_read(row, places, read) for row in rows] if places else rows

        return fetch

    def is_transient(self, error: BaseException) -> bool:
        """Return whether Snowflake is away or busy, and the SQL not wrong."""
        if getattr(error, "connection_invalidated", False) or isinstance(original_of(error), OSError):
            return True
        return number_of(error) in _LATER or not classes_of(error).isdisjoint(_AWAY)

    def is_refusal(self, error: BaseException) -> bool:
        """Return whether it refuses a row."""
        return super().is_refusal(error) or number_of(error) in _DATA

    def is_forbidden(self, error: BaseException) -> bool:
        """Return whether the session's role may not do something."""
        return number_of(error) == _FORBIDDEN or state_of(error) == _FORBIDDEN_STATE

    def is_login_refused(self, error: BaseException) -> bool:
        """Return whether nobody is let in with that."""
        return state_of(error) in _NOT_LET_IN and not self.is_transient(error)

    def columns_of(self, connection: Connection, table: str, schema: str | None) -> Sequence[Any] | None:
        """Describe a table's columns: none where there is no table."""
        dialect: Any = connection.dialect
        return list(dialect.find_columns(connection, table, schema))

    def has_default(self, described: Mapping[str, Any], kind: Kind) -> bool:
        """Return whether a column has a default, or counts by itself."""
        del kind
        return described.get("default") is not None

    def grant_of_tables(self, schema: str | None) -> str:
        """Say what the role needs to make tables."""
        return f"GRANT CREATE TABLE, CREATE STAGE ON SCHEMA {schema or 'of the connection'}"

    def stage(
        self, connection: Connection, into: str, columns: Sequence[Column], batches: Batches, *, are_whole: bool
    ) -> list[tuple[int, str]]:
        """Put rows into a file of a stage, and copy it; those that Snowflake would refuse are left out before."""
        # PyArrow comes with the provider, which is optional.
        from airflow_async_rest.databases.dialects.snowflake.files import select_columns, write_file  # noqa: PLC0415

        file = io.BytesIO()
        count, refused = write_file(file, columns, batches)
        if refused and not are_whole:
            raise EncodeError(next(iter(refused.values())))
        if count:
            file.seek(0)
            self._copy(connection, without_marks(into), select_columns(columns), file)
        return list(refused.items())

    def _copy(self, connection: Connection, into: str, selected: str, file: io.BytesIO) -> None:
        found = _INTO.match(into)
        stage = f"@{found['schema'] if found else ''}{_STAGE}"
        name = f"{uuid.uuid4().hex}.parquet"  # a file of a name that was copied before would be passed over
        raw: Any = connection.connection.dbapi_connection
        with contextlib.closing(raw.cursor()) as cursor:
            cursor.execute(
                f"PUT 'file:///{name}' {stage} AUTO_COMPRESS=FALSE SOURCE_COMPRESSION=NONE", file_stream=file
            )
            cursor.execute(
                f"COPY INTO {into} FROM (SELECT {selected} FROM {stage}/{name}) "
                "FILE_FORMAT=(TYPE=PARQUET BINARY_AS_TEXT=FALSE) PURGE=TRUE"
            )


def number_of(error: BaseException) -> int | None:
    """Return the number that Snowflake, or its connector, gives an error."""
    number = getattr(original_of(error), "errno", None)
    return number if isinstance(number, int) else None


def _read(row: tuple[Any, ...], places: Sequence[int], read: Callable[[str], Any]) -> tuple[Any, ...]:
    values = list(row)
    for place in places:
        if values[place] is not None:
            values[place] = read(values[place])
    return tuple(values)
