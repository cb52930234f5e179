"""What a task takes at most, of rows of 100 KB: a whole process, with a real database and a server of its own."""

import json
import os
import subprocess
import sys

import pytest
from checkout import REPOSITORY

from benchmarks.api import running_api
from benchmarks.memory import LARGE_FAILING

pytestmark = pytest.mark.release

MOST_MB = 200


@pytest.mark.parametrize("how", ["large, singly", "large, transformed", *LARGE_FAILING])
def test_ten_thousand_rows_of_100_kb_take_less_than_200_mb(postgres, how):
    with running_api() as api:
        target = {"conn_type": "async_rest", "schema": "http", "host": "127.0.0.1", "port": api.port}
        connections = {"AIRFLOW_CONN_SOURCE_DB": postgres.connection(), "AIRFLOW_CONN_SEARCH_API": target}
        env = {**os.environ, **{name: json.dumps(fields) for name, fields in connections.items()}}
        command = [sys.executable, "-m", "benchmarks.memory", "10000", how]
        done = subprocess.run(
            command, check=False, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=300
        )
    assert done.returncode == 0, done.stderr
    # A transform that doubles the row has both for a while.
    most = MOST_MB + 30 if how == "large, transformed" else MOST_MB
    assert json.loads(done.stdout.splitlines()[-1])["peak_mb"] < most
