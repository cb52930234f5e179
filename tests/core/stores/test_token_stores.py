"""Where tasks share tokens: who holds a key holds it alone, and what is written is of the version that was read."""

import asyncio
import re
from dataclasses import replace

import pytest
from limit_stores import address_of, pooled, running_redis
from pages import page
from rotating import store_of

from airflow_async_rest.core.bounds import Bounds
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.stores.address import StoreAddress, StoreAwayError

pytestmark = pytest.mark.anyio
HASTY = Bounds(token_lock_seconds=1.0, store_retry_seconds=0.01)  # a machine may stand still for half of it


@pytest.fixture(params=["redis", "postgres"])
def address(request):
    if request.param == "postgres":
        return address_of(request.getfixturevalue("postgres"))
    return request.getfixturevalue("redis").address


async def test_what_is_written_is_read_with_its_age(address):
    store = store_of(address)
    async with store.locked("written") as kept:
        assert (kept.text, kept.version) == ("", 0)
        assert await store.write("written", "one", 0)
    async with store.locked("written") as kept:
        assert (kept.text, kept.version) == ("one", 1)
        assert 0 <= kept.age_seconds < 30
        assert await store.write("written", "two", 1)
    async with store.locked("written") as kept:
        assert (kept.text, kept.version) == ("two", 2)


async def test_a_key_is_held_by_one_at_a_time_and_others_do_not_wait_for_it(address):
    store, inside, most = store_of(address, bounds=Bounds(store_retry_seconds=0.001)), 0, 0

    async def hold():
        nonlocal inside, most
        async with store.locked("held"):
            inside += 1
            most = max(most, inside)
            async with store.locked("another"):
                await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(hold() for _ in range(8)))
    assert most == 1


async def test_who_waits_for_too_long_is_told_so_and_the_key_is_free_afterwards(address):
    async with store_of(address).locked("busy"):
        with pytest.raises(
            StoreAwayError, match=r"connection 'limits'\): another task has held the same token for \d+ s"
        ):
            async with store_of(address, bounds=HASTY).locked("busy"):
                pass
    async with store_of(address).locked("busy"):
        pass


async def test_a_store_may_take_longer_to_answer_for_a_token_than_for_a_place(address):
    store = store_of(address, bounds=Bounds(store_answer_seconds=0.000_001))
    async with store.locked("slow") as kept:
        assert await store.write("slow", "one", kept.version)


@pytest.mark.parametrize(
    ("text", "version", "is_taken"),
    [("mine", 1, True), ("theirs", 1, True), ("theirs", 0, True), ("mine", 0, False), ("mine", 2, False)],
    ids=["of this version", "the same", "the same, a second time", "overtaken", "of no version"],
)
async def test_who_was_overtaken_writes_nothing(address, text, version, is_taken):
    store, key = store_of(address), f"overtaken {text} {version}"
    await store.write(key, "theirs", 0)
    assert await store.write(key, text, version) is is_taken
    async with store.locked(key) as kept:
        assert kept.text == (text if is_taken else "theirs")


async def test_a_session_that_is_gone_loses_its_lock_and_not_what_it_writes(postgres):
    store, sessions = store_of(address_of(postgres)), "pg_stat_activity WHERE query LIKE '%async_rest_tokens%'"
    async with store.locked("gone") as kept:
        postgres.execute(f"SELECT pg_terminate_backend(pid) FROM {sessions} AND pid <> pg_backend_pid()")
        assert await store.write("gone", "one", kept.version)
    async with store.locked("gone") as kept:
        assert kept.text == "one"


async def test_a_pooler_that_takes_connections_and_answers_nothing_is_away(postgres):
    import asyncpg

    paused = Bounds(token_lock_seconds=0.5, token_answer_seconds=0.5)
    with pooled(postgres) as address:
        admin = await asyncpg.connect(host=address.host, port=address.port, user="postgres", database="pgbouncer")
        await admin.execute("PAUSE")
        store = store_of(address, bounds=paused)
        with pytest.raises(StoreAwayError):
            await store.locked("paused").__aenter__()
        with pytest.raises(StoreAwayError):
            await store.write("paused", "one", 0)
        await admin.close()


async def test_a_pooler_that_stops_between_two_transactions_is_away(postgres):
    import asyncpg

    with pooled(postgres) as address:
        admin = await asyncpg.connect(host=address.host, port=address.port, user="postgres", database="pgbouncer")
        store = store_of(address, bounds=Bounds(token_lock_seconds=2.0))
        touch = store._touch

        async def touch_and_pause(session, key):
            await touch(session, key)
            await admin.execute("PAUSE")

        store._touch = touch_and_pause
        async with asyncio.timeout(60):
            with pytest.raises(StoreAwayError, match="another task has held the same token for 2 s"):
                await store.locked("stopped").__aenter__()
        await admin.close()


