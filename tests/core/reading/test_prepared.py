"""What is sent of items is made of many at once; one that has nothing stops none of the others."""

import pytest

from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.errors import EncodeError, EndpointError
from airflow_async_rest.core.models import NO_VALUES, Skipped
from airflow_async_rest.core.reading.prepared import prepare_all
from airflow_async_rest.core.requests.builder import EndpointTemplate, Identity, RequestBuilder


@pytest.mark.parametrize("bad", [set(), {0}, {7}, {63, 64}, {0, 500, 999}])
def test_one_without_a_request_stops_none_of_the_others(item_of, bad):
    values = [float("nan") if number in bad else number for number in range(1000)]
    items = [item_of(number, {"id": number, "v": value}) for number, value in enumerate(values)]
    builder = RequestBuilder(
        endpoint=EndpointTemplate("x/{id}"), method="PUT", encode=JsonEncoder(), identity=Identity(), has_key=True
    )
    prepare_all(items, builder.prepare)
    assert {item.index for item in items if item.settled is not None} == bad
    for item in items:
        if item.index in bad:
            assert (item.request, item.settled.reason, item.settled.row) == (None, "encode", item.row)
            assert "column 'v'" in item.settled.response_excerpt
        else:
            assert (item.request.path, item.row, item.payload) == (f"x/{item.index}", NO_VALUES, None)
            assert item.request.body == b'{"id":%d,"v":%d}' % (item.index, item.index)


@pytest.mark.parametrize("error", [EncodeError, EndpointError])
def test_its_dead_letter_says_why_and_keeps_the_row_and_no_secret(item_of, error):
    def prepare(items):
        raise error("its s3cret is wrong")

    item, skipped = item_of(1, {"v": 1}), item_of(2, settled=Skipped(2))
    prepare_all([item, skipped], prepare, lambda text: text.replace("s3cret", "***"))
    letter = item.settled
    assert (letter.reason, letter.attempts, letter.request, letter.row) == (error.reason, 0, None, {"v": 1})
    assert letter.response_excerpt == "its *** is wrong"
    assert skipped.settled == Skipped(2)


def test_what_is_settled_already_is_left_alone(item_of):
    asked = []
    items = [item_of(0, settled=Skipped(0)), item_of(1), item_of(2, settled=Skipped(2))]
    prepare_all(items, asked.extend)
    assert asked == [items[1]]


def test_what_an_earlier_try_may_have_sent_stays_uncertain_where_this_one_has_no_request(item_of):
    items = [item_of(number, {"v": float("nan")}) for number in range(2)]
    items[0].uncertain = True
    builder = RequestBuilder(
        endpoint=EndpointTemplate("x"), method="PUT", encode=JsonEncoder(), identity=Identity(), has_key=True
    )
    prepare_all(items, builder.prepare)
    assert [item.settled.uncertain for item in items] == [True, False]
