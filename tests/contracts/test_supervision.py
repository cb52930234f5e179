"""How it is told whether a task runs under Airflow's own supervisor: none of it is documented."""

import inspect

import attrs
from airflow.sdk.execution_time import comms, supervisor, task_runner

from airflow_async_rest.compat import task_context


def test_the_runner_has_its_connection_to_the_supervisor_by_this_name():
    assert task_runner.__name__ == task_context._RUNNER
    assert "SUPERVISOR_COMMS" in task_runner.__annotations__


def test_that_of_dag_test_is_of_another_module():
    assert supervisor.InProcessSupervisorComms.__module__ == task_context._IN_PROCESS
    assert comms.CommsDecoder.__module__ != task_context._IN_PROCESS


def test_that_connection_is_a_socket_whose_other_end_only_the_supervisor_has():
    fields = {field.name: field.type for field in attrs.fields(comms.CommsDecoder)}
    assert "socket" in str(fields["socket"])
    assert "_close_unused_sockets(read_requests" in inspect.getsource(supervisor.WatchedSubprocess.start)


def test_a_task_is_told_by_its_context_how_often_it_was_rescheduled():
    from airflow.sdk import Context

    assert "task_reschedule_count" in Context.__annotations__