async def test_a_write_that_fails_in_the_session_with_the_lock_goes_by_another_one(postgres):
    """The first one has the row, until it is gone."""
    store = store_of(address_of(postgres), bounds=Bounds(token_answer_seconds=20.0))

    class Failing:
        async def __aexit__(self, *_):
            raise OSError("its commit fails")

    async with store.locked("failed") as kept:
        session, _ = store._holding["failed"]
        store._holding["failed"] = session, Failing()
        assert await store.write("failed", "one", kept.version)
    async with store.locked("failed") as kept:
        assert kept.text == "one"


async def test_of_one_store_each_holder_of_a_key_writes_in_its_own_session(postgres):
    store, order = store_of(address_of(postgres)), []

    async def next_one():
        async with store.locked("shared") as kept:
            order.append("next")
            await asyncio.sleep(0)
            while "closed" not in order:
                await asyncio.sleep(0.001)
            assert "shared" in store._holding
            assert await store.write("shared", "two", kept.version)

    async with asyncio.timeout(60):
        coming = None
        async with store.locked("shared") as kept:
            coming = asyncio.create_task(next_one())
            assert await store.write("shared", "one", kept.version)  # which unlocks
            while "next" not in order:
                await asyncio.sleep(0.001)
        order.append("closed")
        await coming


async def test_a_table_without_a_column_is_told_before_a_token_is_asked_for(postgres):
    postgres.execute("DROP TABLE IF EXISTS async_rest_tokens")
    postgres.execute(
        "CREATE TABLE async_rest_tokens (key text PRIMARY KEY, version bigint, text text, written_at timestamptz)"
    )
    try:
        with pytest.raises(ConfigurationError, match="expires_at"):
            await store_of(address_of(postgres)).locked("older").__aenter__()
    finally:
        postgres.execute("DROP TABLE async_rest_tokens")


async def test_what_is_written_under_the_lock_ends_it(postgres):
    store = store_of(address_of(postgres))
    async with store.locked("ended") as kept:
        assert await store.write("ended", "one", kept.version)
        async with store_of(address_of(postgres), bounds=Bounds(token_lock_seconds=60.0)).locked("ended") as next_one:
            assert next_one.text == "one"
            assert await store.write("ended", "two", next_one.version)
    async with store.locked("ended") as kept:
        assert kept.text == "two"


async def test_what_has_outlived_its_time_is_removed_and_what_is_kept_for_good_is_not(address, request):
    store = store_of(address)
    assert await store.write("for good", "one", 0)
    assert await store.write("of a moment", "one", 0, 0.01)
    async with asyncio.timeout(60):
        assert await store.write("of an hour", "one", 0, 3600.0)
        while "of a moment" in await names_in(address, request):
            assert await store.write("of an hour", "one", 0, 3600.0)
    assert await names_in(address, request) >= {"for good", "of an hour"}
    async with store.locked("of a moment") as kept:
        assert (kept.text, kept.version) == ("", 0)


async def test_who_finds_that_what_was_there_has_been_removed_meanwhile_has_nothing(postgres):
    """One waits for a key while its time ends, and another task removes what is kept under it."""
    store, waiting = (
        store_of(address_of(postgres)),
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted",
    )

    async def next_one():
        async with store.locked("removed") as kept:
            assert await store.write("removed", "two", kept.version)
            return kept

    await store.write("removed", "one", 0, 3600.0)
    async with store.locked("removed"):
        coming = asyncio.create_task(next_one())
        async with asyncio.timeout(60):
            while postgres.execute(waiting) == [(0,)]:
                await asyncio.sleep(0.01)
        postgres.execute("DELETE FROM async_rest_tokens WHERE key = 'removed'")
    assert await coming == ("", 0, 0.0)


async def names_in(address, request):
    """The keys under which something is kept."""
    if address.kind == "postgres":
        return {key for (key,) in request.getfixturevalue("postgres").execute("SELECT key FROM async_rest_tokens")}
    from redis.asyncio import Redis

    async with Redis(host=address.host, port=address.port) as client:
        return {name.decode().split("{")[1].split("}")[0] for name in await client.keys("async_rest:token:*}")}


