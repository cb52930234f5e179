"""A whole DAG run against an API that echoes what it gets: nothing below AIRFLOW_HOME has a piece of it."""

import os
from pathlib import Path

import canary
import pytest
from canary import KINDS
from dag_runs import after_day

pytestmark = pytest.mark.release


def test_airflows_home_and_its_database_have_no_piece_of_a_secret(sensors, run_dag, connect, tmp_path):
    kinds = (kind for kind in KINDS.values() if not kind.arguments and canary.TOKEN_URL not in str(kind.connection))
    for day, kind in enumerate(kinds, 1):
        answers = [answer for answer in canary.echoes(kind.secrets) if answer[0] < 500]  # else there are pauses
        sensors.answer = lambda seen, of=answers: canary.response(of[int(seen.path.rpartition("/")[2]) % len(of)])
        connect("search_api", **{"conn_type": "async_rest", "host": sensors.url + kind.query, **kind.connection})
        run = run_dag("sensors", after_day(1 + day % 3))
        assert run.state == "failed"
        assert "***" in str(run.xcom("post_sensors", "failed_items"))
    home = Path(os.environ["AIRFLOW_HOME"])
    assert (home / "airflow.db").exists()
    assert canary.traces_in_files(home) == {}
    assert canary.traces_in_files(tmp_path) == {}
