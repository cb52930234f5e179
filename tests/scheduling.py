"""Airflow's scheduler, and what it needs beside it, with a database in PostgreSQL: there all versions run tasks at once."""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import httpx
import psutil
from programs import free_port
from shared_postgres import Postgres

VERSION = tuple(map(int, version("apache-airflow").split(".")))
_ENDED = {"success", "failed"}
_AIRFLOW = str(Path(sys.executable).parent / "airflow")
_PARTS = (("scheduler", "--skip-serve-logs"),) + ((("dag-processor",), ("api-server",)) if VERSION >= (3,) else ())
_USERS = ("admin", "viewer")  # whose passwords are the same
_LONGEST_SECONDS, _LOOK_SECONDS = 240, 0.2


class Scheduled:
    """An Airflow that runs.

    :param home: its folder.
    :param database: its own, in which states are looked up: the commands for it take seconds.
    :cvar alone: settings of a backfill of 2, whose connection to the database the processes of a LocalExecutor may end.
    """

    alone: ClassVar = {"AIRFLOW__CORE__EXECUTOR": "SequentialExecutor"}

    def __init__(self, home: Path, database: Postgres, settings: Mapping[str, str]) -> None:
        self._home, self._database = home, database
        self.url = f"http://127.0.0.1:{free_port()}"
        self._parts: list[subprocess.Popen] = []
        self._killed: list[subprocess.Popen] = []
        self._env = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": self.url.rpartition(":")[2],
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{name}" for name in _USERS),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": (
                f"postgresql+psycopg2://postgres@/{database.database}?host={database.socket_folder}"
            ),
            **settings,
        }

    def command(self, *words: str, fails: bool = False, **settings: str) -> str:
        """Run Airflow's command line; return what it prints. :param fails: whether it is to fail."""
        done = subprocess.run(
            [_AIRFLOW, *words],
            env=self._env | settings,
            capture_output=True,
            text=True,
            check=False,
            timeout=_LONGEST_SECONDS,
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout

    def interrupt(self, *words: str, once: Callable[[], object], **settings: str) -> None:
        """Press Ctrl-C as soon as something is so."""
        with (self._home / "interrupted.log").open("w") as log:
            running = subprocess.Popen([_AIRFLOW, *words], env=self._env | settings, stdout=log, stderr=log)
            try:
                self.wait_until(once)
            finally:
                running.send_signal(signal.SIGINT)
                running.wait(_LONGEST_SECONDS)

    def start(self, dag_ids: Sequence[str]) -> None:
        """Start its parts; return when it has read the DAGs."""
        self.command("db", "migrate")
        (self._home / "passwords.json").write_text(json.dumps({name: name for name in _USERS}))
        for part in _PARTS:
            self.run(part[0], *part)
        self.wait_until(lambda: set(dag_ids) <= {dag_id for (dag_id,) in self.select("dag_id FROM serialized_dag")})
        if VERSION >= (3,):
            self.wait_until(self._answers)

    def run(self, name: str, *command: str, **env: str) -> subprocess.Popen:
        """Run a part, in a session of its own, until the end. :param name: of its log."""
        with (self._home / f"{name}.log").open("w") as log:
            part = subprocess.Popen(
                [_AIRFLOW, *command], env=self._env | env, stdout=log, stderr=log, start_new_session=True
            )
        self._parts.append(part)
        return part

    def kill_group(self, part: subprocess.Popen) -> None:
        """End a part's process group without asking it; what it has put into other groups lives on."""
        self._parts.remove(part)
        self._killed.append(part)  # which nobody waits for before the end: its number must not become another's
        os.killpg(part.pid, signal.SIGKILL)

    def _answers(self, path: str = "/api/v2/monitor/health") -> bool:
        with suppress(httpx.HTTPError):
            return self._request("GET", path).is_success
        return False

    def wait_until(self, look: Callable[[], object], longest_seconds: float = _LONGEST_SECONDS) -> Any:
        """Look until something is there: Airflow tells nobody when a state changes."""
        until = time.monotonic() + longest_seconds
        while not (found := look()):
            if time.monotonic() > until or any(part.poll() is not None for part in self._parts):
                raise AssertionError(self._logs())
            time.sleep(_LOOK_SECONDS)
        return found

    def select(self, what: str) -> list:
        return self._database.execute(f"SELECT {what}")

    def task(self, dag_id: str) -> tuple[str, int, int]:
        """State, number of the try and process of a DAG's only task."""
        found = self.select(f"state, try_number, pid FROM task_instance WHERE dag_id = '{dag_id}'")
        return found[0] if found else (None, 0, None)

    def kill(self, dag_id: str) -> None:
        """End the task's own process without asking it."""
        state, _, pid = self.task(dag_id)
        assert (state, os.getsid(pid)) == ("running", self._parts[0].pid)
        os.kill(pid, signal.SIGKILL)

    def ended(self, dag_id: str, tries: int) -> str:
        """Wait until this try has ended, and the run with it. :return: the task's state."""

        def look() -> str | None:
            state, number, _ = self.task(dag_id)
            runs = {run for (run,) in self.select(f"state FROM dag_run WHERE dag_id = '{dag_id}'")}
            return state if number == tries and state in _ENDED and runs <= _ENDED else None

        return self.wait_until(look)

    def clear(self, dag_id: str) -> None:
        """Let a DAG's task run again."""
        self.command("tasks", "clear", "--yes", dag_id)

    def delete_runs(self, dag_id: str, tries: int = 0) -> None:
        """Delete a DAG's runs, with all that goes with them; as the UI does it, for which there is no command.

        :param tries: which the scheduler has run. It must have heard of the end of each: what it hears later it takes
            for the end of a new one.
        """
        told = f"Received executor event.*dag_id='{dag_id}'"
        log = self._home / "scheduler.log"
        self.wait_until(lambda: len(re.findall(told, log.read_text())) >= tries)
        self._database.execute(f"DELETE FROM dag_run WHERE dag_id = '{dag_id}'")

    def backfill(self, dag_id: str, first: str, last: str, *, again: bool = False, fails: bool = False) -> None:
        """Run a DAG for a span of days; return when all of its runs have ended.

        :param again: whether those that failed are run once more.
        :param fails: whether one is to fail.
        """
        if VERSION < (3,):
            self.command(*self.backfill_of_2(dag_id, first, last, again=again), fails=fails, **self.alone)
            return
        options = ("--reprocess-behavior", "failed") if again else ()
        # A DAG has one backfill at a time, and the scheduler looks every 30 s whether it is over.
        self.wait_until(lambda: not self.select("1 FROM backfill WHERE completed_at IS NULL"))
        self.command("backfill", "create", "--dag-id", dag_id, "--from-date", first, "--to-date", last, *options)
        self.wait_until(lambda: self.select(f"1 FROM dag_run WHERE dag_id = '{dag_id}'"))
        self.wait_until(
            lambda: not self.select(f"1 FROM dag_run WHERE dag_id = '{dag_id}' AND state IN ('queued', 'running')")
        )

    def backfill_of_2(self, dag_id: str, first: str, last: str, *, again: bool = False) -> tuple[str, ...]:
        """Return the command."""
        options = ("--rerun-failed-tasks",) if again else ()
        return ("dags", "backfill", *options, "--start-date", first, "--end-date", last, dag_id)

    def stored(self, dag_id: str, run_id: str, key: str) -> Any:
        """What the task keeps for its retries: as the endpoint has it, or where there is none, its file."""
        if VERSION >= (3,):
            answer = self.ask("GET", dag_id, run_id, key)
            return answer.json()["value"] if answer.is_success else None
        folder = Path(self._env["AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH"]) / "_state"
        file = folder / dag_id / run_id / "post" / "-1" / f"{key}.json"
        return json.loads(file.read_bytes()) if file.exists() else None

    def ask(
        self, method: str, dag_id: str, run_id: str, key: str, *, user: str | None = "admin", **request: Any
    ) -> Any:
        """Ask the endpoint of the task's state. :return: the response."""
        path = f"/async-rest/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/post/state-store/{key}"
        return self._request(method, path, headers=self._signed_in(user), **request)

    def windows(self, dag_id: str) -> list[dict[str, Any]]:
        """The windows of a DAG, as the endpoint lists them."""
        path = f"/async-rest/windows?dag_id={dag_id}"
        return self._request("GET", path, headers=self._signed_in("admin")).json()["windows"]

    def serve_2(self) -> None:
        """Start the web server of 2, which its tests but one do without; return when it answers."""
        words = ("webserver", "--workers", "1", "--hostname", "127.0.0.1", "--port", self.url.rpartition(":")[2])
        self.run("webserver", *words, AIRFLOW__WEBSERVER__BASE_URL=self.url)
        self.wait_until(lambda: self._answers("/health"))  # it makes the roles
        for name, role in zip(_USERS, ("Admin", "Public"), strict=True):
            names = ("--firstname", name, "--lastname", name, "--email", f"{name}@example.com")
            self.command("users", "create", "--username", name, "--password", name, "--role", role, *names)

    def links(self, dag_id: str, run_id: str, task_id: str) -> dict[str, str]:
        """The links that Airflow shows on a task instance."""
        if VERSION >= (3,):
            path = f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task_id}/links"
            return self._request("GET", path, headers=self._signed_in("admin")).json()["extra_links"]
        with self.browser() as client:
            return client.get(f"/api/v1/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task_id}/links").json()

    @contextmanager
    def browser(self, user: str | None = "admin") -> Iterator[httpx.Client]:
        """Ask as a user's browser does: 2 has sessions, 3 tokens."""
        with httpx.Client(base_url=self.url, trust_env=False, timeout=60) as client:
            if VERSION >= (3,):
                client.headers.update(self._signed_in(user))
            elif user is not None:
                mark = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get("/login/").text)[1]
                client.post("/login/", data={"username": user, "password": user, "csrf_token": mark})
            yield client

    def token(self, user: str = "admin") -> str:
        """Sign in."""
        return self._request("POST", "/auth/token", json={"username": user, "password": user}).json()["access_token"]

    def _signed_in(self, user: str | None) -> dict[str, str]:
        return {} if user is None else {"Authorization": f"Bearer {self.token(user)}"}

    def _request(self, method: str, path: str, **request: Any) -> httpx.Response:
        # On a busy machine Airflow's own server takes longer than the five seconds that httpx waits.
        return httpx.request(method, f"{self.url}{path}", trust_env=False, timeout=60, **request)

    def _logs(self) -> str:
        """The ends of all logs, for whoever asks why something has not come."""
        return "\n".join(f"== {log}\n{log.read_text(errors='replace')[-4000:]}" for log in self._home.rglob("*.log"))

    def end(self) -> None:
        """End it, with all that runs for it: a task has a process group of its own, but the same session."""
        parts = [*self._parts, *self._killed]
        for process in processes_of(parts):
            with suppress(psutil.Error):
                process.kill()
        for part in parts:
            part.wait()


def processes_of(parts: Sequence[subprocess.Popen]) -> list[psutil.Process]:
    """What runs in the sessions of parts, but for what has ended and is waited for."""
    sessions, found = {part.pid for part in parts}, []
    for process in psutil.process_iter():
        with suppress(OSError, psutil.Error):
            if os.getsid(process.pid) in sessions and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@contextmanager
def running_airflow(
    home: Path, database: Postgres, dag_ids: Sequence[str], settings: Mapping[str, str]
) -> Iterator[Scheduled]:
    """Run Airflow until the block ends.

    :param dag_ids: what it must have read before anything is asked of it.
    """
    airflow = Scheduled(home, database, settings)
    try:
        airflow.start(dag_ids)
        yield airflow
    finally:
        airflow.end()
