"""Airflow's own web application with the plugin in it, and users of several roles."""

import json
import threading
import time
import warnings
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from ui.browser import browsing, open_page

from airflow_async_rest.core.letters.folder import DeadLetterFolder
from airflow_async_rest.core.models import DeadLetter, Item, Request

DAY = datetime(2026, 3, 1, tzinfo=UTC)
AT = int(DAY.timestamp())
# What would be a picture, and run a script, if any of it were taken for HTML.
HOSTILE = "<img src=x onerror=\"globalThis.taken='{}'\">"
WITHOUT_THE_HOSTS = "Object.defineProperty(globalThis, 'ChakraUI', {get: () => undefined, set: () => {}})"
REPORT = {
    "window_start": "2026-03-01T00:00:00+00:00",
    "window_end": "2026-03-02T00:00:00+00:00",
    "read": 100,
    "delivered": 93,
    "failed": 7,
    "skipped": 0,
    "unfinished": 0,
    "retries": 2,
    "requests": 102,
    "complete": True,
    "elapsed_seconds": 20.0,
    "items_per_second": 4.7,
    "reasons": {"http_422": 6, "timeout": 1},
    "replay": None,
    "latency_ms": {"p50": 3.0, "p95": 9.0, "p99": 20.0},
    "error": "7 of 100 items failed (6 http_422, 1 timeout)",
    "waits": [{"since": "2026-03-01T00:10:00+00:00", "until": "2026-03-01T01:10:00+00:00", "why": "it is gone"}],
    "api": "https://api.example.com/v1",
}
PROGRESS = {
    **REPORT,
    "target": "Delivering to PUT sensors/{id} at https://api.example.com/v1",
    "history": [[AT + second, second * 5, second // 3] for second in range(0, 21, 2)],
    "updated_at": "2026-03-01T02:00:00+00:00",
}


@pytest.fixture(scope="module")
def application(airflow_db, tmp_path_factory):
    """Airflow's application, as its API server makes it; whoever asks needs a token."""
    from airflow import plugins_manager

    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")  # one of Starlette's, about its test client
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "False")
        patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "x" * 64)
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", "ann:user,vic:viewer")
        patch.setenv(
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE", str(tmp_path_factory.mktemp("auth") / "passwords.json")
        )
        from airflow.api_fastapi.app import create_app, purge_cached_app

        purge_cached_app()
        yield create_app(apps="core")
        assert plugins_manager.get_import_errors() == {}
        purge_cached_app()


@pytest.fixture
def client_of(application):
    """Return a client of a user: ``"ann"`` may clear tasks, ``"vic"`` may look, None has not logged in."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from fastapi.testclient import TestClient

    def make(name: str | None):
        client = TestClient(application, raise_server_exceptions=False)
        if name is not None:
            user = SimpleAuthManagerUser(username=name, role={"ann": "user", "vic": "viewer"}[name])
            client.headers["Authorization"] = f"Bearer {get_auth_manager().generate_jwt(user)}"
        return client

    return make


@pytest.fixture
def only(application, monkeypatch):
    """Let Airflow allow only some: ``only(lambda dag_id, entity: ...)``."""
    from airflow.api_fastapi.app import get_auth_manager

    def use(allows):
        def is_authorized_dag(*, method, user, access_entity=None, details=None):
            return allows(details.id if details else None, access_entity and access_entity.name)

        monkeypatch.setattr(get_auth_manager(), "is_authorized_dag", is_authorized_dag)

    return use


@pytest.fixture
def without_others(airflow_db):
    """Hide the DAGs that other tests of this process have left in Airflow's database."""
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session
    from sqlalchemy import select, update

    with create_session() as session:
        others = list(session.scalars(select(DagModel.dag_id).where(~DagModel.is_stale)))
        session.execute(update(DagModel).values(is_stale=True))
    yield
    with create_session() as session:
        session.execute(update(DagModel).where(DagModel.dag_id.in_(others)).values(is_stale=False))


@pytest.fixture
def dag_runs(without_others):
    """Make runs of a DAG in Airflow's database: ``make(dag_id, (state, report or None), ...)``."""
    from airflow.models.backfill import Backfill
    from airflow.models.dag import DagModel
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.dagrun import DagRun
    from airflow.models.task_state_store import TaskStateStoreModel
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import delete, insert
    from uuid6 import uuid7

    made = []

    def make(
        dag_id: str,
        *runs,
        days=None,
        task_id: str = "post",
        operator: str = "SqlToRestOperator",
        key: str = "failed_items",
        sample=(),
        ended=None,
        first=DAY,
        run_type="backfill",
        **dag,
    ):
        """Make a run for each day, or of those days whose numbers are given.

        :param runs: of each, the task's state, its report, and what its state store has as progress, if any.
        :param sample: what is pushed as ``key``; :param first: the first day; :param dag: columns of the DAG.
        """
        made.append(dag_id)
        with create_session() as session:
            if session.get(DagBundleModel, "tests") is None:
                session.add(DagBundleModel(name="tests"))
                session.flush()
            known = {"bundle_name": "tests", "fileloc": "/dags/tests.py", "is_stale": False, "is_paused": False}
            session.merge(DagModel(dag_id=dag_id, **{**known, **dag}))
            session.flush()
            for number, (state, report, *progress) in zip(days or range(len(runs)), runs, strict=True):
                start, run_id = first + timedelta(days=number), f"run{number}"
                run = {"dag_id": dag_id, "run_id": run_id, "run_type": run_type, "state": "success"}
                run |= {"data_interval_start": start, "data_interval_end": start + timedelta(days=1)}
                times = {"run_after": start + timedelta(days=1), "logical_date": start}
                id_ = session.execute(insert(DagRun.__table__).values(**run, **times)).inserted_primary_key[0]
                which = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": -1}
                task = {
                    "state": state,
                    "operator": operator,
                    "pool": "default_pool",
                    "try_number": 1,
                    "end_date": ended,
                }
                session.execute(insert(TaskInstance.__table__).values(id=uuid7(), **which, **task))
                for name, value in (("return_value", report), (key, list(sample))):
                    if report is not None:
                        session.execute(
                            insert(XComModel.__table__).values(dag_run_id=id_, **which, key=name, value=value)
                        )
                for value in progress:
                    stored = {"dag_run_id": id_, **which, "key": "progress", "value": json.dumps(value)}
                    session.execute(insert(TaskStateStoreModel.__table__).values(**stored))
        return dag_id

    yield make
    with create_session() as session:
        for dag_id in made:
            for model in (TaskStateStoreModel, XComModel, TaskInstance, DagRun, Backfill, DagModel):
                session.execute(delete(model).where(model.dag_id == dag_id))


