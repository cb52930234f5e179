"""What to deliver, or to fetch, where, and how: all that a run is handed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airflow_async_rest.core.account.checkpoint import Try
from airflow_async_rest.core.batches.form import ItemBatch
from airflow_async_rest.core.bounds import USUAL, Bounds
from airflow_async_rest.core.fetching.plan import FetchPlan
from airflow_async_rest.core.keeping.parts import LetterSink
from airflow_async_rest.core.keeping.resuming import CONTINUING, Continuing
from airflow_async_rest.core.keeping.row_sink import RowSink
from airflow_async_rest.core.keeping.stores import CheckpointStore
from airflow_async_rest.core.letters.folder import Record
from airflow_async_rest.core.limits.limiter import MakeLimiter
from airflow_async_rest.core.limits.quotas import COMMON, QuotaHeaders
from airflow_async_rest.core.limits.rate_limit import RateLimiter
from airflow_async_rest.core.models import Item
from airflow_async_rest.core.reading.source import Expected, RepeatedKeys, Source
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.sending.auth import Auth
from airflow_async_rest.core.sending.retry import RequestRetry
from airflow_async_rest.core.sending.verdict import ResponseCheck
from airflow_async_rest.core.transport.client import RestClient
from airflow_async_rest.core.transport.transport import OpenTransport
from airflow_async_rest.core.watching.log import Log
from airflow_async_rest.core.watching.observing import Activity


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """The other direction: answers that are wanted.

    :param rows: where their rows go.
    :param checkpoints: where the checkpoint lies: with a table of rows, beside them; None: in the state store.
    """

    plan: FetchPlan
    rows: RowSink
    checkpoints: CheckpointStore | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to deliver, or to fetch, where, and how.

    :param target: what goes where, for people to read: ``Delivering to PUT sensors/{id} at http://host``.
    :param about: what the report begins with: the window.
    :param hidden: secrets in the endpoint, as requests spell them: dead letters have no plain ones.
    :param fetch: what is fetched, and where its rows go; None for a job that delivers.
    :param source: the items, each with its request where it is delivered by itself.
    :param resuming: how the account of earlier tries is taken on; of the window's own dead letters, by ``Replaying``.
    :param expected: tells how many items there will be, or about, as soon as that is known.
    :param has_key: whether items have a key of their own; else the log warns.
    :param order_by_key: whether of the items of one key one is sent at a time, in their order.
    :param repeated: counts the rows whose key an earlier row has; None where keys are not looked at.
    :param reads_what_is_left: whether the source itself no longer has what was settled, as that of dead letters.
    :param folder_uri: the dead-letter folder as the report names it (a replay: one or several).
    :param fingerprint: tells whether a checkpoint is this job's; None for a job that cannot resume.
    :param this_try: of the task; None where it cannot be told from others.
    :param transport: opens what sends the requests.
    :param limiter: makes what holds requests to the rate limit, and to the pauses that the API asks for.
    :param quota_headers: in which the API may tell how many requests remain, beside ``RateLimit``.
    :param auth: signs each request; None: the connection's headers, and its query, say all.
    :param concurrency: requests in flight; None: as many as the API can handle.
    :param max_failures: see :func:`~airflow_async_rest.core.requests.settings.parse_max_failures`.
    :param max_quota_wait: how long the task may be started again by itself while its quota is gone; see
        :class:`~airflow_async_rest.core.errors.QuotaWaitError`. 0 where it cannot be.
    :param bounds: how long a try waits for what, and how much may wait.
    :param conn_id: of the API's connection.
    :param observe: called with what this try has done, at the interval of the progress and at the end; it may block,
        and runs on a thread of its own.
    :param publish: called once before the end, in any case, with the report, the sample of failed items and
        the error, if any; it may block, and runs on the thread of the Airflow calls.
    """

    settings: ClientSettings
    hidden: tuple[str, ...] = ()
    fetch: Fetch | None = None
    source: Source[Item | ItemBatch]
    resuming: Continuing = CONTINUING
    expected: Callable[[], Expected | None] = lambda: None
    has_key: bool = True
    order_by_key: bool = False
    repeated: RepeatedKeys | None = None
    reads_what_is_left: bool = False
    headers: Mapping[str, str] | None = None
    transport: OpenTransport = RestClient
    retry: RequestRetry
    response_check: ResponseCheck | None = None
    rate_limit: tuple[int, float] | None = None
    limiter: MakeLimiter = RateLimiter
    quota_headers: tuple[QuotaHeaders, ...] = COMMON
    auth: Auth | None = None
    concurrency: int | None = 16
    max_failures: int | float = 0
    max_quota_wait: timedelta = timedelta(0)
    target: str = ""
    about: Mapping[str, Any]
    folder: LetterSink
    folder_uri: str | list[str]
    fingerprint: str | None = None
    this_try: Try | None = None
    sample_payloads: bool = True
    bounds: Bounds = USUAL
    conn_id: str = ""
    observe: Callable[[Activity], None] | None = None
    publish: Callable[[dict[str, Any], list[Record], BaseException | None], None] | None = None
    log: Log
