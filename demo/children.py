"""Processes of the demo's own, and the line between them and the demo.

A child ends when its standard input does. So it ends with the demo however that ends, and no one has to look for
it. A child says in lines of JSON what it has ready; whatever else it prints goes to its log.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from select import select
from threading import Thread
from typing import Any

import psutil

_REPOSITORY = Path(__file__).parent.parent
_LOG_LINES = 40


class ChildError(Exception):
    """A child ended before its work was done; the text has the end of its log."""


class Child:
    """A child, as the demo sees it.

    :param module: started with ``python -m``.
    :param folder: for what it prints, and for its temporary files.
    :param end_seconds: that it has for ending by itself.
    """

    def __init__(self, module: str, *arguments: str, folder: Path, end_seconds: float = 60) -> None:
        self._end_seconds = end_seconds
        self._module = module
        self._log = folder / f"{module}.log"
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                cwd=_REPOSITORY,
                env={**os.environ, "TMPDIR": str(folder)},
                bufsize=0,  # select() sees what is in the pipe, and nothing of a buffer
                start_new_session=True,  # Ctrl-C is for the demo, which then ends its children in order
            )

    @property
    def session(self) -> int:
        """The id of its session, in which everything runs that it starts."""
        return self._process.pid

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
            self._process.wait(self._end_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        finally:
            end_session(self.session)
            self._process.stdout.close()


class Line:
    """The child's end of the line.

    :param on_end: called from another thread when the demo wants the child to end.
    """

    def __init__(self, on_end: Callable[[], object]) -> None:
        self._output = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)  # from here on "standard output" is the log
        Thread(target=self._wait_for_end, args=(on_end,), daemon=True).start()

    def _wait_for_end(self, on_end: Callable[[], object]) -> None:
        with open(0, "rb", buffering=0, closefd=False) as demo:
            while demo.read(1):
                pass
        on_end()

    def say(self, message: Any) -> None:
        """Send a message."""
        self._output.write(json.dumps(message) + "\n")
        self._output.flush()


def end_session(session: int) -> None:
    """Kill whatever runs in a session, but for this process; return when it is gone."""
    while others := [process for process in psutil.process_iter() if _is_of(process, session)]:
        for process in others:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(others, timeout=1)


def listening(session: int) -> set[str]:
    """Return the addresses at which the processes of a session listen."""
    found = set()
    for process in psutil.process_iter():
        if _is_of(process, session):
            with contextlib.suppress(psutil.NoSuchProcess):
                sockets = process.net_connections(kind="inet")
                found |= {place.laddr.ip for place in sockets if place.status == psutil.CONN_LISTEN}
    return found


def _is_of(process: psutil.Process, session: int) -> bool:
    try:
        theirs = os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, psutil.Error):  # it has ended, or is another user's
        return False
    return theirs and process.pid != os.getpid()
