"""Tokens that tasks share, in PostgreSQL: a table, and an advisory lock, which ends with its transaction."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

from airflow_async_rest.core.bounds import USUAL, Bounds
from airflow_async_rest.core.stores.address import StoreAddress, StoreAwayError
from airflow_async_rest.core.stores.postgres import PostgresTable, together
from airflow_async_rest.core.stores.tokens import Kept

TABLE = "async_rest_tokens"
CREATE = (
    f"CREATE TABLE IF NOT EXISTS {TABLE} (key text PRIMARY KEY, version bigint NOT NULL, text text NOT NULL, "
    "written_at timestamptz NOT NULL, expires_at timestamptz)"
)
# Of a machine that is gone, the server should learn while others still wait for the lock.
_PATIENT = """
SET LOCAL tcp_keepalives_idle = 10; SET LOCAL tcp_keepalives_interval = 5; SET LOCAL tcp_keepalives_count = 3;
SET LOCAL idle_in_transaction_session_timeout = 0
"""
_LOCK = "SELECT pg_advisory_xact_lock($1)"
# What may be read, and not written, is found out before anybody asks for what has to be written; a column that is not
# there, too.
_TOUCH = f"""
INSERT INTO {TABLE} AS kept (key, version, text, written_at, expires_at) VALUES ($1, 0, '', clock_timestamp(), NULL)
ON CONFLICT (key) DO UPDATE SET key = excluded.key
"""  # noqa: S608
_READ = f"""
SELECT text, version, extract(epoch FROM clock_timestamp() - written_at)::float8 FROM {TABLE} WHERE key = $1
"""  # noqa: S608
# A database may leave commits to the next moment: a token that its crash loses cannot be had again.
_DURABLY = """
SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'
"""
_WRITE = f"""
INSERT INTO {TABLE} AS kept (key, version, text, written_at, expires_at)
VALUES ($1, $3::bigint + 1, $2, clock_timestamp(), clock_timestamp() + make_interval(secs => $4::float8))
ON CONFLICT (key) DO UPDATE SET version = excluded.version, text = excluded.text, written_at = excluded.written_at,
  expires_at = excluded.expires_at
WHERE kept.version = $3 OR kept.text = excluded.text
RETURNING version
"""  # noqa: S608
_MAY_DELETE = f"SELECT has_table_privilege('{TABLE}', 'DELETE')"
# In a transaction of its own: who holds a row, and waits for another, would be waited for.
_DELETE = f"""
DELETE FROM {TABLE} WHERE key IN (
  SELECT key FROM {TABLE} WHERE expires_at < clock_timestamp() FOR UPDATE SKIP LOCKED
)
"""  # noqa: S608


class PostgresTokens:
    """Tokens in PostgreSQL; a :class:`~airflow_async_rest.core.stores.tokens.TokenStore`."""

    def __init__(self, address: StoreAddress, bounds: Bounds = USUAL) -> None:
        self._address, self._bounds = address, replace(bounds, store_answer_seconds=bounds.token_answer_seconds)
        self._table = PostgresTable(address, TABLE, CREATE, self._bounds)
        self._holding: dict[str, tuple[Any, AbstractAsyncContextManager[Any]]] = {}  # session and transaction of a key

    @asynccontextmanager
    async def locked(self, key: str) -> AsyncIterator[Kept]:
        """Hold a key alone."""
        with self._table.translated():  # a pooler lets one wait whose sessions all wait for a lock
            session = await self._connect(self._bounds.token_lock_seconds)
        try:
            with self._table.translated():
                await self._touch(session, key)
                transaction = together(session, keeps_session=False)  # whose end is the write, or that of the session
                kept = await self._lock(session, transaction, key)
            self._holding[key] = session, transaction
            yield kept
        finally:
            if self._holding.get(key, (None,))[0] is session:  # else it is the next one's
                del self._holding[key]
            await self._table.close(session)  # and with it the lock

    async def write(self, key: str, text: str, version: int, lasts_seconds: float | None = None) -> bool:
        """Replace what is kept, and unlock: in the session with the lock, or in another one where that is gone by now.

        Where sessions are few, those who wait for the lock may have all others.
        """
        values = key, text, version, lasts_seconds
        if (holding := self._holding.pop(key, None)) is not None:
            try:
                return await self._write(*holding, values)
            except Exception:  # noqa: BLE001  (whatever the client raises: the other session says what is wrong)
                holding[0].terminate()  # and with it what it has of the row
        with self._table.translated():
            session = await self._connect(self._bounds.store_answer_seconds)
            try:
                transaction = together(session, keeps_session=False)
                async with asyncio.timeout(self._bounds.store_answer_seconds):
                    await transaction.__aenter__()
                return await self._write(session, transaction, values)
            finally:
                await self._table.close(session)

    async def _connect(self, seconds: float) -> Any:
        """Open a session. :raises TimeoutError: when it takes longer, of which the pooler's answer is a part."""
        async with asyncio.timeout(seconds):
            return await self._table.connect(keeps_session=False)

    async def _write(
        self,
        session: Any,
        transaction: AbstractAsyncContextManager[Any],
        values: tuple[str, str, int, float | None],
    ) -> bool:
        """Write in a transaction that has begun, and end that."""
        async with asyncio.timeout(self._bounds.store_answer_seconds):
            await session.execute(_DURABLY)
            found = await session.fetchval(_WRITE, *values)
            await transaction.__aexit__(None, None, None)
            if values[-1] is not None:  # tokens here end, and are not kept for good
                await self._delete_expired(session)
        return found is not None

    async def _delete_expired(self, session: Any) -> None:
        async with together(session, keeps_session=False):
            if await session.fetchval(_MAY_DELETE):
                await session.execute(_DELETE)

    async def _touch(self, session: Any, key: str) -> None:
        async with asyncio.timeout(self._bounds.store_answer_seconds), together(session, keeps_session=False):
            await session.execute(_TOUCH, key)

    async def _lock(self, session: Any, transaction: AbstractAsyncContextManager[Any], key: str) -> Kept:
        seconds = self._bounds.token_lock_seconds
        try:
            async with asyncio.timeout(seconds):
                await transaction.__aenter__()
                await session.execute(_PATIENT)
                await session.execute(_LOCK, number_of(key))
        except TimeoutError:
            raise StoreAwayError(
                self._address.describe(TimeoutError(f"another task has held the same token for {seconds:.0f} s"))
            ) from None
        found = await session.fetchrow(_READ, key, timeout=self._bounds.store_answer_seconds)
        return Kept(*found) if found else Kept()  # another task may have deleted it, for its time is over


def number_of(key: str) -> int:
    """Return the number by which a key is locked: of 64 bits, with a sign."""
    return int.from_bytes(hashlib.sha256(f"{TABLE}:{key}".encode()).digest()[:8], signed=True)
