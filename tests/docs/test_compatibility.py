"""docs/compatibility says what the last run of the matrix has found."""

import os
import re

import compatibility
import pytest
from checkout import REPOSITORY
from compatibility import FEATURES, outcome_of, read_results, shown, table

if os.environ.get("WRITE_COMPATIBILITY"):
    compatibility.write()

_FILES = (REPOSITORY / "tests" / "matrix").glob("test_*.py")
_TESTS = {name for path in _FILES for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)}


def test_the_table_is_what_the_matrix_recorded():
    assert shown() == table(), "WRITE_COMPATIBILITY=1 python -m pytest tests/docs/test_compatibility.py -n0"


def test_every_test_of_the_matrix_is_in_one_row_and_was_run_with_every_version():
    named = [test for tests in FEATURES.values() for test in tests]
    assert sorted(named) == sorted(_TESTS)
    for version, outcomes in read_results().items():
        assert {name.partition("[")[0] for name in outcomes} == _TESTS, version


def test_the_days_to_install_older_versions_as_of_are_those_of_the_matrix():
    """All but the newest, for which none is needed."""
    run = (REPOSITORY / "tests" / "matrix" / "run.py").read_text()
    *older, _ = re.findall(r'Version\("([\d.]+)", "([\d-]+)", \(3, (\d+)\)\)', run)
    assert older
    assert (
        re.findall(r"^\| ([\d.]+) \| ([\d-]+) \| 3\.(\d+) \|$", compatibility.PAGE.read_text(), re.MULTILINE) == older
    )


def test_nothing_failed():
    failed = [
        (version, name) for version, of_it in read_results().items() for name, one in of_it.items() if one == "failed"
    ]
    assert failed == []


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ({"a": "passed", "b[1]": "passed"}, "passed"),
        ({"a": "passed", "b[1]": "failed", "b[2]": "passed"}, "failed"),
        ({"a": "not before 3.1", "b[1]": "passed"}, "not before 3.1"),
        ({"a": "not before 3.1", "b[1]": "failed"}, "failed"),
        ({"other": "passed"}, "failed"),
    ],
)
def test_a_row_says_yes_where_all_of_its_tests_passed(outcomes, expected):
    assert outcome_of(("a", "b"), outcomes) == expected
