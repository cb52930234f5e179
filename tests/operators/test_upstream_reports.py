"""Whom a replay is for, and what is said of those who left no report."""

import pytest
from tasks import sql_to_rest

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.operators.upstream_reports import Reports, instances_of, parse_of, reports_in


def replay(**arguments):
    from airflow_async_rest.operators.replay import ReplayDeadLettersOperator

    return ReplayDeadLettersOperator(task_id="replay", **arguments)


@pytest.mark.parametrize(
    ("states", "instances"),
    [
        ({"a_1": "success"}, {-1: "success"}),
        ({"a_1_0": "failed", "a_1_10": None}, {0: "failed", 10: None}),
        ({}, {}),
    ],
)
def test_the_states_of_a_task_are_those_of_its_map_indexes(states, instances):
    assert instances_of("a_1", states) == instances


def test_tasks_come_before_the_replay_and_ids_do_not():
    from airflow.sdk import DAG

    with DAG("the_dag", schedule=None):
        posts = [sql_to_rest(task_id=f"post_{n}") for n in range(3)]
        last = replay(of=[posts[0], posts[1].output["dead_letters"], "post_2", "post_2"])
    assert last.of == ["post_0", "post_1", "post_2"]
    assert last.upstream_task_ids == {"post_0", "post_1"}


@pytest.mark.parametrize("of", [[], "", 5, [5], [None]])
def test_what_is_no_task_is_refused(of):
    with pytest.raises(ConfigurationError, match=r"of=.*: write the id of the task"):
        parse_of(of)


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ({}, ("neither of= nor", "")),
        ({"of": "post", "dead_letters": None}, ("both of= and", ", not both")),
        ({"of": "post", "dead_letters": "x"}, ("both of= and", ", not both")),
    ],
)
def test_either_tasks_or_folders_are_given(arguments, given):
    begin, end = given
    match = rf"^{begin} dead_letters= given: write either of= .*, or dead_letters= with their folder's URI{end}\.\n"
    with pytest.raises(ConfigurationError, match=match) as raised:
        replay(**arguments)
    assert raised.value.__notes__ == ["of ReplayDeadLettersOperator, task_id='replay'"]


@pytest.mark.parametrize(
    ("reports", "words"),
    [
        (Reports("post", [{"complete": True}], []), []),
        (Reports("post", [{"complete": False}], []), ["task 'post' stopped before it had read all its rows (1 window)"]),
        (Reports("post", [{"complete": False}] * 2, ["post[3] (failed)"]), ["(2 windows): clear that task", "post[3] (failed) left"]),
        (Reports("post", [], [f"post[{n}] (failed)" for n in range(12)]), ["post[9] (failed) and 2 more left no report"]),
        (Reports("post", [], ["post (success)"], pushes=False), ["task 'post' has do_xcom_push=False"]),
        (Reports("post", [], [], pushes=False), []),
    ],
)  # fmt: skip
def test_what_may_never_have_been_read_is_said(reports, words):
    said = list(reports.wrong())
    assert len(said) == len(words)
    assert all(word in text for word, text in zip(words, said, strict=True))


@pytest.mark.parametrize(
    ("dead_letters", "found_none", "count"), [("file:///x", True, 1), ("file:///x", False, 0), (None, True, 0)]
)
def test_a_replay_that_was_told_of_none_says_whose_it_left(dead_letters, found_none, count):
    reports = Reports("post", [{"dead_letters": dead_letters, "complete": True}], [])
    texts = list(reports.wrong(found_none=found_none))
    assert len(texts) == count
    assert all("those of task 'post' are not among them, in file:///x: write of='post'" in text for text in texts)


ONE, OTHER = {"dead_letters": None, "complete": True}, {"dead_letters": "file:///x", "complete": False}


@pytest.mark.parametrize(
    ("value", "reports"),
    [
        (ONE, [ONE]),
        ([ONE, OTHER], [ONE, OTHER]),
        ((ONE, OTHER), [ONE, OTHER]),
        ({"first": ONE, "second": OTHER}, [ONE, OTHER]),
        ([ONE, None], []),
        ([[ONE]], []),
        ({"dead_letters": None}, []),
        ([], []),
        ({}, []),
        ("text", []),
        (7, []),
        (None, []),
    ],
)
def test_a_task_may_return_the_reports_of_several_deliveries(value, reports):
    assert reports_in(value) == reports
