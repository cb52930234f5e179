"""A child: Airflow in a home of its own, running dags/sensors.py for every day of the week."""

import os
from datetime import datetime, timedelta
from typing import Any

from demo.children import Line
from demo.week import DAYS

TASK = "post_sensors"


def prepare() -> Any:
    """Make Airflow's database and load the DAG. The import is here because it takes some seconds."""
    from airflow.configuration import conf  # noqa: PLC0415
    from airflow.dag_processing.dagbag import DagBag  # noqa: PLC0415
    from airflow.utils.db import initdb  # noqa: PLC0415

    initdb()
    bag = DagBag(conf.get("core", "dags_folder"))
    if bag.import_errors:
        raise RuntimeError(f"the DAGs cannot be imported: {bag.import_errors}")
    return bag.dags["sensors"]


def run_day(dag: Any, day: datetime) -> dict[str, Any]:
    """Run the DAG for one day, and give what it left behind. A run's window is the day before its logical date."""
    run = dag.test(logical_date=day + timedelta(days=1))
    ti = run.get_task_instance(TASK)
    report = ti.xcom_pull(task_ids=TASK)
    if report is None:
        raise RuntimeError(f"the run for {day:%Y-%m-%d} left no report; why, it says above")
    return {
        "day": f"{day:%Y-%m-%d}",
        "state": str(run.state),
        "report": report,
        "failed_items": ti.xcom_pull(task_ids=TASK, key="failed_items"),
    }


def main() -> None:
    """Get ready, wait for the connections, run the days."""
    line = Line(on_end=lambda: os._exit(0))  # whatever Airflow is doing: all of it is thrown away
    dag = prepare()
    line.say("ready")
    os.environ.update(line.hear())
    for day in DAYS:
        line.say(run_day(dag, day))


if __name__ == "__main__":
    main()
