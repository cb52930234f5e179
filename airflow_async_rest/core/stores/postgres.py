"""A table of this package in PostgreSQL: sessions with it, and what their errors mean."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from airflow_async_rest.core.bounds import USUAL, Bounds
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.stores.address import StoreAddress, StoreAwayError

# Of errors that no waiting helps against, those that have no class of their own.
_FOR_GOOD = ("pooling mode", "rejected SSL upgrade", "certificate verify failed", "PEM lib", "no certificate or crl")


@dataclass(frozen=True)
class PostgresTable:
    """A table that is made where it is missing.

    :param create: the statement that makes it.
    """

    address: StoreAddress
    name: str
    create: str
    bounds: Bounds = USUAL

    async def connect(self, *, keeps_session: bool) -> Any:
        """Open a session. Use it within :meth:`translated`.

        :param keeps_session: false behind a pooler that does not: see :func:`together`.
        """
        address = self.address
        connection = await asyncpg_for(address).connect(
            host=address.host,
            port=address.port or 5432,
            user=address.user,
            password=address.password,
            database=address.database,
            timeout=self.bounds.store_answer_seconds,
            statement_cache_size=100 if keeps_session else 0,
            **address.options,
        )
        try:
            async with together(connection, keeps_session=keeps_session):
                is_there = await connection.fetchval("SELECT to_regclass($1)", self.name) is not None
            if not is_there:
                await self._create(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def close(self, connection: Any) -> None:
        """End a session, as well as that goes."""
        with contextlib.suppress(Exception):
            await connection.close(timeout=self.bounds.store_close_seconds)

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Raise errors of the client as what they mean.

        :raises ConfigurationError: when it will never work like this; says what to do.
        :raises StoreAwayError: when there is no answer for now.
        """
        asyncpg = asyncpg_for(self.address)
        for_good = (
            asyncpg.InvalidAuthorizationSpecificationError,  # and wrong passwords
            asyncpg.InvalidCatalogNameError,
            asyncpg.ClientConfigurationError,
            asyncpg.ProtocolViolationError,  # of a pooler that has no transactions
            asyncpg.UndefinedColumnError,  # the table is another one's
            asyncpg.DatatypeMismatchError,
        )
        try:
            yield
        except asyncpg.InsufficientPrivilegeError as error:
            raise self._denied(f"may not use the table {self.name} ({error})", "let its owner allow that") from None
        except for_good as error:
            raise self._never(error) from None
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            is_no_file = isinstance(error, FileNotFoundError) and not self.address.host.startswith(
                "/"
            )  # not its socket
            if is_no_file or any(mark in str(error) for mark in _FOR_GOOD):
                raise self._never(error) from None
            raise StoreAwayError(self.address.describe(error)) from None

    def _never(self, error: BaseException) -> ConfigurationError:
        return ConfigurationError(
            f"rate_limit_conn_id={self.address.conn_id!r}: {self.address.describe(error)}: correct that connection's "
            "fields, or the files of certificates that its extra names; a pooler may keep sessions, or transactions, "
            f"but not single statements, and a table {self.name} of somebody else's cannot be used."
        )

    async def _create(self, connection: Any) -> None:
        asyncpg = asyncpg_for(self.address)
        try:
            await connection.execute(self.create)
        except (asyncpg.UniqueViolationError, asyncpg.DuplicateTableError, asyncpg.DuplicateObjectError):
            pass  # another task was a little faster; the last one is said of the type of the table's rows
        except (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidSchemaNameError) as error:
            raise self._denied(f"may not create the table {self.name} ({error})", "create it") from None

    def _denied(self, what: str, advice: str) -> ConfigurationError:
        address = self.address
        return ConfigurationError(
            f"rate_limit_conn_id={address.conn_id!r}: user {address.user!r} {what}: {advice}, with SELECT, INSERT and "
            f"UPDATE on it for the user. To create it by hand: {self.create}"
        )


def together(connection: Any, *, keeps_session: bool) -> contextlib.AbstractAsyncContextManager[Any]:
    """Return what holds statements together where a pooler changes sessions between transactions."""
    return contextlib.nullcontext() if keeps_session else connection.transaction(isolation="read_committed")


def asyncpg_for(address: StoreAddress) -> Any:
    """Return the client. :raises ConfigurationError: when it is not installed."""
    try:
        import asyncpg  # noqa: PLC0415  (only who shares something needs it)
    except ImportError as error:
        raise ConfigurationError(
            f"rate_limit_conn_id={address.conn_id!r} is a PostgreSQL, and its client asyncpg is not installed: install "
            "airflow-provider-async-rest[postgres]."
        ) from error
    return asyncpg
