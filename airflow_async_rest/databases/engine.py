"""An Airflow connection -> its hook, and an SQLAlchemy engine whose connections are the hook's own."""

import os
import re
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.engine import Engine
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from airflow_async_rest.connections.connection import find_connection
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.databases.dialects import prepare_connection, with_plain_rows


def database_hook(argument: str, conn_id: str) -> Any:
    """Return the hook of an SQL connection, which asks Airflow nothing any more: it may be used on any thread.

    :param argument: that names the connection, for errors.
    :raises ConfigurationError: when there is no such connection, or it is of no SQL database.
    """
    connection = prepare_connection(find_connection(argument, conn_id))
    try:
        hook = connection.get_hook()
    except Exception as error:
        raise ConfigurationError(
            f"{argument}={conn_id!r} is of type {connection.conn_type!r}, whose hook cannot be loaded "
            f"({error}); install its provider, such as airflow-provider-async-rest[postgres]."
        ) from error
    if not hasattr(hook, "get_sqlalchemy_engine"):
        raise ConfigurationError(
            f"{argument}={conn_id!r} is of type {connection.conn_type!r}, which is not an SQL database."
        )
    hook.get_connection = lambda _: connection
    return hook


def hook_engine(hook: Any) -> Engine | None:
    """Make an engine whose connections are the hook's own; None where SQLAlchemy has no dialect for them.

    :raises ConfigurationError: when the connection is wrong.
    """

    def connect() -> Any:
        raw = hook.get_conn()
        try:
            return with_plain_rows(raw)
        except ConfigurationError:
            raw.close()
            raise

    try:
        engine: Engine = hook.get_sqlalchemy_engine(engine_kwargs={"creator": connect, "poolclass": NullPool})
    except (NoSuchModuleError, ArgumentError, NotImplementedError, ImportError):
        return None
    except ValueError:
        # A password with special characters can spoil the hook's URL; all we need of it is the dialect.
        engine = create_engine(_dialect_url(hook), creator=connect, poolclass=NullPool)
    return engine


def sqlite_file(engine: Engine | None) -> str | None:
    """Return the path of an SQLite database; None for another database, or one that is in no file."""
    if engine is None or engine.dialect.name != "sqlite" or not engine.url.database:
        return None
    return os.path.realpath(engine.url.database.removeprefix("file:").partition("?")[0])


def _dialect_url(hook: Any) -> str:
    try:
        return re.sub(r"://.*", "://", hook.get_uri())
    except ValueError as error:  # as Oracle's hook, given both a sid and a service name
        raise ConfigurationError(f"the SQL connection is wrong: {error}") from error
