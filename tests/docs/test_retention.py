"""The command that the documentation gives for old files deletes what it says, and nothing else."""

import os
import re
import subprocess
import time

from pages import page, section

DAY = 86_400


def test_only_runs_in_which_nothing_was_written_lately_are_deleted(tmp_path):
    [command] = re.findall(r"```bash\n(.*?)```", section(page("failures"), "How long files are kept"), re.DOTALL)
    base = tmp_path / "dead_letters"
    assert command.count("/opt/airflow/async_rest/dead_letters") == 2

    def write(path: str, days: int) -> None:
        file = base / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
        os.utime(file, (time.time() - days * DAY,) * 2)

    write("sensors/old run/post/-1/20261101T000000Z-0123abcd/1-1.jsonl", 100)
    write("sensors/new/post/-1/20261101T000000Z-0123abcd/1-1.jsonl", 100)
    write("sensors/new/post/-1/20261101T000000Z-0123abcd/2-1.jsonl", 10)
    write("_state/sensors/old run/post/-1/checkpoint.json", 100)
    write("_state/sensors/new/post/-1/checkpoint.json", 10)
    here = command.replace("/opt/airflow/async_rest/dead_letters", f'"{base}"')
    subprocess.run(["bash", "-ec", here], check=True)
    left = {str(path.relative_to(base)) for path in base.rglob("*") if path.is_file()}
    assert left == {
        "sensors/new/post/-1/20261101T000000Z-0123abcd/1-1.jsonl",
        "sensors/new/post/-1/20261101T000000Z-0123abcd/2-1.jsonl",
        "_state/sensors/new/post/-1/checkpoint.json",
    }
