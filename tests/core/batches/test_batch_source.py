import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import every_row

from airflow_async_rest.core.account.checkpoint import Checkpoint, Resume
from airflow_async_rest.core.account.recorder import SourceDigest
from airflow_async_rest.core.batches.batch import Batch
from airflow_async_rest.core.batches.form import BatchForm
from airflow_async_rest.core.batches.source import BatchSource
from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.models import Skipped
from airflow_async_rest.core.reading.source import RowSource
from airflow_async_rest.core.requests.builder import EndpointTemplate, Identity, RequestBuilder
from airflow_async_rest.core.sending.retry import RequestRetry


class Chunked:
    def __init__(self, rows, size) -> None:
        self.rows, self.size = rows, size

    def __iter__(self):
        for start in range(0, len(self.rows), self.size):
            yield self.rows[start : start + self.size]


def requests_of(rows, batch, *, size=10, resume=None, transform=None, **by):
    """Return the (rows' ids, request) of each batch."""
    builder = RequestBuilder(
        endpoint=EndpointTemplate("x"), method="POST", encode=JsonEncoder(), identity=Identity(), has_key=True
    )
    form = BatchForm(batch, encode=JsonEncoder(), retry=RequestRetry(), key=("id",), request=builder.build_batch)
    source = BatchSource(RowSource(Chunked(rows, size), key=("id",), transform=transform), form, **by)
    made = []
    for units in source.open(resume, lambda digest: None):
        for unit in units:
            sent = [item for item in unit.items if item.settled is None]
            made.append(([item.index for item in unit.items], form.build(sent) if sent else None))
    return made


def rows_of(*sizes):
    return [{"id": index, "text": "x" * size} for index, size in enumerate(sizes)]


def resume_at(rows, position, *batches, dead=(), singles=()):
    digest = SourceDigest()
    digest.add(*[b"[%d]" % row["id"] for row in rows[:position]])
    unfinished = frozenset(index for batch in batches for index in batch) | frozenset(singles)
    checkpoint = Checkpoint("f", position, digest.hexdigest(), unfinished, {}, (), batches)
    return Resume(checkpoint, dead=dict.fromkeys(dead, "http_503"), known_dead=frozenset(dead))


@every_row(
    ("batch", "cuts"),
    [
        (Batch(max_items=4), [4, 4, 2]),
        (Batch(max_items=5), [5, 5]),
        (Batch(max_items=1), [1] * 10),
        (Batch(), [10]),
        (Batch(max_bytes=50), [2, 2, 2, 2, 2]),  # 22 bytes each, and one between
        (Batch(max_bytes=10), [1] * 10),
    ],
)
def test_batches_are_cut_by_count_bytes_and_the_end_of_the_data(batch, cuts):
    assert [len(indexes) for indexes, _ in requests_of(rows_of(*[3] * 10), batch)] == cuts


def test_a_body_is_not_larger_than_asked_for_unless_one_item_is():
    rows = rows_of(10, 200, 10, 90, 90, 1)
    made = requests_of(rows, Batch(max_bytes=150, format="ndjson"))
    assert [indexes for indexes, _ in made] == [[0], [1], [2, 3], [4, 5]]
    assert [len(request.body) <= 150 for _, request in made] == [True, False, True, True]


@given(
    st.lists(st.integers(0, 60), max_size=60),
    st.builds(Batch, max_items=st.integers(1, 12), max_bytes=st.integers(1, 300), format=st.just("ndjson")),
    st.integers(1, 70),
    st.integers(1, 70),
)
def test_how_the_rows_come_does_not_change_the_requests(sizes, batch, one, other):
    rows = rows_of(*sizes)
    made = requests_of(rows, batch, size=one)
    assert made == requests_of(rows, batch, size=other)
    assert [index for indexes, _ in made for index in indexes] == list(range(len(rows)))
    assert len({request.idempotency_key for _, request in made}) == len(made)


@pytest.mark.slow("fifty examples")
@given(st.lists(st.integers(0, 60), min_size=1, max_size=60), st.integers(1, 12), st.integers(1, 70), st.data())
def test_a_retry_sends_the_unfinished_batches_and_the_new_ones_as_they_were(sizes, most, size, data):
    rows, batch = rows_of(*sizes), Batch(max_items=most)
    before = requests_of(rows, batch)
    taken = data.draw(st.integers(0, len(before)))
    unfinished = [made for made in before[:taken] if data.draw(st.booleans())]
    position = max((indexes[-1] + 1 for indexes, _ in before[:taken]), default=0)
    resume = resume_at(rows, position, *[tuple(indexes) for indexes, _ in unfinished])
    assert requests_of(rows, batch, size=size, resume=resume) == [*unfinished, *before[taken:]]


