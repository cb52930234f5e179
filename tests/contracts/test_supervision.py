"""How it is told whether a task runs under Airflow's own supervisor: none of it is documented."""

from airflow.sdk.execution_time import comms, supervisor, task_runner

from airflow_async_rest.compat import task_context


def test_the_runner_has_its_connection_to_the_supervisor_by_this_name():
    assert task_runner.__name__ == task_context._RUNNER
    assert "SUPERVISOR_COMMS" in task_runner.__annotations__


def test_that_of_dag_test_is_of_another_module():
    assert supervisor.InProcessSupervisorComms.__module__ == task_context._IN_PROCESS
    assert comms.CommsDecoder.__module__ != task_context._IN_PROCESS


def test_a_task_is_told_by_its_context_how_often_it_was_rescheduled():
    from airflow.sdk import Context

    assert "task_reschedule_count" in Context.__annotations__
