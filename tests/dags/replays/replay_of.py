"""DAGs that post some windows and replay what failed, in the ways in which authors write them."""

import os
from datetime import UTC, datetime

from airflow.sdk import DAG, TaskGroup, task, task_group

from airflow_async_rest import RequestRetry
from airflow_async_rest.operators.replay import ReplayDeadLettersOperator
from airflow_async_rest.operators.sql_to_rest import SqlToRestOperator

BROKEN = os.environ.get("BROKEN")  # a window that fails before it begins, as one that is killed leaves nothing
PARAMETERS = [{"parameters": {"n": n}} for n in range(int(os.environ.get("WINDOWS", "3")))]
POST = {
    "task_id": "post",
    "sql": "SELECT i AS id FROM generate_series(:n * 10 + 1, :n * 10 + 10) i ORDER BY i",
    "sql_conn_id": "source_db",
    "http_conn_id": "search_api",
    "endpoint": "sensors/{id}",
    "method": "PUT",
    "key": "id",
    "request_retry": RequestRetry(max_attempts=1),
    "preview": os.environ.get("PREVIEW"),
}
REPLAY = {"task_id": "replay", "http_conn_id": "search_api"}


def dag(name):
    return DAG(name, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC))


@task(trigger_rule="all_done")
def windows():
    if os.environ.get("NO_WINDOWS"):
        raise ValueError("nobody knows the windows")
    return [{"parameters": {"x": 1}} if str(place) == BROKEN else window for place, window in enumerate(PARAMETERS)]


@task(trigger_rule="all_done")
def days():
    return [window["parameters"] for window in windows.function()]


with dag("of_id") as of_id:
    post = SqlToRestOperator.partial(**POST).expand_kwargs(windows())
    post >> ReplayDeadLettersOperator(of="post", **REPLAY)

with dag("of_task") as of_task:
    ReplayDeadLettersOperator(of=SqlToRestOperator.partial(**POST).expand_kwargs(windows()), **REPLAY)

with dag("of_output") as of_output:
    posts = [SqlToRestOperator(**POST | {"task_id": f"post_{n}", "parameters": {"n": n}}) for n in range(2)]
    ReplayDeadLettersOperator(of=[posts[0].output, posts[1]], **REPLAY)

with dag("of_multiple") as of_multiple:
    post = SqlToRestOperator(**POST, parameters={"n": 0}, multiple_outputs=True)
    ReplayDeadLettersOperator(dead_letters=post.output["dead_letters"], **REPLAY)

with dag("of_template") as of_template:
    post = SqlToRestOperator.partial(**POST).expand_kwargs(windows())
    post >> ReplayDeadLettersOperator(
        dead_letters="{{ ti.xcom_pull(['post']) | map(attribute='dead_letters') | list }}", **REPLAY
    )

with dag("of_group") as of_group:

    @task_group(group_id="day")
    def in_group(parameters):
        post = SqlToRestOperator(**POST, parameters=parameters)
        ReplayDeadLettersOperator(of=post, **REPLAY)

    in_group.expand(parameters=days())

with dag("of_outside") as of_outside:

    @task_group(group_id="day")
    def another_group(parameters):
        return SqlToRestOperator(**POST, parameters=parameters)

    another_group.expand(parameters=days()) >> ReplayDeadLettersOperator(of="day.post", **REPLAY)

with dag("of_nobody") as of_nobody:
    with TaskGroup("g"):
        post = SqlToRestOperator(**POST, parameters={"n": 0})
    post >> ReplayDeadLettersOperator(of="post", **REPLAY)

with dag("of_no_order") as of_no_order:
    replay = ReplayDeadLettersOperator(of="post", **REPLAY)
    replay >> SqlToRestOperator(**POST, parameters={"n": 0}, trigger_rule="all_done")

with dag("of_silent_before") as of_silent_before:
    SqlToRestOperator(**POST, parameters={"n": 0}, do_xcom_push=False) >> ReplayDeadLettersOperator(
        dead_letters=[], **REPLAY
    )

with dag("of_silent") as of_silent:
    post = SqlToRestOperator(**POST, parameters={"n": 0}, do_xcom_push=False)
    ReplayDeadLettersOperator(of=post, **REPLAY)

with dag("of_skipped") as of_skipped:

    @task.short_circuit(ignore_downstream_trigger_rules=False)
    def never():
        return False

    post = SqlToRestOperator(**POST, parameters={"n": 0})
    never() >> post >> ReplayDeadLettersOperator(of="post", **REPLAY)

with dag("of_skipped_span") as of_skipped_span:

    @task.short_circuit(ignore_downstream_trigger_rules=False)
    def never_any():
        return False

    @task
    def list_windows():
        return PARAMETERS

    listed = list_windows()
    never_any() >> listed
    ReplayDeadLettersOperator(of=SqlToRestOperator.partial(**POST).expand_kwargs(listed), **REPLAY)

with dag("of_another_kind") as of_another_kind:

    @task
    def notify():
        return {"ok": True}

    notify() >> ReplayDeadLettersOperator(dead_letters=None, **REPLAY)
