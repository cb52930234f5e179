"""Which Python the matrix takes for a version of Airflow, and when it fails because of what a machine lacks."""

import functools
import importlib.util
import os
import signal
import subprocess
import sys
from contextlib import suppress

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


def test_a_version_that_is_not_tried_is_refused(matrix, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["run.py", "2.11.2", "2.11"])
    with pytest.raises(SystemExit) as raised:
        matrix.main()
    assert raised.value.code == 2
    assert "error: 2.11: write versions of 2.11.0-lowest, 2.11.2, " in capsys.readouterr().err


FAILED = {"the tests": "failed"}
REPORTS = {
    "a test": ('<testsuites><testcase name="a"/></testsuites>', {"a": "passed"}),
    "no tests": ("<testsuites></testsuites>", FAILED),
    "no report": (None, FAILED),
}


def environment(tmp_path, script):
    """Make what stands for an environment: its Python runs a script. :return: that Python."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    return python


@pytest.mark.parametrize(("report", "outcomes"), REPORTS.values(), ids=REPORTS)
def test_tests_that_did_not_run_have_failed(matrix, tmp_path, report, outcomes):
    python = environment(tmp_path, "" if report is None else f"echo '{report}' > results.xml")
    assert matrix.run_tests(matrix.VERSIONS[0], python) == outcomes


def test_tests_that_take_too_long_have_failed_and_the_next_version_is_tried(matrix, tmp_path, monkeypatch, capsys):
    recorded, python = [], environment(tmp_path, "exec sleep 600")
    monkeypatch.setattr("sys.argv", ["run.py", "2.11.2", "3.0.6"])
    monkeypatch.setattr(matrix, "record", lambda results: recorded.append(dict(results)))
    monkeypatch.setattr(matrix, "build_wheel", lambda: None)
    monkeypatch.setattr(matrix, "make_environment", lambda version, wheel: python)
    monkeypatch.setattr(matrix, "run_tests", functools.partial(matrix.run_tests, longest_seconds=0, end_seconds=0.1))
    assert matrix.main() == 1
    assert recorded == [{"2.11.2": FAILED}, {"2.11.2": FAILED, "3.0.6": FAILED}]
    assert "Airflow: 0 passed, 2 failed, 0 skipped" in capsys.readouterr().out


@pytest.mark.parametrize(("in_ci", "outcome", "runs"), [("true", 0, 2), ("", 1, 1)])
def test_in_ci_what_failed_runs_once_more(matrix, monkeypatch, in_ci, outcome, runs):
    found = [FAILED, {"the tests": "passed"}]
    monkeypatch.setenv("CI", in_ci)
    monkeypatch.setattr("sys.argv", ["run.py", "2.11.2"])
    monkeypatch.setattr(matrix, "record", lambda results: None)
    monkeypatch.setattr(matrix, "build_wheel", lambda: None)
    monkeypatch.setattr(matrix, "make_environment", lambda version, wheel: None)
    monkeypatch.setattr(matrix, "run_tests", lambda version, python: found.pop(0))
    assert matrix.main() == outcome
    assert len(found) == 2 - runs


_WITH_A_PART = """
import signal, subprocess
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever it was when these tests were started
part = subprocess.Popen(["sleep", "600"], start_new_session=True)
try:
    print(part.pid, flush=True)
    part.wait()
finally:
    part.kill()
    part.wait()
"""
_STUBBORN = """
import os, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
print(os.getpid(), flush=True)
signal.pause()
"""


@pytest.mark.parametrize(("program", "end_seconds"), [(_WITH_A_PART, 60), (_STUBBORN, 0.1)])
def test_tests_that_take_too_long_stop_what_they_have_started_and_end_at_any_rate(matrix, program, end_seconds):
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as running:
        started = int(running.stdout.readline())
        try:
            assert not matrix.ended(running, 0, end_seconds)
            with pytest.raises(ProcessLookupError):
                os.kill(started, 0)
        finally:
            with suppress(ProcessLookupError):
                os.kill(started, signal.SIGKILL)


def test_tests_that_are_interrupted_with_this_may_stop_what_they_have_started(matrix, monkeypatch):
    with subprocess.Popen([sys.executable, "-c", _WITH_A_PART], stdout=subprocess.PIPE) as running:
        running.stdout.readline()
        waits = iter([KeyboardInterrupt])

        def wait(seconds=None):
            for interrupt in waits:
                running.send_signal(signal.SIGINT)
                raise interrupt
            return subprocess.Popen.wait(running, seconds)

        monkeypatch.setattr(running, "wait", wait)
        with pytest.raises(KeyboardInterrupt):
            matrix.ended(running, 60, 60)
    assert running.returncode == -signal.SIGINT


def test_the_pythons_of_this_machine_begin_with_this_one(matrix):
    assert matrix.pythons()[0] == (sys.version_info[:3], sys.executable)
