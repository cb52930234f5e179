"""Which Python the matrix takes for a version of Airflow, and when it fails because of what a machine lacks."""

import importlib.util
import sys

import pytest
from checkout import REPOSITORY

_SPEC = importlib.util.spec_from_file_location("matrix_run", REPOSITORY / "tests" / "matrix" / "run.py")
OTHERS = [((3, 13, 0), "3.13"), ((3, 12, 1), "3.12"), ((3, 11, 7), "3.11")]


@pytest.fixture
def matrix(monkeypatch):
    module = importlib.util.module_from_spec(_SPEC)
    monkeypatch.setitem(sys.modules, "matrix_run", module)
    _SPEC.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("newest", "this", "taken"),
    [
        ((3, 12), (3, 11, 7), "this"),
        ((3, 12), (3, 12, 9), "this"),
        ((3, 12), (3, 13, 0), "3.12"),
        ((3, 13), (3, 14, 0), "3.13"),
        ((3, 14), (3, 14, 0), "this"),
    ],
)
def test_this_python_is_taken_or_the_newest_that_a_version_is_for(matrix, newest, this, taken):
    assert matrix.python_for(matrix.Version("2.11.2", "2026-03-21", newest), [(this, "this"), *OTHERS]) == taken


def test_a_version_for_which_there_is_no_python_is_skipped(matrix):
    with pytest.raises(matrix.NoPythonError, match="it is for Python up to 3.10, and here is none"):
        matrix.python_for(matrix.Version("2.10.5", "2025-02-07", (3, 10)), OTHERS)


@pytest.mark.parametrize(
    ("error", "ci", "status"),
    [("NoPythonError", "true", 0), ("CannotBeInstalledError", "true", 1), ("CannotBeInstalledError", "", 0)],
)
def test_in_ci_a_version_must_be_installed_where_there_is_a_python_for_it(
    matrix, monkeypatch, capsys, error, ci, status
):
    def make_environment(version, wheel):
        raise getattr(matrix, error)("because")

    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr("sys.argv", ["run.py", "2.11.2"])
    monkeypatch.setattr(matrix, "build_wheel", lambda: None)
    monkeypatch.setattr(matrix, "make_environment", make_environment)
    assert matrix.main() == status
    assert "skipped: because\nAirflow: 0 passed, 0 failed, 1 skipped" in capsys.readouterr().out


def test_the_pythons_of_this_machine_begin_with_this_one(matrix):
    assert matrix.pythons()[0] == (sys.version_info[:3], sys.executable)
