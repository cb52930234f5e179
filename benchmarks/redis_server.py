"""A Redis on a port of its own, which forgets when it ends, unless its options say otherwise."""

import socket
import subprocess
import time
from contextlib import suppress

_STARTS_WITHIN_SECONDS = 60


class RedisServer:
    """A ``redis-server``, which has to be installed.

    :param options: as on its command line.
    :param port: any that is free, without.
    """

    def __init__(self, *options: str, port: int = 0) -> None:
        with socket.create_server(("127.0.0.1", port)) as free:
            self.port = free.getsockname()[1]
        self._options = options
        self.start()

    def start(self) -> None:
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + _STARTS_WITHIN_SECONDS
        while not self._answers():
            if time.monotonic() > until or self._process.poll() is not None:
                self.kill()
                raise TimeoutError("redis-server does not start")

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(100)[:1] in {b"+", b"-"}  # no other server answers like this
        return False

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
