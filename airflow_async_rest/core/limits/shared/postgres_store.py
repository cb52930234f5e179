"""A shared limit in PostgreSQL: one statement, by the server's clock."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from airflow_async_rest.core.bounds import USUAL, Bounds
from airflow_async_rest.core.limits.limits import Limits
from airflow_async_rest.core.limits.shared.store import (
    ALWAYS_PLACES,
    AS_BEFORE,
    CLAIM_SECONDS,
    FEWEST_SECONDS,
    LAG_SECONDS,
    QUARTER_SECONDS,
    QUARTERS_A_DAY,
    Grant,
    Slow,
    asked,
)
from airflow_async_rest.core.stores.address import StoreAddress
from airflow_async_rest.core.stores.postgres import PostgresTable, asyncpg_for, together

TABLE = "async_rest_limits"
# Room in each page, so that a row is written beside its last version, and no index changes.
CREATE = f"""CREATE TABLE IF NOT EXISTS {TABLE} (key text PRIMARY KEY, next float8 NOT NULL DEFAULT 0,
 pause float8 NOT NULL DEFAULT 0, strictest float8 NOT NULL DEFAULT 0, claimed float8 NOT NULL DEFAULT 0,
 slow float8 NOT NULL DEFAULT 0, slow_until float8 NOT NULL DEFAULT 0, fewest int NOT NULL DEFAULT 0,
 fewest_until float8 NOT NULL DEFAULT 0, granted bigint NOT NULL DEFAULT 0,
 began float8 NOT NULL DEFAULT extract(epoch FROM clock_timestamp()),
 counts jsonb NOT NULL DEFAULT '{{}}') WITH (fillfactor = 10)"""
_INSERT = f"INSERT INTO {TABLE} (key) VALUES ($1) ON CONFLICT DO NOTHING"  # noqa: S608
# Each step goes on from the one before; the row is locked from the first to the last. No claim is longer than one that
# was made now: the clock was set back since.
_TAKE = f"""
WITH held AS MATERIALIZED (
  SELECT *, extract(epoch FROM clock_timestamp())::float8 AS now, set_config('synchronous_commit', $10, true)
  FROM {TABLE} WHERE key = $1 FOR UPDATE
), moved AS (
  SELECT key, now, counts, strictest, slow, fewest, next - back AS next, pause - back AS pause,
    claimed - back AS claimed, slow_until - back AS slow_until, fewest_until - back AS fewest_until
  FROM held CROSS JOIN LATERAL (SELECT greatest(0, claimed - now - {CLAIM_SECONDS}) AS back) AS clock
), told AS (
  SELECT key, now, pause, counts, greatest(next, pause, now - $6::float8) AS at,
    CASE WHEN claimed > now AND strictest > $4::float8 THEN strictest ELSE $4::float8 END AS strictest,
    CASE WHEN claimed > now AND strictest > $4::float8 THEN claimed ELSE now + {CLAIM_SECONDS} END AS claimed,
    CASE WHEN $9::float8 < 0 THEN slow ELSE $8::float8 END AS slow,
    CASE WHEN $9::float8 < 0 THEN slow_until ELSE now + $9::float8 END AS slow_until,
    CASE WHEN NOT is_new THEN fewest WHEN fewest > 0 THEN least($2::int, 2 * fewest) ELSE $2::int END AS fewest,
    CASE WHEN is_new THEN now + {FEWEST_SECONDS} ELSE fewest_until END AS fewest_until
  FROM moved CROSS JOIN LATERAL (SELECT $2::int > 0 AND (now > fewest_until OR $2::int < fewest) AS is_new) AS asking
), paced AS (
  SELECT *, CASE WHEN at < slow_until THEN greatest(strictest, slow) ELSE strictest END AS step FROM told
), cut AS (
  SELECT *, greatest(0, $2::int - least(
      CASE WHEN step > 0 AND at <= now THEN $2::int ELSE greatest({ALWAYS_PLACES}, fewest) END,
      CASE WHEN step > 0 THEN greatest(1, floor($5::float8 / step)) END))::int AS fewer,
    floor(now / {QUARTER_SECONDS})::bigint AS quarter FROM paced
), counted AS (
  SELECT cut.*, $2::int - fewer AS places, $3::int - fewer AS wanted, day.wait, CASE WHEN $3::int - fewer < 0
      THEN greatest($3::int - fewer, -coalesce((counts ->> quarter::text)::int, 0))
      ELSE least($3::int - fewer, day.free) END::int AS counted
  FROM cut CROSS JOIN LATERAL (
    SELECT min(of_one.free) AS free, max(of_one.ends - now) FILTER (WHERE of_one.free = 0) AS wait
    FROM jsonb_to_recordset($7::jsonb) AS asked (requests bigint, starts float8[])
    CROSS JOIN LATERAL (
      SELECT max(start) FILTER (WHERE start <= now) AS begins, min(start) FILTER (WHERE start > now) AS ends
      FROM unnest(starts) AS start
    ) AS today
    CROSS JOIN LATERAL (
      SELECT greatest(0, requests - coalesce(sum(value::bigint), 0)) AS free, coalesce(today.ends,
        (min(each.key::bigint) FILTER (WHERE value::bigint > 0) + {QUARTERS_A_DAY} + 1) * {QUARTER_SECONDS}) AS ends
      FROM jsonb_each_text(counts) AS each
      WHERE each.key::bigint >= coalesce(today.begins / {QUARTER_SECONDS}, quarter - {QUARTERS_A_DAY})
    ) AS of_one
  ) AS day
), taken AS (
  SELECT *, greatest(0, places - greatest(0, wanted - counted)) AS granting FROM counted
)
UPDATE {TABLE} AS kept SET next = at + granting * step, pause = taken.pause, strictest = taken.strictest,
  claimed = taken.claimed, slow = taken.slow, slow_until = taken.slow_until,
  fewest = taken.fewest, fewest_until = taken.fewest_until,
  granted = kept.granted + granting,
  counts = CASE WHEN $7 = '[]' OR counted = 0 THEN kept.counts ELSE (
    SELECT coalesce(jsonb_object_agg(each.key, each.value), '{{}}') FROM jsonb_each(taken.counts) AS each
    WHERE each.key::bigint >= quarter - {QUARTERS_A_DAY} - 8
  ) || jsonb_build_object(quarter::text, coalesce((taken.counts ->> quarter::text)::int, 0) + counted) END
