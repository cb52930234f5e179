import gc
import re
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

import airflow_async_rest.core
from airflow_async_rest.core import errors

CLASSES = {name: value for name, value in vars(errors).items() if isinstance(value, type)}
CORE = Path(airflow_async_rest.core.__file__).parent


def drawn_parents() -> dict[str, str]:
    """Read the tree in the docstring: name -> name of its parent."""
    parents, branch = {}, []
    for line in errors.__doc__.splitlines():
        if found := re.search(r"\w+Error\b", line):
            depth = found.start() // 4
            branch = [*branch[: depth - 1], found[0]]
            parents[found[0]] = branch[-2] if len(branch) > 1 else "Exception"
    return parents


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes():
    assert drawn_parents() == {name: value.__bases__[0].__name__ for name, value in CLASSES.items()}


def test_every_error_says_what_it_is():
    assert [name for name, value in CLASSES.items() if not value.__doc__] == []


def test_errors_of_items_and_sends_carry_a_word_of_their_own():
    carrying = [value for value in CLASSES.values() if issubclass(value, errors.ItemError | errors.SendError)]
    assert len({value.reason for value in carrying}) == len(carrying)


def test_configuration_errors_are_value_errors():
    assert issubclass(errors.AuthenticationError, ValueError)


def test_failures_error_says_whether_it_is_permanent():
    assert errors.FailuresError("x", permanent=True).permanent


def test_the_engine_never_imports_airflow():
    modules = [f"airflow_async_rest.core.{path.stem}" for path in CORE.glob("*.py") if path.stem != "__init__"]
    program = (
        f"import importlib, sys\nfor name in {modules!r}: importlib.import_module(name)\n"
        "found = {name.partition('.')[0] for name in sys.modules if name.startswith('airflow')}\n"
        "assert found == {'airflow_async_rest'}, found"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_test_of_the_engine_imports_airflow_as_it_is_collected():
    """That would take each process as long as to collect all the others."""
    files = list(Path(__file__).parent.rglob("*.py"))
    others = re.compile(r"^(?:from|import) airflow(?!_async_rest(?:\s|\.core\b))", re.MULTILINE)
    assert len(files) > 100
    assert [file.name for file in files if others.search(file.read_text())] == []


def test_value_objects_of_dag_authors_load_neither_aiohttp_nor_airflow():
    program = (
        "import sys, airflow_async_rest as package\n"
        "for name in package.__all__: getattr(package, name)\n"
        "assert not {'aiohttp', 'airflow'} & set(sys.modules)\n"
        "assert set(package.__all__) <= set(dir(package))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def raise_kept(text):
    kept = []
    try:
        int(text)
    except ValueError as error:
        kept.append(error)
    raise kept[0]


def raise_cause_of_a_cause(text):
    try:
        raise_kept(text)
    except ValueError as error:
        cause = KeyError("inner")
        cause.__cause__ = error
        raise RuntimeError("outer") from cause


@pytest.mark.parametrize("fail", [raise_kept, raise_cause_of_a_cause])
def test_an_error_that_lets_go_holds_nothing_of_where_it_was_raised(fail):
    class Text(str):
        __slots__ = ("__weakref__",)

    text = Text("x")
    ref = weakref.ref(text)
    gc.disable()
    try:
        fail(text)
    except Exception as error:  # noqa: BLE001  (any)
        errors.let_go(error)
    finally:
        gc.enable()
    del text
    assert ref() is None
