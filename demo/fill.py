"""Fill databases of your own with the week's readings, for dags/sensors.py and dags/sensors_oracle.py.

PostgreSQL gets the tables too that dags/fetch_readings.py and dags/enrich.py load.

    python -m demo.fill postgresql://user:password@host:port/database oracle://user:password@host:port/service

A database that has readings keeps them as they are, so this may run any number of times.
"""

import argparse
from urllib.parse import unquote, urlsplit

import psycopg

from demo.database import load
from demo.warehouse import TABLES
from demo.week import readings

ORACLE_TABLE = """
CREATE TABLE sensors (
    id NUMBER(19) PRIMARY KEY,
    name VARCHAR2(100) NOT NULL,
    value NUMBER NOT NULL,
    measured_at TIMESTAMP(6) WITH TIME ZONE NOT NULL
)
"""


def fill_postgres(dsn: str) -> int:
    """Fill a PostgreSQL database; return the number of rows there are."""
    with psycopg.connect(dsn) as connection:  # all of it is one transaction, the table too
        if connection.execute("SELECT to_regclass('sensors')").fetchone() == (None,):
            load(connection)
        connection.execute(TABLES)
        return connection.execute("SELECT count(*) FROM sensors").fetchone()[0]


def fill_oracle(dsn: str) -> int:
    """Fill an Oracle database; return the number of rows there are."""
    import oracledb  # noqa: PLC0415  (for this database only)

    place = urlsplit(dsn)
    with (
        oracledb.connect(
            user=place.username,
            password=unquote(place.password),
            host=place.hostname,
            port=place.port or 1521,
            service_name=place.path.strip("/"),
        ) as connection,
        connection.cursor() as cursor,
    ):
        if not _count(cursor, "SELECT count(*) FROM user_tables WHERE table_name = 'SENSORS'"):
            cursor.execute(ORACLE_TABLE)
        # The table is there at once, its rows when they are committed: a fill that was interrupted left it empty.
        if not _count(cursor, "SELECT count(*) FROM sensors"):
            # A bind of type TIMESTAMP keeps fractions of a second, and is in the session's time zone.
            cursor.execute("ALTER SESSION SET TIME_ZONE = '+00:00'")
            cursor.setinputsizes(None, 100, oracledb.DB_TYPE_NUMBER, oracledb.DB_TYPE_TIMESTAMP)
            cursor.executemany(
                "INSERT INTO sensors (id, name, value, measured_at) VALUES (:1, :2, :3, :4)",
                [(number, name, value, at.replace(tzinfo=None)) for number, name, value, at in readings()],
            )
            connection.commit()
        return _count(cursor, "SELECT count(*) FROM sensors")


def _count(cursor, sql: str) -> int:
    cursor.execute(sql)
    return cursor.fetchone()[0]


FILLS = {"postgresql": fill_postgres, "oracle": fill_oracle}


def main() -> None:
    """Fill every database that is named."""
    parser = argparse.ArgumentParser(prog="python -m demo.fill", description="Fill databases with a week of readings.")
    parser.add_argument("dsn", nargs="+", help="postgresql://... or oracle://user:password@host:port/service")
    for dsn in parser.parse_args().dsn:
        kind = urlsplit(dsn).scheme
        if kind not in FILLS:
            parser.error(f"a DSN begins with {' or '.join(f'{name}://' for name in FILLS)}")
        print(f"{urlsplit(dsn).hostname}: {FILLS[kind](dsn):,} readings", flush=True)


if __name__ == "__main__":
    main()
