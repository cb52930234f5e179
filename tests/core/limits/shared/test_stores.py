"""What every store of a shared limit does: the same questions to each."""

import asyncio
import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from limit_stores import MemoryServer, MemoryStore, address_of, pooled, running_redis, store_at

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.limits.limits import Limits, Rate, parse_limits
from airflow_async_rest.core.limits.shared.store import LAG_SECONDS, Slow
from airflow_async_rest.core.stores.address import StoreAddress, StoreAwayError
from airflow_async_rest.core.stores.redis import redis_client

pytestmark = pytest.mark.anyio
KINDS = ("memory", "redis", "postgres")


@pytest.fixture(params=KINDS)
async def make(request):
    """Make a store with limits; the same key is the same limit. All are closed at the end."""
    kind, made, server = request.param, [], MemoryServer(time.monotonic)
    address = {
        "memory": lambda: None,
        "redis": lambda: request.getfixturevalue("redis").address,
        "postgres": lambda: address_of(request.getfixturevalue("postgres")),
    }[kind]()

    async def make_one(limits, key=request.node.name, on_pause=lambda _: None):
        read = parse_limits(limits) if isinstance(limits, str) else limits
        store = MemoryStore(server, key, read) if address is None else store_at(address, key, read)
        await store.open(on_pause)
        made.append(store)
        return store

    yield make_one
    for store in made:
        await store.close()


async def test_places_come_one_after_the_other_to_whoever_asks(make):
    one, other = await make("100/s"), await make("100/s")
    interval = Rate(100, 1.0).interval
    places = []  # by the store's clock, however long its answers take
    for store in (one, other, one, other):
        grant = await store.take(3, 0)
        places.append(place_of(grant))
        assert (grant.places, grant.counted, grant.pause_seconds) == (3, 0, 0)
        assert grant.interval == pytest.approx(interval)
    assert all(later - earlier > 3 * interval - 1e-5 for earlier, later in pairwise(places))


async def test_the_first_place_is_now_and_lost_time_is_not_caught_up_with(make):
    store = await make("50/s")
    for _ in range(2):
        began = (await store.take(0, 0)).now  # by the store's clock, however long its answers take
        first, second = await store.take(1, 0), await store.take(1, 0)
        assert began - LAG_SECONDS - 1e-5 <= place_of(first) <= first.now
        assert place_of(second) - place_of(first) >= 0.02
        await asyncio.sleep(0.06)


def place_of(grant):
    return grant.now + grant.wait_seconds


@pytest.mark.parametrize(
    ("limit", "asked", "places"),
    [("1000/s", 8, 8), ("1000/s", 100, 49), ("100/s", 8, 4), ("10/s", 8, 1), ("1/h", 8, 1), ("5/d", 8, 5)],
)
async def test_no_more_than_a_moment_of_the_limit_is_handed_out_at_once(make, limit, asked, places):
    assert (await (await make(limit)).take(asked, asked)).places == places


async def test_a_pause_holds_everybody_back_and_a_shorter_one_does_not_end_it(make):
    one, other = await make("1000/s"), await make("1000/s")
    await one.pause(3000)
    await one.pause(1)
    grant = await other.take(1, 0)
    assert 2900 < grant.pause_seconds <= 3000
    assert 2900 < grant.wait_seconds <= 3000


async def test_the_stricter_of_two_limits_holds_while_somebody_has_it(make):
    strict, lax = await make("10/s"), await make("1000/s")
    assert (await strict.take(1, 0)).interval == pytest.approx(Rate(10, 1.0).interval)
    assert (await lax.take(1, 0)).interval == pytest.approx(Rate(10, 1.0).interval)


async def test_a_slower_pace_that_one_is_told_holds_for_all_until_its_end(make):
    one, other = await make("1000/s"), await make("1000/s")
    await one.take(1, 0, Slow(0.2, 300.0))
    grant = await other.take(8, 0)
    assert (grant.places, grant.interval) == (1, pytest.approx(0.2))
    await one.take(1, 0, Slow(0.0, 0.0))
    assert (await other.take(1, 0)).interval == pytest.approx(Rate(1000, 1.0).interval)


async def test_the_end_of_a_slower_pace_is_not_outlived_by_places_in_a_queue(make):
    store = await make("1000/s")
    await store.take(1, 0, Slow(1.0, 2.5))
    waits = [(await store.take(1, 0)).wait_seconds for _ in range(20)]
    assert max(waits) < 3.1


async def test_how_many_all_have_taken_is_known(make):
    one, other = await make("1000/s"), await make("1000/s")
    await one.take(3, 0)
    assert (await other.take(4, 0)).granted == 7


@pytest.mark.parametrize("limit", ["10/d", "10/d UTC", "10/d Asia/Kathmandu", "1000/s, 10/d", "20/d, 10/d UTC"])
async def test_a_days_limit_is_counted_exactly(make, limit):
    stores = [await make(limit) for _ in range(3)]
    grants = [await stores[number % 3].take(3, 3) for number in range(5)]
    assert [grant.places for grant in grants] == [3, 3, 3, 1, 0]
    assert [grant.counted for grant in grants] == [3, 3, 3, 1, 0]
    assert grants[-1].wait_seconds > 0


