"""A login whose refresh tokens are used up with each use, and tasks that share one, each in a process of its own.

As a program it forks such tasks, and has others die in the middle of a renewal; see :func:`run_tasks`.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import asdict
from urllib.parse import parse_qs

from aiohttp import web
from checkout import REPOSITORY

from airflow_async_rest.core.bounds import Bounds
from airflow_async_rest.core.errors import CredentialsError
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.core.signing.oauth2 import Client, TokenEndpoint, token_settings
from airflow_async_rest.core.signing.shared_tokens import SharedTokens, Sharing
from airflow_async_rest.core.stores.address import StoreAddress
from airflow_async_rest.core.stores.postgres_tokens import PostgresTokens
from airflow_async_rest.core.stores.redis_tokens import RedisTokens

STEPS = ("before the lock", "locked", "before the question", "answered", "written", "unlocked")
CLIENT = Client("me", "cl1ent-s3cret")
LOCKED_OUT, STILL_GOOD = 3, 0
_BOUNDS = Bounds(token_lock_expiry_seconds=2.0)  # in Redis, of whoever was killed


class Login:
    """A token endpoint and an API.

    ``refresh`` is the one refresh token that is good, ``reused`` counts others; ``valid`` are the API's tokens.
    """

    def __init__(self, api, refresh="r3fresh-token-0", lifetime=3600.0):
        self.refresh, self.lifetime, self.given, self.reused = refresh, lifetime, [], 0
        self.valid = set()
        api.answer = self.answer

    def answer(self, seen):
        if seen.path != "/token":
            return 200 if seen.headers.get("Authorization", "")[7:] in self.valid else 401
        form = parse_qs(seen.body.decode())
        if form["grant_type"] == ["refresh_token"]:
            if form["refresh_token"] != [self.refresh]:
                self.reused += 1
                return web.json_response({"error": "invalid_grant", "error_description": "used up"}, status=400)
            self.refresh = f"r3fresh-token-{len(self.given) + 1}"
        self.given.append(f"acc3ss-token-{len(self.given) + 1}")
        self.valid.add(self.given[-1])
        said = {"access_token": self.given[-1], "expires_in": self.lifetime}
        return web.json_response(said | ({"refresh_token": self.refresh} if "refresh_token" in form else {}))


def store_of(address: StoreAddress, **how):
    return (RedisTokens if address.kind == "redis" else PostgresTokens)(address, **how)


def encrypt(data: bytes) -> bytes:
    return b"sealed:" + data[::-1].hex().encode()


def decrypt(data: bytes) -> bytes:
    if not data.startswith(b"sealed:"):
        raise ValueError
    return bytes.fromhex(data[7:].decode())[::-1]


def tokens_of(url, store, key="k", refresh="r3fresh-token-0", grant=None, asked_for="", **how) -> SharedTokens:
    """Make what a task gets its tokens from; without a refresh token it may ask for itself."""
    kind = {"grant_type": "refresh_token" if refresh else "client_credentials"}
    endpoint = TokenEndpoint(
        settings=token_settings(ClientSettings(url), f"{url}/token", CLIENT),
        grant=grant or (lambda: kind),
        retry=RequestRetry(backoff_base_seconds=0.001),
        invalid_grant="sign in again" if refresh else "",
    )
    sharing = Sharing(store=store, key=key, encrypt=encrypt, decrypt=decrypt, asked_for=asked_for)
    return SharedTokens(endpoint, sharing, refresh_token=refresh, **how)


class Dying:
    """A store of a task that is killed at a step."""

    def __init__(self, store, step):
        self.store, self.step = store, step

    def reach(self, step):
        if step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)

    @asynccontextmanager
    async def locked(self, key):
        self.reach("before the lock")
        async with self.store.locked(key) as kept:
            self.reach("locked")
            yield kept
        self.reach("unlocked")

    async def write(self, *what):
        self.reach("answered")
        is_kept = await self.store.write(*what)
        self.reach("written")
        return is_kept


async def renew(url, store, is_over) -> int:
    """Ask for one token after the other, until it is over, or nobody can sign in any longer."""
    tokens = tokens_of(url, store)
    try:
        while not is_over():
            await tokens.fetch()
        for _ in range(2):  # of which one at least asks
            await tokens.fetch()
    except CredentialsError as error:
        return LOCKED_OUT if "sign in again" in str(error) else 1
    return STILL_GOOD


async def renew_until_dead(url, store) -> int:
    def grant():
        store.reach("before the question")
        return {"grant_type": "refresh_token"}

    tokens = tokens_of(url, store, grant=grant)
    try:
        while True:
            await tokens.fetch()
    except CredentialsError:
        return LOCKED_OUT


def _fork(work) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = asyncio.run(work())
        finally:
            os._exit(code)
    return pid


def _main(address, url, step, deaths) -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)

    def is_over() -> bool:
        try:
            return os.read(reading, 1) == b""  # nobody holds the other end
        except BlockingIOError:
            return False

    def survive():
        os.close(writing)
        return renew(url, store_of(address, bounds=_BOUNDS), is_over)

    alive = [_fork(survive) for _ in range(7)]
    died = []
    for _ in range(deaths):
        pid = _fork(lambda: renew_until_dead(url, Dying(store_of(address, bounds=_BOUNDS), step)))
        died.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    os.close(writing)
    print(json.dumps([died, [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in alive]]))


def run_tasks(address: StoreAddress, url: str, step: str, deaths: int = 10) -> tuple[list[int], list[int]]:
    """Run seven tasks that renew one token all the time, and beside them one after the other that dies at a step.

    :return: how those ended that were to die, and the seven.
    """
    told = json.dumps([asdict(address), url, step, deaths])
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, __file__, told]
    ran = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=100, env=environment)
    died, alive = json.loads(ran.stdout)
    return died, alive


if __name__ == "__main__":
    place, *rest = json.loads(sys.argv[1])
    _main(StoreAddress(**place), *rest)
