"""Ctrl-C and its like end the demo's work, and never its tidying up."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal came; ``number`` says which."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Interrupts:
    """From now on a signal is noted, and raised only where :meth:`let_through` allows it, once."""

    def __init__(self) -> None:
        self._noted: int | None = None
        self._raises = False
        for number in _SIGNALS:
            signal.signal(number, self._note)

    def _note(self, number: int, _: FrameType | None) -> None:
        self._noted = number
        if self._raises:
            self._raises = False
            raise Interrupted(number)

    @contextmanager
    def let_through(self) -> Iterator[None]:
        """Let signals end this block. :raises Interrupted: when one came, or had come before."""
        if self._noted is not None:
            raise Interrupted(self._noted)
        self._raises = True
        try:
            yield
        finally:
            self._raises = False
