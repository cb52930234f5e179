"""Where a shared limit is kept in tests: a Redis of one's own, a PostgreSQL, or this process's memory."""

import asyncio
import shutil
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from math import floor

import pytest
from checkout import skip_or_fail
from pgbouncer import running_pgbouncer
from programs import free_port

from airflow_async_rest.core.limits.shared.postgres_store import PostgresStore
from airflow_async_rest.core.limits.shared.redis_store import RedisStore
from airflow_async_rest.core.limits.shared.store import (
    ALWAYS_PLACES,
    AS_BEFORE,
    CLAIM_SECONDS,
    FEWEST_SECONDS,
    LAG_SECONDS,
    Grant,
)
from airflow_async_rest.core.stores.address import StoreAddress, StoreAwayError
from benchmarks.redis_server import RedisServer

BLOCK_SECONDS = 0.05


def most_in_a_second(times) -> int:
    times = sorted(times)
    most = first = 0
    for last, moment in enumerate(times):
        while moment - times[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


class Redis(RedisServer):
    @property
    def address(self) -> StoreAddress:
        return StoreAddress(conn_id="limits", kind="redis", host="127.0.0.1", port=self.port)


def address_of(postgres) -> StoreAddress:
    return StoreAddress(
        conn_id="limits", kind="postgres", host=postgres.socket_folder, user="postgres", database=postgres.database
    )


@contextmanager
def running_redis(*options: str):
    if shutil.which("redis-server") is None:
        skip_or_fail("redis-server is not installed")
    pytest.importorskip("redis", reason="the client redis is not installed")
    redis = Redis(*options, port=free_port())
    try:
        yield redis
    finally:
        redis.kill()


def store_at(address: StoreAddress, key: str, limits, **how):
    make = RedisStore if address.kind == "redis" else PostgresStore
    return make(address, key, limits, **{"block_seconds": BLOCK_SECONDS, **how})


@contextmanager
def pooled(postgres, **tls):
    """A PgBouncer before the database, with fewer sessions than have limits.

    :param tls: its settings of TLS.
    """
    settings = {"auth_type": "trust", "default_pool_size": 2}
    with running_pgbouncer(postgres.socket_folder, "postgres", **settings, **tls) as port:
        yield replace(address_of(postgres), host="127.0.0.1", port=port)


@asynccontextmanager
async def far_away(address: StoreAddress, seconds: float):
    """The address of a store that is so far away, there and back together."""
    loop, connections = asyncio.get_running_loop(), set()

    async def pass_on(reader, writer):
        with suppress(OSError):
            while data := await reader.read(65536):
                loop.call_later(seconds / 2, writer.write, data)

    async def connected(reader, writer):
        connections.add(asyncio.current_task())
        if address.kind == "redis":
            there, back = await asyncio.open_connection(address.host, address.port)
        else:
            there, back = await asyncio.open_unix_connection(f"{address.host}/.s.PGSQL.5432")
        with suppress(asyncio.CancelledError):  # at the end
            ways = [asyncio.create_task(pass_on(reader, back)), asyncio.create_task(pass_on(there, writer))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, back):
            end.transport.abort()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as proxy:
        yield replace(address, host="127.0.0.1", port=proxy.sockets[0].getsockname()[1])
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


class MemoryServer:
    """What stores do, in plain words, by a clock of the test's.

    ``away``: it does not answer; ``way``: the seconds that an answer takes, there and back.
    """

    def __init__(self, clock) -> None:
        self.clock, self.keys, self.away, self.takes, self.way = clock, {}, False, 0, 0.0
        self.listeners = []

    def of(self, key: str) -> dict:
        names = ("next", "pause", "strictest", "claimed", "slow", "slow_until", "granted")
        nothing = dict.fromkeys((*names, "fewest", "fewest_until"), 0)
        return self.keys.setdefault(key, nothing | {"counts": {}, "began": self.clock()})


class MemoryStore:
    def __init__(self, server: MemoryServer, key: str, limits, block_seconds: float = BLOCK_SECONDS) -> None:
        self.server, self.key, self.limits, self.block_seconds = server, key, limits, block_seconds
        self.is_open = False

    async def open(self, on_pause) -> None:
        await self.take(0, 0)
        self.is_open = True
        self.server.listeners.append(on_pause)

    async def close(self) -> None:
        self.is_open = False

    async def pause(self, seconds) -> None:
        kept = self._kept()
        kept["pause"] = max(kept["pause"], self.server.clock() + seconds)
        for listener in self.server.listeners:
            listener(seconds)

    def _kept(self) -> dict:
        if self.server.away:
            raise StoreAwayError("nobody is there")
        return self.server.of(self.key)

    async def take(self, places, counted, slow=AS_BEFORE) -> Grant:
        if self.server.way:
            await asyncio.sleep(self.server.way / 2)
        grant = self._take(places, counted, slow)
        if self.server.way:
            await asyncio.sleep(self.server.way / 2)
        return grant

    def _take(self, places, counted, slow) -> Grant:
        kept, now = self._kept(), self.server.clock()
        self.server.takes += 1
        interval = self.limits.pace.interval if self.limits.pace else 0.0
        back = max(0.0, kept["claimed"] - now - CLAIM_SECONDS)  # by so much the clock was set back
        for name in ("next", "pause", "claimed", "slow_until", "fewest_until"):
            kept[name] -= back
        if not (kept["claimed"] > now and kept["strictest"] > interval):
            kept.update(strictest=interval, claimed=now + CLAIM_SECONDS)
        if slow.seconds >= 0:
            kept.update(slow=slow.interval, slow_until=now + slow.seconds)
        at = max(kept["next"], kept["pause"], now - LAG_SECONDS)
        step = max(kept["strictest"], kept["slow"]) if at < kept["slow_until"] else kept["strictest"]
        if places > 0 and (now > kept["fewest_until"] or places < kept["fewest"]):
            kept.update(fewest=min(places, 2 * kept["fewest"] or places), fewest_until=now + FEWEST_SECONDS)
        most = places if step and at <= now else max(ALWAYS_PLACES, kept["fewest"])
        fewer = max(0, places - (min(most, max(1, floor(self.block_seconds / step))) if step else most))
        places, counted, wait = places - fewer, counted - fewer, 0.0
        wanted = counted
        for day in self.limits.days:  # of the calendar's only the first one, for ever
            free = max(0, day.requests - sum(kept["counts"].values()))
            counted = min(counted, free)
            wait = wait if free else 3600.0
        counted = max(counted, -kept["counts"].get(0, 0))
        kept["counts"][0] = kept["counts"].get(0, 0) + counted
        places = max(0, places - max(0, wanted - counted))
        kept["next"] = at + places * step
        kept["granted"] += places
        pause = max(0.0, kept["pause"] - now)
        return Grant(places, at - now if places else wait, step, counted, pause, kept["granted"], kept["began"], now)
