import asyncio
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import every_row

from airflow_async_rest.core.account.checkpoint import Checkpoint, Resume
from airflow_async_rest.core.account.recorder import Recorder, SourceDigest
from airflow_async_rest.core.account.report import RowTotals
from airflow_async_rest.core.bounds import Bounds
from airflow_async_rest.core.letters.folder import refused_record, to_record
from airflow_async_rest.core.models import DeadLetter, Delivered, Item, Request, Skipped

REQUEST = Request("POST", "x", "", b'{"a":1}', "k")
MANY = pytest.mark.slow("some thousand dead letters")


def item(index: int, **parts) -> Item:
    return Item(index, index, {}, {}, content=b"%d" % index, **parts)


def dead(index: int, reason="http_422", body=b'{"a":1}') -> DeadLetter:
    return DeadLetter.of(item(index), reason, attempts=1, request=Request("POST", "x", "", body, "k"))


def recorder_of(*outcomes, resume=None, taken=(), **parts) -> Recorder:
    recorder = Recorder(resume, **parts)
    recorder.continue_digest(SourceDigest())
    for outcome in outcomes:
        recorder.take(item(outcome.index))
        recorder.record(outcome)
    for index in taken:
        recorder.take(item(index))
    return recorder


def resume_after(*outcomes, taken=(), resolved=(), known_dead=(), sample=()) -> Resume:
    """What a try leaves behind for the next one."""
    snapshot = recorder_of(*outcomes, taken=taken).snapshot()
    letters = {record.index: record.reason for record in snapshot.records if isinstance(record, DeadLetter)}
    return Resume(
        Checkpoint("f", snapshot.position, snapshot.digest, snapshot.unfinished, snapshot.totals, ()),
        dead={index: reason for index, reason in letters.items() if index not in resolved},
        resolved={index: reason for index, reason in letters.items() if index in resolved},
        known_dead=frozenset({*letters, *known_dead} - {*resolved}),
        sample=sample,
    )


def counts(recorder: Recorder) -> tuple:
    report = recorder.report()
    assert report["read"] == report["delivered"] + report["failed"] + report["skipped"] + report["unfinished"]
    return tuple(report[name] for name in ("read", "delivered", "failed", "skipped", "unfinished"))


OUTCOMES = st.sampled_from([lambda index: Delivered(index, 1), dead, Skipped, None])


@pytest.mark.slow("fifty examples")
@given(st.lists(OUTCOMES), st.lists(OUTCOMES, min_size=1))
def test_every_row_is_accounted_for_at_every_moment_and_over_a_retry(first, second):
    settled = [outcome(index) for index, outcome in enumerate(first) if outcome]
    recorder, left = Recorder(), {outcome.index: outcome for outcome in settled}
    for index in range(len(first)):
        recorder.take(item(index))
        counts(recorder)
        if index in left:
            recorder.record(left[index])
            counts(recorder)
    snapshot = recorder.snapshot()
    letters = {record.index: record.reason for record in snapshot.records}
    checkpoint = Checkpoint("f", snapshot.position, "d", snapshot.unfinished, snapshot.totals, ())
    resume = Resume(checkpoint, dead=letters, known_dead=frozenset(letters))
    again = Recorder(resume)
    again_indexes = [index for index in range(len(first)) if resume.wants(index)]
    assert counts(again) == counts(recorder)
    for index in [*again_indexes, *range(len(first), len(first) + len(second))]:
        again.take(item(index))
        counts(again)
        again.record(second[index % len(second)](index) if second[index % len(second)] else Delivered(index, 1))
    assert counts(again)[0] == len(first) + len(second)
    assert counts(again)[4] == 0


def test_rows_are_counted_by_what_became_of_them():
    recorder = recorder_of(Delivered(0, 1), dead(1), Skipped(2), taken=[3, 4])
    assert counts(recorder) == (5, 1, 1, 1, 2)
    assert recorder.delivered_now == 1


