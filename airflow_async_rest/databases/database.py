"""An Airflow connection -> its hook, and an SQLAlchemy engine whose connections are the hook's own."""

from typing import Any

from sqlalchemy.engine import Engine

from airflow_async_rest.connections.connection import find_connection
from airflow_async_rest.core.errors import ConfigurationError, StoppedError
from airflow_async_rest.databases.dialects.dialect import Dialect
from airflow_async_rest.databases.dialects.engines import PLAIN
from airflow_async_rest.databases.dialects.registry import dialect_named
from airflow_async_rest.databases.errors import message_of

_OF_NO_PROVIDER = "generic"


def database_hook(argument: str, conn_id: str) -> Any:
    """Return the hook of an SQL connection, which asks Airflow nothing any more: it may be used on any thread.

    :param argument: that names the connection, for errors.
    :raises ConfigurationError: when there is no such connection, or it is of no SQL database.
    """
    return _find(argument, conn_id)[1]


def _find(argument: str, conn_id: str) -> tuple[Dialect, Any]:
    found = find_connection(argument, conn_id)
    dialect = dialect_named(found.conn_type)
    connection = dialect.prepare_connection(found)
    try:
        hook = connection.get_hook()
    except Exception as error:
        raise ConfigurationError(
            f"{argument}={conn_id!r} is of type {connection.conn_type!r}, whose hook cannot be loaded "
            f"({error}); {_what_to_install(dialect)}."
        ) from error
    if not hasattr(hook, "get_sqlalchemy_engine"):
        raise ConfigurationError(
            f"{argument}={conn_id!r} is of type {connection.conn_type!r}, which is not an SQL database."
        )
    hook.get_connection = lambda _: connection
    return dialect, hook


def _what_to_install(dialect: Dialect) -> str:
    if dialect.name == _OF_NO_PROVIDER:
        return (
            "Airflow stores this type where the provider of the one that was asked for is missing: install that, such "
            "as airflow-provider-async-rest[sqlite] for sqlite, delete the connection, and add it with its own type"
        )
    return f"install airflow-provider-async-rest[{dialect.extra}]" if dialect.extra else "install its provider"


class Database:
    """What a connection leads to: made once, and handed on.

    :param argument: that names the connection, for errors.
    :raises ConfigurationError: when the connection is wrong, or of no SQL database. Nothing is connected yet.
    :ivar engine: its connections are the hook's own.
    :ivar dialect: all that is known of the database.
    """

    def __init__(self, argument: str, conn_id: str) -> None:
        self._place = f"{argument}={conn_id!r}"
        self.dialect, self._hook = _find(argument, conn_id)
        self.engine: Engine = self.dialect.engine(self._hook, self._connect)
        if self.engine.dialect.name not in {self.dialect.name, PLAIN}:
            self.dialect = dialect_named(self.engine.dialect.name)
        self.dialect.prepare_engine(self.engine)

    def _connect(self) -> Any:
        try:
            raw = self.dialect.connect(self._hook)
        except ConfigurationError as error:
            raise ConfigurationError(f"{self._place}: {error}") from error.__cause__
        except Exception as error:
            says = message_of(error).rstrip(".")
            if self.dialect.is_login_refused(error):
                raise ConfigurationError(
                    f"{self._place}: the database does not let the connection's user in; it says: {says}. "
                    "Correct the connection's login, password or schema."
                ) from error
            if self.dialect.is_transient(error):
                raise StoppedError(f"{self._place}: the database is not reached: {says}") from error
            raise
        try:
            self.dialect.prepare_raw(raw)
        except ConfigurationError:
            raw.close()
            raise
        return raw

    @property
    def can_be_loaded(self) -> bool:
        """Whether rows can be loaded into it."""
        return self.dialect.is_tried and self.engine.dialect.name == self.dialect.name

    @property
    def file(self) -> str | None:
        """The path of the file that it is; None where it is no file."""
        return self.dialect.file_of(self.engine)
