from collections.abc import Mapping
from datetime import datetime

from airflow_async_rest.core.retry import parse_retry_after


def requested_pause(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> float | None:
    return parse_retry_after(headers.get("Retry-After"), now)
