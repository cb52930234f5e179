"""The command that the documentation gives for old files deletes what it says, and nothing else."""

import os
import re
import subprocess
import time

import pytest
from pages import page, section

DAY = 86_400

BASE = "/opt/airflow/async_rest/dead_letters"


@pytest.fixture
def delete(tmp_path):
    """Run the command below a folder. :return: what is left there."""
    [command] = re.findall(r"```bash\n(.*?)```", section(page("failures"), "How long files are kept"), re.DOTALL)
    assert command.count(BASE) == 2

    def run() -> set[str]:
        subprocess.run(["bash", "-ec", command.replace(BASE, f'"{tmp_path}"')], check=True)
        return {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}

    return run


@pytest.fixture
def write(tmp_path):
    """Write a file that is some days old."""

    def make(path: str, days: int) -> None:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
        os.utime(file, (time.time() - days * DAY,) * 2)

    return make


def test_only_runs_in_which_nothing_was_written_lately_are_deleted(delete, write):
    write("sensors/old run/post/-1/20261101T000000Z-0123abcd/1-1.jsonl", 100)
    write("sensors/new/post/-1/20261101T000000Z-0123abcd/1-1.jsonl", 100)
    write("sensors/new/post/-1/20261101T000000Z-0123abcd/2-1.jsonl", 10)
    write("daily/new/post/-1/20261101T000000Z-0123abcd/1-1.jsonl", 10)
    write("_state/daily/run 1/post/-1/checkpoint.json", 100)
    write("_state/daily/run 2/post/-1/checkpoint.json", 100)
    write("_state/sensors/old run/post/-1/checkpoint.json", 100)
    write("_state/sensors/new/post/-1/checkpoint.json", 10)
    assert delete() == {
        "daily/new/post/-1/20261101T000000Z-0123abcd/1-1.jsonl",
        "sensors/new/post/-1/20261101T000000Z-0123abcd/1-1.jsonl",
        "sensors/new/post/-1/20261101T000000Z-0123abcd/2-1.jsonl",
        "_state/sensors/new/post/-1/checkpoint.json",
    }


@pytest.mark.parametrize(("days", "left"), [(100, set()), (10, {"sensors/run/post/-1/1-1.jsonl"})])
def test_it_goes_on_where_the_state_is_in_another_place(delete, write, days, left):
    write("sensors/run/post/-1/1-1.jsonl", days)
    assert delete() == left


def test_it_goes_on_where_there_is_nothing_yet(delete):
    assert delete() == set()
