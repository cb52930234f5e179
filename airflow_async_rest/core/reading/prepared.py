"""Items -> what is sent of them: many by one call, and each by itself where one of them has nothing."""

from collections.abc import Callable, Sequence

from airflow_async_rest.core.errors import ItemError, let_go
from airflow_async_rest.core.models import DeadLetter, Item

# Encoded by one call: more would hardly be faster. Of a chunk, an eighth at most, because it is copied meanwhile: where
# a chunk has few rows, they are large.
_TOGETHER, _SHARE_OF_CHUNK = 64, 8
# Raises ItemError when one of the items has nothing that could be sent.
Prepare = Callable[[Sequence[Item]], None]


def prepare_all(items: Sequence[Item], prepare: Prepare, redact: Callable[[str], str] = str) -> None:
    """Prepare all items that are to be sent; one that cannot be is settled.

    :param redact: takes secrets out of what its dead letter says.
    """
    waiting = [item for item in items if item.settled is None]
    together = max(1, min(_TOGETHER, len(waiting) // _SHARE_OF_CHUNK))
    for start in range(0, len(waiting), together):
        some = waiting[start : start + together]
        try:
            prepare(some)
        except ItemError as error:
            if len(some) > 1:
                for item in some:
                    prepare_all([item], prepare, redact)
            else:
                some[0].settled = DeadLetter.of(some[0], error.reason, detail=redact(str(error)))
            let_go(error)
