"""Answers to bulk requests, read as a job reads them."""

from airflow_async_rest.core.batches.batch import Batch
from airflow_async_rest.core.batches.form import BatchForm
from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.models import Item
from airflow_async_rest.core.sending.retry import RequestRetry


def read_batch(response, results, payloads, key=(), **batch):
    """Read an answer about items with these payloads, as a batch of them would."""
    form = BatchForm(
        Batch(results=results, **batch), encode=JsonEncoder(), retry=RequestRetry(), key=key, request=lambda *_: None
    )
    items = [Item(index, index, {}, payload) for index, payload in enumerate(payloads)]
    form.prepare(items)
    return form.read(response, items)
