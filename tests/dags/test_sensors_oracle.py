"""dags/sensors_oracle.py is dags/sensors.py with another source; a run of it needs an Oracle."""

import ast

from checkout import REPOSITORY


def code_of(name: str) -> str:
    module = ast.parse((REPOSITORY / "dags" / f"{name}.py").read_text())
    return ast.unparse(module.body[1:])  # without the docstring


def test_it_is_the_same_dag_but_for_the_ids():
    same = code_of("sensors").replace("dag_id='sensors'", "dag_id='sensors_oracle'")
    assert code_of("sensors_oracle") == same.replace("'source_db'", "'oracle_db'")


def test_it_is_a_dag(dags):
    assert dags["sensors_oracle"].task_ids == ["post_sensors"]
    assert dags["sensors_oracle"].get_task("post_sensors").sql_conn_id == "oracle_db"
