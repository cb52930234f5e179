"""What ``schema`` and ``order_by_key`` cost, row by row: the same rows with and without them, and both off."""

from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.measuring import Figure, Plan, Rival, compare, per_second
from benchmarks.senders import deliver_from_postgres, in_bulk
from benchmarks.surroundings import running_ends

_CONCURRENCY = 64
_SCHEMA = {
    "type": "object",
    "properties": {"id": {"type": "integer"}, "name": {"type": "string", "maxLength": 40}},
    "required": ["id"],
}
_WAYS: dict[str, dict[str, Any]] = {"schema": {"schema": _SCHEMA}, "order_by_key": {"order_by_key": True}}


def measure(plan: Plan) -> Iterator[Figure]:
    """Compare the operator with itself; keys are all different, as those of most tables are."""
    single, bulk = (200, 1_000) if plan.smoke else (20_000, 100_000)
    with running_ends(plan):
        deliver_from_postgres(10, schema=_SCHEMA)  # imports are not part of it
        for form, rows, arguments in (("single", single, {"concurrency": _CONCURRENCY}), ("bulk", bulk, in_bulk())):
            for name, more in _WAYS.items():
                ours, plain = _operator(rows, **arguments, **more), _operator(rows, **arguments)
                yield from compare("checked", f"{form}, {name}: rows/s", plan.rounds, ours, [Rival("without", plain)])


def _operator(rows: int, **arguments: Any) -> Callable[[], float]:
    return lambda: per_second(lambda: deliver_from_postgres(rows, **arguments)["delivered"])
