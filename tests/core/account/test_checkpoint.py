import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import every_row

from airflow_async_rest.core.account.checkpoint import Checkpoint, Resume, Try, fingerprint
from airflow_async_rest.core.account.recorder import Recorder, SourceDigest
from airflow_async_rest.core.account.report import Totals
from airflow_async_rest.core.models import DeadLetter

GOOD = Checkpoint("f", 10, "d", frozenset({3, 7}), {"read": 10}, ((1, 1), (1, 2), (3, 4), (3, 5)))


def through_json(checkpoint: Checkpoint) -> Checkpoint:
    return Checkpoint.from_json(json.loads(json.dumps(checkpoint.to_json())))


def test_a_checkpoint_comes_back_as_it_was():
    assert through_json(GOOD) == GOOD


@pytest.mark.slow("fifty examples")
@given(
    st.frozensets(st.integers(0, 10**12)),
    st.dictionaries(st.integers(1, 99), st.tuples(st.integers(1, 50), st.integers(0, 50))),
)
def test_any_parts_without_gaps_come_back(unfinished, spans):
    parts = tuple((number, first + seq) for number, (first, more) in sorted(spans.items()) for seq in range(more + 1))
    checkpoint = Checkpoint("f", 1, "d", unfinished, {}, parts)
    assert through_json(checkpoint) == checkpoint


@pytest.mark.slow("fifty examples")
@given(
    st.lists(st.frozensets(st.integers(0, 10**12), min_size=1), max_size=5),
    st.frozensets(st.integers(2 * 10**12, 3 * 10**12)),
)
def test_batches_come_back_and_count_as_unfinished(batches, alone):
    apart = tuple(tuple(sorted(batch - frozenset().union(*batches[:number]))) for number, batch in enumerate(batches))
    apart = tuple(batch for batch in apart if batch)
    unfinished = alone.union(*apart)
    checkpoint = through_json(Checkpoint("f", 1, "d", unfinished, {}, (), apart))
    assert (checkpoint.batches, checkpoint.unfinished) == (apart, unfinished)


@pytest.mark.parametrize("batches", [256 * [range(500)], 48 * [range(0, 500, 2)]])
def test_batches_on_their_way_fit_the_state_store(batches):
    indexes = tuple(tuple(10**7 + 500 * number + index for index in batch) for number, batch in enumerate(batches))
    worst = Checkpoint("f" * 32, 10**9, "d" * 32, frozenset().union(*indexes), {}, (), indexes)
    assert len(json.dumps(worst.to_json())) < 65_535


def test_a_part_of_another_writer_between_ours_is_not_taken_for_ours():
    parts = ((2, 1), (2, 3), (2, 4), (10, 1))
    kept = Checkpoint("f", 1, "d", frozenset(), {}, parts).to_json()
    assert kept["parts"] == [[2, 1, 1], [2, 3, 4], [10, 1, 1]]
    assert Checkpoint.from_json(kept).parts == parts


def test_many_parts_take_little_room():
    many = Checkpoint("f", 1, "d", frozenset(), {}, tuple((1, seq) for seq in range(1, 10_001)))
    assert len(json.dumps(many.to_json())) < 500


def test_many_unfinished_rows_fit_the_state_store():
    worst = Checkpoint("f" * 32, 10**9, "d" * 32, frozenset(range(10**9, 10**9 + 1000)), {}, ())
    assert len(json.dumps(worst.to_json())) < 65_535


def test_ten_thousand_rows_whose_dead_letters_a_full_disk_refuses_fit_the_state_store():
    worst = Checkpoint("f" * 32, 10**9, "d" * 32, frozenset(range(10**6, 2 * 10**6, 100)), {}, ())
    assert len(json.dumps(worst.to_json())) < 65_535
    assert through_json(worst) == worst


