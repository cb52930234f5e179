"""Processes of the demo's own, and the line between them and the demo.

A child ends when its standard input does. So it ends with the demo however that ends, and nobody has to look for
it. Both sides speak in lines of JSON; whatever else a child prints goes to its log.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from queue import SimpleQueue
from select import select
from threading import Thread
from typing import Any

_REPOSITORY = Path(__file__).parent.parent
_END_SECONDS = 60
_LOG_LINES = 40


class ChildError(Exception):
    """A child ended before its work was done; the text has the end of its log."""


class Child:
    """A child, as the demo sees it.

    :param module: started with ``python -m``.
    :param log: file for what it prints.
    """

    def __init__(self, module: str, *arguments: str, log: Path, environment: Mapping[str, str] | None = None) -> None:
        self._module = module
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                cwd=_REPOSITORY,
                env=environment,
                bufsize=0,  # select() sees what is in the pipe, and nothing of a buffer
                start_new_session=True,  # Ctrl-C is for the demo, which then ends its children in order
            )

    def tell(self, message: Any) -> None:
        """Send a message. A child that has ended does not get it; :meth:`hear` tells so."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(message).encode() + b"\n")

    def hear(self, beside: Iterable["Child"] = ()) -> Any:
        """Wait for the next message.

        :param beside: children that must not end meanwhile.
        :raises ChildError: when this child, or one of those, ends instead.
        """
        while not select([self._process.stdout], [], [], 1)[0]:
            for child in beside:
                child.check()
        line = self._process.stdout.readline()
        if not line:
            raise self._ended()
        return json.loads(line)

    def check(self) -> None:
        """Check that it is running. :raises ChildError: when it is not."""
        if self._process.poll() is not None:
            raise self._ended()

    def _ended(self) -> ChildError:
        tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
        return ChildError(f"{self._module} ended too early. The end of what it printed:\n{tail}")

    def end(self) -> None:
        """End it; return when it has ended."""
        self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class Line:
    """The child's end of the line.

    :param on_end: called from another thread when the demo wants the child to end.
    """

    def __init__(self, on_end: Callable[[], object]) -> None:
        self._on_end = on_end
        self._heard: SimpleQueue[Any] = SimpleQueue()
        self._output = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)  # from here on "standard output" is the log
        Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with open(0, "rb", buffering=0, closefd=False) as demo:
            while message := demo.readline():
                self._heard.put(json.loads(message))
        self._on_end()

    def say(self, message: Any) -> None:
        """Send a message."""
        self._output.write(json.dumps(message) + "\n")
        self._output.flush()

    def hear(self) -> Any:
        """Wait for the next message."""
        return self._heard.get()
