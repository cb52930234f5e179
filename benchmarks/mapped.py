"""Against Airflow's own way, a mapped task for each row with its ``HttpOperator``: what a row costs there."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measuring import Figure, Plan, figure, in_turns
from benchmarks.surroundings import running_ends

# Airflow's default for the most tasks of one mapping, max_map_length, is 1024: more could not be measured unasked.
MAPPED = 100
ONE_TASK = 10_000


def measure(plan: Plan) -> Iterator[Figure]:
    """Compare real runs of two DAGs by ``dag.test()``: it has no scheduler, which would make mapped tasks slower."""
    command = [sys.executable, "-m", "benchmarks.mapped", str(plan.rounds)]
    with running_ends(plan) as ends:
        environment = os.environ | {
            "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parent / "dags"),
            "AIRFLOW_CONN_PLAIN_API": json.dumps({"conn_type": "http", "host": ends.url}),
        }
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    seconds = json.loads(done.stdout.splitlines()[-1])
    yield figure(
        "mapped",
        "rows/s, by dag.test()",
        [(MAPPED / mapped, ONE_TASK / ours) for mapped, ours in seconds],
        f"{MAPPED} mapped HttpOperator",
    )
    yield figure(
        "mapped",
        f"{ONE_TASK:,} rows, by dag.test(): s",
        [(mapped * ONE_TASK / MAPPED, ours) for mapped, ours in seconds],
        f"extrapolated from {MAPPED} mapped HttpOperator",
    )


def _run_dag(dag_id: str) -> float:
    """Run a DAG in this process. :return: seconds from the first task's start to the last one's end."""
    from airflow.dag_processing.dagbag import DagBag  # noqa: PLC0415

    bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    instances = bag.dags[dag_id].test().get_task_instances()
    if bad := [ti for ti in instances if ti.state != "success"]:
        raise RuntimeError(f"{len(bad)} of {len(instances)} tasks did not succeed")
    first, last = min(ti.start_date for ti in instances), max(ti.end_date for ti in instances)
    return (last - first).total_seconds()


def _main() -> None:
    """Do it, in a process that Airflow may fill with what it logs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("rounds", type=int)
    rounds = parser.parse_args().rounds
    from airflow.utils.db import initdb  # noqa: PLC0415

    initdb()
    print(json.dumps(in_turns(rounds, lambda: _run_dag("mapped"), lambda: _run_dag("one_task"))))


if __name__ == "__main__":
    _main()
