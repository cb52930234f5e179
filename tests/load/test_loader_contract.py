"""What the engine relies on in a loader: the same calls have the same results in each database, and in tests' own."""

from typing import Any

import engine
import pytest

from airflow_async_rest.core.errors import AsyncRestError
from airflow_async_rest.core.keeping.row_sink import LoadState, PlacedRow, item_of, place_of

_MODES = {
    "append": {},
    "upsert": {"load_mode": "upsert", "conflict_key": "id"},
    "replace": {"load_mode": "replace_window", "window_column": "at", "allow_empty_window": True},
}
# In the table before: the first row in the window, the second not.
_BEFORE = [
    {"id": 1, "label": "old", "at": "2026-11-01T12:00:00", "day": "this"},
    {"id": 2, "label": "old", "at": "2026-11-05T12:00:00", "day": "other"},
]
_NEW = {"label": "new", "at": "2026-11-01T13:00:00", "day": "this"}
UNWRITABLE, FORBIDDEN = "\ud800", "forbidden"  # no database writes the one; the table's constraint forbids the other
ANEW, LOST, REFUSED = None, "lost", "refused"
FIRST, LATER = True, False


def memory(mode: str, request):
    """Make what opens tries of a load into a table in memory, and what reads the table."""
    database = engine.Database(mode, [dict(row) for row in _BEFORE])
    database.refused = lambda values: "unwritable" if values.get("label") == UNWRITABLE else None
    database.refused_at_merge = lambda values: "forbidden" if values.get("label") == FORBIDDEN else None
    return lambda: engine.MemoryLoader(database), lambda: [(row["id"], row.get("label")) for row in database.rows]


def real(mode: str, request):
    """Make the same for the database that the test asks for."""
    database = request.getfixturevalue("database")
    key = "PRIMARY KEY" if mode == "upsert" else "NOT NULL"
    database.create(f"id {{int}} {key}, label {{text}} CHECK (label <> 'forbidden'), at {{timestamp}}, day {{text}}")
    database.execute(
        *(f"INSERT INTO things VALUES {tuple(row.values())}" for row in _BEFORE), "SELECT 1 AS one FROM things"
    )
    return lambda: database.loader(**_MODES[mode]), lambda: database.rows("id, label")


class Tries:
    """The tries of one load, each with a loader; a call is ``"stage"``, or ``"stage, by another try"``.

    Items are numbers, or dicts of what is different in their row; what comes back is made of plain values.
    """

    def __init__(self, make_loader, rows_of_table):
        self._make_loader, self._rows = make_loader, rows_of_table
        self._loaders: dict[str, Any] = {}
        self._commits = 0

    def call(self, name, *arguments):
        call, _, which = name.partition(", ")
        if call == "rows":
            return sorted(self._rows())
        if call == "open":
            self._loaders.setdefault(which, self._make_loader())
        return getattr(self, call)(self._loaders[which], *arguments)

    def kill(self, loader):
        self._loaders = {which: other for which, other in self._loaders.items() if other is not loader}
        if not isinstance(loader, engine.MemoryLoader):
            loader._connection.connection.dbapi_connection.close()  # without a word, as the end of a process

    def open(self, loader):
        earlier = loader.open()
        return earlier and (earlier.checkpoint, earlier.state.value, earlier.loaded)

    def begin(self, loader, staged):
        try:
            loader.begin(resumed=staged is not ANEW, staged=staged or 0)
        except LookupError:
            return LOST

    def stage(self, loader, *items):
        rows = [
            PlacedRow(place_of(item, 0), {"id": item, **_NEW})
            if isinstance(item, int)
            else PlacedRow(place_of(item["item"], 0), {name: value for name, value in item.items() if name != "item"})
            for item in items
        ]
        return [item_of(refused.place)[0] for refused in loader.stage(rows)]

    def remove(self, loader, *items):
        return loader.remove(items)

    def merge(self, loader, first):
        merged = loader.merge(first=first)
        return merged.loaded, [item_of(refused.place)[0] for refused in merged.refused]

    def commit(self, loader, state, loaded):
        self._commits += 1
        try:
            loader.commit({"commit": self._commits}, LoadState(state), loaded)
        except AsyncRestError:
            return REFUSED

    def rollback(self, loader):
        loader.rollback()


