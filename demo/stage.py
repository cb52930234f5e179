"""What the demo starts, and ends again: a database, an API and Airflow, in a temporary folder."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from demo.airflow_client import Airflow, AirflowError
from demo.children import Child
from demo.database import DATABASE, USER, stop_server
from demo.standalone import users
from demo.week import DAYS, REFUSED_IDS

_LOOK_SECONDS = 0.5
_LONGEST_SECONDS = 900


@dataclass(frozen=True)
class Stage:
    """All of it, up and running."""

    airflow: Airflow
    airflow_url: str
    api: httpx.Client
    api_url: str
    socket_folder: str
    children: tuple[Child, ...]

    def check(self) -> None:
        """Check that all of it still runs. :raises ChildError: when something does not."""
        for child in self.children:
            child.check()

    def looks(self, longest_seconds: float = _LONGEST_SECONDS) -> Iterator[None]:
        """Yield again and again, for as long as everything runs.

        :raises ChildError: when something does not.
        :raises AirflowError: when it takes too long.
        """
        until = time.monotonic() + longest_seconds
        while time.monotonic() < until:
            yield
            self.check()
            time.sleep(_LOOK_SECONDS)
        raise AirflowError(f"Airflow is not done after {longest_seconds} s")


@contextmanager
def children(port: int) -> Iterator[tuple[Child, Child, Child]]:
    """Start everything at once, in a temporary folder. However the block ends, all of it ends with it.

    :param port: of Airflow's UI; 0 for a free one.
    :return: the database, the API and Airflow. Each says when it is ready.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="async-rest-demo-")))
        stack.callback(stop_server, folder / "database")  # for when its child was killed, and could not

        def start(module: str, *arguments: str) -> Child:
            child = Child(module, *arguments, folder=folder)
            stack.callback(child.end)
            return child

        yield (
            start("demo.database", str(folder / "database")),
            start("demo.api"),
            start("demo.standalone", str(folder / "airflow"), str(port)),
        )


@contextmanager
def set_up(started: tuple[Child, Child, Child], say: Callable[[str], object]) -> Iterator[Stage]:
    """Wait until everything is ready, and make the connections.

    :param say: told of everything that is ready.
    :raises ChildError: when a child ends instead.
    """
    database, api, airflow = started
    filled, api_url = database.hear(), api.hear()["url"]
    say(f"PostgreSQL is up, with {filled['rows']:,} readings of {len(DAYS)} days.")
    say(f"The API is up. It fails now and then, and refuses {len(REFUSED_IDS)} readings for good.")
    airflow_url = airflow.hear(beside=(database, api))["url"]
    say(f"Airflow is up: {airflow_url}")
    # The first of them makes the connections.
    # Straight to the loopback address, whatever proxy this machine has.
    user = next(iter(users()), None)
    with httpx.Client(base_url=api_url, trust_env=False) as api_client, Airflow(airflow_url, user) as airflow_client:
        for conn_id, tested in _connect(airflow_client, filled["socket_folder"], api_url).items():
            say(f"The connection {conn_id} is made and tested: {tested}")
        yield Stage(airflow_client, airflow_url, api_client, api_url, filled["socket_folder"], started)


def _connect(airflow: Airflow, socket_folder: str, api_url: str) -> dict[str, str]:
    """Make the connections that the DAGs name. :return: what their tests say."""
    database = {"host": socket_folder, "login": USER, "schema": DATABASE}
    return {
        "source_db": airflow.add_connection("source_db", "postgres", **database),
        "warehouse": airflow.add_connection("warehouse", "postgres", **database),
        "search_api": airflow.add_connection("search_api", "async_rest", host=api_url, extra={"trust_env": False}),
    }