FROM taken WHERE kept.key = taken.key
RETURNING granting, CASE WHEN granting > 0 THEN at - now ELSE coalesce(wait, 0) END, step, counted,
  greatest(0, taken.pause - now), kept.granted, kept.began, extract(epoch FROM clock_timestamp())::float8, now
"""  # noqa: S608
_PAUSE = f"""
WITH asked AS MATERIALIZED (SELECT set_config('synchronous_commit', $3, true))
UPDATE {TABLE} SET pause = greatest(pause, extract(epoch FROM clock_timestamp()) + $2::float8) FROM asked WHERE key = $1
"""  # noqa: S608


class PostgresStore:
    """A limit kept in PostgreSQL. Used by one task at a time.

    :param key: of all who share it.
    """

    def __init__(
        self, address: StoreAddress, key: str, limits: Limits, *, block_seconds: float, bounds: Bounds = USUAL
    ) -> None:
        self._address, self._key, self._limits, self.block_seconds = address, key, limits, block_seconds
        self._table = PostgresTable(address, TABLE, CREATE, bounds)
        # What is paced need not wait for the disk: it is over soon. A day's count must be there after a crash.
        self._durably = "on" if limits.days else "off"
        self._turn = asyncio.Lock()
        self._connection: Any = None
        self._keeps_session = True

    async def open(self, on_pause: Callable[[float], None]) -> None:  # noqa: ARG002  (it comes with the next grant)
        """Connect; see :class:`~airflow_async_rest.core.limits.shared.store.LimitStore`."""
        await self.take(0, 0)

    async def take(self, places: int, counted: int, slow: Slow = AS_BEFORE) -> Grant:
        """Take the next places."""
        ask = asked(self._limits, datetime.now(UTC).date())
        told = (places, counted, ask.interval, self.block_seconds, LAG_SECONDS, ask.days, *slow, self._durably)

        async def take(session: Any) -> Any:
            found = await session.fetchrow(_TAKE, self._key, *told)
            if found is None:
                await session.execute(_INSERT, self._key)
                found = await session.fetchrow(_TAKE, self._key, *told)
            return found

        found = await self._run(take)
        # Of the wait, what the statement itself took is over.
        return Grant(found[0], found[1] - (found[7] - found[8]), *found[2:8])

    async def pause(self, seconds: float) -> None:
        """Hold everybody back."""

        async def hold(session: Any) -> None:
            await session.execute(_INSERT, self._key)
            await session.execute(_PAUSE, self._key, seconds, self._durably)

        await self._run(hold)

    async def close(self) -> None:
        """Disconnect."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._table.close(connection)

    async def _run(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        """Do work with the connection: by prepared statements, or where a pooler changes sessions, in a transaction."""
        asyncpg = asyncpg_for(self._address)
        of_sessions = (  # a pooler's, or an isolation's that is stricter than "read committed": transactions help
            asyncpg.InvalidSQLStatementNameError,
            asyncpg.DuplicatePreparedStatementError,
            asyncpg.ProtocolViolationError,
            asyncpg.SerializationError,
        )
        async with self._turn:
            with self._table.translated():
                try:
                    return await self._run_once(work)
                except of_sessions:
                    if not self._keeps_session:
                        raise
                    self._keeps_session = False
                return await self._run_once(work)

    async def _run_once(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        """Do work with a connection; one that had an error, or was left in the middle, is not used again."""
        try:
            if self._connection is None:
                self._connection = await self._table.connect(keeps_session=self._keeps_session)
            async with together(self._connection, keeps_session=self._keeps_session):
                return await work(self._connection)
        except BaseException:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.terminate()
            raise
