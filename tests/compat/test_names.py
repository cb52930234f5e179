"""What differs between versions of Airflow and SQLAlchemy stands in one room, and is found by all who need it."""

import ast
import sys
from types import ModuleType

import pytest
from checkout import REPOSITORY
from tables import every_row

from airflow_async_rest.compat import names

_PACKAGE = REPOSITORY / "airflow_async_rest"
_FILES = [path for path in sorted(_PACKAGE.rglob("*.py")) if path.parent.name != "compat"]
_SAME_IN_ALL = ("airflow.providers.", "airflow.plugins_manager")
_TELLS_VERSIONS_APART = {"ImportError", "ModuleNotFoundError", "AttributeError"}


def imports(node: ast.AST, *, conditional: bool = False):
    """Yield the modules that are imported, and whether something is done where they are not there."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from ((name.name, conditional) for name in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module:
            yield from ((f"{child.module}.{name.name}", conditional) for name in child.names)
        caught = {ast.unparse(one.type) for one in getattr(child, "handlers", ()) if one.type is not None}
        yield from imports(
            child, conditional=conditional or any(name in text for text in caught for name in _TELLS_VERSIONS_APART)
        )


@every_row("path", _FILES)
def test_what_versions_have_in_different_places_is_imported_in_one_room(path):
    found = list(imports(ast.parse(path.read_text())))
    of_airflow = [name for name, _ in found if name.startswith("airflow.") and not name.startswith(_SAME_IN_ALL)]
    assert of_airflow == [] or path.relative_to(_PACKAGE).parts[0] == "ui"
    assert [name for name, conditional in found if conditional and name.startswith(("airflow.", "sqlalchemy"))] == []


def test_every_name_is_there():
    assert set(names.__all__) == set(names._PLACES)
    assert all(getattr(names, name) is not None for name in names.__all__)


@pytest.mark.parametrize(
    ("name", "gone", "place", "called"),
    [
        ("BaseHook", ["airflow.sdk"], "airflow.hooks.base", "BaseHook"),
        ("BaseOperator", ["airflow.sdk"], "airflow.models.baseoperator", "BaseOperator"),
        ("Asset", ["airflow.sdk"], "airflow.datasets", "Dataset"),
        ("AssetRef", ["airflow.sdk.definitions.asset"], "airflow.sdk", "Asset"),
        ("AssetRef", ["airflow.sdk.definitions.asset", "airflow.sdk"], "airflow.datasets", "Dataset"),
        ("get_current_context", ["airflow.sdk"], "airflow.operators.python", "get_current_context"),
        ("conf", ["airflow.sdk.configuration"], "airflow.configuration", "conf"),
        ("AirflowFailException", ["airflow.sdk.exceptions"], "airflow.exceptions", "AirflowFailException"),
        ("mask_secret", ["airflow.sdk.log"], "airflow.utils.log.secrets_masker", "mask_secret"),
    ],
)
def test_a_name_that_is_not_where_3_3_has_it_is_found_where_older_versions_have_it(
    monkeypatch, name, gone, place, called
):
    older = ModuleType(place)
    setattr(older, called, found := object())
    monkeypatch.setitem(sys.modules, place, older)
    for module in gone:
        monkeypatch.setitem(sys.modules, module, None)
    assert getattr(names, name) is found


def test_a_name_that_no_version_has_is_no_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "airflow.sdk", None)
    monkeypatch.setitem(sys.modules, "airflow.hooks.base", None)
    with pytest.raises(ImportError, match="BaseHook"):
        from airflow_async_rest.compat.names import BaseHook  # noqa: F401
    with pytest.raises(AttributeError, match="'Nothing': this version of Airflow has it in none of"):
        _ = names.Nothing