@pytest.fixture(scope="module")
def server(application):
    """Airflow's application at an address of its own."""
    with served(application) as url:
        yield url


@contextmanager
def served(application):
    import uvicorn

    made = uvicorn.Server(uvicorn.Config(application, host="127.0.0.1", port=0, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    while not made.started:
        assert thread.is_alive()
        time.sleep(0.05)
    port = made.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        made.should_exit = True
        thread.join(60)


@pytest.fixture(scope="module")
def browser():
    with browsing() as made:
        yield made


@pytest.fixture
def open_as(server, browser):
    """Return an empty page of a user: ``open_as("ann")``, with what ``open_page`` takes."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    opened = []

    def make(name: str = "ann", **look):
        user = SimpleAuthManagerUser(username=name, role={"ann": "user", "vic": "viewer"}[name])
        page = open_page(browser, server, get_auth_manager().generate_jwt(user), **look)
        opened.append(page)
        page.context.set_default_timeout(120_000)
        return page

    yield make
    for page in opened:
        page.context.close()


@pytest.fixture
def defined(airflow_db):
    """Keep a DAG with one task, as Airflow's DAG processor does: ``defined(dag_id, schedule)``."""
    from airflow.models.dag_version import DagVersion
    from airflow.models.dagcode import DagCode
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    kept = []

    def keep(dag_id: str, schedule) -> None:
        from airflow.providers.standard.operators.empty import EmptyOperator
        from airflow.sdk import DAG
        from airflow.serialization.serialized_objects import LazyDeserializedDAG

        with DAG(dag_id, schedule=schedule, start_date=DAY, max_active_runs=1) as dag:
            EmptyOperator(task_id="post")
        kept.append(dag_id)
        with create_session() as session:
            SerializedDagModel.write_dag(LazyDeserializedDAG.from_dag(dag), bundle_name="tests", session=session)

    yield keep
    with create_session() as session:
        for dag_id in kept:
            for model in (SerializedDagModel, DagCode, DagVersion):
                session.execute(delete(model).where(model.dag_id == dag_id))


@pytest.fixture
def failed(defined, dag_runs, tmp_path, monkeypatch):
    """A window with dead letters, by default seven, and its tab's path: ``failed(dag_id)``, and with a sample in XCom."""
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", str(tmp_path / "dead_letters"))

    def make(dag_id: str, sample=(), letters=None, **told) -> str:
        own = tmp_path / "dead_letters" / dag_id / "run0" / "post" / "-1"
        DeadLetterFolder(own, 1).write(letters or [letter(index) for index in range(7)])
        report = {**REPORT, **told, "dead_letters": f"file://{own}"}
        ended = datetime(2026, 3, 2, 1, tzinfo=UTC)
        dag_runs(dag_id, ("failed", report, {**PROGRESS, **report}), ended=ended, sample=sample, fileloc="dag.py")
        defined(dag_id, None)
        return f"/dags/{dag_id}/runs/run0/tasks/post/plugin/delivery"

    return make


def letter(index: int, key=None, reason: str | None = None, said: str | None = None) -> DeadLetter:
    """Return one whose request the API has refused, the first one of a task by not answering."""
    reason = reason or ("http_422" if index else "timeout")
    said = said or (f'{{"detail": "sensor {index} was withdrawn"}}' if index else "no answer")
    request = Request("PUT", f"sensors/{index}", "", b'{"id": 1}', f"key{index}")
    item = Item(index, index if key is None else key, {"id": index}, None)
    return DeadLetter.of(item, reason, request=request, status=422, attempts=1, detail=said)


def opened(page, path):
    """Return a page that shows the dead letters of a path, and knows what can be done."""
    page.goto(path)
    page.get_by_role("table", name="Dead letters").wait_for()
    page.locator("[data-primary]:enabled").wait_for()
    return page


def press_tab_until(page, selector: str) -> None:
    """Press the Tab key until what is wanted has the focus."""
    for _ in range(100):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"the Tab key does not lead to {selector}")