OLD = [(1, "old"), (2, "old")]
# Name -> mode, and calls with their results.
CONTRACT = {
    "what is committed is there after a kill": (
        "append",
        [
            ("open", None),
            ("begin", ANEW, None),
            ("stage", 3, 4, []),
            ("commit", "staging", 0, None),
            ("stage", 5, []),
            ("kill", None),
            ("open", ({"commit": 1}, "staging", 0)),
            ("begin", 2, None),
            ("merge", FIRST, (2, [])),
            ("kill", None),
            ("rows", OLD),
            ("open", ({"commit": 1}, "staging", 0)),
            ("begin", 2, None),
            ("merge", FIRST, (2, [])),
            ("commit", "done", 2, None),
            ("rows", [*OLD, (3, "new"), (4, "new")]),
            ("open", ({"commit": 2}, "done", 2)),
        ],
    ),
    "staged rows that are not all there are missed": (
        "append",
        [
            ("open", None),
            ("begin", ANEW, None),
            ("stage", 3, []),
            ("commit", "staging", 0, None),
            ("kill", None),
            ("open", ({"commit": 1}, "staging", 0)),
            ("begin", 2, LOST),
            ("begin", ANEW, None),
            ("open", (None, "staging", 0)),
            ("stage", 4, []),
            ("merge", FIRST, (1, [])),
            ("commit", "done", 1, None),
            ("rows", [*OLD, (4, "new")]),
        ],
    ),
    "staged rows that no checkpoint counts are gone": (
        "append",
        [
            ("open", None),
            ("begin", ANEW, None),
            ("stage", 3, []),
            ("commit", "staging", 0, None),
            ("kill", None),
            ("open", ({"commit": 1}, "staging", 0)),
            ("begin", 0, None),
            ("stage", 4, []),
            ("merge", FIRST, (1, [])),
            ("commit", "done", 1, None),
            ("rows", [*OLD, (4, "new")]),
        ],
    ),
    "what is removed is not merged": (
        "append",
        [
            ("open", None),
            ("begin", ANEW, None),
            ("remove", 3, 0),
            ("stage", 3, 4, 5, []),
            ("commit", "staging", 0, None),
            ("remove", 3, 9, 1),
            ("rollback", None),
            ("remove", 4, 5, 2),
            ("commit", "staging", 0, None),
            ("merge", FIRST, (1, [])),
            ("commit", "done", 1, None),
            ("rows", [*OLD, (3, "new")]),
        ],
    ),
    "what is rolled back was never staged, nor merged": (
        "append",
        [
            ("open", None),
            ("begin", ANEW, None),
            ("stage", 3, []),
            ("commit", "staging", 0, None),
            ("stage", 4, []),
            ("rollback", None),
            ("merge", FIRST, (1, [])),
            ("rollback", None),
            ("rows", OLD),
            ("stage", 5, []),
            ("merge", FIRST, (2, [])),
            ("commit", "done", 2, None),
            ("rows", [*OLD, (3, "new"), (5, "new")]),
        ],
    ),
    "rows are refused as they are staged, and as they are merged": (
        "append",
        [
            ("open", None),
            ("begin", ANEW, None),
            ("stage", 3, {"item": 4, "id": 4, "label": UNWRITABLE}, {"item": 5, "id": 5, "label": FORBIDDEN}, [4]),
            ("commit", "staging", 0, None),
            ("merge", FIRST, (1, [5])),
            ("commit", "merged", 1, None),
            ("rows", [*OLD, (3, "new")]),
        ],
    ),
    "later rows are merged beside the first ones": (
        "append",
        [
            ("open", None),
            ("begin", ANEW, None),
            ("stage", 3, []),
            ("merge", FIRST, (1, [])),
            ("commit", "merged", 1, None),
            ("kill", None),
            ("open", ({"commit": 1}, "merged", 1)),
            ("begin", 0, None),
            ("stage", 4, []),
            ("commit", "staging", 1, None),
            ("kill", None),
            ("open", ({"commit": 2}, "staging", 1)),
            ("begin", 1, None),
            ("merge", LATER, (1, [])),
            ("commit", "done", 2, None),
            ("rows", [*OLD, (3, "new"), (4, "new")]),
        ],
    ),
    "no rows are a load, too": (
        "append",
        [
            ("open", None),
            ("begin", ANEW, None),
            ("merge", FIRST, (0, [])),
            ("commit", "done", 0, None),
            ("rows", OLD),
            ("open", ({"commit": 1}, "done", 0)),
        ],
    ),
    "a load that is done can begin once more": (
        "append",
        [
            ("open", None),
            ("begin", ANEW, None),
            ("stage", 3, []),
            ("merge", FIRST, (1, [])),
            ("commit", "done", 1, None),
            ("open", ({"commit": 1}, "done", 1)),
            ("begin", ANEW, None),
            ("stage", 4, []),
            ("merge", FIRST, (1, [])),
            ("commit", "done", 1, None),
            ("rows", [*OLD, (3, "new"), (4, "new")]),
        ],
    ),
    "nothing is committed before a load has begun": ("append", [("open", None), ("commit", "staging", 0, REFUSED)]),
    "who opens a load that has begun takes it over": (
        "append",
        [
            ("open", None),
            ("begin", ANEW, None),
            ("stage", 3, []),
            ("commit", "staging", 0, None),
            ("open, by another try", ({"commit": 1}, "staging", 0)),
            ("commit", "staging", 0, REFUSED),
            ("rollback", None),
            ("begin, by another try", 1, None),
            ("commit, by another try", "staging", 0, None),
        ],
    ),
    "who begins a load takes it over": (
        "append",
        [
            ("open", None),
            ("open, by another try", None),
            ("begin", ANEW, None),
            ("commit", "staging", 0, None),
            ("commit, by another try", "staging", 0, REFUSED),
            ("rollback, by another try", None),
            ("begin, by another try", ANEW, None),
            ("commit", "staging", 0, REFUSED),
            ("rollback", None),
            ("stage, by another try", 3, []),
            ("merge, by another try", FIRST, (1, [])),
            ("commit, by another try", "done", 1, None),
            ("rows", [*OLD, (3, "new")]),
        ],
    ),
    "an upsert changes what rows have, and the last of a key stays": (
        "upsert",
        [
            ("open", None),
            ("begin", ANEW, None),
            ("stage", 3, {"item": 4, "id": 3, "label": "newer"}, {"item": 5, "id": 1, "day": "that"}, []),
            ("merge", FIRST, (2, [])),
            ("commit", "done", 2, None),
            ("rows", [*OLD, (3, "newer")]),
        ],
    ),
    "an upsert leaves a row whose change is refused": (
        "upsert",
        [
            ("open", None),
            ("begin", ANEW, None),
            ("stage", {"item": 3, "id": 1, "label": FORBIDDEN}, 4, []),
            ("merge", FIRST, (1, [3])),
            ("commit", "done", 1, None),
            ("rows", [*OLD, (4, "new")]),
        ],
    ),
    "the window is replaced once": (
        "replace",
        [
            ("open", None),
            ("begin", ANEW, None),
            ("stage", 3, []),
            ("merge", FIRST, (1, [])),
            ("commit", "merged", 1, None),
            ("rows", [(2, "old"), (3, "new")]),
            ("stage", 4, []),
            ("merge", LATER, (1, [])),
            ("commit", "done", 2, None),
            ("rows", [(2, "old"), (3, "new"), (4, "new")]),
        ],
    ),
    "a window may be replaced by nothing": (
        "replace",
        [
            ("open", None),
            ("begin", ANEW, None),
            ("merge", FIRST, (0, [])),
            ("rollback", None),
            ("rows", OLD),
            ("merge", FIRST, (0, [])),
            ("commit", "done", 0, None),
            ("rows", [(2, "old")]),
        ],
    ),
}  # fmt: skip


def check(make_tries, name, request):
    mode, calls = CONTRACT[name]
    tries = Tries(*make_tries(mode, request))
    results = [(*call, tries.call(*call)) for *call, _ in calls]
    assert results == calls


@pytest.mark.parametrize("name", CONTRACT)
def test_the_loader_of_tests_does_as_the_real_one(name, request):
    check(memory, name, request)


@pytest.mark.parametrize("name", CONTRACT)
def test_each_database_does_as_the_engine_expects(name, database, request):
    check(real, name, request)