def test_a_snapshot_has_the_records_since_the_one_before():
    recorder = recorder_of(dead(0))
    assert [record.index for record in recorder.snapshot().records] == [0]
    recorder.take(item(1))
    recorder.record(dead(1))
    second = recorder.snapshot()
    assert [record.index for record in second.records] == [1]
    assert len(recorder.unwritten) == 0
    recorder.give_back(second)
    assert len(recorder.unwritten) == 1


def kept(snapshot) -> Checkpoint:
    """Return the checkpoint that goes with a snapshot."""
    about = (snapshot.position, snapshot.digest, snapshot.unfinished, snapshot.totals, ())
    return Checkpoint("", *about, batches=snapshot.batches).before(snapshot.held)


def test_what_is_in_no_part_is_unfinished_in_the_checkpoint():
    recorder = recorder_of(Delivered(0, 1), dead(1), dead(2), Skipped(3), taken=[4])
    early = recorder.snapshot(letters=False)
    assert (early.records, kept(early).unfinished) == ([], {1, 2, 4})
    assert [kept(early).totals[name] for name in ("read", "delivered", "skipped", "reasons")] == [5, 1, 1, {}]
    assert counts(recorder) == (5, 1, 2, 1, 1)
    late = recorder.snapshot()
    assert ([record.index for record in late.records], kept(late).unfinished) == ([1, 2], {4})
    assert kept(late).totals["reasons"] == {"http_422": 2}


@pytest.mark.parametrize(
    ("outcome", "counted"), [(Delivered(1, 1), "delivered"), (Delivered(1, 1, already_there=True), "already_there")]
)
def test_a_delivery_that_no_part_tells_is_in_the_checkpoint(outcome, counted):
    recorder = recorder_of(outcome, resume=resume_after(dead(1)))
    early = kept(recorder.snapshot(letters=False))
    assert (early.unfinished, early.resolved, early.totals[counted]) == (frozenset(), {1}, 1)
    assert kept(recorder.snapshot()).resolved == frozenset()


def test_records_are_due_when_there_are_many_or_they_waited_or_must_not_be_sent_again():
    recorder = recorder_of(*map(dead, range(99)))
    assert not recorder.unwritten.are_due
    assert recorder_of(*map(dead, range(100))).unwritten.are_due
    assert recorder_of(dead(0, "answer_unreadable")).unwritten.are_due
    assert recorder_of(*map(dead, range(99)), bounds=Bounds(longest_unwritten_seconds=0.0)).unwritten.are_due
    assert not recorder_of(Delivered(0, 1)).unwritten.are_due


def test_records_given_back_are_due():
    recorder = recorder_of(dead(0))
    recorder.give_back(recorder.snapshot())
    assert recorder.unwritten.are_due


def test_records_given_back_come_before_later_ones():
    recorder = recorder_of(dead(0))
    first = recorder.snapshot()
    recorder.take(item(1))
    recorder.record(dead(1))
    recorder.give_back(first)
    assert [record.index for record in recorder.snapshot().records] == [0, 1]


def test_the_digest_goes_with_the_position():
    digest = SourceDigest()
    digest.add(b"0")
    recorder = recorder_of(taken=[0])
    assert (recorder.snapshot().position, recorder.snapshot().digest) == (1, digest.hexdigest())


def test_a_retry_starts_with_the_account_of_the_try_before():
    recorder = Recorder(resume_after(Delivered(0, 1), dead(1), taken=[2]))
    assert counts(recorder) == (3, 1, 1, 0, 1)
    assert recorder.report()["resumed_from"] == recorder.snapshot().position == 3
    assert recorder.delivered_now == 0


def test_before_the_source_is_read_again_a_snapshot_repeats_the_digest():
    resume = resume_after(Delivered(0, 1))
    assert Recorder(resume).snapshot().digest == resume.checkpoint.digest


def test_a_dead_letter_that_is_sent_again_is_unfinished_meanwhile():
    recorder = Recorder(resume_after(dead(0)))
    recorder.take(item(0))
    assert counts(recorder) == (1, 0, 0, 0, 1)
    recorder.record(Delivered(0, 1))
    assert counts(recorder) == (1, 1, 0, 0, 0)
    assert recorder.snapshot().records == [{"index": 0, "resolved": True}]


