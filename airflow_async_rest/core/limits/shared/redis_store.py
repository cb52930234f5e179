"""A shared limit in Redis: one script, by the server's clock."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

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
    asked,
)
from airflow_async_rest.core.stores.address import StoreAddress, StoreAwayError
from airflow_async_rest.core.stores.redis import redis_client, redis_errors

if TYPE_CHECKING:
    from redis.asyncio import Redis

# Redis writes numbers of Lua with 14 digits: too few for microseconds since 1970, and for the interval of a fast limit.
# All answers are one text: its client takes as long for each number of a list as for the whole of it.
_TAKE = f"""
local told, time = ARGV, redis.call('TIME')
local now = time[1] + time[2] / 1000000
local places, counted = tonumber(told[1]), tonumber(told[2])
local interval, block, lag = tonumber(told[3]), tonumber(told[4]), tonumber(told[5])
local days, slow, slow_for = cjson.decode(told[6]), tonumber(told[7]), tonumber(told[8])
local kept = redis.call('HMGET', KEYS[1], 'next', 'pause', 'strictest', 'claimed', 'slow', 'slow_until',
  'fewest', 'fewest_until', 'began')
local function number(index) return tonumber(kept[index] or 0) end
local function text(value) return string.format('%.9f', value) end
-- No claim is longer than one that was made now: the clock was set back since.
local back = math.max(0, number(4) - now - {CLAIM_SECONDS})
local function moment(index) return number(index) - back end

local strictest, claimed = interval, now + {CLAIM_SECONDS}
if moment(4) > now and number(3) > interval then strictest, claimed = number(3), moment(4) end
local slow_until = now + slow_for
if slow_for < 0 then slow, slow_until = number(5), moment(6) end
local fewest, fewest_until = number(7), moment(8)
if places > 0 and (now > fewest_until or places < fewest) then
  fewest, fewest_until = math.min(places, fewest > 0 and 2 * fewest or places), now + {FEWEST_SECONDS}
end
local at = math.max(moment(1), moment(2), now - lag)
local step = strictest
if at < slow_until then step = math.max(step, slow) end
local most = math.max({ALWAYS_PLACES}, fewest)
if step > 0 and at <= now then most = places end
if step > 0 then most = math.min(most, math.max(1, math.floor(block / step))) end
local fewer = math.max(0, places - most)
places, counted = places - fewer, counted - fewer

local wanted, wait, quarter = counted, 0, math.floor(now / {QUARTER_SECONDS})
if #days > 0 then
  local counts = redis.call('HGETALL', KEYS[2])
  for _, day in ipairs(days) do
    local since, ends, used, oldest = quarter - {QUARTERS_A_DAY}, nil, 0, quarter
    for index, start in ipairs(day.starts) do
      if start <= now then since, ends = start / {QUARTER_SECONDS}, day.starts[index + 1] end
    end
    for index = 1, #counts, 2 do
      local began, count = tonumber(counts[index]), tonumber(counts[index + 1])
      if began >= since then used = used + count end
      if began >= since and count > 0 then oldest = math.min(oldest, began) end
    end
    local free = math.max(0, day.requests - used)
    counted = math.min(counted, free)
    if free == 0 then
      wait = math.max(wait, (ends or (oldest + {QUARTERS_A_DAY} + 1) * {QUARTER_SECONDS}) - now)
    end
  end
  for index = 1, #counts, 2 do
    if tonumber(counts[index]) < quarter - {QUARTERS_A_DAY} - 8 then redis.call('HDEL', KEYS[2], counts[index]) end
  end
  if counted < 0 then counted = math.max(counted, -tonumber(redis.call('HGET', KEYS[2], quarter) or 0)) end
  if counted ~= 0 then
    redis.call('HINCRBY', KEYS[2], quarter, counted)
    redis.call('EXPIRE', KEYS[2], {2 * QUARTERS_A_DAY * QUARTER_SECONDS})
  end
end
places = math.max(0, places - math.max(0, wanted - counted))

local after = at + places * step
redis.call('HSET', KEYS[1], 'next', text(after), 'pause', text(moment(2)), 'strictest', text(strictest),
  'claimed', text(claimed), 'slow', text(slow), 'slow_until', text(slow_until),
  'fewest', fewest, 'fewest_until', text(fewest_until), 'began', kept[9] or text(now))
