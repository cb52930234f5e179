"""Airflow marks the instances of mapped tasks, which it makes as they run."""


def test_an_instance_of_a_mapped_task_is_made_when_it_runs_and_marked():
    from airflow.sdk import DAG

    from airflow_async_rest.operators.sql_to_rest import SqlToRestOperator

    with DAG("mapped", schedule=None):
        mapped = SqlToRestOperator.partial(task_id="t", sql_conn_id="db", endpoint="x", rate_limit="fast").expand(
            sql=["SELECT 1"]
        )
    task = mapped.unmap({"sql": "SELECT 1"})  # what is wrong is an error of the task, which no retry mends
    assert vars(task)["_BaseOperator__from_mapped"] is True
    assert (task.sql, task.rate_limit) == ("SELECT 1", "fast")