def test_what_is_sent_again_for_another_reason_has_batches_of_its_own():
    rows = rows_of(*[3] * 20)
    resume = resume_at(rows, 12, (4, 6, 7), dead=(0, 5, 8), singles=(11,))
    made = [indexes for indexes, _ in requests_of(rows, Batch(max_items=3), size=4, resume=resume)]
    assert sorted(made[:3]) == [[0, 5, 8], [4, 6, 7], [11]]
    assert made[3:] == [[12, 13, 14], [15, 16, 17], [18, 19]]


def test_what_is_not_sent_is_in_its_place_and_takes_no_room():
    def transform(row):
        return None if row["id"] % 2 else {"v": float("nan") if row["id"] == 4 else row["id"]}

    made = requests_of(rows_of(*[0] * 10), Batch(max_items=2), size=3, transform=transform)
    assert [index for indexes, _ in made for index in indexes] == list(range(10))
    assert [json.loads(request.body) for _, request in made if request] == [[{"v": 0}, {"v": 2}], [{"v": 6}, {"v": 8}]]


def test_rows_that_are_all_skipped_do_not_wait_for_one_that_is_not(item_of):
    made = requests_of(rows_of(*[0] * 10), Batch(), size=4, transform=lambda row: None)
    assert [len(indexes) for indexes, _ in made] == [4, 4, 2]
    assert all(request is None for _, request in made)


def test_a_batch_does_not_wait_for_ever_for_rows_that_transform_leaves():
    rows, few = rows_of(*[0] * 25_000), lambda row: {} if row["id"] % 6_250 == 0 else None
    made = requests_of(rows, Batch(), size=25_000, transform=few)
    assert [len(indexes) for indexes, _ in made] == [10_000, 10_000, 5_000]


def test_a_row_that_is_skipped_is_settled_and_not_lost():
    source = BatchSource(
        RowSource(Chunked(rows_of(0), 1), key=("id",), transform=lambda row: None),
        BatchForm(Batch(), encode=JsonEncoder(), retry=RequestRetry(), key=("id",), request=None),
    )
    [unit] = [unit for units in source.open(None, lambda digest: None) for unit in units]
    assert [item.settled for item in unit.items] == [Skipped(0)]


@every_row(
    ("keys", "batches", "made"),
    [
        ("abac", [(2, 3)], [[0, 1], [2, 3]]),
        ("abcb", [(0, 1)], [[0, 1], [2, 3]]),
        ("aabb", [(0, 2)], [[0], [2], [1, 3]]),  # there is no order of whole batches that is that of the rows
        ("abba", [(0, 3), (1, 2)], [[1, 2], [0, 3]]),
        ("abab", [(0, 3), (1, 2)], [[0], [1, 2], [3]]),
        ("abcd", [(0, 3), (1, 2)], [[1, 2], [0, 3]]),
    ],
)
def test_what_has_a_key_goes_before_the_next_one_of_that_key(keys, batches, made):
    rows = [{"id": ord(key)} for key in keys]
    singles = {*range(len(rows))} - {index for batch in batches for index in batch}
    resume = resume_at(rows, len(rows), *batches, singles=singles)
    found = requests_of(rows, Batch(max_items=3), resume=resume, by_key=True)
    assert [indexes for indexes, _ in found] == made


@pytest.mark.slow("fifty examples")
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=30),
    st.lists(st.integers(0, 9), min_size=30, max_size=30),
    st.integers(1, 30),
    st.sampled_from([None, "list"]),
)
def test_whatever_goes_again_the_rows_of_a_key_keep_their_order(keys, of, position, results):
    """Each of the earlier rows was in one of six batches, or alone, or is done."""
    rows = [{"id": key} for key in keys]
    position = min(position, len(rows))
    batches = [tuple(index for index in range(position) if of[index] == number) for number in range(6)]
    singles = [index for index in range(position) if of[index] in {6, 7}]
    resume = resume_at(rows, position, *filter(None, batches), singles=singles)
    batch = Batch(max_items=5, results=results)
    sent = [indexes for indexes, _ in requests_of(rows, batch, size=7, resume=resume, by_key=True)]
    order = [index for indexes in sent for index in indexes]
    assert sorted(order) == sorted({*range(position, len(rows)), *singles, *(i for batch in batches for i in batch)})
    for key in set(keys):
        mine = [index for index in order if keys[index] == key]
        assert mine == sorted(mine)
