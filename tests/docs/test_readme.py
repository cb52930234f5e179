"""The README: short, its first example a DAG, its table of versions what the tests run with."""

import re
import sqlite3
import sys

from checkout import REPOSITORY
from pages import README, page, samples, section

TEXT = README.read_text()


def test_it_is_short():
    assert len(TEXT.splitlines()) <= 150


def test_the_picture_of_the_tabs_comes_first():
    assert "(docs/pictures/delivery-running-light-1280.png)" in TEXT.split("\n## ")[0]


def test_the_ten_lines_are_a_dag(tmp_path):
    from textwrap import indent

    from airflow.dag_processing.dagbag import DagBag

    [code] = samples(section(TEXT, "Ten lines"), "python")
    [replay] = samples(section(page("failures"), "Replay"), "python")
    (tmp_path / "ten_lines.py").write_text(code + indent(replay, "    "))
    bag = DagBag(str(tmp_path), load_op_links=False)
    assert bag.import_errors == {}
    assert bag.dags["sensors"].get_task("post_sensors").downstream_task_ids == {"replay"}
    assert len([line for line in code.splitlines() if line.strip()]) <= 11
    assert code in page("quickstart")


def test_the_table_of_versions_is_what_the_tests_run_with(postgres):
    table = dict(re.findall(r"^\| (\w+) \| ([\d., ]+) \|", section(TEXT, "What it was tested with"), re.MULTILINE))
    constraints = dict(line.split("==") for line in (REPOSITORY / "constraints.txt").read_text().splitlines())
    assert table["Airflow"] == constraints["apache-airflow"]
    [(version,)] = postgres.execute("SHOW server_version")
    assert table["PostgreSQL"] == version
    if f"{sys.version_info.major}.{sys.version_info.minor}" == "3.11":
        assert sqlite3.sqlite_version.startswith(table["SQLite"] + ".")


def test_every_page_is_within_reach_of_the_readme_or_the_index():
    from pages import PAGES

    listed = page("index")
    assert [path.name for path in PAGES if path.stem != "index" and f"\n{path.stem}\n" not in listed] == []
