"""The figures of docs/workers: Airflow's defaults, what was measured elsewhere, and what follows from them."""

import re

from checkout import REPOSITORY
from pages import page, section

WORKERS = " ".join(page("workers").split())
ITEMS_A_DAY = (4e6, 1e9 / 30)
LATENCY, CONCURRENCY, AIRFLOW_SECONDS, WINDOWS, ROWS_A_REQUEST = 0.2, 64, 7, (24, 96), 500


def test_airflows_defaults_are_airflows():
    from airflow.configuration import conf

    def default(section: str, name: str) -> str:
        return str(conf.get_default_value(section, name))

    assert f"`[api] workers` is {default('api', 'workers')} by" in WORKERS
    assert f"`[core] parallelism` ({default('core', 'parallelism')})" in WORKERS
    for what in ("runs", "tasks"):
        assert f"({default('core', f'max_active_{what}_per_dag')} each)" in WORKERS
    assert f"{default('scheduler', 'task_instance_heartbeat_timeout')} s by default" in WORKERS


def test_what_was_measured_is_what_the_other_page_says():
    measured = page("performance")
    for figure in re.findall(r"at most (\d+,\d+)", WORKERS):
        assert f"| **{figure}** |" in measured


def test_the_celery_that_is_tested_is_one_that_its_provider_starts_with():
    tested = dict(re.findall(r"^(\S+)==(.+)$", (REPOSITORY / "constraints.txt").read_text(), re.MULTILINE))
    assert tuple(map(int, tested["celery"].split("."))) < (5, 7)
    assert tested["apache-airflow-providers-celery"].startswith("3.26.")


def rows_of(table: str) -> dict[str, list[str]]:
    cells = [line.strip("| \n").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    return {first: rest for first, *rest in cells}


def test_the_calculation_on_paper_is_right():
    rows = rows_of(section(page("workers"), "How much you need"))
    pace = CONCURRENCY / LATENCY
    requests = [items / ROWS_A_REQUEST / pace for items in ITEMS_A_DAY]
    for name, expected in {
        "on average": [f"{items / 86_400:.0f}/s" for items in ITEMS_A_DAY],
        "work of one task, one by one": [
            f"{ITEMS_A_DAY[0] / pace / 3600:.1f} h",
            f"{ITEMS_A_DAY[1] / pace / 3600:.0f} h",
        ],
        "with `Batch(max_items=500)`, if it takes the same 200 ms": [
            f"{requests[0]:.0f} s",
            f"{requests[1] / 60:.1f} min",
        ],
        "windows": [
            f"{count} of .*{round(items / count, -3):,.0f} items, {items / count / pace / 60:.0f} minutes"
            for items, count in zip(ITEMS_A_DAY, WINDOWS, strict=True)
        ],
        "Airflow's 7 s": [f"{count * AIRFLOW_SECONDS / 60:.0f} minutes" for count in WINDOWS],
        "the same as a mapped task for each item": [
            f"{slots:,.0f}" for slots in (ITEMS_A_DAY[0] * 7 / 86_400, round(ITEMS_A_DAY[1] * 7 / 86_400, -2))
        ],
    }.items():
        for cell, start in zip(rows[name], expected, strict=True):
            assert re.match(start, cell), (name, cell, start)