def test_a_dead_letter_that_fails_again_counts_once():
    recorder = Recorder(resume_after(dead(0)))
    recorder.take(item(0))
    recorder.record(dead(0, "timeout"))
    assert counts(recorder) == (1, 0, 1, 0, 0)
    assert recorder.report()["reasons"] == {"timeout": 1}


def test_what_a_replay_delivered_between_two_tries_counts_as_delivered():
    recorder = Recorder(resume_after(dead(0), dead(1), resolved={0}))
    assert counts(recorder) == (2, 1, 1, 0, 0)


def test_an_unfinished_row_with_a_dead_letter_from_before_is_resolved_when_delivered():
    recorder = Recorder(resume_after(taken=[0], known_dead={0}))
    recorder.take(item(0))
    recorder.record(Delivered(0, 1))
    assert recorder.snapshot().records == [{"index": 0, "resolved": True}]


def test_a_replayed_item_is_resolved_when_delivered():
    recorder = Recorder()
    for index, outcome in enumerate([Delivered(0, 1), dead(1, "timeout")]):
        recorder.take(item(index, request=REQUEST, replayed=True))
        recorder.record(outcome)
    assert recorder.snapshot().records[0] == {"index": 0, "resolved": True}
    assert recorder.snapshot().records == []


@pytest.mark.parametrize(
    ("failures", "successes", "hopeless"),
    [(200, 0, True), (180, 20, True), (179, 21, False), (199, 0, False), (0, 200, False)],
)
def test_nearly_everything_failing_is_noticed(failures, successes, hopeless):
    outcomes = [Delivered(index, 1) for index in range(successes)]
    outcomes += [dead(successes + index) for index in range(failures)]
    assert recorder_of(*outcomes).mostly_failing is hopeless


def test_only_the_last_outcomes_count_for_nearly_everything_failing():
    outcomes = [dead(index) for index in range(300)] + [Delivered(300 + index, 1) for index in range(21)]
    assert not recorder_of(*outcomes).mostly_failing


def test_skipped_rows_say_nothing_about_the_api():
    recorder = recorder_of(*map(dead, range(190)), *map(Skipped, range(190, 400)))
    assert not recorder.mostly_failing


def test_the_sample_of_failed_items_stays_within_its_bytes_and_says_how_many_are_missing():
    recorder = recorder_of(*(dead(index, body=json.dumps("x" * 1_500).encode()) for index in range(100)))
    sample = recorder.sample()
    assert len(json.dumps(sample)) <= 48_000
    assert 20 < len(sample) < 100
    assert recorder.report()["failed_items_omitted"] == 100 - len(sample)


def test_what_leaves_the_sample_makes_room_for_others():
    body = json.dumps("x" * 1_500).encode()
    letters = [dead(index, body=body) for index in range(100)]
    shown = tuple(json.loads(json.dumps({"index": index, "payload": "x" * 1_500})) for index in range(100))
    recorder = Recorder(resume_after(*letters, sample=shown))
    assert len(recorder.sample()) < 100
    for index in range(100):
        recorder.take(item(index))
        recorder.record(Delivered(index, 1))
    assert recorder.sample() == []
    recorder.take(item(100))
    recorder.record(dead(100, body=body))
    assert len(recorder.sample()) == 1


def test_the_sample_is_in_the_order_of_the_rows():
    assert [record["index"] for record in recorder_of(dead(5), dead(2), dead(9)).sample()] == [2, 5, 9]


def test_the_sample_can_leave_payloads_out():
    assert "payload" not in recorder_of(dead(0), sample_payloads=False).sample()[0]


def test_the_sample_of_the_try_before_is_shown_until_it_is_sent_again():
    letters = [dead(0), dead(1, body=b'{"big":1180591620717411303424}')]
    sample = tuple(json.loads(json.dumps({**to_record(letter), "key": letter.index, "payload": {"big": 2**70},
                                          "response_excerpt": ""})) for letter in letters)  # fmt: skip
    recorder = Recorder(resume_after(*letters, sample=sample))
    assert [record["index"] for record in recorder.sample()] == [0, 1]
    recorder.take(item(0))
    assert [record["index"] for record in recorder.sample()] == [1]
    recorder.record(Delivered(0, 1))
    assert recorder.report()["failed_items_omitted"] == 0