@pytest.mark.slow("a lock whose time a process can stand still for a while without missing it")
async def test_a_redis_lock_outlives_its_time_while_its_process_runs_and_not_after_it(redis):
    expiring = Bounds(token_lock_expiry_seconds=2.0, token_lock_seconds=3.0, store_retry_seconds=0.01)
    store = store_of(redis.address, bounds=expiring)
    async with store.locked("long"):
        with pytest.raises(StoreAwayError):
            async with store.locked("long"):
                pass
    client = redis.address
    from redis.asyncio import Redis

    async with Redis(host=client.host, port=client.port) as other:
        await other.set("async_rest:token:{gone}:lock", "somebody who is gone", px=200)
    async with store_of(redis.address).locked("gone"):
        pass


async def test_a_redis_lock_is_given_back_also_while_it_is_being_prolonged(redis):
    store = store_of(redis.address, bounds=Bounds(token_lock_expiry_seconds=0.004))
    async with asyncio.timeout(60):
        for number in range(50):
            async with store.locked(f"prolonged {number}") as kept:
                await store.write(f"prolonged {number}", "one", kept.version)


@pytest.mark.parametrize("kind", ["redis", "postgres"])
async def test_a_store_that_is_not_there_is_away(kind):
    pytest.importorskip("redis")
    store = store_of(StoreAddress(conn_id="limits", kind=kind, host="127.0.0.1", port=1, password="s3cret"))
    with pytest.raises(StoreAwayError, match=rf"{kind} at 127\.0\.0\.1:1 \(connection 'limits'\)"):
        await store.write("k", "text", 0)
    with pytest.raises(StoreAwayError):
        async with store.locked("k"):
            pass


@pytest.mark.slow("a Redis of its own")
async def test_who_may_read_and_not_write_redis_is_told_so_before_anything_is_asked():
    rights = ("on", ">reads", "~*", "+get", "+set", "+hmget", "+evalsha", "+eval", "+script", "+select", "+time")
    with running_redis("--user", "reader", *rights) as server:
        store = store_of(replace(server.address, user="reader", password="reads"))
        with pytest.raises(ConfigurationError, match=r"write 'async_rest:token:\{k\}' and run scripts that do"):
            await store.locked("k").__aenter__()


@pytest.mark.slow("a Redis of its own")
async def test_a_user_with_the_rights_that_the_page_on_connections_names_may_use_redis():
    rights = re.search(r"`(~async_rest:token:[^`]*)`", page("connections"))[1].split()
    with running_redis("--user", "sharing", "on", ">shares", *rights) as server:
        prolonging = Bounds(token_lock_expiry_seconds=2.0, token_lock_seconds=3.0)
        store = store_of(replace(server.address, user="sharing", password="shares"), bounds=prolonging)
        async with store.locked("k") as kept:
            with pytest.raises(StoreAwayError):
                await store.locked("k").__aenter__()
            assert await store.write("k", "text", kept.version)
        async with store.locked("k") as kept:
            assert kept.text == "text"


async def test_who_may_read_and_not_write_the_table_in_postgresql_is_told_so_before_anything_is_asked(postgres):
    user = f"tokens_{postgres.database}"
    postgres.execute(f"CREATE ROLE {user} LOGIN PASSWORD 's3cret'", "DROP TABLE IF EXISTS async_rest_tokens")
    postgres.execute("REVOKE CREATE ON SCHEMA public FROM public")
    address = replace(address_of(postgres), user=user, password="s3cret")
    store = store_of(address)
    with pytest.raises(ConfigurationError, match="may not create the table async_rest_tokens"):
        async with store.locked("k"):
            pass
    async with store_of(address_of(postgres)).locked("k"):
        pass
    postgres.execute(f"GRANT SELECT ON async_rest_tokens TO {user}")
    with pytest.raises(ConfigurationError, match="may not use the table async_rest_tokens"):
        async with store.locked("k"):
            pass
    postgres.execute(f"GRANT SELECT, INSERT, UPDATE ON async_rest_tokens TO {user}")
    async with store.locked("k") as kept:
        assert await store.write("k", "text", kept.version, 60.0)  # what others have left stays there


async def test_a_token_is_on_the_disk_also_where_the_database_leaves_that_to_the_next_moment(postgres):
    async with store_of(address_of(postgres)).locked("k"):
        pass
    postgres.execute(
        "CREATE OR REPLACE FUNCTION say_durability() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN NEW.text = current_setting('synchronous_commit'); RETURN NEW; END $$",
        "CREATE TRIGGER durability BEFORE INSERT ON async_rest_tokens FOR EACH ROW EXECUTE FUNCTION say_durability()",
    )
    try:
        address = address_of(postgres)
        store = store_of(replace(address, options={"server_settings": {"synchronous_commit": "off"}}))
        assert await store.write("durable", "text", 0)
        assert postgres.execute("SELECT text FROM async_rest_tokens WHERE key = 'durable'") == [("on",)]
    finally:
        postgres.execute("DROP FUNCTION say_durability CASCADE")
