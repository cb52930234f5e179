"""ReplayDeadLettersOperator after every kind of task: whose dead letters it sends, and what it says of who left none."""

import warnings
from pathlib import Path

import pytest
from dag_runs import Run, ids
from tables import left_to_release

FOLDER = Path(__file__).parent / "replays"


@pytest.fixture
def run(airflow_db, api, postgres, connect, tmp_path, monkeypatch):
    """Run one of the DAGs of replay_of.py; rows 7 and 17 are refused, until they come a second time."""
    from airflow.dag_processing.dagbag import DagBag

    connect("source_db", **postgres.connection())
    connect("search_api", conn_type="async_rest", host=api.url)
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", str(tmp_path / "dead_letters"))
    monkeypatch.setattr("airflow.settings.DAGS_FOLDER", str(FOLDER))
    seen_before = set()

    def refuse_once(seen):
        answer = 422 if ids([seen])[0] in {7, 17} and seen.path not in seen_before else 200
        seen_before.add(seen.path)
        return answer

    api.answer = refuse_once

    def run(dag_id, **environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with warnings.catch_warnings():  # one of Starlette's, about its test client, where dag.test() imports this
            warnings.simplefilter("ignore")
            import airflow.api_fastapi.execution_api.app  # noqa: F401
        bag = DagBag(FOLDER)
        assert bag.import_errors == {}
        return Run(bag.dags[dag_id].test())

    return run


@pytest.mark.parametrize(
    ("dag_id", "windows", "dead"),
    left_to_release(
        [
            ("of_id", 3, [7, 17]),
            ("of_id", 1, [7]),
            ("of_id", 0, []),
            ("of_task", 3, [7, 17]),
            ("of_output", 2, [7, 17]),
            ("of_multiple", 1, [7]),
            ("of_template", 3, [7, 17]),
            ("of_outside", 3, [7, 17]),
            ("of_outside", 1, [7]),
            ("of_outside", 0, []),
            ("of_another_kind", 0, []),
        ]
    ),
)
def test_what_failed_in_any_window_is_sent_again(api, run, dag_id, windows, dead):
    ended = run(dag_id, WINDOWS=str(windows))
    assert ended.states("replay") == ["success"]
    assert ended.report("replay")["delivered"] == len(dead)
    rows = windows * 10 if dag_id != "of_another_kind" else 0
    assert ids(api.delivered) == list(range(1, rows + 1))


@pytest.mark.release
def test_in_a_mapped_task_group_each_replay_is_for_its_own_window(api, run):
    ended = run("of_group")
    assert ended.states("day.replay") == ["success"] * 3
    assert [ended.report("day.replay", n)["read"] for n in range(3)] == [1, 1, 0]
    assert ids(api.delivered) == list(range(1, 31))


@pytest.mark.parametrize(
    "dag_id", left_to_release(["of_id", "of_task", "of_output", "of_multiple", "of_template", "of_outside"])
)
def test_a_replay_after_previews_has_nothing_to_do(api, run, dag_id):
    ended = run(dag_id, PREVIEW="2")
    assert (ended.states("replay"), ended.report("replay")["read"], api.seen) == (["success"], 0, [])


@pytest.mark.parametrize(
    ("dag_id", "environment", "words", "delivered"),
    left_to_release([
        ("of_id", {"BROKEN": "1"}, "the dead letters are sent, but post[1] (failed) left no report", 20),
        ("of_outside", {"BROKEN": "1"}, "but day.post[1] (failed) left no report", 20),
        ("of_template", {"BROKEN": "0"}, "but post[0] (failed) left no report", 20),
        ("of_id", {"NO_WINDOWS": "1"}, "but post (upstream_failed) left no report", 0),
        ("of_skipped", {}, "but post (skipped) left no report", 0),
        ("of_skipped_span", {}, "but post (skipped) left no report", 0),
        ("of_silent", {}, "but task 'post' has do_xcom_push=False, so no report says whether it read all its rows", 9),
        ("of_silent_before", {}, "but task 'post' has do_xcom_push=False, so no report says", 9),
        ("of_nobody", {}, "of names 'post', which is no task of this DAG; write the whole id, with its task groups: g.post", 9),
    ]),
)  # fmt: skip
def test_rows_that_may_never_have_been_read_make_the_replay_fail(
    api, run, capfd, dag_id, environment, words, delivered
):
    ended = run(dag_id, **environment)
    assert ended.states("replay") == ["failed"]
    assert words in "".join(capfd.readouterr())
    assert len(api.delivered) == delivered


def test_in_a_mapped_task_group_only_the_replay_of_a_window_without_a_report_fails(api, run, capfd):
    ended = run("of_group", BROKEN="1")
    assert ended.states("day.replay") == ["success", "failed", "success"]
    assert "but day.post[1] (failed) left no report" in "".join(capfd.readouterr())


@pytest.mark.release
def test_a_window_that_is_not_done_yet_left_no_report(run, capfd):
    """An id sets no order by itself."""
    run("of_no_order")
    assert "but post (not begun) left no report" in "".join(capfd.readouterr())
