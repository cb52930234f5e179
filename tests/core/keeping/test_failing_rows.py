"""Rows that fail are in memory until a part has them, and no more of them than that takes."""

import gc
from decimal import Decimal

import pytest
from engine import Rows, Store, counts, make_bulk_job, make_job, run

from airflow_async_rest.core.batches.batch import Batch
from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.errors import EncodeError
from airflow_async_rest.core.letters.folder import DeadLetterFolder
from airflow_async_rest.core.reading.source import PartialRow, RowSource
from airflow_async_rest.core.requests.builder import EndpointTemplate, Identity, RequestBuilder

ROWS = 600
# Of 100 KB: three chunks, 2 MB that wait for a part, as much that is being written, and what the workers have, twice.
MOST = 3 * 10 + 2 * 21 + 2 * 16


class Text(str):
    """A text of 100 KB that knows how many of its kind there are."""

    __slots__ = ()
    alive = most = 0

    def __new__(cls):
        cls.alive += 1
        cls.most = max(cls.most, cls.alive)
        return super().__new__(cls, "x" * 100_000)

    def __del__(self):
        Text.alive -= 1


class LargeRows(Rows):
    """Rows of 100 KB, ten in a chunk."""

    def __init__(self, row=dict) -> None:
        super().__init__(ROWS)
        self.row = row

    def __iter__(self):
        for start in range(0, ROWS, 10):
            yield [self.row({"id": i, "v": i, "document": Text()}) for i in range(start, start + 10)]


@pytest.fixture(autouse=True)
def only_what_is_let_go():
    """Count from nothing, and without the garbage collector: in a job it comes by every 50,000 objects."""
    Text.alive = Text.most = 0
    gc.disable()
    yield
    gc.enable()


def is_bad(row) -> bool:
    return row["id"] % 2 == 1


def raising(row):
    if is_bad(row):
        raise ValueError(row["id"])
    return {"id": row["id"]}


def raising_what_it_has_kept(row):
    errors = []
    try:
        raising(row)
    except ValueError as error:
        errors.append(error)
    if errors:
        raise errors[0]
    return {"id": row["id"]}


def raising_ours(row):
    if is_bad(row):
        raise EncodeError(str(row["id"]))
    return {"id": row["id"]}


def without_a_number(row):
    return {**row, "v": Decimal("NaN")} if is_bad(row) else {"id": row["id"]}


def without_a_form(row):
    return {**row, "v": object()} if is_bad(row) else {"id": row["id"]}


TRANSFORMS = {
    "transform": raising,
    "transform, of an error that it has kept": raising_what_it_has_kept,
    "transform, of our own": raising_ours,
    "a number that is none": without_a_number,
    "a value without a form": without_a_form,
}


def check(report, path):
    assert counts(report) == [ROWS, ROWS // 2, ROWS // 2, 0]
    assert len(DeadLetterFolder(path).read()) == ROWS // 2
    assert Text.most <= MOST


@pytest.mark.slow("600 rows of 100 KB")
@pytest.mark.parametrize("how", TRANSFORMS)
def test_large_rows_that_fail_are_held_until_they_are_written(api, tmp_path, how):
    source = RowSource(LargeRows(), key=("id",), transform=TRANSFORMS[how])
    check(run(make_job(api, tmp_path, source=source, max_failures=ROWS), Store()), tmp_path)


@pytest.mark.slow("600 rows of 100 KB")
@pytest.mark.parametrize("how", TRANSFORMS)
def test_so_are_those_of_batches(api, tmp_path, how):
    job = make_bulk_job(api, tmp_path, Batch(max_items=5), LargeRows(), transform=TRANSFORMS[how], max_failures=ROWS)
    check(run(job, Store()), tmp_path)


@pytest.mark.slow("600 rows of 100 KB")
def test_so_are_those_whose_values_make_no_address(api, tmp_path):
    def with_gap(row):
        return {**row, "v": None if is_bad(row) else row["id"]}

    builder = RequestBuilder(
        endpoint=EndpointTemplate("x/{v}"), method="PUT", encode=JsonEncoder(), identity=Identity(), has_key=True
    )
    source = RowSource(LargeRows(with_gap), key=("id",), transform=lambda row: {"id": row["id"]})
    job = make_job(api, tmp_path, source=source, prepare=builder.prepare, max_failures=ROWS)
    check(run(job, Store()), tmp_path)


@pytest.mark.slow("600 rows of 100 KB")
def test_so_are_those_that_cannot_be_read_whole(api, tmp_path):
    def partial(row):
        return PartialRow(row, {"v": "out of range"}) if is_bad(row) else row

    check(
        run(make_job(api, tmp_path, source=RowSource(LargeRows(partial), key=("id",)), max_failures=ROWS), Store()),
        tmp_path,
    )


def test_rows_that_a_transform_skips_are_let_go_before_a_batch_is_full(api, tmp_path):
    job = make_bulk_job(
        api, tmp_path, Batch(), LargeRows(), transform=lambda row: None if row["id"] % 100 else {"id": row["id"]}
    )
    assert counts(run(job, Store())) == [ROWS, ROWS // 100, 0, 0]
    assert Text.most <= 3 * 10


@pytest.mark.slow("600 rows of 100 KB")
def test_rows_that_fail_do_not_wait_in_memory_until_a_batch_is_full(api, tmp_path):
    def nearly_all_raising(row):
        return raising({"id": row["id"] % 20})

    job = make_bulk_job(api, tmp_path, Batch(), LargeRows(), transform=nearly_all_raising, max_failures=ROWS)
    check(run(job, Store()), tmp_path)
