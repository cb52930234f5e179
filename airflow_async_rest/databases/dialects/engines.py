"""SQLAlchemy engines whose connections are an Airflow hook's own."""

import contextlib
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from airflow_async_rest.compat.sqlalchemy import ENGINE_OPTIONS, Engine, create_engine
from airflow_async_rest.core.encoding.chunk_sizes import FEW_ROWS
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.databases.errors import is_of_driver

# The name of what an engine speaks where SQLAlchemy has no dialect for a hook's connections.
PLAIN = "default"


def hook_engine(hook: Any, connect: Callable[[], Any]) -> Engine:
    """Make an engine by a hook; one of plain DB-API where SQLAlchemy has no dialect for its connections.

    :param connect: makes a connection.
    :raises ConfigurationError: when the connection is wrong.
    """
    options = {"creator": connect, "poolclass": NullPool, **ENGINE_OPTIONS}
    try:
        engine: Engine = hook.get_sqlalchemy_engine(engine_kwargs=options)
    except (NoSuchModuleError, ArgumentError, NotImplementedError, ImportError):
        return _plain_engine(hook, connect)
    except ValueError:
        # A password with special characters can spoil the hook's URL; all we need of it is the dialect.
        engine = create_engine(_dialect_url(hook), creator=connect, poolclass=NullPool)
    return engine


def _dialect_url(hook: Any) -> str:
    try:
        return re.sub(r"://.*", "://", hook.get_uri())
    except ValueError as error:  # as Oracle's hook, given both a sid and a service name
        raise ConfigurationError(f"the SQL connection is wrong: {error}") from error


class _DriverErrors(type):
    """What any driver raises is an instance: which one it is shows when it has connected."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Exception) and is_of_driver(instance)


class _DriverError(Exception, metaclass=_DriverErrors):
    """The base class of all drivers' errors."""


class _PlainDialect(DefaultDialect):
    """No more than DB-API says; and less than that: not every connection can roll back."""

    name = PLAIN
    supports_statement_cache = True

    def do_rollback(self, dbapi_connection: Any) -> None:
        with contextlib.suppress(Exception):
            dbapi_connection.rollback()

    def do_execute(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        with contextlib.suppress(AttributeError):  # which not every cursor has
            cursor.arraysize = FEW_ROWS
        cursor.execute(statement, parameters)


def _plain_engine(hook: Any, connect: Callable[[], Any]) -> Engine:
    paramstyle: Any = "qmark" if getattr(hook, "placeholder", "%s") == "?" else "format"
    driver: Any = SimpleNamespace(Error=_DriverError, paramstyle=paramstyle)
    dialect = _PlainDialect(paramstyle=paramstyle, dbapi=driver)
    return Engine(NullPool(connect, dialect=dialect), dialect, URL.create(PLAIN))


def begin_with(engine: Engine, begin: Callable[[Any], None]) -> None:
    """Let each transaction of an engine begin with a function of the driver's connection.

    Not by SQLAlchemy's event of that name, where its dialect can be told: when the event raises, because a file is
    locked, the connection is never again in a transaction, and commits each statement.
    """
    if hasattr(engine.dialect, "do_begin"):
        engine.dialect.do_begin = begin  # type: ignore[assignment, method-assign]
    else:
        event.listen(engine, "begin", lambda connection: begin(connection.connection.dbapi_connection))
