"""No test sets a constant of a module: what differs in tests is passed as a value, so that it can differ for users too."""

import ast
import re
from collections.abc import Iterator

from checkout import REPOSITORY

_CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]+")
# Of Airflow, of its provider and of OpenTelemetry, which take them in no other way.
_OF_OTHERS = {"DAGS_FOLDER", "SUPERVISOR_COMMS", "USE_PSYCOPG3", "_TRACER_PROVIDER"}
# Files that still do; none may come.
_STILL = {
    "tests/core/account/test_recorder.py",
    "tests/core/batches/test_batch_delivery.py",
    "tests/core/batches/test_batch_source.py",
    "tests/core/conftest.py",
    "tests/core/fetching/test_fetching.py",
    "tests/core/fetching/test_page_by_page.py",
    "tests/core/fetching/test_pages_ahead.py",
    "tests/core/keeping/test_table.py",
    "tests/core/keeping/test_writing.py",
    "tests/core/letters/test_part_files.py",
    "tests/core/reading/test_source.py",
    "tests/core/sending/test_standstill.py",
    "tests/core/test_any_faults.py",
    "tests/core/test_job.py",
    "tests/core/test_job_again.py",
    "tests/core/watching/test_observing.py",
    "tests/core/watching/test_progress.py",
    "tests/load/merging/test_locking.py",
    "tests/operators/fetch_tasks.py",
    "tests/operators/tasks.py",
    "tests/operators/test_fetch.py",
    "tests/operators/test_lives.py",
    "tests/operators/test_lost_success.py",
    "tests/operators/test_telemetry.py",
    "tests/task_runner.py",
}


def names_set(tree: ast.AST) -> Iterator[str]:
    """Yield the names of attributes that code sets: ``setattr(module, "NAME", 1)``, ``module.NAME = 1``."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="setattr") | ast.Attribute(attr="setattr")):
                texts = [argument.value for argument in node.args[:2] if isinstance(argument, ast.Constant)]
                yield from (str(text).rpartition(".")[2] for text in texts)
            case ast.Attribute(ctx=ast.Store()):
                yield node.attr


def test_no_test_sets_a_constant_of_a_module():
    doing = {
        str(path.relative_to(REPOSITORY))
        for path in (REPOSITORY / "tests").rglob("*.py")
        if any(map(_CONSTANT.fullmatch, set(names_set(ast.parse(path.read_text()))) - _OF_OTHERS))
    }
    assert doing - _STILL == set()
