"""An API that really counts: so many requests in each window, and 429 beyond; it tells what remains."""

import math
import time

from aiohttp import web


class Counting:
    """Answers for :class:`servers.Api`.

    :param say: (limit, remaining, seconds until the reset, the time then) -> headers.
    """

    def __init__(self, limit: int, window: float, say) -> None:
        self.limit, self.window, self.say = limit, window, say
        self.count = self.refused = 0
        self.ends = 0.0
        self.used: list[int] = []

    def __call__(self, seen):
        now = time.time()
        if now >= self.ends:
            self.used.append(self.count)
            self.count, self.ends = 0, now + self.window
        self.count += 1
        left = self.limit - self.count
        self.refused += left < 0
        headers = self.say(self.limit, max(0, left), self.ends - now, self.ends)
        return web.Response(status=200 if left >= 0 else 429, headers=headers)


def by_family(limit, left, seconds, ends):
    return {"X-RateLimit-Limit": f"{limit}", "X-RateLimit-Remaining": f"{left}", "X-RateLimit-Reset": f"{seconds:.3f}"}


def by_epoch(limit, left, seconds, ends):
    return {
        "X-RateLimit-Limit": f"{limit}",
        "X-RateLimit-Remaining": f"{left}",
        "X-RateLimit-Reset": f"{math.ceil(ends)}",
    }


def by_draft(limit, left, seconds, ends):
    return {"RateLimit-Policy": f'"d";q={limit};w=60', "RateLimit": f'"d";r={left};t={math.ceil(seconds)}'}


def without_limit(limit, left, seconds, ends):
    return {"X-Quota-Left": f"{left}", "X-Quota-Reset": f"{seconds:.3f}"}