BATCHED = st.lists(st.lists(st.sampled_from("dfsru"), min_size=1, max_size=6), min_size=1, max_size=8)


@pytest.mark.slow("fifty examples")
@given(BATCHED, st.data())
def test_batches_are_accounted_for_and_a_snapshot_knows_what_goes_together(batches, data):
    """d: delivered, f: failed, s: skipped, r: again in a request with the other r of its batch, u: not settled."""
    recorder = Recorder()
    recorder.continue_digest(SourceDigest())
    first, expected = 0, []
    for fates in batches:
        items = [item(first + number) for number in range(len(fates))]
        first += len(items)
        recorder.take_batch(items)
        counts(recorder)
        of_fate = {fate: [one for one, its in zip(items, fates, strict=True) if its == fate] for fate in "dfsru"}
        recorder.delivered(of_fate["d"])
        for one in of_fate["f"]:
            recorder.record(dead(one.index))
        for one in of_fate["s"]:
            recorder.record(Skipped(one.index))
        if of_fate["r"]:
            recorder.send_together(of_fate["r"])
        expected += [tuple(one.index for one in of_fate[fate]) for fate in "ru" if of_fate[fate]]
        counts(recorder)
    snapshot = recorder.snapshot()
    assert sorted(snapshot.batches) == sorted(expected)
    assert snapshot.unfinished == frozenset().union(*expected)
    assert snapshot.position == first
    one_by_one = recorder_of(taken=range(first)).snapshot()
    assert snapshot.digest == one_by_one.digest


def test_a_retry_keeps_what_goes_together_until_it_is_settled():
    recorder = Recorder()
    recorder.continue_digest(SourceDigest())
    recorder.take_batch([item(0), item(1), item(2)])
    before = recorder.snapshot()
    resume = Resume(Checkpoint("f", 3, before.digest, before.unfinished, before.totals, (), before.batches))
    again = Recorder(resume)
    assert again.snapshot().batches == ((0, 1, 2),)
    again.take_batch([item(0), item(1), item(2)])
    again.delivered([item(0), item(1), item(2)])
    assert counts(again) == (3, 3, 0, 0, 0)
    assert again.snapshot().batches == ()


def test_a_dead_letter_of_a_batch_is_resolved_when_delivered():
    resume = resume_after(dead(0), dead(1))
    again = Recorder(resume)
    again.take_batch([item(0), item(1)])
    again.delivered([item(0), item(1)])
    assert counts(again) == (2, 2, 0, 0, 0)
    assert again.snapshot().records == [{"index": 0, "resolved": True}, {"index": 1, "resolved": True}]


# Items that are fetched: their rows have to be kept first.


def fetching(*outcomes, resume=None, taken=()) -> Recorder:
    recorder = Recorder(resume)
    recorder.totals.rows = RowTotals()
    recorder.continue_digest(SourceDigest())
    for outcome in outcomes:
        recorder.take(item(outcome.index))
        if isinstance(outcome, Delivered):
            recorder.fetched(outcome.index)
        else:
            recorder.record(outcome)
    for index in taken:
        recorder.take(item(index))
    return recorder


def test_a_fetched_item_is_delivered_when_its_rows_are_kept():
    recorder = fetching(Delivered(0, 1), Delivered(1, 1), dead(2), Skipped(3), taken=[4])
    assert counts(recorder) == (5, 0, 1, 1, 3)
    snapshot = recorder.snapshot()
    assert (snapshot.fetched, snapshot.unfinished, snapshot.totals["delivered"]) == ([0, 1], {4}, 2)
    assert counts(recorder) == (5, 0, 1, 1, 3)
    recorder.confirm(snapshot)
    assert counts(recorder) == (5, 2, 1, 1, 1)
    assert recorder.snapshot().fetched == []


