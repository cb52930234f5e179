"""Servers that answer by hand, on the test's own loop: whatever can come over a connection, in whatever pieces."""

import asyncio
from contextlib import asynccontextmanager, suppress

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@asynccontextmanager
async def serving(serve):
    """Serve connections by hand; return the URL."""
    connections = []

    async def accept(reader, writer):
        connections.append((asyncio.current_task(), writer))
        # The client has ended it, or the test.
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            await serve(reader, writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task, writer in connections:
            writer.transport.abort()
            task.cancel()
            with suppress(ConnectionError):
                await writer.wait_closed()
        await asyncio.gather(*(task for task, _ in connections))


async def read_request(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    length = int((head.lower() + b"content-length: 0\r\n").split(b"content-length: ")[1].split(b"\r\n")[0])
    return head, await reader.readexactly(length)


def answering(*answers, seen=None):
    """Answer one after the other on every connection."""

    async def serve(reader, writer):
        for answer in answers:
            request = await read_request(reader)
            if seen is not None:
                seen.append(request)
            writer.write(answer)
        await reader.read()

    return serve
