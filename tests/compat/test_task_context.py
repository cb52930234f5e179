"""What older versions of Airflow say of a task, and of those before it, is what 3.3 says."""

import socket
import sys
import threading
from types import ModuleType, SimpleNamespace

import pytest

from airflow_async_rest.compat import task_context

GROUP = object()


def task(group=None):
    return SimpleNamespace(get_closest_mapped_task_group=lambda: group)


def instance_of_2(**pulls):
    """A task instance as 2.11 has it: of tasks before it, it knows what the database has."""
    others = [("post", 0, "success"), ("post", 1, "failed"), ("lone", -1, None)]
    dag_run = SimpleNamespace(
        get_task_instances=lambda: [
            SimpleNamespace(task_id=task_id, map_index=index, state=state) for task_id, index, state in others
        ]
    )

    def pull(task_ids, map_indexes):
        assert isinstance(task_ids, str)  # of a list, 2.11 leaves out the instances that have returned nothing
        return pulls.get(f"{task_ids}_{map_indexes}")

    return SimpleNamespace(get_dagrun=lambda: dag_run, xcom_pull=pull, map_index=1, task=task(GROUP))


def instance_of_3_0():
    """A task instance as 3.0 and 3.1 have it, which never know which instances are before one."""
    return SimpleNamespace(
        get_task_states=lambda **_: {},
        get_relevant_upstream_map_indexes=lambda **_: None,
        map_index=1,
        task=task(GROUP),
    )


def test_outside_a_task_there_is_no_context(monkeypatch):
    assert task_context.current_context() is None

    def as_2_says_it():
        raise task_context.AirflowException("Current context was requested but no context was found!")

    monkeypatch.setattr(task_context, "get_current_context", as_2_says_it)
    assert task_context.current_context() is None


@pytest.mark.parametrize(
    ("task_id", "states"), [("post", {"post_0": "success", "post_1": "failed"}), ("lone", {"lone": None}), ("gone", {})]
)
def test_the_states_of_instances_have_the_same_names(task_id, states):
    assert task_context.states_of(instance_of_2(), task_id) == states


def instance_of_a_later_version():
    """A task instance that no longer has what is not documented."""
    return SimpleNamespace(get_task_states=lambda **_: {}, map_index=1, task=task(GROUP))


@pytest.mark.parametrize(
    "ti", [instance_of_2(), instance_of_3_0(), instance_of_a_later_version()], ids=["2.11", "3.0", "later"]
)
@pytest.mark.parametrize(("group", "indexes"), [(GROUP, [1]), (object(), None), (None, None)])
def test_in_a_mapped_task_group_its_own_instance_is_before_a_task(ti, group, indexes):
    assert task_context.relevant_map_indexes(ti, task(group)) == indexes


@pytest.mark.parametrize(("known", "indexes"), [(2, [2]), (range(2, 4), range(2, 4))])
def test_what_airflow_knows_of_instances_counts(known, indexes):
    ti = SimpleNamespace(get_task_states=None, get_relevant_upstream_map_indexes=lambda **_: known)
    assert task_context.relevant_map_indexes(ti, task()) == indexes


def test_an_instance_that_has_returned_nothing_has_a_place():
    ti = instance_of_2(post_1={"read": 1})
    assert list(task_context.pull_results(ti, "post", [0, 1], are_all=True)) == [None, {"read": 1}]
    assert list(task_context.pull_results(ti, "post", [], are_all=True)) == []


def test_what_is_mapped_is_found_without_the_name_that_2_does_not_have():
    groups = [object()]

    class Operator:
        def iter_mapped_task_groups(self):
            yield from groups

    class Mapped(Operator):
        def iter_mapped_dependencies(self):
            return iter(())

    mapped = Mapped()
    assert task_context.what_is_mapped(mapped) == [mapped]
    assert task_context.what_is_mapped(Operator()) == groups


def test_what_2_reads_by_the_session_of_a_thread_is_read_in_that_thread(monkeypatch):
    class LazySelectSequence(list):
        def __iter__(self):
            threads.append(threading.current_thread())
            return super().__iter__()

    threads, module = [], ModuleType("airflow.utils.db")
    module.LazySelectSequence = LazySelectSequence
    monkeypatch.setitem(sys.modules, module.__name__, module)
    items = task_context.read_by_any_thread(LazySelectSequence([1, 2]))
    assert (type(items), items, threads) == (list, [1, 2], [threading.current_thread()])


@pytest.mark.parametrize("items", [[1], (1, 2), iter(()), None])
def test_other_items_are_left_as_they_are(items):
    assert task_context.read_by_any_thread(items) is items


@pytest.fixture
def supervised(monkeypatch):
    """Have a supervisor, of this kind, or none."""

    def by(supervisor):
        monkeypatch.setattr("airflow.sdk.execution_time.task_runner.SUPERVISOR_COMMS", supervisor, raising=False)

    return by


@pytest.mark.parametrize(
    ("version", "can"), [("1.0.6", False), ("1.1.0", True), ("1.3.2", True), ("1.4.0rc1", True), ("1.10.0", True)]
)
def test_a_task_is_rescheduled_from_3_1_on(supervised, monkeypatch, version, can):
    supervised(object())
    monkeypatch.setattr("airflow.sdk.__version__", version)
    assert task_context.can_be_rescheduled() is can


def test_who_has_no_supervisor_or_one_in_its_own_process_is_not_rescheduled(supervised):
    from airflow.sdk.execution_time.supervisor import InProcessSupervisorComms

    supervised(None)
    assert not task_context.can_be_rescheduled()
    supervised(InProcessSupervisorComms(supervisor=None))
    assert not task_context.can_be_rescheduled()


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_supervisor_that_has_closed_its_end_is_gone_before_the_block_and_in_it(supervised, is_gone):
    """As of a task whose parent is sudo, or that loads this package late: its parent says nothing."""
    ours, theirs = socket.socketpair()
    supervised(SimpleNamespace(socket=ours))
    lost = threading.Event()
    theirs.sendall(b"an answer that nobody has read")
    if is_gone:
        theirs.close()
    with ours, theirs, task_context.watching_supervisor(lost.set):
        assert lost.is_set() is is_gone
        theirs.close()
        assert lost.wait(30)


def test_a_connection_that_this_process_has_closed_says_nothing(supervised):
    ours, theirs = socket.socketpair()
    ours.close()
    supervised(SimpleNamespace(socket=ours))
    lost = threading.Event()
    with theirs, task_context.watching_supervisor(lost.set):
        assert not lost.is_set()


def test_in_2_nobody_is_rescheduled(monkeypatch):
    """It has no runner of tasks of this name, and starts a task again at once."""
    monkeypatch.delitem(sys.modules, task_context._RUNNER, raising=False)
    assert not task_context.can_be_rescheduled()


@pytest.mark.parametrize(
    ("number", "context", "first"),
    [
        (1, {}, True),
        (0, {}, True),
        (1, {"task_reschedule_count": 0}, True),
        (1, {"task_reschedule_count": 1}, False),
        (2, {}, False),
    ],
)
def test_what_has_run_before_is_no_first_start(number, context, first):
    assert task_context.is_first_start({"ti": SimpleNamespace(try_number=number), **context}) is first
