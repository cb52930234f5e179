"""Airflow, as the demo uses it: through its public REST API, as any other program would."""

import json
import time
from typing import Any, Self
from urllib.parse import quote

import httpx

_BUSY_TIMES = 60


class AirflowError(Exception):
    """Airflow did not do what it was asked to; the text has its answer.

    :param status: of the answer, if there is one.
    """

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status

    @property
    def is_busy(self) -> bool:
        """Whether it was because the database was locked, for which Airflow has two answers."""
        return self.status == httpx.codes.SERVICE_UNAVAILABLE or (
            self.status == httpx.codes.INTERNAL_SERVER_ERROR and "Database error" in str(self)
        )


class Airflow:
    """A session with Airflow's API.

    :param url: of the UI.
    :param user: whose password is the same; None where nobody logs in.
    :param poll_seconds: until it is asked again what it did not do, or did not have, yet.
    :param found_seconds: in which it must have found a DAG's file.
    """

    def __init__(
        self, url: str, user: str | None = None, *, poll_seconds: float = 0.5, found_seconds: float = 120
    ) -> None:
        self._user = user
        self._poll_seconds = poll_seconds
        self._found_seconds = found_seconds
        # Straight to the loopback address, whatever proxy this machine has; and no connection is kept, because Airflow
        # closes an idle one after 5 s, which on a busy machine may be the moment in which it is used again.
        alone = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.Client(base_url=url, trust_env=False, timeout=60, limits=alone)

    def __enter__(self) -> Self:
        if self._user is None:
            answer = self._ask("GET", "/auth/token")
        else:
            answer = self._ask("POST", "/auth/token", json={"username": self._user, "password": self._user})
        self.token = answer.json()["access_token"]
        self._http.headers["Authorization"] = f"Bearer {self.token}"
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def call(self, method: str, *path: str, json: Any = None, **query: Any) -> Any:
        """Call an endpoint of ``/api/v2``. :raises AirflowError: when the answer is none, or an error."""
        return self._ask(method, "/api/v2/" + "/".join(map(_quoted, path)), json=json, params=query).json()

    def find(self, *path: str, root: str = "/api/v2", **query: Any) -> Any:
        """Get something that may not exist yet: then None. :param root: of Airflow's API, or of the package's."""
        answer = self._ask("GET", f"{root}/" + "/".join(map(_quoted, path)), params=query, absent=True)
        return answer.json() if answer.is_success else None

    def _ask(self, method: str, url: str, absent: bool = False, **arguments: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, url, **arguments)
        except httpx.HTTPError as error:
            raise AirflowError(f"Airflow does not answer {method} {url}: {error!r}") from error
        if answer.is_success or (absent and answer.status_code == httpx.codes.NOT_FOUND):
            return answer
        text = f"Airflow answers {method} {url} with {answer.status_code}: {answer.text}"
        raise AirflowError(text, answer.status_code)

    def add_connection(self, conn_id: str, conn_type: str, extra: dict[str, Any] | None = None, **fields: Any) -> str:
        """Add a connection, and test it. :return: what the test says. :raises AirflowError: when the test fails."""
        fields |= {"connection_id": conn_id, "conn_type": conn_type, "extra": extra and json.dumps(extra)}
        self.call("POST", "connections", json=fields)
        tested = self.call("POST", "connections", "test", json=fields)
        if not tested["status"]:
            raise AirflowError(f"the connection {conn_id} does not work: {tested['message']}")
        return tested["message"]

    def wait_for_dag(self, dag_id: str) -> None:
        """Wait until Airflow has found a DAG's file.

        :raises AirflowError: when it finds none; the text has what it says about files that it cannot read.
        """
        until = time.monotonic() + self._found_seconds
        while self.find("dags", dag_id) is None:
            if time.monotonic() > until:
                errors = self.call("GET", "importErrors")["import_errors"]
                raise AirflowError(f"Airflow has no DAG {dag_id}; it cannot import: {errors}")
            time.sleep(self._poll_seconds)

    def switch_on(self, *dag_ids: str) -> None:
        """Let runs of DAGs begin, as soon as Airflow has found their files."""
        for dag_id in dag_ids:
            self.wait_for_dag(dag_id)
            self.insist("PATCH", "dags", dag_id, json={"is_paused": False})

    def backfill(self, dag_id: str, first: str, last: str, max_active_runs: int) -> None:
        """Make a run for every window from that of ``first`` to that of ``last``.

        The DAG must not be switched on yet: when SQLite is busy, Airflow takes back the runs that it has made so far,
        and its scheduler ends where it has begun one of them meanwhile.
        """
        self.wait_for_dag(dag_id)
        span = {"from_date": first, "to_date": last}
        self.insist("POST", "backfills", json={"dag_id": dag_id, **span, "max_active_runs": max_active_runs})

    def insist(self, method: str, *path: str, json: Any) -> None:
        """Have something done that Airflow takes back when its SQLite is busy: then it is asked again."""
        for left in reversed(range(_BUSY_TIMES)):
            try:
                self.call(method, *path, json=json)
            except AirflowError as error:
                if not (error.is_busy and left):
                    raise
                time.sleep(self._poll_seconds)
            else:
                return

    def run(self, dag_id: str, conf: dict[str, Any]) -> "TaskRuns":
        """Make one run by hand."""
        made = self.call("POST", "dags", dag_id, "dagRuns", json={"logical_date": None, "conf": conf})
        return TaskRuns(self, dag_id, made["dag_run_id"])

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return all runs of a DAG, by date."""
        return self.call("GET", "dags", dag_id, "dagRuns", order_by="run_after", limit=100)["dag_runs"]


class TaskRuns:
    """What one run of a DAG has made of its tasks."""

    def __init__(self, airflow: Airflow, dag_id: str, run_id: str) -> None:
        self._airflow = airflow
        self._dag_id = dag_id
        self._path = ("dags", dag_id, "dagRuns", run_id)

    def state(self) -> str:
        """Return the run's state."""
        return self._airflow.call("GET", *self._path)["state"]

    def task(self, task_id: str) -> dict[str, Any]:
        """Return the task instance: its state, its process id, and so on."""
        return self._airflow.call("GET", *self._path, "taskInstances", task_id)

    def clear(self, task_id: str) -> None:
        """Let a task run again."""
        wanted = {"dag_run_id": self._path[-1], "task_ids": [task_id], "dry_run": False, "only_failed": False}
        self._airflow.insist("POST", "dags", self._dag_id, "clearTaskInstances", json=wanted)

    def xcom(self, task_id: str, key: str = "return_value") -> Any:
        """Return a value that the task has pushed, or None."""
        found = self._airflow.find(*self._path, "taskInstances", task_id, "xcomEntries", key, deserialize=True)
        return found and found["value"]

    def stored(self, task_id: str, key: str) -> Any:
        """Return a value of the task's state store, whichever it has, or None."""
        path = (*self._path, "taskInstances", task_id, "state-store", key)
        found = self._airflow.find(*path, root="/async-rest/api/v2")
        return found and found["value"]


def _quoted(part: str) -> str:
    return quote(part, safe="~")
