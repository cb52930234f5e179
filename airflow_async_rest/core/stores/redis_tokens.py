"""Tokens that tasks share, in Redis: a hash for each, and a lock that ends by itself where nobody prolongs it."""

import asyncio
import contextlib
import math
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_async_rest.core.bounds import USUAL, Bounds
from airflow_async_rest.core.stores.address import StoreAddress, StoreAwayError
from airflow_async_rest.core.stores.redis import redis_client, redis_errors
from airflow_async_rest.core.stores.tokens import Kept

if TYPE_CHECKING:
    from redis.asyncio import Redis

_PROLONG = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
_UNLOCK = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""
# What may be read, and not written, is found out before anybody asks for what has to be written.
_READ = """
redis.call('HINCRBY', KEYS[1], 'version', 0)
local kept, time = redis.call('HMGET', KEYS[1], 'text', 'version', 'written_at'), redis.call('TIME')
if not kept[1] then return nil end
return {kept[1], tonumber(kept[2]), string.format('%.6f', time[1] + time[2] / 1000000 - tonumber(kept[3]))}
"""
# Whoever has held a key for longer than its lock may have been overtaken: what is written then is of an older version.
_WRITE = """
local kept, time = redis.call('HMGET', KEYS[1], 'text', 'version'), redis.call('TIME')
if kept[1] and kept[1] ~= ARGV[1] and tonumber(kept[2]) ~= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'text', ARGV[1], 'version', ARGV[2] + 1,
  'written_at', string.format('%.6f', time[1] + time[2] / 1000000))
if ARGV[3] ~= '' then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1
"""


class RedisTokens:
    """Tokens in Redis; a :class:`~airflow_async_rest.core.stores.tokens.TokenStore`."""

    def __init__(self, address: StoreAddress, bounds: Bounds = USUAL) -> None:
        self._address, self._bounds = address, replace(bounds, store_answer_seconds=bounds.token_answer_seconds)

    @contextlib.asynccontextmanager
    async def locked(self, key: str) -> AsyncIterator[Kept]:
        """Hold a key alone; the lock is prolonged as long as this process runs."""
        name, holder = f"{_name(key)}:lock", uuid.uuid4().hex
        async with self._client() as client:
            with self._translated(key):
                await self._lock(client, name, holder)
            ended = asyncio.Event()  # redis-py may take a cancellation for an error of the connection, and go on
            prolonging = asyncio.create_task(self._prolong(client, name, holder, ended))
            try:
                with self._translated(key):
                    found = await client.register_script(_READ)([_name(key)])
                yield Kept(found[0].decode(), found[1], float(found[2])) if found else Kept()
            finally:
                ended.set()
                await prolonging
                with contextlib.suppress(Exception):
                    await client.register_script(_UNLOCK)([name], [holder])

    async def write(self, key: str, text: str, version: int, lasts_seconds: float | None = None) -> bool:
        """Replace what is kept."""
        lasts = "" if lasts_seconds is None else math.ceil(lasts_seconds * 1000)
        async with self._client() as client:
            with self._translated(key):
                return bool(await client.register_script(_WRITE)([_name(key)], [text, version, lasts]))

    async def _lock(self, client: "Redis", name: str, holder: str) -> None:
        seconds, clock = self._bounds.token_lock_seconds, asyncio.get_running_loop().time
        until = clock() + seconds
        while not await client.set(name, holder, nx=True, px=self._milliseconds):
            if clock() >= until:
                why = TimeoutError(f"another task has held the same token for {seconds:.0f} s")
                raise StoreAwayError(self._address.describe(why))
            await asyncio.sleep(self._bounds.store_retry_seconds)

    async def _prolong(self, client: "Redis", name: str, holder: str, ended: asyncio.Event) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), self._bounds.token_lock_expiry_seconds / 4)
                return
            with contextlib.suppress(Exception):  # where it lasts, the write finds out
                await client.register_script(_PROLONG)([name], [holder, self._milliseconds])

    @property
    def _milliseconds(self) -> int:
        return int(self._bounds.token_lock_expiry_seconds * 1000)

    @contextlib.asynccontextmanager
    async def _client(self) -> AsyncIterator["Redis"]:
        client = redis_client(self._address, self._bounds)
        try:
            yield client
        finally:
            with contextlib.suppress(Exception):
                await client.aclose()

    def _translated(self, key: str) -> contextlib.AbstractContextManager[None]:
        return redis_errors(self._address, f"write {_name(key)!r} and run scripts that do")


def _name(key: str) -> str:
    return f"async_rest:token:{{{key}}}"  # the braces keep it and its lock on one node of a cluster
