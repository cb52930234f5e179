"""A hot standby, which follows the tests' server: rows can be read from it, and never loaded into it."""

import contextlib
from contextlib import contextmanager
from pathlib import Path

import pytest
from loads import Database
from programs import as_user, owned_folder, run_once, running
from shared_postgres import Postgres
from sqlalchemy.exc import DBAPIError

from airflow_async_rest.core.errors import ConfigurationError, StoppedError
from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook

MANY = 300_000
SETTINGS = {"max_standby_streaming_delay": "0", "listen_addresses": "", "fsync": "off", "hot_standby_feedback": "off"}

pytestmark = pytest.mark.release


@contextmanager
def following(primary):
    """Run a standby that cancels, at once, what is in the way of what it has to do as its primary does."""
    programs = Path(primary.execute("SELECT setting FROM pg_config WHERE name = 'BINDIR'")[0][0])
    owner = Path(primary.socket_folder).stat().st_uid
    with owned_folder(owner) as folder:
        data, settings = folder / "data", {**SETTINGS, "unix_socket_directories": str(folder)}
        place = ["-h", primary.socket_folder, "-U", "postgres", "-D", str(data)]
        run_once([*as_user(owner), str(programs / "pg_basebackup"), *place, "-R", "-X", "stream", "-c", "fast"], folder)
        given = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        found = Postgres(str(folder), primary.database)
        server = [*as_user(owner), str(programs / "postgres"), "-D", str(data), *given]
        with running(folder, server, lambda: found.execute("SELECT 1")):
            yield found


@pytest.fixture(scope="module")
def standby(postgres):
    postgres.execute(
        "CREATE TABLE followed (id bigint, label text)",
        f"INSERT INTO followed SELECT n, repeat('x', 200) FROM generate_series(1, {MANY}) n",
    )
    with following(postgres) as found:
        yield found
    postgres.execute("DROP TABLE followed")


@pytest.fixture(autouse=True)
def _places(standby, connect):
    for name in ("source_db", "warehouse"):
        connect(name, **standby.connection())


def chunks(sql, **arguments):
    return iter(ChunkedSqlHook("source_db").chunks(sql, **arguments))


def test_rows_are_read(standby):
    assert standby.execute("SELECT pg_is_in_recovery()") == [(True,)]
    assert sum(map(len, chunks("SELECT id FROM followed"))) == MANY


def test_a_load_ends_at_once_and_says_where_to(standby):
    loader = Database("postgresql", standby.execute).loader("followed")

    def begin():
        loader.open()  # where a register is there already, this writes
        loader.begin(resumed=False, staged=0)

    try:
        with pytest.raises(ConfigurationError, match="read-only transaction.*connection to the primary"):
            begin()
    finally:
        loader.close()


def test_a_read_that_recovery_cancels_passes_by_itself(postgres):
    """The primary removes the rows that the standby's reader still sees."""
    reading = chunks("SELECT id, label FROM followed", chunk_size=1_000)
    next(reading)
    postgres.execute("DELETE FROM followed WHERE id % 2 = 0")
    with postgres.open(autocommit=True) as primary:
        primary.execute("VACUUM followed")
    with pytest.raises(StoppedError, match="A retry runs it again, and goes on where this try ended"):
        for _ in reading:
            pass
    assert _read_after_retries() == MANY // 2


def _read_after_retries():
    """Count the rows; while the standby still does what its primary did, it may cancel this, too."""
    for _ in range(50):
        with contextlib.suppress(StoppedError, DBAPIError):
            return sum(map(len, chunks("SELECT id FROM followed")))
    pytest.fail("it is cancelled again and again")
