"""Tokens that tasks share, in PostgreSQL: a table, and an advisory lock, which ends with its session."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from airflow_async_rest.core.bounds import USUAL, Bounds
from airflow_async_rest.core.stores.address import StoreAddress, StoreAwayError
from airflow_async_rest.core.stores.postgres import PostgresTable
from airflow_async_rest.core.stores.tokens import Kept

TABLE = "async_rest_tokens"
CREATE = (
    f"CREATE TABLE IF NOT EXISTS {TABLE} (key text PRIMARY KEY, version bigint NOT NULL, text text NOT NULL, "
    "written_at timestamptz NOT NULL)"
)
# Of a machine that is gone, the server should learn while others still wait for the lock.
_ALIVE = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"
_LOCK = "SELECT pg_advisory_lock($1)"
# What may be read, and not written, is found out before anybody asks for what has to be written.
_READ = f"""
INSERT INTO {TABLE} AS kept (key, version, text, written_at) VALUES ($1, 0, '', clock_timestamp())
ON CONFLICT (key) DO UPDATE SET key = excluded.key
RETURNING text, version, extract(epoch FROM clock_timestamp() - written_at)::float8
"""  # noqa: S608
# A database may leave commits to the next moment: a token that its crash loses cannot be had again.
_DURABLY = """
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'
"""
_WRITE = f"""
INSERT INTO {TABLE} AS kept (key, version, text, written_at) VALUES ($1, $3::bigint + 1, $2, clock_timestamp())
ON CONFLICT (key) DO UPDATE SET version = excluded.version, text = excluded.text, written_at = excluded.written_at
WHERE kept.version = $3 OR kept.text = excluded.text
RETURNING version
"""  # noqa: S608


class PostgresTokens:
    """Tokens in PostgreSQL; a :class:`~airflow_async_rest.core.stores.tokens.TokenStore`."""

    def __init__(self, address: StoreAddress, bounds: Bounds = USUAL) -> None:
        self._table, self._address, self._bounds = PostgresTable(address, TABLE, CREATE, bounds), address, bounds

    @asynccontextmanager
    async def locked(self, key: str) -> AsyncIterator[Kept]:
        """Hold a key alone."""
        with self._table.translated():
            session = await self._table.connect()
        try:
            with self._table.translated():
                kept = await self._lock(session, key)
            yield kept
        finally:
            await self._table.close(session)

    async def write(self, key: str, text: str, version: int) -> bool:
        """Replace what is kept, in a session of its own: the one with the lock may be gone by now."""
        with self._table.translated():
            session = await self._table.connect()
            try:
                async with asyncio.timeout(self._bounds.store_answer_seconds):
                    await session.execute(_DURABLY)
                    return await session.fetchval(_WRITE, key, text, version) is not None
            finally:
                await self._table.close(session)

    async def _lock(self, session: Any, key: str) -> Kept:
        await session.execute(_ALIVE)
        seconds = self._bounds.token_lock_seconds
        try:
            await session.execute(_LOCK, number_of(key), timeout=seconds)
        except TimeoutError:
            raise StoreAwayError(
                self._address.describe(TimeoutError(f"another task has held the same token for {seconds:.0f} s"))
            ) from None
        return Kept(*await session.fetchrow(_READ, key, timeout=self._bounds.store_answer_seconds))


def number_of(key: str) -> int:
    """Return the number by which a key is locked: of 64 bits, with a sign."""
    return int.from_bytes(hashlib.sha256(f"{TABLE}:{key}".encode()).digest()[:8], signed=True)
