"""What a measure runs among: an Airflow home, a database with rows, and an API that answers at once."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from benchmarks import nginx
from benchmarks.api import answer_of, running_api
from benchmarks.database import running_postgres, shared_postgres
from benchmarks.measuring import Plan


@dataclass(frozen=True)
class Ends:
    """The two ends of the way: the fields of a connection to PostgreSQL, and the URL to post to."""

    postgres: dict[str, Any]
    url: str


@contextmanager
def airflow_home() -> Iterator[None]:
    """Set up an empty home for Airflow, which must not be imported yet."""
    with tempfile.TemporaryDirectory(prefix="async-rest-bench-airflow-") as home:
        os.environ.update(
            AIRFLOW_HOME=home,
            AIRFLOW__CORE__LOAD_EXAMPLES="False",
            AIRFLOW__LOGGING__LOGGING_LEVEL="ERROR",
            # Every server is on this machine, whatever proxy it has.
            NO_PROXY="127.0.0.1",
            no_proxy="127.0.0.1",
        )
        yield


@contextmanager
def running_ends(plan: Plan, latency_seconds: float = 0.0, answer_rows: int = 0) -> Iterator[Ends]:
    """Run both until the block ends, which knows them as the connections ``source_db`` and ``search_api``.

    :param latency_seconds: of the API; only the bundled server can have one.
    :param answer_rows: in each answer of the API.
    """
    database = nullcontext(shared_postgres()) if plan.smoke else running_postgres()
    with database as postgres, running_search_api(plan, latency_seconds, answer_rows) as url:
        os.environ["AIRFLOW_CONN_SOURCE_DB"] = json.dumps(postgres)
        yield Ends(postgres, url)


@contextmanager
def running_search_api(plan: Plan, latency_seconds: float = 0.0, answer_rows: int = 0) -> Iterator[str]:
    """Run the API alone. :return: the URL to ask."""
    with _api(plan, latency_seconds, answer_rows) as url:
        api = {"conn_type": "async_rest", "schema": "http", "host": "127.0.0.1", "port": urlsplit(url).port}
        os.environ["AIRFLOW_CONN_SEARCH_API"] = json.dumps(api)
        yield f"{url}/items"


@contextmanager
def _api(plan: Plan, latency_seconds: float, answer_rows: int) -> Iterator[str]:
    if _uses_nginx(plan) and not latency_seconds:
        with nginx.running_nginx(answer_of(answer_rows)) as url:
            yield url
    else:
        with running_api(latency_seconds, answer_rows) as api:
            yield api.url


def api_name(plan: Plan) -> str:
    """Say which server answers at once."""
    return nginx.version() if _uses_nginx(plan) else "the bundled server"


def _uses_nginx(plan: Plan) -> bool:
    return nginx.NGINX is not None and not plan.smoke
