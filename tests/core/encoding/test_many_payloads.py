"""Many payloads by one call of the encoder: the same bytes as one at a time."""

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import every_row

from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.errors import EncodeError

_ROW = {"id": 1, "value": Decimal("2.50"), "at": datetime(2026, 11, 1, tzinfo=UTC), "name": "a\nb"}


@every_row(
    "payloads",
    [
        [],
        [_ROW],
        [_ROW, {}, {"a": None}, _ROW],
        [_ROW, {"text": "},{"}, _ROW],
        [{"objects": [{"a": 1}, {"b": 2}]}, _ROW],
        [{"column": orjson.Fragment('{\n"a": 1\n}')}, _ROW],
        [{"column": orjson.Fragment('[{"a": 1},{"a": 2}]')}],
        [{"objects": [{"a": {}}]}, {"last": {"a": {"b": {}}}}],
        [_ROW, 1, "text", [1, 2], None],
        [_ROW, Counter("aab")],
        [_ROW, {"large": 2**70}, _ROW],
        [_ROW, {5: "a key that is no text"}],
    ],
)
def test_each_is_encoded_as_it_would_be_alone(payloads):
    encode = JsonEncoder()
    assert encode.each(payloads) == list(map(encode, payloads))
    assert encode.each([_ROW, _ROW]) == [encode(_ROW)] * 2


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(alphabet='{},"\n\\a')
    | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet="{},a", max_size=3), inner, max_size=3)
    ),
)


@pytest.mark.slow("fifty examples")
@given(st.lists(st.dictionaries(st.text(max_size=3), _VALUES, max_size=3)))
def test_whatever_they_are_each_is_encoded_as_alone(payloads):
    encode = JsonEncoder()
    assert encode.each(payloads) == list(map(encode, payloads))


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), Decimal("NaN")])
def test_what_has_no_form_is_refused_with_its_column(value):
    with pytest.raises(EncodeError, match="column 'b'"):
        JsonEncoder().each([{"a": None}, {"b": value}, {"c": 1}])
