"""A whole job with a transport, a limiter or an authentication of one's own."""

from contextlib import asynccontextmanager

from aiohttp import web
from engine import Store, counts, make_job, run

from airflow_async_rest.core.errors import ConnectionFailedError
from airflow_async_rest.core.models import Response
from airflow_async_rest.core.sending.retry import RequestRetry


class Recording:
    """A transport without a network: keeps the requests, and answers with one status after the other."""

    def __init__(self, *statuses):
        self.statuses, self.requests, self.opened, self.is_closed = list(statuses), [], None, False

    @asynccontextmanager
    async def open(self, settings, connections, headers):
        self.opened = (settings.base_url, connections, headers)
        yield self
        self.is_closed = True

    async def send(self, request):
        self.requests.append(request)
        status = self.statuses.pop(0) if self.statuses else 200
        if status is None:
            raise ConnectionFailedError("gone")
        return Response(status, {}, b"", 0.01)


def test_a_job_sends_by_the_transport_that_it_is_given(api, tmp_path):
    transport = Recording(200, 422, None)
    job = make_job(api, tmp_path, 5, transport=transport.open, headers={"X-Job": "j"}, concurrency=1, max_failures=2)
    report = run(job)
    assert counts(report) == [5, 3, 2, 0]
    assert report["reasons"] == {"http_422": 1, "connection": 1}
    assert [request.path for request in transport.requests] == [f"x/{index}" for index in range(5)]
    assert (transport.opened, transport.is_closed) == ((api.url, 1, {"X-Job": "j"}), True)
    assert api.seen == []


class Shared:
    """A limiter that a test looks into: it grants at once, and pauses pass."""

    def __init__(self, limit):
        self.limit, self.granted, self.pauses = limit, 0, []

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        pass

    async def acquire(self):
        self.granted += 1

    def give_back(self):
        self.granted -= 1

    def slow_down(self, interval, seconds):
        return False

    def standing(self):
        return None

    def pause(self, seconds):
        self.pauses.append(seconds)
        return True

    def share_used(self):
        return 0.25


def test_a_job_asks_the_limiter_that_it_is_given_for_each_request(tmp_path, api):
    made, store = [], Store()

    def make(limit):
        made.append(Shared(limit))
        return made[0]

    left = [429]
    api.answer = lambda seen: web.Response(status=left.pop(), headers={"Retry-After": "7"}) if left else 200
    job = make_job(api, tmp_path, 5, limiter=make, rate_limit=(100, 60.0), retry=RequestRetry(max_attempts=2))
    assert counts(run(job, store)) == [5, 5, 0, 0]
    [limiter] = made
    assert (limiter.limit, limiter.granted, limiter.pauses) == ((100, 60.0), 6, [7.0])
    assert {value["limit_share_used"] for key, value in store.history if key == "progress"} == {0.25}
