"""The answer to a bulk request -> what became of its items: told by item, or of all alike. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from airflow_async_rest.core.batches.form import BatchForm
from airflow_async_rest.core.errors import ResultsError, let_go
from airflow_async_rest.core.models import DELIVERED, Item, ItemResult, Request, Response, Verdict
from airflow_async_rest.core.sending.attempts import Exchange
from airflow_async_rest.core.sending.verdict import CHECK, UNMATCHED, classify_response, is_there_already


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """What became of the items of a bulk request.

    :param results: one for each item.
    :param response: None when there was none.
    :param of_all: what all of them were answered alike; None when it tells by item.
    :param already_there: how many of the delivered ones an earlier attempt has delivered.
    """

    results: list[ItemResult]
    response: Response | None = None
    of_all: ItemResult | None = None
    already_there: int = 0


def alike(
    items: Sequence[Item], result: ItemResult, response: Response | None = None, already_there: int = 0
) -> BatchAnswer:
    """Make an answer that says the same of all items."""
    return BatchAnswer([result] * len(items), response, result, already_there)


def read_answer(
    exchange: Exchange, form: BatchForm, items: Sequence[Item], request: Request, response: Response
) -> BatchAnswer:
    """Read what an answer says of the items of a request.

    :param exchange: how it was sent and is judged.
    """
    check = exchange.response_check
    families = exchange.sender.quota_headers
    judgment = classify_response(response, exchange.retry, check, needs_body=form.needs_body, families=families)
    if response.broken is None and judgment.reason != CHECK:
        try:
            results = form.read(response, items, checked=check is not None)
        except ResultsError as error:
            detail = exchange.excerpts.of(request, response, str(error))
            let_go(error)
            return alike(items, ItemResult(Verdict.REFUSED, UNMATCHED, detail, response.status), response)
        if results is not None:
            return _by_item(form, items, results, response)
    if judgment.verdict is Verdict.DELIVERED:
        return alike(items, DELIVERED, response)
    by_status = judgment.reason == f"http_{response.status}" and all(item.uncertain for item in items)
    if by_status and is_there_already(request, response.status, creates_only=exchange.creates_only):
        return alike(items, DELIVERED, response, already_there=len(items))
    detail = exchange.excerpts.of(request, response, judgment.detail)
    return alike(items, ItemResult(judgment.verdict, judgment.reason, detail, response.status), response)


def _by_item(form: BatchForm, items: Sequence[Item], results: list[ItemResult], response: Response) -> BatchAnswer:
    there = [
        place
        for place, (item, result) in enumerate(zip(items, results, strict=True))
        if item.uncertain and form.is_there_already(item, result)
    ]
    for place in there:
        results[place] = DELIVERED
    return BatchAnswer(results, response, already_there=len(there))
