"""The connection test's look at the store of a shared limit: in words, what is there."""

import asyncio
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from airflow_async_rest.connections.limits.shared_limit import SharedLimit
from airflow_async_rest.connections.limits.store import STORES
from airflow_async_rest.core.limits.limits import Limits
from airflow_async_rest.core.limits.shared.store import Grant
from airflow_async_rest.core.stores.address import StoreAwayError

_LONGEST_SECONDS = 5.0
_NOTABLE_SECONDS = 0.5


def check_shared_limit(shared: SharedLimit, options: Mapping[str, Any]) -> tuple[bool, str]:
    """Ask the store for nothing; block for at most about five seconds.

    :param options: of the connection.
    :return: whether the store can be used, and in words what was found.
    :raises ConfigurationError: when the store will never work like this.
    """
    key = f"the key {shared.key!r}"
    if "rate_limit_key" not in options:  # the form's connection has an id made up by Airflow, which nobody shares
        shared, key = replace(shared, key="connection-test"), "the connection's id"
    found: Future[tuple[Grant, float]] = Future()
    threading.Thread(target=_run, args=(shared, found), name="limit-test", daemon=True).start()
    about = f"The limit {options['rate_limit']} is shared under {key}"
    try:
        grant, ahead = found.result(_LONGEST_SECONDS + 1)
    except (StoreAwayError, TimeoutError) as error:
        why = str(error) or f"no answer within {_LONGEST_SECONDS:g} s"
        return False, f"{about}, but its store cannot be reached: {why}."
    clock = "its clock agrees with this machine's"
    if abs(ahead) >= _NOTABLE_SECONDS:
        clock = f"its clock is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} this machine's, and counts"
    since = datetime.fromtimestamp(grant.began, UTC)
    used = f"; {grant.granted} requests since {since:%Y-%m-%d %H:%M:%S} UTC" if grant.granted else ""
    address = shared.address
    return True, f"{about}: {address.kind} (connection {address.conn_id!r}) reached, {clock}{used}."


def _run(shared: SharedLimit, found: "Future[tuple[Grant, float]]") -> None:
    try:
        found.set_result(asyncio.run(_look(shared)))
    except BaseException as error:  # noqa: BLE001  (raised again where it is awaited)
        found.set_exception(error)


async def _look(shared: SharedLimit) -> tuple[Grant, float]:
    unpaced = Limits(days=shared.limits.days)  # the form's pace would hold for all tasks, for a while
    store = STORES[shared.address.kind](shared.address, shared.key, unpaced, block_seconds=0.0)
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            await store.open(lambda _: None)
            before = time.time()
            grant = await store.take(0, 0)
            return grant, grant.now - (before + time.time()) / 2
    finally:
        await store.close()
