"""The wheel: built as users build it, and found by Airflow in an environment that has nothing else."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from checkout import REPOSITORY, skip_or_fail

import airflow_async_rest


def run(*command, **options) -> str:
    result = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, **options)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, REPOSITORY)
    (built,) = folder.glob("*.whl")
    assert len(list(folder.glob("*.tar.gz"))) == 1
    return built


def test_the_wheel_has_the_whole_package_and_nothing_else(wheel):
    package = {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "airflow_async_rest").rglob("*.py")}
    assert f"-{airflow_async_rest.__version__}-" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        entry_points = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "[apache_airflow_provider]" in archive.read(entry_points).decode()
    assert names == package | {"airflow_async_rest/py.typed"}


@pytest.fixture(scope="module")
def fresh_environment(wheel, tmp_path_factory) -> Path:
    """The commands of an environment with the wheel and what it needs."""
    folder = tmp_path_factory.mktemp("fresh")
    run(sys.executable, "-m", "venv", folder)
    wanted = ["-c", REPOSITORY / "constraints.txt", wheel]
    uv = Path(sys.executable).parent / "uv"
    command = [uv, "pip", "install", "-q", "--python", folder / "bin" / "python", *wanted]
    if not uv.exists() or subprocess.run(command, capture_output=True, check=False).returncode:
        # The same, in minutes.
        command = [folder / "bin" / "python", "-m", "pip", "install", "-q", *wanted]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            skip_or_fail(f"needs a package index to install from: {done.stderr[-500:]}")
    return folder / "bin"


def test_airflow_finds_the_provider_in_a_fresh_environment(fresh_environment, tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment |= {"AIRFLOW_HOME": str(tmp_path)}
    printed = run(fresh_environment / "airflow", "providers", "list", "-o", "json", env=environment, cwd=tmp_path)
    found = {entry["package_name"]: entry for entry in json.loads(printed[printed.index("[{") :])}
    assert found["airflow-provider-async-rest"]["version"] == airflow_async_rest.__version__
    where = run(
        fresh_environment / "python",
        "-c",
        "import airflow_async_rest as a; print(a.__file__)",
        env=environment,
        cwd=tmp_path,
    )
    assert where.startswith(str(fresh_environment.parent))
