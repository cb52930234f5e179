"""A shared limit in PostgreSQL: one statement, by the server's clock."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from airflow_async_rest.core.bounds import USUAL, Bounds
from airflow_async_rest.core.errors import ConfigurationError
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
    StoreAddress,
    StoreAwayError,
    asked,
)

TABLE = "async_rest_limits"
# Room in each page, so that a row is written beside its last version, and no index changes.
CREATE = f"""CREATE TABLE IF NOT EXISTS {TABLE} (key text PRIMARY KEY, next float8 NOT NULL DEFAULT 0,
 pause float8 NOT NULL DEFAULT 0, strictest float8 NOT NULL DEFAULT 0, claimed float8 NOT NULL DEFAULT 0,
 slow float8 NOT NULL DEFAULT 0, slow_until float8 NOT NULL DEFAULT 0, fewest int NOT NULL DEFAULT 0,
 fewest_until float8 NOT NULL DEFAULT 0, granted bigint NOT NULL DEFAULT 0,
 began float8 NOT NULL DEFAULT extract(epoch FROM clock_timestamp()),
 counts jsonb NOT NULL DEFAULT '{{}}') WITH (fillfactor = 10)"""
_INSERT = f"INSERT INTO {TABLE} (key) VALUES ($1) ON CONFLICT DO NOTHING"  # noqa: S608
# Each step goes on from the one before; the row is locked from the first to the last.
_TAKE = f"""
WITH held AS MATERIALIZED (
  SELECT *, extract(epoch FROM clock_timestamp())::float8 AS now, set_config('synchronous_commit', $10, true)
  FROM {TABLE} WHERE key = $1 FOR UPDATE
), told AS (
  SELECT key, now, pause, counts, greatest(next, pause, now - $6::float8) AS at,
    CASE WHEN claimed > now AND strictest > $4::float8 THEN strictest ELSE $4::float8 END AS strictest,
    CASE WHEN claimed > now AND strictest > $4::float8 THEN claimed ELSE now + {CLAIM_SECONDS} END AS claimed,
    CASE WHEN $9::float8 < 0 THEN slow ELSE $8::float8 END AS slow,
    CASE WHEN $9::float8 < 0 THEN slow_until ELSE now + $9::float8 END AS slow_until,
    CASE WHEN NOT is_new THEN fewest WHEN fewest > 0 THEN least($2::int, 2 * fewest) ELSE $2::int END AS fewest,
    CASE WHEN is_new THEN now + {FEWEST_SECONDS} ELSE fewest_until END AS fewest_until
  FROM held CROSS JOIN LATERAL (SELECT $2::int > 0 AND (now > fewest_until OR $2::int < fewest) AS is_new) AS asking
), paced AS (
  SELECT *, CASE WHEN at < slow_until THEN greatest(strictest, slow) ELSE strictest END AS step FROM told
), cut AS (
  SELECT *, greatest(0, $2::int - least(greatest({ALWAYS_PLACES}, fewest),
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
UPDATE {TABLE} AS kept SET next = at + granting * step, strictest = taken.strictest, claimed = taken.claimed,
  slow = taken.slow, slow_until = taken.slow_until, fewest = taken.fewest, fewest_until = taken.fewest_until,
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
UPDATE {TABLE} SET pause = greatest(pause, extract(epoch FROM clock_timestamp()) + $2::float8) WHERE key = $1
"""  # noqa: S608


class PostgresStore:
    """A limit kept in PostgreSQL. Used by one task at a time.

    :param key: of all who share it.
    """

    def __init__(
        self, address: StoreAddress, key: str, limits: Limits, *, block_seconds: float, bounds: Bounds = USUAL
    ) -> None:
        self._address, self._key, self._limits, self._block_seconds = address, key, limits, block_seconds
        self._bounds = bounds
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
        ask = asked(self._limits, self._block_seconds, datetime.now(UTC).date())
        told = (places, counted, ask.interval, ask.block_seconds, LAG_SECONDS, ask.days, *slow, self._durably)

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
            await session.execute(_PAUSE, self._key, seconds)

        await self._run(hold)

    async def close(self) -> None:
        """Disconnect."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                await connection.close(timeout=self._bounds.store_close_seconds)

    async def _run(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        """Do work with the connection: by prepared statements, or where a pooler changes sessions, in a transaction."""
        asyncpg = _asyncpg(self._address)
        of_poolers = (
            asyncpg.InvalidSQLStatementNameError,
            asyncpg.DuplicatePreparedStatementError,
            asyncpg.ProtocolViolationError,
        )
        async with self._turn:
            with self._translated():
                try:
                    return await self._run_once(work)
                except of_poolers:
                    if not self._keeps_session:
                        raise
                    self._keeps_session = False
                return await self._run_once(work)

    async def _run_once(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        """Do work with a connection; one that had an error, or was left in the middle, is not used again."""
        try:
            if self._connection is None:
                self._connection = await self._connect()
            async with self._together(self._connection):
                return await work(self._connection)
        except BaseException:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.terminate()
            raise

    def _together(self, connection: Any) -> contextlib.AbstractAsyncContextManager[Any]:
        return contextlib.nullcontext() if self._keeps_session else connection.transaction()

    async def _connect(self) -> Any:
        address = self._address
        connection = await _asyncpg(address).connect(
            host=address.host,
            port=address.port or 5432,
            user=address.user,
            password=address.password,
            database=address.database,
            timeout=self._bounds.store_answer_seconds,
            statement_cache_size=100 if self._keeps_session else 0,
            **address.options,
        )
        try:
            async with self._together(connection):
                is_there = await connection.fetchval("SELECT to_regclass($1)", TABLE) is not None
            if not is_there:
                await self._create(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def _create(self, connection: Any) -> None:
        asyncpg = _asyncpg(self._address)
        try:
            await connection.execute(CREATE)
        except (asyncpg.UniqueViolationError, asyncpg.DuplicateTableError):
            pass  # another task was a little faster
        except (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidSchemaNameError) as error:
            raise self._denied(f"may not create the table {TABLE} ({error})", "create it") from None

    def _denied(self, what: str, advice: str) -> ConfigurationError:
        address = self._address
        return ConfigurationError(
            f"rate_limit_conn_id={address.conn_id!r}: user {address.user!r} {what}: {advice}, with SELECT, INSERT and "
            f"UPDATE on it for the user. To create it by hand: {CREATE}"
        )

    def _never(self, error: BaseException) -> ConfigurationError:
        return ConfigurationError(
            f"rate_limit_conn_id={self._address.conn_id!r}: {self._address.describe(error)}: correct that connection's "
            "fields; a pooler may keep sessions, or transactions, but not single statements, and a table "
            f"{TABLE} of somebody else's cannot be used."
        )

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        asyncpg = _asyncpg(self._address)
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
            raise self._denied(f"may not use the table {TABLE} ({error})", "let its owner allow that") from None
        except for_good as error:
            raise self._never(error) from None
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            if "pooling mode" in str(error):
                raise self._never(error) from None
            raise StoreAwayError(self._address.describe(error)) from None


def _asyncpg(address: StoreAddress) -> Any:
    try:
        import asyncpg  # noqa: PLC0415  (only who shares a limit needs it)
    except ImportError as error:
        raise ConfigurationError(
            f"rate_limit_conn_id={address.conn_id!r} is a PostgreSQL, and its client asyncpg is not installed: install "
            "airflow-provider-async-rest[postgres]."
        ) from error
    return asyncpg
