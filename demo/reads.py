"""What holds for requests that read: a rate limit, faults and counts, each endpoint's own."""

import time
from collections import Counter
from typing import Any

from aiohttp import web

from demo.api_rules import SlidingSecond, fault_of

# Nothing is stored, so an answer that is lost is like a connection that is reset.
READ_FAULTS = ("error", "reset")


class Reads:
    """The requests that one endpoint has had.

    :param limit: how many it admits in any sliding second; more are answered with 429.
    :param fault_share: of the requests it spoils.
    """

    def __init__(self, limit: int, fault_share: float) -> None:
        self._second = SlidingSecond(limit)
        self._fault_share = fault_share
        self._attempts: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()

    def spoil(self, request: web.Request) -> web.Response | None:
        """Count a request. :return: its answer when it is over the limit or fails; None: it is neither."""
        self._counts["requests"] += 1
        if not self._second.admit(time.monotonic()):
            return web.json_response({"error": "too many requests"}, status=429, headers={"Retry-After": "1"})
        what = request.path_qs  # of a listing, that is one page of one span
        self._attempts[what] += 1
        fault = fault_of(what, self._attempts[what], self._fault_share, READ_FAULTS)
        if fault is None:
            return None
        self._counts[fault] += 1
        if fault == "reset":
            request.transport.abort()
        return web.json_response({"error": "something went wrong"}, status=500)

    def stats(self) -> dict[str, Any]:
        """Return the counts."""
        return {
            "requests": self._counts["requests"],
            "faults": {fault: self._counts[fault] for fault in READ_FAULTS},
            "over_limit": self._second.over_limit,
            "busiest_second": self._second.busiest,
        }