async def test_what_was_not_sent_is_given_back_to_the_day(make):
    store = await make("10/d UTC")
    await store.take(8, 8)
    assert (await store.take(0, -5)).counted == -5
    assert (await store.take(8, 8)).places == 7
    assert (await store.take(0, -100)).counted == -10  # never more than was taken


async def test_what_is_in_hand_already_is_not_charged_again(make):
    store = await make("10/d")
    assert (await store.take(8, 8)).places == 8
    assert (await store.take(4, 1))[0::3][:2] == (4, 1)  # three of them were charged before
    assert (await store.take(4, 1))[0::3][:2] == (4, 1)
    assert (await store.take(4, 1))[0::3][:2] == (3, 0)


@pytest.mark.parametrize("make", ["redis", "postgres"], indirect=True)
async def test_a_used_up_day_says_when_there_is_more(make):
    now = datetime.now(UTC)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    calendar, rolling = await make("1/d UTC", "calendar"), await make("1/d", "rolling")
    for store in (calendar, rolling):
        await store.take(1, 1)
    assert (await calendar.take(1, 1)).wait_seconds == pytest.approx((midnight - now).total_seconds(), abs=30)
    assert 86_400 <= (await rolling.take(1, 1)).wait_seconds <= 86_400 + 900


@pytest.mark.parametrize("make", ["memory", "redis"], indirect=True)
async def test_a_pause_is_told_at_once(make):
    told: asyncio.Queue = asyncio.Queue()
    await make("10/s", on_pause=told.put_nowait)
    other = await make("10/s")
    async with asyncio.timeout(60):
        while told.empty():  # until the store listens
            await other.pause(5)
            await asyncio.sleep(0.01)
    assert 4 < await told.get() <= 5


@pytest.mark.parametrize("make", ["redis", "postgres"], indirect=True)
async def test_whoever_asks_learns_that_the_store_has_forgotten(request, make):
    one, other = await make("10/s"), await make("10/s")
    began = (await one.take(1, 0)).began
    assert (await other.take(1, 0)).began == began
    if request.node.callspec.params["make"] == "redis":
        async with redis_client(one._address) as client:
            await client.flushall()
    else:
        request.getfixturevalue("postgres").execute("DELETE FROM async_rest_limits")
    assert (await other.take(1, 0)).began > began


@pytest.mark.parametrize("make", ["redis", "postgres"], indirect=True)
@pytest.mark.parametrize("ahead", [100, 3600])
async def test_nobody_waits_for_a_clock_that_was_set_back(request, make, ahead):
    one, other = await make("10/s"), await make("10/s")
    await one.take(1, 0, Slow(0.2, 300.0))
    await one.pause(50)
    await one.take(1, 0)
    # What was written by a clock that was so much ahead is what a clock that was set back finds.
    moments = ("next", "pause", "claimed", "slow_until", "fewest_until")
    if request.node.callspec.params["make"] == "redis":
        async with redis_client(one._address) as client:
            for name in moments:
                await client.hincrbyfloat(one._keys[0], name, ahead)
    else:
        changes = ", ".join(f"{name} = {name} + {ahead}" for name in moments)
        request.getfixturevalue("postgres").execute(f"UPDATE async_rest_limits SET {changes} WHERE key = '{one._key}'")
    for _ in range(2):
        grant = await other.take(1, 0)
        assert 0 < grant.wait_seconds < 51
        assert grant.pause_seconds <= 50  # as long as before
        assert grant.interval == pytest.approx(0.2)


async def test_two_keys_are_two_limits(make):
    one, other = await make("1/h", "one"), await make("1/h", "other")
    await one.take(1, 0)
    assert (await one.take(1, 0)).wait_seconds > 3000
    assert (await other.take(1, 0)).wait_seconds <= 0


def wrong(kind: str, **parts) -> StoreAddress:
    return StoreAddress(**{"conn_id": "limits", "kind": kind, "host": "127.0.0.1", "port": 1, **parts})


@pytest.mark.parametrize("kind", ["redis", "postgres"])
async def test_a_store_that_is_not_there_is_away(kind):
    pytest.importorskip("redis")
    with pytest.raises(StoreAwayError, match=rf"{kind} at 127\.0\.0\.1:1 \(connection 'limits'\)"):
        await store_at(wrong(kind, password="s3cret"), "k", parse_limits("1/s")).open(lambda _: None)


READS = ("on", ">reads", "~*", "+get", "+evalsha", "+select")


async def refused(address: StoreAddress) -> str:
    store = store_at(address, "k", Limits((Rate(1, 1.0),)))
    try:
        with pytest.raises(ConfigurationError) as raised:
            await store.open(lambda _: None)
    finally:
        await store.close()
    assert "s3cret" not in str(raised.value)
    return str(raised.value)


