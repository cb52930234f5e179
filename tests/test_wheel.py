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

pytestmark = pytest.mark.release

UV = Path(sys.executable).parent / "uv"


def run(*command, **options) -> str:
    result = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, **options)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    with_uv = ["--installer", "uv"] if UV.exists() else []  # the same, in a second
    run(sys.executable, "-m", "build", *with_uv, "--outdir", folder, REPOSITORY)
    (built,) = folder.glob("*.whl")
    assert len(list(folder.glob("*.tar.gz"))) == 1
    return built


def test_the_wheel_has_the_whole_package_and_nothing_else(wheel):
    package = {
        str(path.relative_to(REPOSITORY))
        for kind in ("*.py", "ui/static/*.js", "ui/pages/*.html")
        for path in (REPOSITORY / "airflow_async_rest").rglob(kind)
    }
    assert f"-{airflow_async_rest.__version__}-" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        entry_points = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        found = archive.read(entry_points).decode()
        assert "[apache_airflow_provider]" in found
        assert "[airflow.plugins]" in found
    assert names == package | {"airflow_async_rest/py.typed", "airflow_async_rest/ui/contract.json"}


@pytest.fixture(scope="module")
def fresh_environment(wheel, tmp_path_factory) -> Path:
    """The commands of an environment with the wheel and what it needs."""
    folder = tmp_path_factory.mktemp("fresh")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    wanted = ["-c", REPOSITORY / "constraints.txt", wheel]
    command = [UV, "pip", "install", "-q", "--python", folder / "bin" / "python", *wanted]
    if not UV.exists() or subprocess.run(command, capture_output=True, check=False).returncode:
        # The same, in minutes.
        command = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "-q", *wanted]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            skip_or_fail(f"needs a package index to install from: {done.stderr[-500:]}")
    return folder / "bin"


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    """Variables that know of no other Airflow."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    return others | {"AIRFLOW_HOME": str(tmp_path)}


def test_airflow_finds_the_provider_in_a_fresh_environment(fresh_environment, environment, tmp_path):
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


ASK_FOR_THE_TABS = """
import json, re
from airflow.plugins_manager import get_fastapi_plugins, get_plugin_info
from fastapi.testclient import TestClient

[plugin] = [one for one in get_plugin_info() if one["name"] == "async_rest"]
[app] = [one for one in get_fastapi_plugins()[0] if one["url_prefix"] == "/async-rest"]
client = TestClient(app["app"])
files, asked = [app["bundle_url"] for app in plugin["react_apps"]], {}
while files:
    file = files.pop()
    answer = client.get(file.removeprefix("async-rest"))
    asked[file.rpartition("/")[2]] = answer.status_code
    for name in re.findall(r'from "[.]/([^"]+)"', answer.text):
        if name not in asked:
            files.append(file.rpartition("/")[0] + "/" + name)
print(json.dumps(asked))
"""


def test_the_tabs_are_served_in_a_fresh_environment(fresh_environment, environment, tmp_path):
    printed = run(fresh_environment / "python", "-W", "ignore", "-c", ASK_FOR_THE_TABS, env=environment, cwd=tmp_path)
    files = {path.name for path in (REPOSITORY / "airflow_async_rest" / "ui" / "static").iterdir()}
    assert json.loads(printed.splitlines()[-1]) == dict.fromkeys(files, 200)  # each is asked for, and is there
