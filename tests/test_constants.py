"""No test sets a constant of a module: what differs in tests is passed as a value, so that it can differ for users too."""

import ast
import re
from collections.abc import Iterator

from checkout import REPOSITORY

_CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]+")
# Of Airflow, of its provider and of OpenTelemetry, which take them in no other way.
_OF_OTHERS = {"DAGS_FOLDER", "SUPERVISOR_COMMS", "USE_PSYCOPG3", "_TRACER_PROVIDER"}


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
    assert doing == set()
