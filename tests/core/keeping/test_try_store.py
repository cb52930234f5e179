"""The state in a folder, as each try of several lives of a run finds it, and leaves it."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from tables import every_row

from airflow_async_rest.core.errors import StoppedError
from airflow_async_rest.core.keeping.folder_store import FolderStore
from airflow_async_rest.core.keeping.try_store import Claim, TryStore, Turn, as_text

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def claim(number, minute=0, process="a", run=NOON):
    return Claim.of(number, NOON + timedelta(minutes=minute), process, run)


def again(number, minute, process="c"):
    """The claim of a try in a run that was made again, or cleared when it had ended."""
    return claim(number, minute, process, NOON + timedelta(days=1))


def of_row(number, row, process="a", minute=0):
    """The claim of a try on Airflow 2, whose runs have rows."""
    return Claim.of(number, NOON + timedelta(minutes=minute), process, f"dag_run.id={row}")


@pytest.fixture
def tried(tmp_path):
    """Return the store of a try: ``tried(number, minute of its start, process, run)``."""

    def of(number, minute=0, process="a", run=NOON):
        return TryStore(lambda: FolderStore(tmp_path / "state"), claim(number, minute, process, run))

    return of


UNKNOWN = Claim.of(1, None, "b", None)


@every_row(
    ("last", "this", "turn"),
    [
        (None, claim(1), Turn.BEGINS),
        (None, claim(0), Turn.BEGINS),  # airflow tasks test
        (None, claim(2), Turn.GOES_ON),  # the try before could not write
        (claim(1), claim(1), Turn.GOES_ON),  # another call of the same try
        (claim(1), claim(2, 5), Turn.GOES_ON),  # a retry, or after a Clear
        (claim(1, 5), claim(2, 4), Turn.GOES_ON),  # on a machine whose clock is slow
        (claim(3), claim(7, 5), Turn.GOES_ON),
        (claim(0), claim(1, 5), Turn.BEGINS),
        (claim(1), claim(1, 5, "b"), Turn.BEGINS),  # deleted, and made again
        (claim(3), claim(1, 5), Turn.BEGINS),
        (claim(4), claim(2, 5), Turn.BEGINS),  # and its first try never came to run
        (claim(1), claim(1, 0, "b"), Turn.BEGINS),
        (claim(1), UNKNOWN, Turn.BEGINS),
        (claim(2, 5), claim(1, 0), Turn.IS_OVER),
        (claim(2, 5), claim(2, 0, "b"), Turn.IS_OVER),  # started twice by the executor
        (claim(2, 0), claim(2, 5, "b"), Turn.GOES_ON),
        (claim(1, 9), again(1, 0), Turn.BEGINS),  # on a machine whose clock is slow
        (claim(2, 9), again(1, 0), Turn.BEGINS),
        (claim(2, 9), again(2, 0), Turn.BEGINS),  # and its first try never came to run
        (claim(1), again(2, 9), Turn.BEGINS),
        (Claim.of(2, NOON, "a", None), again(1, -5), Turn.BEGINS),  # as earlier versions left it
        (Claim.of(1, NOON, "a", None), again(2, 5), Turn.GOES_ON),
        (again(3, 9), claim(2, 0), Turn.IS_OVER),  # suspended, while its run was cleared
        (of_row(1, 9), of_row(1, 10), Turn.BEGINS),  # by Airflow 2
        (of_row(2, 10), of_row(2, 10, "b"), Turn.GOES_ON),
        (of_row(1, 10, "a", 5), of_row(2, 9), Turn.IS_OVER),
        (of_row(1, 120), of_row(1, 7, "b", 5), Turn.BEGINS),  # the number of a row that was deleted is given again
        (of_row(1, 120), of_row(2, 7, "b", 5), Turn.BEGINS),
        (claim(1), of_row(2, 7), Turn.GOES_ON),  # as earlier versions left it
        (of_row(1, 7), claim(2, 5), Turn.GOES_ON),  # Airflow was upgraded between
    ],
)
def test_what_a_try_is_to_the_one_before(last, this, turn):
    assert this.turn_after(last, is_rescheduled=False, was_cleared=False) is turn


@every_row(
    ("last", "this", "turn"),
    [
        (claim(1), again(2, 5), Turn.GOES_ON),  # the run had ended, and began again with the Clear
        (claim(1, 9), again(2, 5), Turn.GOES_ON),
        (claim(1), claim(2, 5), Turn.GOES_ON),
        (claim(2), again(2, 5), Turn.BEGINS),  # a Clear has a higher number
        (claim(3), again(2, 5), Turn.BEGINS),
        (None, again(2, 5), Turn.GOES_ON),
    ],
)
def test_a_try_after_a_clear_goes_on(last, this, turn):
    assert this.turn_after(last, is_rescheduled=False, was_cleared=True) is turn


@pytest.mark.parametrize(
    ("last", "this", "turn"),
    [
        (claim(1), claim(1, 5, "b"), Turn.GOES_ON),
        (claim(1, 5), claim(1, 5, "b"), Turn.GOES_ON),  # where Airflow keeps the date of its first start
        (claim(1, 5), claim(1, 0, "b"), Turn.GOES_ON),  # on a machine whose clock is slow
        (claim(2), claim(2, 5, "b"), Turn.GOES_ON),
        (claim(2, 5), claim(2, 0, "b"), Turn.GOES_ON),
        (claim(2, 5), claim(1, 0, "b"), Turn.IS_OVER),  # a retry has begun by now
        (again(1, 5), claim(1, 0, "b"), Turn.IS_OVER),
    ],
)
def test_a_try_that_asked_to_be_rescheduled_goes_on(last, this, turn):
    assert this.turn_after(last, is_rescheduled=True, was_cleared=False) is turn


@every_row("value", [None, "", "x", 5, [], [1], ["x", "", ""], {"a": 1}, [1, 2, 3, 4, 5], {}, [1e400, "", ""]])
def test_a_claim_that_cannot_be_read_is_none(value):
    assert Claim.from_json(value) is None


def test_instants_are_compared_in_utc():
    assert as_text(NOON) == as_text(NOON.astimezone(timezone(timedelta(hours=5)))) == "2026-11-01T12:00:00.000000+00:00"


def test_a_retry_finds_what_the_try_before_has_left_and_a_run_that_is_made_again_does_not(tried):
    first = tried(1)
    first.set("checkpoint", 7)
    first.set("replay", 8)
    assert tried(1).get("checkpoint") == 7
    assert [tried(2, 5).get(key) for key in ("checkpoint", "replay")] == [7, 8]
    again = tried(1, 10)
    assert [again.get(key) for key in ("checkpoint", "replay")] == [None, None]
    again.set("checkpoint", 9)
    assert tried(2, 15).get("checkpoint") == 9


def test_a_try_that_a_later_one_has_replaced_writes_nothing_more(tried):
    first = tried(1)
    first.set("checkpoint", 1)
    second = tried(2, 5)
    assert second.get("checkpoint") == 1
    for call in (
        lambda: first.set("checkpoint", 2),
        lambda: first.delete("checkpoint"),
        lambda: first.get("checkpoint"),
    ):
        with pytest.raises(StoppedError, match="a later try of this task has taken over its state"):
            call()
    assert second.get("checkpoint") == 1
    late = tried(1, 1, "b")  # it hung before its first call
    with pytest.raises(StoppedError):
        late.set("checkpoint", 3)
    assert second.get("checkpoint") == 1


def test_a_rescheduled_try_has_the_state_and_its_successor_in_another_run_has_not(tried):
    first = tried(1)
    first.set("checkpoint", 1)
    first.reschedule()
    assert tried(1, 5, "b").get("checkpoint") == 1
    assert tried(1, 9, "c").get("checkpoint") == 1  # rescheduled once more, by then
    assert tried(1, 12, "d", run=NOON + timedelta(minutes=11)).get("checkpoint") is None


def test_the_marker_of_a_rescheduled_try_is_as_documented(tried, tmp_path):
    tried(1).reschedule()
    assert FolderStore(tmp_path / "state").get("rescheduled") == {
        "try_number": 1,
        "run_started": "2026-11-01T12:00:00.000000+00:00",
    }


@pytest.mark.parametrize("outlives_run", [True, False])
def test_a_sitting_after_a_wait_is_the_next_one_though_its_clock_is_slow(tmp_path, outlives_run):
    """In Airflow's own store as in a folder; and the one before, whose clock is ahead, writes nothing more."""

    def sitting(minute, process):
        store = FolderStore(tmp_path / "state")
        return TryStore(lambda: store, claim(1, minute, process), outlives_run=outlives_run)

    first, later = sitting(5, "a"), sitting(0, "b")
    first.set("checkpoint", 1)
    first.reschedule()
    assert later.get("checkpoint") == 1
    later.set("checkpoint", 2)
    with pytest.raises(StoppedError):
        first.set("checkpoint", 3)
    assert later.get("checkpoint") == 2


