"""What each database needs beyond what SQLAlchemy knows of it: its binds, its errors, its driver."""

import copy
import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from airflow_async_rest.core.encoding import json_encoder
from airflow_async_rest.core.errors import ConfigurationError, EncodeError
from airflow_async_rest.hooks.postgres_types import check_encoding

# oracledb raises the same class for these as for a wrong SQL. 54, 4021, 30006: locked; 1555: undo is gone; 1652, 4031,
# 4036: out of space or memory for now; 4061, 4068: a package was compiled anew; 12805: a server process died.
_ORACLE_BUSY = frozenset({54, 1555, 1652, 4021, 4031, 4036, 4061, 4068, 12805, 30006})
_ORACLE_CALL_TIMEOUT = "DPY-4024"


def mend_connection(connection: Any) -> Any:
    """Give Airflow's connection in the form in which its hook reads it as its author meant it.

    Oracle's hook takes the field "schema" for the service where nothing else names one, and then makes it the
    session's schema too: refused (ORA-01435), unless there is a user of that name.
    """
    if connection.conn_type != "oracle" or not (connection.host and connection.schema):
        return connection
    extra = connection.extra_dejson
    if extra.get("service_name") or extra.get("sid"):
        return connection
    mended = copy.copy(connection)
    mended.schema, mended.extra = None, json.dumps(extra | {"service_name": connection.schema})
    return mended


def prepare_engine(engine: Engine, chunk_size: int) -> None:
    """Make an engine's cursors stream well, and lose nothing of what they read."""
    if engine.dialect.name == "oracle":
        from airflow_async_rest.hooks import oracle_reading  # noqa: PLC0415  (an optional provider's driver)

        oracle_reading.prepare_engine(engine, chunk_size)


def cancel_statement(raw: Any) -> None:
    """Cancel the statement that is running on a driver's connection; from another thread."""
    for name in ("cancel_safe", "cancel", "interrupt"):
        if callable(stop := getattr(raw, name, None)):
            stop()
            return


def bind_value(value: Any, dialect: str) -> Any:
    """Give a bind in the form that a database's columns compare with.

    PostgreSQL: aware, in a session whose time zone is UTC, so that ``timestamptz``, ``timestamp`` and ``date``
    columns all compare rightly. SQLite: text, as its own functions write it. Others: naive UTC. A mapping is JSON, as
    text, whose type a database takes from what it is compared with; a sequence is a list, which is an array to some.

    :param dialect: SQLAlchemy's name of it.
    :raises ConfigurationError: when a mapping has no JSON form.
    """
    if isinstance(value, Mapping):
        try:
            return json_encoder()(value).decode()
        except EncodeError as error:
            raise ConfigurationError(f"parameters= has a dict that has no JSON form: {error}") from error
    if isinstance(value, list | tuple):
        return [bind_value(each, dialect) for each in value]
    if isinstance(value, datetime):
        utc = (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
        utc = datetime.combine(utc.date(), utc.timetz())  # a plain datetime, not pendulum's
        if dialect == "postgresql":
            return utc
        naive = utc.replace(tzinfo=None)
        return naive.isoformat(" ") if dialect == "sqlite" else naive
    if isinstance(value, date) and dialect == "sqlite":
        return value.isoformat()
    return value


def check_parameters(parameters: Any) -> dict[str, Any]:
    """Return an operator's ``parameters`` as a dict.

    :raises ConfigurationError: when they are no mapping of names; their values are not shown.
    """
    if parameters is None:
        return {}
    write = "write a dict of the binds' names and values, such as {'customer': 3} for :customer"
    if not isinstance(parameters, Mapping):
        kind = "a text" if isinstance(parameters, str) else f"a {type(parameters).__name__}"
        raise ConfigurationError(f"parameters= is {kind}: {write}; a template may stand in its values.")
    for name in parameters:
        if not isinstance(name, str) or not re.fullmatch(r"\w+", name):
            raise ConfigurationError(f"parameters= has the name {name!r}, which no bind can have: {write}.")
    return dict(parameters)


def is_transient(error: DBAPIError, dialect: str) -> bool:
    """Tell a database that is down or busy from an SQL that is wrong."""
    if dialect == "sqlite":
        return is_transient_in_sqlite(error.orig)
    if isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated:
        return True
    return dialect == "oracle" and _is_transient_in_oracle(error.orig)


def is_transient_in_sqlite(error: BaseException | None) -> bool:
    """Tell the same of an error of SQLite's own, which has one class for both."""
    return any(word in str(error) for word in ("locked", "unable to open", "interrupted"))


def _is_transient_in_oracle(error: BaseException | None) -> bool:
    details = error.args[0] if error and error.args else None
    return (
        getattr(details, "isrecoverable", False)
        or getattr(details, "full_code", None) == _ORACLE_CALL_TIMEOUT
        or getattr(details, "code", None) in _ORACLE_BUSY
    )


def with_plain_rows(raw: Any) -> Any:
    """Undo what a Postgres connection's extra ``cursor`` asks for: rows come as tuples here, whatever it says.

    :raises ConfigurationError: when it does not say what characters texts consist of.
    """
    driver = type(raw).__module__.partition(".")[0]
    if driver == "psycopg":
        from psycopg.rows import tuple_row  # noqa: PLC0415  (an optional provider's driver)

        raw.row_factory = tuple_row
        check_encoding(raw.info.parameter_status("client_encoding"))
    elif driver == "psycopg2":
        raw.cursor_factory = None
        check_encoding(raw.encoding)
    return raw