def test_items_whose_rows_were_not_kept_are_in_the_next_snapshot():
    recorder = fetching(Delivered(0, 1), dead(1))
    first = recorder.snapshot()
    recorder.take(item(2))
    recorder.fetched(2)
    recorder.give_back(first)
    second = recorder.snapshot()
    assert (second.fetched, second.unfinished, [record.index for record in second.records]) == (
        [0, 2],
        frozenset(),
        [1],
    )


def test_a_fetched_item_that_was_dead_is_resolved_with_its_rows():
    recorder = fetching(Delivered(0, 1), resume=resume_after(dead(0)))
    assert counts(recorder) == (1, 0, 0, 0, 1)
    for _ in range(2):  # the first one is not written
        snapshot = recorder.snapshot()
        assert snapshot.records == [{"index": 0, "resolved": True}]
        recorder.give_back(snapshot)
        assert len(recorder.unwritten) == 0
    recorder.confirm(recorder.snapshot())
    assert counts(recorder) == (1, 1, 0, 0, 0)
    assert recorder.snapshot().records == []


def test_items_that_are_fetched_say_something_about_the_api_before_they_are_kept():
    recorder = fetching(*(Delivered(index, 1) for index in range(21)), *(dead(21 + index) for index in range(179)))
    assert recorder.delivered_now == 21
    assert not recorder.mostly_failing


def test_refused_rows_are_in_the_sample_beside_their_items_until_they_are_taken():
    recorder = fetching(dead(2), taken=[1])
    for number in (1, 0, 0):
        recorder.show_refused(refused_record(2, number, {"n": number}, "too long"))
    assert [(one["index"], one.get("row_number")) for one in recorder.sample()] == [(2, None), (2, 0), (2, 1)]
    recorder.totals.rows.refused = 2
    assert recorder.report()["failed_items_omitted"] == 0
    recorder.hide_refused(2, 0)
    recorder.hide_refused(9, 9)
    assert [(one["index"], one.get("row_number")) for one in recorder.sample()] == [(2, None), (2, 1)]


def test_refused_rows_of_the_sample_stay_within_its_bytes():
    recorder = fetching()
    for _ in range(2):
        for number in range(100):
            recorder.show_refused(refused_record(0, number, {"text": "x" * 1_500}, "too long"))
        assert 20 < len(recorder.sample()) < 100
        assert len(json.dumps(recorder.sample())) <= 48_000
    recorder.hide_refused(0, 0)
    recorder.show_refused(refused_record(0, 99, {"text": "x" * 1_500}, "too long"))
    assert recorder.sample()[-1]["row_number"] == 99