@pytest.mark.parametrize(
    ("number", "run", "kept"),
    [(1, NOON, True), (2, NOON, False), (1, NOON + timedelta(days=1), False), (1, None, False)],
)
def test_only_the_marker_of_this_very_try_counts(tried, tmp_path, number, run, kept):
    tried(1).set("checkpoint", 1)
    run_started = as_text(run)
    FolderStore(tmp_path / "state").set("rescheduled", {"try_number": number, "run_started": run_started})
    assert (tried(1, 5, "b").get("checkpoint") == 1) is kept


class Unwritable(FolderStore):
    def set(self, key, value):
        raise PermissionError(13, "Permission denied")

    def wipe(self):
        if self.get("checkpoint") is not None:
            raise PermissionError(13, "Permission denied")


def test_a_folder_that_cannot_be_written_is_read_by_a_retry_and_by_no_other_life(tried, tmp_path):
    def reading(number, minute):
        return TryStore(lambda: Unwritable(tmp_path / "state"), claim(number, minute))

    assert reading(1, 0).get("checkpoint") is None
    tried(1).set("checkpoint", 1)
    retry = reading(2, 5)
    assert retry.get("checkpoint") == 1
    with pytest.raises(PermissionError):
        retry.set("checkpoint", 2)
    with pytest.raises(PermissionError):
        reading(1, 9).get("checkpoint")


@pytest.mark.parametrize(
    ("number", "run", "found"),
    [(2, NOON, "asked"), (1, NOON + timedelta(days=1), None)],
    ids=["next try", "other life"],
)
def test_who_only_looks_takes_nothing_over(tried, tmp_path, number, run, found):
    tried(1).set("replay", "asked")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert tried(number, 5, "b", run).peek("replay") == found
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before
