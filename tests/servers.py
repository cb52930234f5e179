"""A real HTTP server on a loopback port, in a thread of its own, that does as a test tells it."""

import asyncio
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import pytest
import uvloop
from aiohttp import web


@dataclass
class Seen:
    """One request as the server saw it."""

    at: float
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    raw_query: str = ""

    @property
    def target(self) -> str:
        """Path and query."""
        return f"{self.path}?{self.query}" if self.query else self.path

    def json(self):
        return json.loads(self.body)

    @property
    def key(self) -> str:
        return self.headers["Idempotency-Key"]


@dataclass
class Api:
    """What the server does and has seen.

    ``answer`` is asked for every request: it returns a status, a ``web.Response``, or awaits first; the
    string "reset" closes the connection without an answer, "hang" never answers (until the server stops).
    """

    url: str = ""
    answer: Callable[[Seen], object | Awaitable[object]] = field(default=lambda seen: 200)
    seen: list[Seen] = field(default_factory=list)
    in_flight: int = 0
    peak: int = 0
    reached: threading.Condition = field(default_factory=threading.Condition)

    def stored(self) -> Counter:
        """Bodies of delivered requests -> how often (by Idempotency-Key an API would store each once)."""
        return Counter(seen.body for seen in self.delivered)

    delivered: list[Seen] = field(default_factory=list)
    loop: asyncio.AbstractEventLoop | None = None
    left: Callable[[], Awaitable[None]] | None = None

    def wait_for(self, condition: Callable[["Api"], bool], seconds: float = 60) -> None:
        """Wait until something is true of the server; the bound only ends a broken test."""
        with self.reached:
            assert self.reached.wait_for(lambda: condition(self), seconds), "the server never saw it"

    def wait_for_targets(self, count: int, before: set[str], seconds: float = 120) -> None:
        """Wait until so many different targets have been asked for, those of ``before`` among them."""
        targets, looked = set(before), 0

        def enough(api: "Api") -> bool:
            nonlocal looked  # each request is looked at once: to look at all of them each time would take most of the time
            targets.update(seen.target for seen in api.seen[looked:])
            looked = len(api.seen)
            return len(targets) >= count

        self.wait_for(enough, seconds)

    def wait_until_left(self) -> None:
        """Wait until nobody is connected: what a killed process has sent may be read after its end."""
        asyncio.run_coroutine_threadsafe(self.left(), self.loop).result(60)

    def reset(self) -> None:
        self.seen.clear()
        self.delivered.clear()
        self.peak = self.in_flight

    async def handle(self, request: web.Request) -> web.StreamResponse:
        seen = Seen(
            time.monotonic(),
            request.method,
            request.raw_path.split("?")[0],
            request.query_string,
            dict(request.headers),
            await request.read(),
            request.raw_path.partition("?")[2],
        )
        with self.reached:
            self.seen.append(seen)
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
            self.reached.notify_all()
        try:
            answer = self.answer(seen)
            if asyncio.iscoroutine(answer):
                answer = await answer
            if answer == "reset":
                request.transport.abort()
                return web.Response(status=500)
            if answer == "hang":
                await asyncio.Event().wait()
            response = answer if isinstance(answer, web.StreamResponse) else web.json_response({}, status=answer)
            if response.status < 300:
                self.delivered.append(seen)
            return response
        finally:
            with self.reached:
                self.in_flight -= 1
                self.reached.notify_all()


@contextmanager
def running_api(answer=None, ssl_context=None):
    """Run an :class:`Api` until the block ends."""
    api = Api(answer=answer or (lambda seen: 200))
    started, ended = threading.Event(), threading.Event()
    loops = []

    async def serve():
        app = web.Application(client_max_size=100_000_000)
        app.router.add_route("*", "/{path:.*}", api.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()

        async def left():
            while runner.server.connections:
                await asyncio.sleep(0)

        api.loop, api.left = asyncio.get_running_loop(), left
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl_context)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        api.url = f"{'https' if ssl_context else 'http'}://127.0.0.1:{port}"
        stop = asyncio.Event()
        loops.append((asyncio.get_running_loop(), stop))
        started.set()
        await stop.wait()
        await runner.cleanup()

    def run():
        uvloop.run(serve())
        ended.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(60)
    try:
        yield api
    finally:
        loop, stop = loops[0]
        loop.call_soon_threadsafe(stop.set)
        ended.wait(60)
        thread.join(60)


@contextmanager
def raw_server(answer: bytes = b"", ssl_context=None, end="close", before_end=None):
    """Serve one answer to every connection, whatever it asks for, and end it; return the port.

    ``end`` is "close", "reset", or "goodbye": with TLS's ``close_notify``, which a mere close leaves out. What was sent
    right before a reset may be lost, so it may wait for ``before_end``, an event, first.
    Its sockets block, so that a TLS handshake that it refuses ends with the alert that other servers send.
    """
    listening = socket.create_server(("127.0.0.1", 0))

    def run():
        with suppress(OSError):  # closed, at the end
            while True:
                connection, _ = listening.accept()
                with suppress(OSError), connection:
                    # What a handshake leaves unacknowledged would hold the answer back for 40 ms.
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    if ssl_context:
                        connection = ssl_context.wrap_socket(connection, server_side=True)
                    with connection:
                        connection.recv(65536)
                        connection.sendall(answer)
                        if before_end:
                            before_end.wait(60)
                        if end == "reset":
                            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        if end == "goodbye":
                            connection.unwrap()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)  # close() alone would leave accept() waiting
        listening.close()
        thread.join(60)


@contextmanager
def reading(count):
    """Return an event that is set when the client has read so many bytes."""
    from airflow_async_rest.core.transport.direct import Connection
    from airflow_async_rest.core.transport.session.watched import Watch

    was_read, pieces = threading.Event(), []

    def noting(take):
        def note(self, data):
            take(self, data)
            pieces.append(len(data))
            if sum(pieces) >= count:
                was_read.set()

        return note

    with pytest.MonkeyPatch.context() as patch:
        for protocol in (Connection, Watch):
            patch.setattr(protocol, "data_received", noting(protocol.data_received))
        yield was_read
