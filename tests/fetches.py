"""One item, fetched by the real engine from a test's server."""

from aiohttp import web

from airflow_async_rest.core.answers.columns import RowShape
from airflow_async_rest.core.answers.reader import AnswerReader
from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.fetching.fetching import Walk
from airflow_async_rest.core.fetching.plan import FetchPlan
from airflow_async_rest.core.fetching.request import FetchRequestBuilder
from airflow_async_rest.core.limits.rate_limit import RateLimiter
from airflow_async_rest.core.requests.builder import EndpointTemplate, Identity
from airflow_async_rest.core.sending.attempts import Exchange, Sender
from airflow_async_rest.core.sending.excerpts import Excerpts
from airflow_async_rest.core.sending.meter import Meter
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.core.transport.client import ClientSettings, RestClient

RETRY = RequestRetry(max_attempts=3, backoff_base_seconds=0.001)


def fetcher(api, item_of):
    """Make a function that fetches one item: its outcome, and which rows came."""

    async def one(
        pages=None,
        *,
        rows="items",
        url=None,
        settings=None,
        response_check=None,
        settled=None,
        page_rows=None,
        empty_ok=False,
        answer_format=None,
        column="n",
        begun_at=None,
        **parts,
    ):
        ends = {name: parts.pop(name) for name in ("missing_ok", "max_pages") if name in parts}
        builder = {"endpoint": "x/{id}", "method": "GET", "query": None, "body": None, **parts}
        connection = ClientSettings(f"{url or api.url}/api", secrets=frozenset({"s3cret"}), **(settings or {}))
        plan = FetchPlan(
            builder=FetchRequestBuilder(
                base_url=connection.base_url,
                encode=JsonEncoder(),
                identity=Identity(),
                **{**builder, "endpoint": EndpointTemplate(builder["endpoint"])},
            ),
            pages=pages,
            reader=AnswerReader(
                rows,
                RowShape(),
                page_rows=page_rows,
                empty_ok=empty_ok,
                answer_format=answer_format,
                max_bytes=connection.max_response_bytes,
            ),
            **ends,
        )
        async with RestClient(connection, 1) as client:
            sender = Sender(transport=client, limiter=RateLimiter(None), retry=RETRY, meter=Meter())
            exchange = Exchange(
                sender=sender,
                retry=RETRY,
                response_check=response_check,
                excerpts=Excerpts(connection),
                on_uncertain=lambda request: None,
                needs_body=True,
            )
            item = item_of(7, {"id": 7})
            item.settled = settled
            walk = Walk(plan, exchange, plan.tally(), item, begun_at)
            outcome = await walk.to_end()
        return outcome, [row[column] for row in walk.rows]

    return one


def pages_of(*sizes, link=None, cursor=None, ignored=False):
    """Answer with one page after the other, whatever style asks for them; rows have numbers: ``{"n": 0}``."""

    def answer(seen):
        asked = dict(pair.split("=") for pair in seen.query.split("&") if pair)
        asked |= seen.json() if seen.body else {}
        number = int(asked.get("page", asked.get("cursor", 1))) - 1
        if "offset" in asked:
            number = [sum(sizes[:count]) for count in range(len(sizes) + 1)].index(int(asked["offset"]))
        number = 0 if ignored else number
        size = sizes[number] if number < len(sizes) else 0
        first = sum(sizes[:number])
        body = {"items": [{"n": first + n} for n in range(size)], "pages": len(sizes), "total": sum(sizes)}
        headers = {}
        if number + 1 < len(sizes):
            target = f"{link}page={number + 2}"
            body |= {"next": target if link else None, "cursor": str(number + 2)}
            headers = {"Link": f'<{target}>; rel="next"'} if link else {}
        return web.json_response(body, headers=headers)

    return answer
