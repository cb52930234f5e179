"""Each database in turn, empty, with the connections ``source_db`` and ``warehouse`` to it."""

import signal

import pytest
from every_database import duckdb_file, mariadb, oracle, postgresql, snowflake, sqlite
from every_database.loading import load_rows
from every_database.parameters import PARAMETERS, lack_of

_SECONDS = 120


@pytest.fixture(scope="session")
def postgresql_server(postgres):
    found = postgresql.PostgreSQL(postgres.socket_folder)
    found.prepare()
    return found


@pytest.fixture
def _postgresql(postgresql_server):
    postgresql_server.empty()
    return postgresql_server


@pytest.fixture(scope="session")
def pgbouncer_server(postgresql_server):
    with postgresql.pooled(postgresql_server.folder) as found:
        yield found


@pytest.fixture
def _pgbouncer(pgbouncer_server):
    pgbouncer_server.empty()
    return pgbouncer_server


@pytest.fixture
def _sqlite(tmp_path):
    return sqlite.SQLite(tmp_path / "every.db")


@pytest.fixture(scope="session")
def mariadb_server():
    with mariadb.running_server() as found:
        yield found


@pytest.fixture
def _mariadb(mariadb_server):
    mariadb_server.empty("DEFAULT")
    return mariadb_server


@pytest.fixture
def _mariadb_lax(mariadb_server):
    mariadb_server.empty("''")
    return mariadb_server


@pytest.fixture
def _duckdb(tmp_path):
    return duckdb_file.DuckDB(tmp_path / "every.duckdb")


@pytest.fixture(scope="session")
def snowflake_server():
    with snowflake.running_server() as port:
        yield port


@pytest.fixture
def _snowflake(snowflake_server):
    return snowflake.Snowflake(snowflake_server)


@pytest.fixture
def _oracle():
    return oracle.opened()


@pytest.fixture(params=PARAMETERS)
def database(request, connect):
    """Each database, of those that are to be had."""
    if lack := lack_of(request.param):
        pytest.skip(lack)
    found = request.getfixturevalue("_" + request.param.replace(", ", "_"))
    connect("source_db", **found.connection())
    connect("warehouse", **found.connection())
    return found


@pytest.fixture
def api(api, connect, tmp_path, monkeypatch):
    """The API ``search_api``, and a folder for dead letters."""
    connect("search_api", conn_type="async_rest", host=api.url)
    monkeypatch.setenv("AIRFLOW__ASYNC_REST__DEAD_LETTER_PATH", str(tmp_path / "dead_letters"))
    return api


@pytest.fixture(autouse=True)
def _ends():
    """Fail a test that does not end: some drivers ask a server again and again."""

    def interrupt(signum, frame):
        pytest.fail(f"it does not end; it is at {frame.f_code.co_filename}:{frame.f_lineno}")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS, 1)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def load(api, supervisor):
    """Fetch rows, each of them the answer about one item, and load them into ``things``."""
    return lambda rows, **arguments: load_rows(api, supervisor, rows, **arguments)
