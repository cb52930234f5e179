"""The tables that the demo's DAGs load, and what is in them. The demo has them beside the source, in one database."""

import psycopg

# No key on the readings: that each is there once is up to the task which loads them.
TABLES = """
CREATE TABLE IF NOT EXISTS readings (
    id bigint NOT NULL,
    name text NOT NULL,
    value numeric NOT NULL,
    measured_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS readings_measured_at ON readings (measured_at);
CREATE TABLE IF NOT EXISTS inventory (
    type text NOT NULL,
    id integer NOT NULL,
    sku text NOT NULL,
    stock integer NOT NULL,
    geo_label text NOT NULL,
    latitude double precision,
    longitude double precision,
    tags jsonb,
    PRIMARY KEY (type, id)
)
"""


def source_rows(connection: psycopg.Connection) -> list[tuple]:
    """Return the week's readings as the source has them."""
    return _rows(connection, "SELECT id, name, value, measured_at FROM sensors")


def fetched_rows(connection: psycopg.Connection) -> list[tuple]:
    """Return the readings that were fetched."""
    return _rows(connection, "SELECT id, name, value, measured_at FROM readings")


def staging_tables(connection: psycopg.Connection) -> list[str]:
    """Return the names of the tables that a load makes for itself, wherever they are."""
    sql = r"SELECT schemaname || '.' || tablename FROM pg_tables WHERE tablename LIKE 'async\_rest\_stg\_%' ORDER BY 1"
    return [name for (name,) in _rows(connection, sql)]


def _rows(connection: psycopg.Connection, sql: str) -> list[tuple]:
    return connection.execute(sql).fetchall()
