import pytest
from tables import every_row

from airflow_async_rest import RESULTS, Batch, Results
from airflow_async_rest.core.batches.form import BatchForm
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.sending.retry import RequestRetry


@every_row(
    "arguments",
    [
        {},
        {"format": "ndjson", "results": "list"},
        {"format": {"records": "json_array"}, "results": None},
        {"format": lambda payloads: payloads, "results": lambda response, payloads: None},
        {"results": "hubspot"},
        {"results": Results(error="problem")},
        {"max_items": 1, "max_bytes": 1, "format": "bulk", "results": "elasticsearch"},
    ],
)
def test_a_batch_takes_what_is_documented(arguments):
    Batch(**arguments)


@every_row(
    ("arguments", "text"),
    [
        ({"max_items": 0}, "Batch(max_items=0): write a whole number from 1 up"),
        ({"max_items": True}, "max_items=True"),
        ({"max_bytes": 1.5}, "max_bytes=1.5"),
        ({"format": "json"}, "'json_array', 'ndjson', 'bulk', {'records': 'json_array'}"),
        ({"format": {"a": "json_array", "b": "json_array"}}, "format="),
        ({"format": {"a": "ndjson"}}, "format="),
        ({"format": ["ndjson"]}, "format="),
        ({"results": "207"}, "'elasticsearch', 'multi_status', 'list', "),
        ({"results": ["list"]}, "results="),
    ],
)
def test_a_wrong_argument_is_named(arguments, text):
    with pytest.raises(ConfigurationError) as raised:
        Batch(**arguments)
    assert text in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "reader"),
    [
        ({}, None),
        ({"format": "bulk"}, RESULTS["elasticsearch"]),
        ({"format": "bulk", "results": "list"}, RESULTS["list"]),
        ({"results": Results(error="x")}, Results(error="x")),
        ({"results": repr}, repr),
    ],
)
def test_the_reader_is_what_is_named_or_that_of_the_format(arguments, reader):
    batch = Batch(**arguments)
    assert batch.reader == reader
    form = BatchForm(batch, encode=repr, retry=RequestRetry(), key=("id",), request=repr)
    assert form.needs_body == (reader is not None)
