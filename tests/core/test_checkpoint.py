import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_async_rest.core.checkpoint import Checkpoint, Resume, SourceDigest, fingerprint

GOOD = Checkpoint("f", 10, "d", frozenset({3, 7}), {"read": 10}, ((1, 1), (1, 2), (3, 4), (3, 5)))


def through_json(checkpoint: Checkpoint) -> Checkpoint:
    return Checkpoint.from_json(json.loads(json.dumps(checkpoint.to_json())))


def test_a_checkpoint_comes_back_as_it_was():
    assert through_json(GOOD) == GOOD


@given(
    st.frozensets(st.integers(0, 10**12)),
    st.dictionaries(st.integers(1, 99), st.tuples(st.integers(1, 50), st.integers(0, 50))),
)
def test_any_parts_without_gaps_come_back(unfinished, spans):
    parts = tuple((number, first + seq) for number, (first, more) in sorted(spans.items()) for seq in range(more + 1))
    checkpoint = Checkpoint("f", 1, "d", unfinished, {}, parts)
    assert through_json(checkpoint) == checkpoint


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


@pytest.mark.parametrize(
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


@pytest.mark.parametrize("other", [(b"b", b"a"), (b"a",), (b"ab",), (b"", b"ab"), (b"a", b"b", b""), ()])
def test_a_digest_tells_other_rows_and_another_order(other):
    assert digest_of(*other) != digest_of(b"a", b"b")


def test_a_digest_can_be_read_and_go_on():
    digest = SourceDigest()
    digest.add(b"a")
    digest.hexdigest()
    digest.add(b"b")
    assert digest.hexdigest() == digest_of(b"a", b"b")
