"""The rooms of the package: none has too many files, and what is imported leads down."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from architecture import hold
from checkout import REPOSITORY
from tables import every_row

PACKAGE = REPOSITORY / "airflow_async_rest"
_MOST_FILES = 10
# What is no part of the package, what is relied on in others' code, and jobs as users write them.
_OTHER_TESTS = {
    "benchmarks",
    "contracts",
    "dags",
    "demo",
    "docs",
    "every_database",
    "jobs",
    "matrix",
    "peers",
    "workers",
}
# From the bottom up: a room imports from those before it. Each file of core/ that is in no room has a place of its own.
_ROOMS = [
    "core.errors", "core.redaction", "core.spelling", "core.models", "core.worker_thread", "core.bounds", "core.encoding",
    "core.requests", "core.transport", "core.stores", "core.limits", "core.sending", "core.signing", "core.letters", "core.answers", "core.results", "core.pages",
    "core.account", "core.reading", "core.batches", "core.pipeline", "core.watching", "core.replay", "core.keeping",
    "core.fetching", "core.job", "core.phases", "core.run", "provider_info", "compat", "window_zones", "windows", "connections", "databases",
    "load", "tasks", "hooks", "operators", "ui",
]  # fmt: skip


def room_of(module: str) -> str:
    """Tell the room of a module, whose name begins below the package."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "core" else parts[0]


def imports_of(node: ast.AST) -> Iterator[str]:
    """Yield the modules of the package that code imports; not those that only a type checker reads."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.ImportFrom) and child.module and child.module.startswith(f"{PACKAGE.name}."):
            yield child.module.removeprefix(f"{PACKAGE.name}.")
        elif isinstance(child, ast.ImportFrom) and child.module == PACKAGE.name:
            yield from (name.name for name in child.names if (PACKAGE / f"{name.name}.py").exists())
        yield from imports_of(child)


FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.name != "__init__.py"]


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def test_no_room_has_more_files_than_a_person_can_look_over():
    files = Counter(path.parent.relative_to(PACKAGE) for path in FILES)
    assert {room: count for room, count in files.items() if count > _MOST_FILES} == {}


def test_each_room_says_what_it_is_for():
    rooms = {path.parent for path in FILES} - {PACKAGE}
    assert [room for room in rooms if not ast.get_docstring(ast.parse((room / "__init__.py").read_text()))] == []


def test_each_room_has_a_place():
    assert {room_of(module_of(path)) for path in FILES} == set(_ROOMS)


def test_the_tests_of_a_room_stand_in_a_folder_of_its_name():
    tests = REPOSITORY / "tests"
    folders = {path.parent.relative_to(tests) for path in tests.rglob("test_*.py")}
    rooms = {path.parent.relative_to(PACKAGE) for path in FILES}
    assert sorted(map(str, rooms - folders)) == []
    assert {folder.parts[0] for folder in folders - rooms} == _OTHER_TESTS


def purpose_of(room: str) -> str:
    """Return the first line of what a room, or a file that stands alone, says of itself."""
    path = PACKAGE / room.replace(".", "/")
    text = ast.get_docstring(
        ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text())
    )
    return text.splitlines()[0].replace("|", "\\|")


def test_the_architecture_shows_the_rooms_as_they_are():
    rows = [f"| `{room.replace('.', '/')}` | {purpose_of(room)} |" for room in _ROOMS]
    hold("rooms", "\n".join(["| room | what is there |", "| --- | --- |", *rows]))


@every_row("path", FILES)
def test_a_room_imports_from_those_below_it(path):
    room = room_of(module_of(path))
    above = {
        module
        for module in imports_of(ast.parse(path.read_text()))
        if _ROOMS.index(room_of(module)) > _ROOMS.index(room)
    }
    assert above == set()
