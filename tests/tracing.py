"""Which functions of the package run, on each thread, and in which order."""

import sys
import textwrap
import threading
from collections import Counter, defaultdict
from itertools import chain, groupby, pairwise
from types import CodeType
from typing import NamedTuple, Self

from checkout import REPOSITORY

_PACKAGE = f"{REPOSITORY / 'airflow_async_rest'}/"
# Parts of the function around them; newer Pythons do not call the first three at all.
_INNER = {"<locals>", "<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>"}


class Function(NamedTuple):
    """:ivar file: below the package's folder."""

    file: str
    name: str


class Calls:
    """The calls of this thread, and of all that begin, within a ``with`` block.

    A generator, or a coroutine, is called each time it goes on.
    """

    def __init__(self) -> None:
        self._of_threads: dict[int, list[tuple[Function, ...]]] = defaultdict(list)

    def __enter__(self) -> Self:
        threading.setprofile(self._note)
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def _note(self, frame, event, _) -> None:
        if event == "call" and (called := _function(frame.f_code)):
            caller = frame.f_back and _function(frame.f_back.f_code)
            self._of_threads[threading.get_ident()].append((caller, called) if caller else (called,))

    def usual_way(self, start: Function) -> list[Function]:
        """Return what runs most often from one call of ``start`` to the next: each function once, as it comes first.

        A function that goes on from before, such as a loop around ``start``, comes before what it calls.
        """
        ways = chain.from_iterable(_ways(calls, start) for calls in list(self._of_threads.values()))
        return list(Counter(ways).most_common(1)[0][0])


def as_text(way: list[Function]) -> str:
    """Write a way down: a line for each file that it enters, with the functions there."""
    lines = [
        textwrap.fill(
            f"{file:<34} {', '.join(function.name for function in functions)}",
            width=118,
            subsequent_indent=" " * 35,
            break_long_words=False,
        )
        for file, functions in groupby(way, key=lambda function: function.file)
    ]
    return "\n".join(lines)


def _function(code: CodeType) -> Function | None:
    if not code.co_filename.startswith(_PACKAGE):
        return None
    names = [name for name in code.co_qualname.split(".") if name not in _INNER]
    return Function(code.co_filename.removeprefix(_PACKAGE), ".".join(names).replace("<lambda>", "lambda"))


def _ways(calls: list[tuple[Function, ...]], start: Function):
    for begin, end in pairwise(place for place, call in enumerate(calls) if call[-1] == start):
        yield tuple(dict.fromkeys(chain.from_iterable(calls[begin:end])))