@every_row(
    "value",
    [
        None, [], "x", 5, {}, {"version": 2}, {"version": 99},
        {**GOOD.to_json(), "version": 0},
        {**GOOD.to_json(), "position": "many"},
        {**GOOD.to_json(), "position": None},
        {**GOOD.to_json(), "unfinished": 5},
        {**GOOD.to_json(), "unfinished": ["x"]},
        {**GOOD.to_json(), "totals": None},
        {**GOOD.to_json(), "totals": "abc"},
        {**GOOD.to_json(), "parts": [[1, 2]]},
        {**GOOD.to_json(), "parts": [5]},
        {**GOOD.to_json(), "parts": 5},
        {**GOOD.to_json(), "batches": 5},
        {**GOOD.to_json(), "batches": [5]},
        {**GOOD.to_json(), "batches": ["5"]},
        {**GOOD.to_json(), "batches": ["x 1"]},
        {**GOOD.to_json(), "parts": [["x", 1, 2]]},
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(value):
    with pytest.raises(ValueError, match=r"."):
        Checkpoint.from_json(value)


BOOKMARK = {"page": {"parameters": {"page": 2}, "into": "query"}, "after": "x", "pages": 1, "rows": 3, "given": "d"}


def with_bookmark(**changes):
    return Checkpoint.from_json({**GOOD.to_json(), "version": 3, "bookmarks": {"1": {**BOOKMARK, **changes}}})


def test_a_bookmark_is_checked_like_the_rest():
    assert with_bookmark().bookmarks[1].page.parameters == {"page": 2}
    wrong = ({"pages": "x"}, {"rows": None}, {"rows": -1}, {"after": 5}, {"given": None}, {"page": {"parameters": 5}})
    for changes in (*wrong, {"page": 5}, {"opening": 1}, {"more": 1}):
        with pytest.raises(ValueError, match=r"not a checkpoint"):
            with_bookmark(**changes)


def test_a_retry_wants_what_is_dead_or_unfinished():
    resume = Resume(GOOD, dead={1: "timeout"}, known_dead=frozenset({1, 2}))
    assert [index for index in range(10) if resume.wants(index)] == [1, 3, 7]


def test_a_fingerprint_tells_jobs_apart():
    jobs = [
        ("SELECT 1", {"a": 1}),
        ("SELECT 1", {"a": 2}),
        ("SELECT 2", {"a": 1}),
        ("SELECT 1", {"a": "1"}),
        ("SELECT 1",),
    ]
    assert len({fingerprint(*job) for job in jobs}) == len(jobs)
    assert fingerprint(*jobs[0]) == fingerprint(*jobs[0])


def digest_of(*rows: bytes) -> str:
    digest = SourceDigest()
    for row in rows:
        digest.add(row)
    return digest.hexdigest()


@every_row("other", [(b"b", b"a"), (b"a",), (b"ab",), (b"", b"ab"), (b"a", b"b", b""), ()])
def test_a_digest_tells_other_rows_and_another_order(other):
    assert digest_of(*other) != digest_of(b"a", b"b")


def test_a_digest_can_be_read_and_go_on():
    digest = SourceDigest()
    digest.add(b"a")
    digest.hexdigest()
    digest.add(b"b")
    assert digest.hexdigest() == digest_of(b"a", b"b")


def test_a_digest_is_the_same_whether_rows_come_together_or_one_by_one():
    rows = [b"%d" % number for number in range(5_000)]
    digest = SourceDigest()
    digest.add(*rows)
    assert digest.hexdigest() == digest_of(*rows)


def test_a_digest_keeps_no_large_rows():
    digest = SourceDigest()
    tracemalloc.start()
    try:
        for _ in range(50):
            digest.add(b"%b" % bytearray(1_000_000))
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()


# Whose checkpoint it is, and whether it says that all is done.

REPORT = {"read": 10, "delivered": 10}


@every_row(
    ("written_by", "report", "this_try", "done"),
    [
        (Try(1, (3, 3)), REPORT, Try(2, (3, 3)), True),
        (Try(1, (3, 3)), REPORT, Try(4, (3, 3)), True),  # the push of XCom failed more than once
        (Try(1, (3, 3)), None, Try(2, (3, 3)), False),  # it went on, or failed
        (Try(1, (3, 3)), REPORT, Try(2, (4, 3)), False),  # a Clear
        (Try(1, (3, 3)), REPORT, Try(2, (3, 2)), False),  # a Clear, after somebody took one of the retries away
        (Try(1, (3, 3)), REPORT, Try(1, (3, 3)), False),  # the same try once more, as dag.test() does it
        (Try(2, (3, 3)), REPORT, Try(1, (3, 3)), False),  # one that lives on beside its retry
        (None, REPORT, Try(2, (3, 3)), False),
        (Try(1, (3, 3)), REPORT, None, False),
    ],
)
def test_a_later_try_of_the_same_series_has_nothing_to_do(written_by, report, this_try, done):
    checkpoint = replace(GOOD, written_by=written_by, report=report)
    assert checkpoint.is_done_for(this_try) is done
    assert through_json(checkpoint) == checkpoint


@pytest.mark.parametrize(
    ("written_by", "success", "void"),
    [
        (Try(1, (3, 3)), Try(2, (3, 3)), True),  # it lived on beside its retry, which has succeeded
        (Try(2, (3, 3)), Try(2, (3, 3)), True),
        (Try(4, (5, 3)), Try(2, (3, 3)), False),  # after the success there was a Clear, and it failed
        (None, Try(2, (3, 3)), True),  # of a version that did not say who wrote it
        (Try(1, (3, 3)), None, False),
    ],
)
def test_what_a_try_writes_beside_one_that_succeeded_is_void(written_by, success, void):
    report = REPORT if success else None
    assert replace(GOOD, written_by=written_by).is_void_after(replace(GOOD, written_by=success, report=report)) is void


def letter_of(item_of, index, reason="http_500", **parts) -> DeadLetter:
    return DeadLetter.of(item_of(index), reason, **parts)


def test_what_is_in_no_part_counts_as_unfinished(item_of):
    together = {"request": "k", "items": 2}
    counted = replace(GOOD, totals={"read": 10, "delivered": 4, "reasons": {"http_500": 3, "http_422": 1}})
    records = [
        letter_of(item_of, 1, batch={"request": "other", "items": 3}),  # the others of its request are dead no more
        letter_of(item_of, 4, "http_422", batch=together),
        letter_of(item_of, 5, batch=together),
        {"index": 6, "resolved": True},
    ]
    before = counted.before(records)
    assert before.unfinished == {1, 3, 4, 5, 7}
    assert before.batches == ((4, 5),)
    assert before.resolved == {6}
    assert before.totals == {"read": 10, "delivered": 4, "reasons": {"http_500": 1}}
    assert through_json(before) == before
    assert counted.before([]) == counted


@every_row(
    ("uncertain", "kept", "may_be_done"),
    [
        (None, None, {3, 7}),
        ({3, 7}, None, {3, 7}),
        ({3}, "3 1", {3}),
        ({3, 99}, "3 1", {3}),  # which is no longer unfinished
        ((), "", ()),
    ],
)
def test_it_says_which_unfinished_rows_may_be_done(uncertain, kept, may_be_done):
    checkpoint = replace(GOOD, uncertain=None if uncertain is None else frozenset(uncertain))
    assert checkpoint.to_json().get("uncertain") == kept
    assert through_json(checkpoint).may_be_done == checkpoint.may_be_done == frozenset(may_be_done)


def test_a_dead_letter_in_no_part_is_as_uncertain_as_it_was(item_of):
    letters = [letter_of(item_of, 1, uncertain=True), letter_of(item_of, 2)]
    before = replace(GOOD, uncertain=frozenset({7})).before(letters)
    assert (before.unfinished, before.may_be_done) == ({1, 2, 3, 7}, {1, 7})
    assert GOOD.before(letters).may_be_done == {1, 2, 3, 7}


def test_which_rows_are_uncertain_fits_the_state_store_too():
    indexes = tuple(tuple(range(10**7 + 500 * number, 10**7 + 500 * number + 500, 2)) for number in range(48))
    uncertain = frozenset().union(*indexes)
    alone = frozenset(range(10**9, 10**9 + 500))
    worst = Checkpoint("f" * 32, 10**9, "d" * 32, uncertain | alone, {}, (), indexes, uncertain=uncertain)
    assert len(json.dumps(worst.to_json())) < 65_535
    assert through_json(worst).may_be_done == worst.unfinished


# Kept as an earlier release wrote it, which did not say who did.

SAMPLES = Path(__file__).parents[1] / "samples"


@pytest.mark.parametrize("name", ["delivery", "bulk", "fetch", "settled"])
def test_a_checkpoint_of_an_earlier_release_is_read(name):
    kept = json.loads((SAMPLES / f"{name}-checkpoint-version-2" / "checkpoint.json").read_text())
    checkpoint = Checkpoint.from_json(kept)
    assert (checkpoint.written_by, checkpoint.report, checkpoint.resolved) == (None, None, frozenset())
    assert checkpoint.to_json() == kept
    assert not checkpoint.is_done_for(Try(2, (3, 3)))


WRONG = [
    None,
    True,
    -1,
    1.5,
    "x",
    "5",
    [],
    [1],
    [None],
    {},
    {"a": 1},
    {"a": "x"},
    {"1": -1},
    10**400,
    "0 99999999999999",
]


@every_row("value", WRONG)
@every_row("name", [*GOOD.to_json(), *(f"totals.{name}" for name in Totals().to_json()), "totals.rows"])
def test_what_is_no_checkpoint_is_found_when_it_is_read(name, value):
    """What passes can be counted on with, and written again."""
    kept = json.loads(json.dumps(GOOD.to_json()))
    where, _, inside = name.partition(".")
    if inside:
        kept["totals"][inside] = value
    else:
        kept[where] = value
    try:
        found = Checkpoint.from_json(kept)
    except ValueError:
        return
    recorder = Recorder(Resume(found))
    recorder.totals.read += 1
    recorder.totals.failed_again("http_503")
    json.dumps([recorder.report(), replace(found, totals=recorder.totals.to_json()).to_json()])


@every_row(
    "wrong",
    [
        {"parts": [[1, 1, 10**15]]},
        {"parts": [[1, -5, 10]]},
        {"unfinished": "0 1000000000000"},
        {"batches": ["5 99999999999"]},
        {"resolved": "0 1000000000000"},
        {"position": 1e400},
        {"totals": {"elapsed_seconds": "1"}},
        {"totals": {"latencies": {"x": 1}}},
        {"totals": {"latencies": {"999999": 1}}},
        {"totals": {"rows": {"other": 1}}},
        {"totals": {"commit": "perhaps"}},
        {"unfinished": ["1"]},
        {"failed": {"http_503": ["x"]}},
        {"uncertain": "0 1000000000000"},
        {"uncertain": None},
        {"uncertain": "3"},
    ],
)
def test_what_would_end_a_try_in_its_middle_is_no_checkpoint(wrong):
    with pytest.raises(ValueError, match="^"):
        Checkpoint.from_json({**GOOD.to_json(), **wrong})
