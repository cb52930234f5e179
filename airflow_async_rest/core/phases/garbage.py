"""The garbage collector while a job runs, and while what it needs is imported."""

import contextlib
import gc
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

# A few chunks of rows; Python's own default is 700.
_NEW_OBJECTS_BEFORE_A_COLLECTION = 50_000


@contextlib.contextmanager
def collecting_new_garbage_only() -> Iterator[None]:
    """Have the garbage collector ignore what is there already, and run less often.

    Airflow has some hundred thousand objects, and rows are made so fast that it would look through all of them again
    and again: half the time of a bulk delivery. Importing the engine has it do so, too: 0.1 s before the first request.
    Rows need no collection: their memory is freed with the last reference.
    """
    with _collector.lock:
        if not _collector.jobs:
            _collector.thresholds = gc.get_threshold()
            gc.set_threshold(_NEW_OBJECTS_BEFORE_A_COLLECTION, *_collector.thresholds[1:])
        gc.freeze()
        _collector.jobs += 1
    try:
        yield
    finally:
        with _collector.lock:
            _collector.jobs -= 1
            if not _collector.jobs:
                gc.set_threshold(*_collector.thresholds)
                gc.unfreeze()


@dataclass
class _Collector:
    """The garbage collector is the process's: the first of several jobs at once sets it, the last one puts it back."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    jobs: int = 0
    thresholds: tuple[int, int, int] = (0, 0, 0)


_collector = _Collector()