def peak_of(call) -> int:
    """The bytes that a call takes at most, beyond what was there before it."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


LARGE = b'{"v":"%s"}' % (b"x" * 5_000_000)


def dead_with_body(index, text) -> DeadLetter:
    return dead(index, body=b'"%s"' % text.encode())


def dead_with_row(index, text) -> DeadLetter:
    row = {"v": text}
    return DeadLetter.of(Item(index, index, row, row), "transform")


@every_row("sample_payloads", [True, False])
@every_row("body", [LARGE, b'"%s"' % ("\u20ac" * 2_000_000).encode(), b"[%s1]" % (b"1," * 2_000_000)])
def test_a_large_payload_is_not_copied_to_show_how_it_begins(body, sample_payloads):
    letters = [dead(index, body=body) for index in range(100)]
    assert peak_of(lambda: recorder_of(*letters, sample_payloads=sample_payloads)) < 1_000_000


@pytest.mark.slow("large rows")
def test_a_large_row_is_not_copied_when_the_sample_has_no_room_for_it():
    row = {"id": 1, "v": "x" * 1_000_000}
    letters = [DeadLetter.of(Item(index, index, row, row), "transform") for index in range(40)]
    recorder = recorder_of(*letters)
    assert 20 <= len(recorder.sample()) < 40
    assert recorder.sample()[0]["row"].endswith("characters in all]")

    def record_again():
        for letter in letters:
            recorder.take(item(100 + letter.index))
            recorder.record(DeadLetter.of(Item(100 + letter.index, 1, row, row), "transform"))

    assert peak_of(record_again) < 500_000


def test_rows_are_not_encoded_where_none_is_shown():
    row = {"id": 1, "v": "x" * 5_000_000}
    letter = DeadLetter.of(Item(0, 0, row, row), "transform")
    assert peak_of(lambda: recorder_of(letter, sample_payloads=False)) < 500_000


def test_a_small_failure_still_finds_room_after_large_ones():
    recorder = recorder_of(*(dead(index, body=LARGE) for index in range(100)), dead(100))
    assert recorder.sample()[-1]["index"] == 100
    assert len(json.dumps(recorder.sample())) <= 48_000


def test_a_large_payload_is_shown_by_its_beginning():
    [shown] = recorder_of(dead(0, body=LARGE)).sample()
    assert shown["payload"] == f"{LARGE[:2000].decode()}... [cut: {len(LARGE)} bytes in all]"
    assert shown["path"] == "x"


@pytest.mark.parametrize(
    ("count", "size", "much"),
    [
        (1, 5_000_000, True),
        (4, 500_000, False),
        (5, 500_000, True),
        pytest.param(3_000, 1, False, marks=MANY),
        pytest.param(5_000, 1, True, marks=MANY),
    ],
)
@pytest.mark.parametrize("letter", [dead_with_body, dead_with_row])
def test_dead_letters_are_due_when_they_are_large_or_many(count, size, much, letter):
    recorder = recorder_of(*(letter(index, "x" * size) for index in range(count)))
    assert recorder.unwritten.are_much is much
    written = recorder.snapshot()
    assert not recorder.unwritten.are_much
    recorder.give_back(written)
    assert recorder.unwritten.are_much is much


@pytest.mark.slow("large rows")
def test_there_is_room_for_more_dead_letters_once_a_snapshot_has_those_there_are():
    async def until_room(recorder):
        if (room := recorder.until_room(asyncio.Event())) is not None:
            await room

    async def room_after(*steps):
        recorder = Recorder()
        for step in steps:
            step(recorder)
        waiting = asyncio.create_task(until_room(recorder))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return waiting.cancel() is False

    fill = lambda recorder: recorder.record(dead_with_row(0, "x" * 5_000_000))  # noqa: E731
    give_back = lambda recorder: recorder.give_back(recorder.snapshot())  # noqa: E731
    assert asyncio.run(room_after())
    assert not asyncio.run(room_after(fill))
    assert asyncio.run(room_after(fill, Recorder.snapshot))
    assert not asyncio.run(room_after(fill, lambda recorder: recorder.snapshot(letters=False)))
    assert not asyncio.run(room_after(fill, give_back))


@pytest.mark.slow("each allocation for 4,800 rows is traced")
def test_nothing_is_kept_of_a_row_that_failed_once_it_is_written():
    recorder = recorder_of(*map(dead, range(200)))
    recorder.snapshot()
    held = []

    def fail_and_write():
        for first in range(200, 5_000, 100):
            for index in range(first, first + 100):
                recorder.take(item(index))
                recorder.record(dead(index), is_news=False)
            recorder.snapshot()
        held.append(tracemalloc.get_traced_memory()[0])

    peak_of(fail_and_write)
    assert held[0] < 200_000  # of 4,800 rows; what other threads take meanwhile is in it


@every_row(
    ("left", "recorded", "last", "uncertain"),
    [
        ([], [], False, None),  # more is sent
        ([], [], True, {7}),  # as an earlier try has left it
        ([3], [], False, None),
        ([3], [], True, {3, 7}),
        ([10], [], True, {7, 10}),
        ([3], [3], True, {7}),
        ([3], [3, 7, 10], True, set()),
    ],
)
def test_a_last_snapshot_tells_which_unfinished_rows_may_be_done(left, recorded, last, uncertain):
    checkpoint = Checkpoint("f", 10, "d", frozenset({3, 7}), {"read": 10}, ())
    recorder = recorder_of(resume=Resume(checkpoint, uncertain=frozenset({7, 9})), taken=[10])
    recorder.leave([item(index, uncertain=index in left) for index in (3, 7, 10)], asyncio.CancelledError())
    for index in recorded:
        recorder.record(Delivered(index, 1))
    assert recorder.snapshot(last=last).uncertain == uncertain