@pytest.mark.slow("a Redis of its own")
@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({}, "give login and password"),
        ({"password": "wrong-s3cret"}, "give login and password"),
        ({"user": "nobody", "password": "wrong-s3cret"}, "give login and password"),
        ({"user": "reader", "password": "reads"}, "run scripts"),
        ({"password": "right", "database": "99"}, "may use the database"),
    ],
)
async def test_who_may_not_use_redis_is_told_so(parts, said):
    with running_redis("--requirepass", "right", "--user", "reader", *READS) as server:
        assert said in await refused(replace(server.address, **parts))


@pytest.mark.slow("a Redis of its own")
async def test_a_user_with_the_rights_that_the_page_on_limits_names_may_use_redis():
    from pages import page

    rights = re.search(r"`(~async_rest:limit:[^`]*)`", page("limits"))[1].split()
    with running_redis("--requirepass", "right", "--user", "limited", "on", ">limits", *rights) as server:
        told: asyncio.Queue = asyncio.Queue()
        address = replace(server.address, user="limited", password="limits")
        store = store_at(address, "k", parse_limits("10/s, 5/d UTC"))
        await store.open(told.put_nowait)
        assert (await store.take(1, 1)).places == 1
        async with asyncio.timeout(60):
            while told.empty():
                await store.pause(5)
                await asyncio.sleep(0.01)
        await store.close()


@pytest.mark.slow("a Redis of its own")
async def test_who_may_not_subscribe_asks_once_and_who_may_not_publish_is_told():
    rights = ("~*", "+@all", "-subscribe", "-publish")
    with running_redis("--user", "limited", "on", ">limits", *rights) as server:
        address = replace(server.address, user="limited", password="limits")
        store = store_at(address, "k", parse_limits("10/s"))
        await store.open(lambda _: None)
        async with asyncio.timeout(60):
            await asyncio.wait({store._listening})
        with pytest.raises(ConfigurationError, match="publish there"):
            await store.pause(500)
        assert 400 < (await store.take(1, 0)).pause_seconds <= 500
        await store.close()


async def test_who_may_not_make_the_table_in_postgresql_is_told_how_it_is_made(postgres):
    user = f"limited_{postgres.database}"
    postgres.execute(f"CREATE ROLE {user} LOGIN PASSWORD 's3cret'", "DROP TABLE IF EXISTS async_rest_limits")
    postgres.execute("REVOKE CREATE ON SCHEMA public FROM public")
    address = replace(address_of(postgres), user=user, password="s3cret")
    assert "may not create the table async_rest_limits" in (said := await refused(address))
    assert "CREATE TABLE IF NOT EXISTS async_rest_limits" in said
    await (store := store_at(address_of(postgres), "k", parse_limits("1/s"))).open(lambda _: None)
    await store.close()
    assert "may not use the table async_rest_limits" in await refused(address)
    postgres.execute(f"GRANT SELECT, INSERT, UPDATE ON async_rest_limits TO {user}")
    await (allowed := store_at(address, "k", parse_limits("1/s"))).open(lambda _: None)
    await allowed.close()
    assert "does not exist" in await refused(replace(address, database="nowhere"))


@pytest.mark.slow("a Redis of its own")
@pytest.mark.parametrize(
    ("options", "parts", "said"),
    [
        (("--cluster-enabled", "yes"), {}, "a Redis that is a cluster's cannot keep limits"),
        ((), {"options": {"ssl": True, "ssl_ca_certs": "/no/such"}}, "a file that the extra names is not on this"),
    ],
)
async def test_a_redis_that_can_never_keep_limits_is_told_so(tmp_path, options, parts, said):
    with running_redis("--dir", str(tmp_path), *options) as server:
        assert said in await refused(replace(server.address, **parts))


async def test_a_table_of_somebody_elses_is_told(postgres):
    postgres.execute("DROP TABLE IF EXISTS async_rest_limits", "CREATE TABLE async_rest_limits (key text)")
    said = await refused(address_of(postgres))
    postgres.execute("DROP TABLE async_rest_limits")
    assert "a table async_rest_limits of somebody else's cannot be used" in said


async def test_a_pooler_may_give_each_transaction_another_session(postgres):
    with pooled(postgres) as address:
        stores = [store_at(address, "k", parse_limits("1000/s, 500/d")) for _ in range(4)]
        for store in stores:
            await store.open(lambda _: None)
        for _ in range(10):
            assert {grant.places for grant in await asyncio.gather(*(store.take(3, 3) for store in stores))} == {3}
        assert (await stores[0].take(0, 0)).granted == 4 * 10 * 3
        for store in stores:
            await store.close()


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
async def test_a_database_may_isolate_its_transactions_more_than_it_has_to(postgres, isolation):
    address = replace(address_of(postgres), options={"server_settings": {"default_transaction_isolation": isolation}})
    stores = [store_at(address, f"api {isolation}", parse_limits("1000/s, 100000/d")) for _ in range(4)]
    try:
        for store in stores:
            await store.open(lambda _: None)

        async def take(store):
            for _ in range(30):
                await store.take(1, 1)
            await store.pause(0.0)

        await asyncio.gather(*map(take, stores))
        assert (await stores[0].take(0, 0)).granted == 120
    finally:
        for store in stores:
            await store.close()
