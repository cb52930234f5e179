"""What each database needs beyond what SQLAlchemy knows of it: its errors, its driver."""

import copy
import json
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from airflow_async_rest.databases.values.postgres_types import check_encoding

# oracledb raises the same class for these as for a wrong SQL. 54, 4021, 30006: locked; 1555: undo is gone; 1652, 4031,
# 4036: out of space or memory for now; 4061, 4068: a package was compiled again; 12805: a server process died.
_ORACLE_BUSY = frozenset({54, 1555, 1652, 4021, 4031, 4036, 4061, 4068, 12805, 30006})
_ORACLE_CALL_TIMEOUT = "DPY-4024"
# MySQL's drivers raise the same class for these as for a server that is gone: a column, table or function that does not
# exist or is ambiguous, a subquery or a GROUP BY that cannot be, a right that is not granted.
_MYSQL_WRONG = frozenset({1052, 1054, 1055, 1056, 1064, 1109, 1111, 1140, 1142, 1143, 1146, 1222, 1227, 1235, 1241}) | {
    1242, 1247, 1248, 1305, 1318, 1370, 1582, 1630
}  # fmt: skip
# And PostgreSQL's for a statement beyond its limits, and for one with more binds than its protocol has room for.
_POSTGRES_LIMITS, _POSTGRES_BINDS = "54", "number of parameters must be between"


def prepare_connection(connection: Any) -> Any:
    """Return Airflow's connection in the form in which its hook reads it as its author meant it.

    Oracle's hook takes the field "schema" for the service where nothing else names one, and then makes it the
    session's schema too: refused (ORA-01435), unless there is a user of that name.
    """
    if connection.conn_type != "oracle" or not (connection.host and connection.schema):
        return connection
    extra = connection.extra_dejson
    if extra.get("service_name") or extra.get("sid"):
        return connection
    prepared = copy.copy(connection)
    prepared.schema, prepared.extra = None, json.dumps(extra | {"service_name": connection.schema})
    return prepared


def prepare_engine(engine: Engine, chunk_size: int) -> None:
    """Make an engine's cursors stream well, and lose nothing of what they read."""
    if engine.dialect.name == "oracle":
        from airflow_async_rest.databases.values import oracle_reading  # noqa: PLC0415  (an optional provider's driver)

        oracle_reading.prepare_engine(engine, chunk_size)


def cancel_statement(raw: Any) -> None:
    """Cancel the statement that is running on a driver's connection; from another thread."""
    for name in ("cancel_safe", "cancel", "interrupt"):
        if callable(stop := getattr(raw, name, None)):
            stop()
            return


def is_transient(error: DBAPIError, dialect: str) -> bool:
    """Return whether a database is down or busy, and the SQL not wrong."""
    if dialect == "sqlite":
        return is_transient_in_sqlite(error.orig)
    if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
        if dialect in {"mysql", "mariadb"}:
            return _MYSQL_WRONG.isdisjoint(getattr(error.orig, "args", ())[:1])
        return not (dialect == "postgresql" and _is_beyond_limits(error.orig))
    return dialect == "oracle" and _is_transient_in_oracle(error.orig)


def is_transient_in_sqlite(error: BaseException | None) -> bool:
    """Tell the same of an error of SQLite, which has one class for both."""
    return any(word in str(error) for word in ("locked", "unable to open", "interrupted"))


def _is_beyond_limits(error: Any) -> bool:
    sqlstate = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or ""
    return sqlstate.startswith(_POSTGRES_LIMITS) or _POSTGRES_BINDS in str(error)


def _is_transient_in_oracle(error: BaseException | None) -> bool:
    details = error.args[0] if error and error.args else None
    return (
        getattr(details, "isrecoverable", False)
        or getattr(details, "full_code", None) == _ORACLE_CALL_TIMEOUT
        or getattr(details, "code", None) in _ORACLE_BUSY
    )


def with_plain_rows(raw: Any) -> Any:
    """Undo what a Postgres connection's extra may ask for: rows come as tuples here, in transactions of ours.

    Statements are not kept prepared: behind a pooler such as PgBouncer the next one may reach another session.

    :raises ConfigurationError: when it does not say how texts are encoded.
    """
    driver = type(raw).__module__.partition(".")[0]
    if driver == "psycopg":
        from psycopg.rows import tuple_row  # noqa: PLC0415  (an optional provider's driver)

        raw.row_factory, raw.autocommit, raw.prepare_threshold = tuple_row, False, None
        check_encoding(raw.info.parameter_status("client_encoding"))
    elif driver == "psycopg2":
        from psycopg2 import extensions, extras  # type: ignore[import-untyped]  # noqa: PLC0415

        raw.cursor_factory = None
        extensions.register_adapter(UUID, extras.UUID_adapter)  # the only type of binds that the driver has to be told
        check_encoding(raw.encoding)
    return raw
