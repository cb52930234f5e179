"""The record of how long files of tests take, and the order that follows from it."""

import pytest
from checkout import REPOSITORY
from durations import group_of, longest_first, read_record, updated


def test_the_record_names_no_file_that_is_gone():
    record = read_record()
    assert len(record) > 100
    assert [group for group in record if not (REPOSITORY / group).exists()] == []


@pytest.mark.parametrize(
    ("nodeid", "group"),
    [
        ("tests/load/test_plan.py::test_a[x::y]", "tests/load/test_plan.py"),
        ("tests/dags/test_enrich.py::test_a", "tests/dags"),
        ("tests/dags/test_replay.py::test_b", "tests/dags"),
    ],
)
def test_a_file_stays_together_and_so_do_all_dags(nodeid, group):
    assert group_of(nodeid) == group


def test_what_is_not_recorded_comes_first_then_the_longest():
    assert longest_first(["short", "new", "long", "as short"], {"short": 1, "as short": 1, "long": 9, "gone": 5}) == [
        "new", "long", "short", "as short",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("was", "measured", "then"),
    [
        (None, 3.6, 4),
        (None, 0.2, 0),
        (4, 5.9, 4),
        (4, 6.1, 6),
        (40, 59, 40),
        (40, 61, 61),
        (40, 19, 19),
        (40, None, 40),
    ],
)
def test_a_record_changes_where_its_file_has(was, measured, then):
    before = {} if was is None else {"file": was}
    assert updated(before, {} if measured is None else {"file": measured}, {"file"}) == {"file": then}


def test_a_record_forgets_what_is_gone():
    assert updated({"gone": 3, "there": 3}, {}, {"there"}) == {"there": 3}
