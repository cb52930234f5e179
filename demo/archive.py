"""The bulk side of the demo's API: ``POST /archive/_bulk`` takes readings as NDJSON, and answers for each of them."""

import asyncio
from collections import Counter
from typing import Any

from aiohttp import web

from demo.api_rules import FAULTS, Books, Rules, fault_of, parse_reading

_NDJSON = "application/x-ndjson"
_PARTLY = "partly stored"
_BULK_FAULTS = (*FAULTS, _PARTLY)
# Of the readings in such a request.
_SHARE_NOT_STORED = 0.2
Result = dict[str, Any]


class Archive:
    """A separate collection beside the sensors: what is in the one need not be in the other."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._attempts: Counter[bytes] = Counter()
        self._answers: dict[str, list[Result]] = {}
        self.books = Books()

    async def post_bulk(self, request: web.Request) -> web.StreamResponse:
        """Store what can be stored; 200 when that is all of it, otherwise 207."""
        counts, key = self.books.counts, request.headers.get("Idempotency-Key")
        counts["requests"] += 1
        body = await request.read()
        if not self._rules.admit():
            return web.json_response({"error": "too many requests"}, status=429, headers={"Retry-After": "1"})
        lines = body.splitlines()
        if bad := self._what_is_wrong(request.content_type, body, len(lines)):
            counts["bad requests"] += 1
            return web.json_response({"error": bad[1]}, status=bad[0])
        counts["lines"] += len(lines)
        if key in self._answers:
            counts["repeats"] += 1
            return _answer(self._answers[key])
        return await self._store_or_fail(request, key, lines)

    def _what_is_wrong(self, content_type: str, body: bytes, lines: int) -> tuple[int, str] | None:
        """Check a request as a whole. :return: status and reason, when something is wrong with it."""
        if content_type != _NDJSON:
            return 415, f"the content type must be {_NDJSON}"
        if lines > self._rules.settings.most_lines:
            return 413, f"a request may have {self._rules.settings.most_lines} lines at most"
        if not body.endswith(b"\n"):
            return 400, "the body must end with a newline"
        return None

    async def _store_or_fail(self, request: web.Request, key: str | None, lines: list[bytes]) -> web.StreamResponse:
        first = lines[0]  # stands for the request
        self._attempts[first] += 1
        fault = fault_of(first, self._attempts[first], self._rules.settings.bulk_fault_share, _BULK_FAULTS)
        if fault:
            self.books.counts[fault] += 1
        if fault == "error":
            return web.json_response({"error": "something went wrong"}, status=500)
        results = []
        if fault != "reset":
            results = [self._store(line, self._attempts[first], partly=fault == _PARTLY) for line in lines]
            if key and any(result["status"] == web.HTTPCreated.status_code for result in results):
                self._answers[key] = results
        if fault in ("reset", "lost answer"):
            request.transport.abort()
        if fault == "slow":
            await asyncio.sleep(self._rules.settings.slow_seconds)
        return _answer(results)

    def _store(self, line: bytes, attempt: int, *, partly: bool) -> Result:
        """Store the reading of a line, unless something is wrong with it or with the day."""
        try:
            reading = parse_reading(line)
        except ValueError as error:
            self.books.counts["bad lines"] += 1
            return {"id": None, "status": 400, "error": str(error)}
        number = reading["id"]
        if refusal := self._rules.refusal(number):
            self.books.refused.add(number)
            return {"id": number, "status": 422, "error": refusal}
        if partly and fault_of(number, attempt, _SHARE_NOT_STORED):
            self.books.counts["not stored"] += 1
            return {"id": number, "status": 503, "error": f"no room for reading {number} now"}
        self.books.store(reading)
        return {"id": number, "status": 201}

    def stats(self) -> dict[str, Any]:
        """Return the counts: ``lines`` came in all requests together, ``not_stored`` of them were to come again."""
        counts = self.books.counts
        return {
            **self.books.stats(),
            "lines": counts["lines"],
            "bad_lines": counts["bad lines"],
            "not_stored": counts["not stored"],
            "faults": {fault: counts[fault] for fault in _BULK_FAULTS},
        }


def _answer(results: list[Result]) -> web.Response:
    all_stored = all(result["status"] == web.HTTPCreated.status_code for result in results)
    return web.json_response(results, status=200 if all_stored else 207)
