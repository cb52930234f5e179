"""Tokens that tasks share: one of them renews, nobody is locked out but at one step, and nothing is readable."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from limit_stores import address_of, pooled, running_redis
from rotating import LOCKED_OUT, STEPS, STILL_GOOD, Login, decrypt, run_tasks, store_of, tokens_of

from airflow_async_rest.core.bounds import Bounds
from airflow_async_rest.core.errors import ConfigurationError, CredentialsError, StoppedError
from airflow_async_rest.core.stores.address import StoreAwayError
from airflow_async_rest.core.stores.tokens import Kept

pytestmark = pytest.mark.anyio
REFRESH = "r3fresh-token-0"


@pytest.fixture(params=["postgres", "redis"])
def address(request):
    if request.param == "redis":
        with running_redis("--appendonly", "no") as server:
            yield server.address
        return
    postgres = request.getfixturevalue("postgres")
    postgres.execute("DROP TABLE IF EXISTS async_rest_tokens")
    yield address_of(postgres)


@pytest.mark.release
@pytest.mark.parametrize("step", STEPS)
def test_tasks_that_are_killed_lock_nobody_out_but_between_the_answer_and_the_write(address, api, step):
    check_deaths(address, api, step, 10 if address.kind == "postgres" else 3)  # a lock in Redis takes its time to end


@pytest.mark.release
@pytest.mark.slow("several processes, of which one is killed")
@pytest.mark.parametrize("step", ["answered", "written"])
@pytest.mark.parametrize("address", ["postgres"], indirect=True)
def test_a_task_that_is_killed_after_its_write_locks_nobody_out(address, api, step):
    check_deaths(address, api, step, 1)


def check_deaths(address, api, step, deaths):
    login = Login(api)
    died, alive = run_tasks(address, api.url, step, deaths)
    if step == "answered":
        assert died == [-9, *[LOCKED_OUT] * (deaths - 1)]
        assert set(alive) == {LOCKED_OUT}
    else:
        assert (died, set(alive), login.reused) == ([-9] * deaths, {STILL_GOOD}, 0)


class Memory:
    """A store in this process. ``away`` has the numbers of the calls that it does not answer."""

    def __init__(self, away=()):
        self.kept, self.lock, self.away, self.calls, self.age = Kept(), asyncio.Lock(), away, 0, 0.0

    def answer(self):
        self.calls += 1
        if self.calls in self.away:
            raise StoreAwayError("nobody is there")

    @asynccontextmanager
    async def locked(self, key):
        self.answer()
        async with self.lock:
            yield self.kept._replace(age_seconds=self.age)

    async def write(self, key, text, version, lasts_seconds=None):
        self.answer()
        if version != self.kept.version:
            return False
        self.kept, self.lasts_seconds = Kept(text, version + 1), lasts_seconds
        return True


@pytest.mark.parametrize("refresh", [REFRESH, ""], ids=["refresh token", "client credentials"])
async def test_two_tasks_that_renew_at_once_renew_once(address, api, refresh):
    login = Login(api)
    tasks = [tokens_of(api.url, store_of(address), refresh=refresh) for _ in range(2)]
    for round_ in (1, 2, 3):
        first, second = await asyncio.gather(*(task.fetch() for task in tasks))
        assert first.value == second.value == f"acc3ss-token-{round_}"
    assert (len(login.given), login.reused) == (3, 0)


@pytest.mark.parametrize("refresh", [REFRESH, ""], ids=["refresh token", "client credentials"])
async def test_those_who_wait_may_have_all_sessions_but_one(postgres, api, refresh):
    """Behind a pooler with two sessions, one has the lock, and another one waits for it: none is left for the write."""
    login, bounds = Login(api), Bounds(token_lock_seconds=60.0, token_answer_seconds=30.0, token_write_seconds=30.0)
    postgres.execute("DROP TABLE IF EXISTS async_rest_tokens")
    with pooled(postgres) as address:
        tasks = [tokens_of(api.url, store_of(address, bounds=bounds), refresh=refresh, bounds=bounds) for _ in range(6)]
        tokens = await asyncio.gather(*(task.fetch() for task in tasks))
    assert {token.value for token in tokens} == {"acc3ss-token-1"}
    assert (len(login.given), login.reused) == (1, 0)


async def test_a_token_that_others_have_got_ends_when_it_ends(api):
    login, store = Login(api, lifetime=100.0), Memory()
    await tokens_of(api.url, store).fetch()
    store.age = 40.0
    token = await tokens_of(api.url, store, clock=lambda: 1000.0).fetch()
    assert token.value == "acc3ss-token-1"
    assert token.lifetime_seconds == 100.0
    assert 1055 < token.ends_at <= 1060
    store.age = 90.0
    assert (await tokens_of(api.url, store).fetch()).value == "acc3ss-token-2"
    assert len(login.given) == 2


async def test_a_new_login_wins_and_the_one_before_is_not_used(address, api):
    login = Login(api)
    await tokens_of(api.url, store_of(address), key="old").fetch()
    login.refresh = "r3fresh-of-a-new-login"
    new = tokens_of(api.url, store_of(address), key="new", refresh="r3fresh-of-a-new-login")
    assert (await new.fetch()).value == "acc3ss-token-2"
    assert login.reused == 0


async def test_an_access_token_that_was_asked_for_something_else_is_not_taken_and_the_refresh_token_is(address, api):
    login = Login(api)
    values = [
        (await tokens_of(api.url, store_of(address), asked_for=asked_for).fetch()).value
        for asked_for in ("read", "write", "write", "read")
    ]
    assert values == [f"acc3ss-token-{number}" for number in (1, 2, 2, 3)]
    assert login.reused == 0


async def test_nothing_is_readable_in_the_store(address, api):
    Login(api)
    store = store_of(address)
    await tokens_of(api.url, store).fetch()
    async with store.locked("k") as kept:
        assert not [word for word in ("acc3ss", "r3fresh", "value", "token", "me") if word in kept.text]
        assert b"r3fresh-token-1" in decrypt(kept.text.encode())


async def test_a_refresh_token_stays_where_the_endpoint_gives_no_other(api):
    api.answer = lambda seen: web.json_response({"access_token": f"a-{len(api.seen)}", "expires_in": 60})
    tokens = tokens_of(api.url, Memory())
    await tokens.fetch()
    await tokens.fetch()
    assert all(b"refresh_token=r3fresh-token-0" in seen.body for seen in api.seen)
    assert len(api.seen) == 2


async def test_a_store_that_is_away_stops_a_refresh_token_before_it_is_used(api):
    login = Login(api)
    with pytest.raises(
        StoppedError, match="the refresh token is not used, for its store is away.*: nobody is there. A retry goes on"
    ) as raised:
        await tokens_of(api.url, Memory(away={1})).fetch()
    assert not isinstance(raised.value, CredentialsError)
    assert login.given == []


@pytest.mark.parametrize("away", [{1, 2, 3}, {2}], ids=["for reading", "for writing"])
async def test_a_store_that_is_away_leaves_a_task_its_own_token_where_it_may_ask_for_one(api, away):
    login, said = Login(api), []
    tokens = tokens_of(api.url, Memory(away=away), refresh="", say=said.append)
    assert (await tokens.fetch()).value == "acc3ss-token-1"
    assert (await tokens.fetch()).value == "acc3ss-token-2"
    assert len(login.given) == 2
    assert len(said) == (1 if 1 in away else 0)


async def test_a_store_that_is_away_once_the_token_is_used_up_gets_the_next_one_when_it_is_back(api):
    login, store = Login(api), Memory(away=range(2, 6))
    tokens = tokens_of(api.url, store, bounds=Bounds(store_retry_seconds=0.001))
    await tokens.fetch()
    await tokens_of(api.url, store).fetch()
    await tokens.fetch()
    assert (len(login.given), login.reused) == (2, 0)


async def test_a_store_that_stays_away_once_the_token_is_used_up_says_to_sign_in_again(api):
    Login(api)
    hasty = Bounds(store_retry_seconds=0.001, token_write_seconds=0.01)
    with pytest.raises(CredentialsError, match="could not be kept.*: sign in again, and write the new"):
        await tokens_of(api.url, Memory(away=range(2, 10000)), bounds=hasty).fetch()


@pytest.mark.parametrize(
    ("refresh", "is_said"), [(REFRESH, True), ("", False)], ids=["refresh token", "no refresh token"]
)
async def test_who_was_overtaken_while_it_renewed_says_so_and_goes_on_with_its_token(api, refresh, is_said):
    store, said = Memory(), []
    Login(api)
    give = api.answer

    def answer(seen):
        store.kept = Kept("the other's", 1)  # whose task has taken the lock of this one
        return give(seen)

    api.answer = answer
    token = await tokens_of(api.url, store, refresh=refresh, say=said.append).fetch()
    assert (token.value, store.kept.text) == ("acc3ss-token-1", "the other's")
    assert ["Another task has renewed the refresh token" in text for text in said] == [True] * is_said


@pytest.mark.parametrize(
    ("refresh", "lifetime", "lasts"),
    [(REFRESH, 100.0, None), (REFRESH, 0, None), ("", 100.0, 100), ("", 0, 30 * 86_400)],
)
async def test_a_token_is_kept_while_it_holds_and_a_refresh_token_for_good(api, refresh, lifetime, lasts):
    Login(api, lifetime=lifetime)
    store = Memory()
    await tokens_of(api.url, store, refresh=refresh).fetch()
    if lasts is None:
        assert store.lasts_seconds is None
    else:
        assert lasts - 60 < store.lasts_seconds <= lasts


@pytest.mark.parametrize("refresh", [REFRESH, ""], ids=["refresh token", "client credentials"])
async def test_what_was_encrypted_with_another_key_is_done_without_where_that_is_possible(api, refresh):
    login, store = Login(api), Memory()
    store.kept = Kept("of another key", 1)
    tokens = tokens_of(api.url, store, refresh=refresh)
    if refresh:
        with pytest.raises(ConfigurationError, match=r"with another key: give all workers the same fernet_key"):
            await tokens.fetch()
        assert login.given == []
    else:
        assert (await tokens.fetch()).value == "acc3ss-token-1"
        assert store.kept.version == 2


class Stopped:
    """A task that is stopped once something is reached, while it waits for its token; then its loop is closed."""

    def run(self, tokens) -> None:
        async def fetch():
            self.loop, self.event = asyncio.get_running_loop(), asyncio.Event()
            asking = asyncio.create_task(tokens.fetch())
            await self.event.wait()
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

        asyncio.run(fetch())

    def reach(self) -> None:
        self.loop.call_soon_threadsafe(self.event.set)


def test_a_task_that_is_stopped_while_the_endpoint_answers_still_writes_the_answer_down(api):
    login, store, stopped = Login(api), Memory(), Stopped()
    tokens, give = tokens_of(api.url, store), api.answer

    async def answer(seen):
        stopped.reach()
        while not tokens._is_stopped:  # nobody waits for the token any longer
            await asyncio.sleep(0)
        return give(seen)

    api.answer = answer
    stopped.run(tokens)
    assert (len(login.given), store.kept.version) == (1, 1)
    assert b"r3fresh-token-1" in decrypt(store.kept.text.encode())


def test_a_task_that_is_stopped_while_another_one_renews_does_not_wait_for_it(api, ends):
    class Held(Memory):
        @asynccontextmanager
        async def locked(self, key):
            stopped.reach()
            await asyncio.Event().wait()
            yield Kept()

    login, stopped = Login(api), Stopped()
    stopped.run(tokens_of(api.url, Held()))
    assert login.given == []


async def test_a_task_that_is_stopped_while_it_waits_for_the_lock_of_another_one_ends(address, api, ends):
    class Reached:
        @asynccontextmanager
        async def locked(self, key):
            stopped.reach()
            async with store_of(address).locked(key) as kept:
                yield kept

    login, stopped = Login(api), Stopped()
    async with store_of(address).locked("k"):
        await asyncio.to_thread(stopped.run, tokens_of(api.url, Reached()))
    async with store_of(address, bounds=Bounds(token_lock_seconds=60.0)).locked("k"):
        assert login.given == []


def test_a_task_that_is_stopped_does_not_wait_for_an_endpoint_that_hangs(api, ends):
    Login(api)

    async def answer(seen):
        stopped.reach()
        return "hang"

    stopped, api.answer = Stopped(), answer
    stopped.run(tokens_of(api.url, Memory(), bounds=Bounds(grace_seconds=0.01, after_stop_seconds=0.01)))
