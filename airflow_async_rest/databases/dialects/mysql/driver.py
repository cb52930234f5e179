"""mysqlclient's connections, told what an Airflow hook does not tell them."""

import contextlib
import os
import socket
from collections.abc import Callable
from typing import Any

import MySQLdb
from MySQLdb.connections import Connection
from MySQLdb.constants import CLIENT, FIELD_TYPE
from MySQLdb.converters import conversions
from MySQLdb.cursors import Cursor, SSCursor

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.databases.dialects.mysql import errors, session
from airflow_async_rest.databases.errors import code_of, message_of


class StreamingCursor(SSCursor):  # type: ignore[misc]
    """A cursor whose rows the server keeps until they are fetched."""

    _is_read = False

    def fetchone(self) -> Any:
        """Fetch a row."""
        row = super().fetchone()
        self._is_read = row is None
        return row

    def fetchmany(self, size: int | None = None) -> Any:
        """Fetch some rows."""
        rows = super().fetchmany(size)
        self._is_read = len(rows) < (size or self.arraysize)
        return rows

    def fetchall(self) -> Any:
        """Fetch all rows that are left."""
        rows = super().fetchall()
        self._is_read = True
        return rows

    def close(self) -> None:
        """End it. Rows that were not fetched are all sent first: so that these are few, the statement is ended."""
        if self.connection is not None and self._result and not self._is_read:
            self.connection.kill()
        with contextlib.suppress(MySQLdb.MySQLError):  # it was interrupted
            super().close()


class HookConnection(Connection):  # type: ignore[misc]
    """A connection of a hook's. Another thread may ask it for nothing that the driver has: it would refuse that.

    :ivar session: its number on the server.
    :ivar kill: ends the statement that is running.
    """

    kill: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.session = self.thread_id()
        self._socket = socket.socket(fileno=os.dup(self.fileno()))

    def cursor(self, cursorclass: Any = None) -> Any:
        """Return a cursor."""
        return super().cursor(StreamingCursor if cursorclass is SSCursor else cursorclass)

    def hang_up(self) -> None:
        """Break the connection off; from any thread."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it."""
        self._socket.close()
        super().close()


def connect(hook: Any, *, local_infile: bool) -> Any:
    """Connect as a hook does, by what it would tell the driver: that is private to it, and it takes nothing further.

    An UPDATE counts rows that are as they should be already, and there are no statements after the first one.

    :param local_infile: whether the server may read files that we name.
    """
    settings = hook._get_conn_config_mysql_client(hook.get_connection(hook.get_conn_id()))  # noqa: SLF001
    ours = {
        "charset": "utf8mb4",
        "use_unicode": True,
        "cursorclass": Cursor,
        "client_flag": CLIENT.FOUND_ROWS,
        "multi_statements": False,
        "binary_prefix": True,
        "conv": _conversions(),
        "local_infile": int(local_infile),
    }
    try:
        raw = HookConnection(**(settings | ours))
    except MySQLdb.OperationalError as error:
        if not errors.is_of_certificates(code_of(error), str(error)):
            raise
        raise _without_tls(message_of(error)) from error
    with contextlib.ExitStack() as unless_good:
        unless_good.callback(raw.close)
        if session.needs_tls(settings) and not _has_tls(raw):
            raise _without_tls("the server does not support it")
        unless_good.pop_all()
    return raw


def _has_tls(raw: Any) -> bool:
    """Ask: MariaDB's library connects without, when nothing is to be verified."""
    with contextlib.closing(raw.cursor()) as cursor:
        cursor.execute("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
        return any(cipher for _, cipher in cursor.fetchall())


def _without_tls(says: str) -> ConfigurationError:
    return ConfigurationError(
        f"the SQL connection's extra asks for TLS (ssl, ssl_mode), and there is none: {says.rstrip('.')}. Correct the "
        "ca there, or the server's certificate; where the server has no TLS, turn it on there, or leave these two out."
    )


def _conversions() -> dict[Any, Any]:
    times = FIELD_TYPE.DATE, FIELD_TYPE.DATETIME, FIELD_TYPE.TIMESTAMP, FIELD_TYPE.TIME
    tolerant = {type_: _or_text(conversions[type_]) for type_ in times}
    return {**conversions, **tolerant, FIELD_TYPE.BIT: lambda value: int.from_bytes(value, "big")}


def _or_text(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Keep a time that Python does not have as its text: the driver would make NULL of it."""

    def read_or_keep(value: str) -> Any:
        found = read(value)
        return value if found is None else found

    return read_or_keep


def kill(raw: HookConnection, connect_again: Callable[[], Any]) -> None:
    """End the statement that is running on a connection, by another one; if there can be none, end the connection."""
    try:
        with contextlib.closing(connect_again()) as other:
            other.query(f"KILL QUERY {raw.session}")
    except (MySQLdb.MySQLError, ConfigurationError):
        raw.hang_up()