local granted = redis.call('HINCRBY', KEYS[1], 'granted', places)
redis.call('EXPIRE', KEYS[1], math.ceil(math.max(after, slow_until, moment(2)) - now) + 3600)
if places > 0 then wait = at - now end
return table.concat({{places, text(wait), text(step), counted, text(math.max(0, moment(2) - now)), granted,
  kept[9] or text(now), text(now)}}, ' ')
"""
_PAUSE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local until_ = math.max(tonumber(redis.call('HGET', KEYS[1], 'pause') or 0), now + tonumber(ARGV[1]))
redis.call('HSET', KEYS[1], 'pause', string.format('%.9f', until_))
redis.call('EXPIRE', KEYS[1], math.ceil(until_ - now) + 3600)
redis.call('PUBLISH', KEYS[1], string.format('%.9f', until_ - now))
"""
_CANCEL_SECONDS = 0.02


class RedisStore:
    """A limit kept in Redis. Used by one task at a time.

    :param key: of all who share it.
    """

    def __init__(
        self, address: StoreAddress, key: str, limits: Limits, *, block_seconds: float, bounds: Bounds = USUAL
    ) -> None:
        self._address, self._limits, self.block_seconds = address, limits, block_seconds
        self._bounds = bounds
        # The braces keep both on one node of a cluster.
        self._keys = [f"async_rest:limit:{{{key}}}", f"async_rest:limit:{{{key}}}:days"]
        self._client: Redis | None = None
        self._listening: asyncio.Task[None] | None = None

    async def open(self, on_pause: Callable[[float], None]) -> None:
        """Connect; see :class:`~airflow_async_rest.core.limits.shared.store.LimitStore`."""
        client = self._client = redis_client(self._address, self._bounds)
        self._take, self._pause = client.register_script(_TAKE), client.register_script(_PAUSE)
        self._listening = asyncio.create_task(self._listen(client, on_pause))
        await self.take(0, 0)

    async def take(self, places: int, counted: int, slow: Slow = AS_BEFORE) -> Grant:
        """Take the next places."""
        ask = asked(self._limits, datetime.now(UTC).date())
        told = (places, counted, ask.interval, self.block_seconds, LAG_SECONDS, ask.days, *slow)
        with self._translated():
            found = await self._take(self._keys, told)
        granting, wait, interval, charged, pause, granted, began, now = map(float, found.split())
        return Grant(int(granting), wait, interval, int(charged), pause, int(granted), began, now)

    async def pause(self, seconds: float) -> None:
        """Hold everybody back."""
        with self._translated():
            await self._pause(self._keys[:1], [seconds])

    async def close(self) -> None:
        """Disconnect."""
        client, self._client = self._client, None
        while self._listening is not None and not self._listening.done():
            self._listening.cancel()  # which redis-py may take for an error of the connection, and go on
            await asyncio.wait({self._listening}, timeout=_CANCEL_SECONDS)
        if client is not None:
            with contextlib.suppress(Exception):
                await client.aclose()

    async def _listen(self, client: "Redis", on_pause: Callable[[float], None]) -> None:
        """Report pauses as they come, until the store is closed; a connection that ends is made again.

        Who may not subscribe learns of them with the next places.
        """
        with contextlib.suppress(ConfigurationError):
            while self._client is client:  # redis-py may take a cancellation for an error of the connection
                with contextlib.suppress(StoreAwayError):
                    async for seconds in self._pauses(client):
                        on_pause(seconds)
                await asyncio.sleep(self._bounds.store_retry_seconds)

    async def _pauses(self, client: "Redis") -> AsyncIterator[float]:
        with self._translated():
            async with client.pubsub() as channel:
                await channel.subscribe(self._keys[0])
                while True:
                    message = await channel.get_message(ignore_subscribe_messages=True, timeout=None)
                    if message is not None:
                        yield float(message["data"])

    def _translated(self) -> contextlib.AbstractContextManager[None]:
        return redis_errors(self._address, f"run scripts that write {self._keys[0]!r} and publish there")
