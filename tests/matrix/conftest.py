"""What the tests of one version of Airflow share: its database, PostgreSQL, an API, the DAGs of ``dags/``.

They run in an environment that has that version and pytest: nothing here takes more than these.
"""

import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from servers import running_api
from shared_postgres import Postgres, shared_server

HOME = tempfile.TemporaryDirectory(prefix="async-rest-matrix-")
os.environ.update(
    AIRFLOW_HOME=HOME.name,
    AIRFLOW__CORE__DAGS_FOLDER=str(Path(__file__).parent / "dags"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__TEST_CONNECTION="Enabled",
    AIRFLOW__CORE__UNIT_TEST_MODE="False",
    AIRFLOW__METRICS__TIMER_UNIT_CONSISTENCY="True",
    NO_PROXY="127.0.0.1,localhost",
    no_proxy="127.0.0.1,localhost",
)
DAY = datetime(2026, 3, 2, tzinfo=UTC)  # the run whose window is the first day


def airflow(*command: str) -> str:
    """Run Airflow's command line; return what it prints."""
    program = [str(Path(sys.executable).parent / "airflow"), *command]
    result = subprocess.run(program, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def listed(*command: str) -> list:
    """What a command lists, as JSON."""
    printed = airflow(*command, "--output", "json")
    return json.loads(printed[printed.index("[{") :])


@pytest.fixture(scope="session")
def airflow_db():
    airflow("db", "migrate")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    with shared_server(tmp_path_factory.getbasetemp()) as socket_folder:
        yield Postgres(socket_folder)


@pytest.fixture
def api(monkeypatch, postgres, tmp_path):
    """An API, a table of three days with ten readings each, an empty one for places, and their connections."""
    postgres.execute(
        "DROP TABLE IF EXISTS readings, places",
        "CREATE TABLE readings AS SELECT i AS id, 'reading ' || i AS name, "
        "'2026-03-01Z'::timestamptz + (i - 1) / 10 * interval '1 day' AS measured_at FROM generate_series(1, 30) AS i",
        "CREATE TABLE places (id bigint UNIQUE, place text, day date)",
    )
    with running_api() as server:
        for conn_id, fields in {
            "source_db": postgres.connection(),
            "search_api": {"conn_type": "async_rest", "host": server.url},
        }.items():
            monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))
        monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", str(tmp_path / "dead_letters"))
        yield server


def dags_of(folder) -> dict:
    """The DAGs of a folder, all of whose files can be imported."""
    try:
        from airflow.dag_processing.dagbag import DagBag  # 3.2
    except ImportError:
        from airflow.models.dagbag import DagBag

    bag = DagBag(folder)
    assert bag.import_errors == {}
    return bag.dags


@pytest.fixture(scope="session")
def dags(airflow_db):
    return dags_of(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])


class Run:
    """A run that has ended."""

    def __init__(self, dag_run):
        self.state, self._instances = str(dag_run.state), dag_run.get_task_instances()

    def states(self, task_id):
        return [str(one.state) for one in self._of(task_id)]

    def xcom(self, task_id, key="return_value", index=0):
        ti = self._of(task_id)[index]
        return ti.xcom_pull(task_ids=task_id, key=key, map_indexes=ti.map_index)

    def _of(self, task_id):
        return sorted((one for one in self._instances if one.task_id == task_id), key=lambda one: one.map_index)


@pytest.fixture
def run(dags, api):
    """Run a DAG by ``dag.test()``."""

    def run(dag_id: str) -> Run:
        import inspect

        dag = dags[dag_id]
        date = "logical_date" if "logical_date" in inspect.signature(dag.test).parameters else "execution_date"  # 2
        return Run(dag.test(**{date: DAY}))

    return run
