"""Tests that run a table: a row that is wrong is neither lost nor the end of the others."""

import asyncio
from collections import Counter

import pytest
from tables import every_row, left_to_release


def runs_of(ran: Counter):
    @every_row(("upper", "lower"), [(1, 2), (3, 2), (10**5000, 2), (1, 5)])
    @every_row("factor", [1, -1])
    def test(lower, upper, factor):
        ran[(upper, lower, factor)] += 1
        assert upper * factor > lower

    return test


def leaves(group):
    for error in group.exceptions:
        yield from leaves(error) if isinstance(error, BaseExceptionGroup) else [error]


def test_each_row_runs_once_and_each_wrong_one_is_named():
    ran = Counter()
    with pytest.raises(BaseExceptionGroup, match="4 of 4 rows are wrong") as raised:
        runs_of(ran)()
    assert len(ran) == ran.total() == 8
    assert [error.__notes__ for error in raised.value.exceptions] == [
        ["in row 0: {'upper': 1, 'lower': 2}"],
        ["in row 1: {'upper': 3, 'lower': 2}"],
        [
            "in row 2: Exceeds the limit (4300 digits) for integer string conversion; use sys.set_int_max_str_digits() to increase the limit"
        ],
        ["in row 3: {'upper': 1, 'lower': 5}"],
    ]
    assert [error.__notes__ for error in leaves(raised.value)] == [
        [f"in row {row}: {{'factor': {factor}}}"]
        for row, factor in [(0, 1), (1, -1), (1, -1), (1, -1), (0, 1), (1, -1)]
    ]


def test_a_row_that_fails_by_pytests_own_word_is_wrong_too():
    @every_row("text", ["1", "x", "2"])
    def test(text):
        with pytest.raises(ValueError, match="invalid"):
            int(text)

    with pytest.raises(BaseExceptionGroup, match="2 of 3 rows are wrong"):
        test()


def skipping(ran):
    @every_row("factor", [1, 2])
    @every_row("number", [1, 2, 3, 4])
    def test(number, factor):
        ran.append((number, factor))
        if number % 2:
            pytest.skip("odd")
        assert (number, factor) != (2, 1)

    return test


def test_a_row_that_is_skipped_hides_none_that_is_wrong():
    ran = []
    with pytest.raises(BaseExceptionGroup, match="1 of 2 rows are wrong") as raised:
        skipping(ran)()
    assert [error.__notes__ for error in raised.value.exceptions] == [["in row 0: {'factor': 1}"]]
    assert [error.__notes__ for error in leaves(raised.value)] == [["in row 1: {'number': 2}"]]
    assert len(ran) == 8


@pytest.mark.parametrize("rows", [["1", "x"], ["x", 1], ["1", 1]])
def test_one_that_is_skipped_is_skipped(rows):
    ran = []

    @every_row("text", rows)
    def test(text):
        ran.append(text)
        if isinstance(text, str):
            pytest.skip("not here")

    with pytest.raises(pytest.skip.Exception, match="not here"):
        test()
    assert ran == rows


def test_one_below_another_that_fails_by_pytests_own_word_does_not_end_the_other():
    @every_row("base", [10, 2, 16])
    @every_row("text", ["1", "x", "f"])
    def test(text, base):
        with pytest.raises(ValueError, match="invalid"):
            int(text, base)

    with pytest.raises(BaseExceptionGroup, match="3 of 3 rows are wrong") as raised:
        test()
    assert [error.__notes__ for error in raised.value.exceptions] == [
        [f"in row {row}: {{'base': {base}}}"] for row, base in enumerate((10, 2, 16))
    ]
    assert len(list(leaves(raised.value))) == 4


@pytest.mark.parametrize("end", [KeyboardInterrupt, pytest.exit.Exception])
def test_the_end_of_the_run_is_the_end_of_the_table(end):
    ran = []

    @every_row("number", [1, 2])
    def test(number):
        ran.append(number)
        raise end

    with pytest.raises(end):
        test()
    assert ran == [1]


def test_one_that_awaits_is_the_same():
    ran = []

    @every_row("number", [1, 2, 3])
    async def test(number):
        await asyncio.sleep(0)
        ran.append(number)
        assert number == 2

    with pytest.raises(BaseExceptionGroup, match="2 of 3 rows are wrong") as raised:
        asyncio.run(test())
    assert ran == [1, 2, 3]
    assert [error.__notes__ for error in leaves(raised.value)] == [
        ["in row 0: {'number': 1}"],
        ["in row 2: {'number': 3}"],
    ]


@every_row(("number", "square"), [(2, 4), (3, 9)])
def test_fixtures_are_there_for_all_rows(tmp_path, number, square):
    (tmp_path / f"{number}").touch()
    assert number * number == square
    assert len(list(tmp_path.iterdir())) == number - 1


def test_a_table_without_rows_and_a_row_without_a_value_are_said_at_once():
    with pytest.raises(AssertionError, match="has rows"):
        every_row("number", [])
    with pytest.raises(ValueError, match="argument 2"):
        every_row("number, square", [(1, 1), (2,)])
    for marked in (pytest.param(1, id="one"), pytest.param(1, marks=pytest.mark.skip)):
        with pytest.raises(AssertionError, match="for parametrize"):
            every_row("number", [2, marked])


@pytest.mark.parametrize(
    ("rows", "quick"), [(["a", "b", "c"], ["a"]), ([("a", 1), ("b", 2)], [("a", 1)]), (["a"], ["a"])]
)
def test_all_but_the_first_rows_are_left_to_release(rows, quick):
    left = left_to_release(rows)
    assert left[:1] == quick
    assert [each.values for each in left[1:]] == [row if isinstance(row, tuple) else (row,) for row in rows[1:]]
    assert all([mark.name for mark in each.marks] == ["release"] for each in left[1:])
    assert left_to_release(rows, but_for=len(rows)) == rows
