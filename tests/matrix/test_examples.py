"""What the documentation has people copy can be imported: as it is from 3.0 on, with the head for 2.11 there."""

import re
from pathlib import Path

from conftest import dags_of
from scheduling import VERSION

REPOSITORY = Path(__file__).resolve().parent.parent.parent
_OF_3 = re.compile(r"^from airflow\.sdk import .*\n", re.MULTILINE)


def block_after(page: str, heading: str) -> str:
    """The first Python sample below a heading."""
    text = (REPOSITORY / page).read_text()
    found = re.search(r"```python\n(.*?)```", text[text.index(f"\n{heading}\n") :], re.DOTALL)
    return found[1]


def for_this_version(code: str) -> str:
    """The code with its lines of ``airflow.sdk`` as the page of compatibility has them for 2.11."""
    if VERSION >= (3,):
        return code
    return _OF_3.sub(block_after("docs/compatibility.md", "## Airflow 2.11"), code)


def test_the_ten_lines_are_a_dag(airflow_db, tmp_path):
    for page, heading in (("README.md", "## Ten lines"), ("docs/quickstart.md", "## Write ten lines")):
        (tmp_path / "sensors.py").write_text(for_this_version(block_after(page, heading)))
        assert list(dags_of(tmp_path)) == ["sensors"]


def test_the_examples_are_dags(airflow_db, tmp_path):
    files = [*(REPOSITORY / "dags").glob("*.py")]
    for file in files:
        code = file.read_text()
        # What people copy as it is, whatever their version.
        (tmp_path / file.name).write_text(code if file.stem == "replay" else for_this_version(code))
    assert len(dags_of(tmp_path)) == len(files) > 0
