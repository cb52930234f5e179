"""The staging table: rows of one load that are not in the destination yet."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection

from airflow_async_rest.core.loading import PlacedRow, RefusedRow
from airflow_async_rest.load.copy_text import copy_text
from airflow_async_rest.load.destination import Column, Destination
from airflow_async_rest.load.refusals import check_hopeless, find_refused
from airflow_async_rest.load.values import Kind, converter

PLACE = "async_rest_place"
_PLACE_TYPES = {"oracle": "NUMBER(19)", "mysql": "SIGNED", "mariadb": "SIGNED"}

_Tuple = list[Any]


class Staging:
    """One load's staging table. Its name is its load's; whether it exists, the register knows.

    :param columns: those that are loaded.
    """

    def __init__(self, name: str, destination: Destination, connection: Connection) -> None:
        self._name = name
        self._destination = destination
        self._connection = connection
        self._quote = connection.dialect.identifier_preparer.quote
        self.columns: tuple[Column, ...] = ()

    @property
    def table(self) -> str:
        """Its name in SQL."""
        return self.qualified(self._name)

    def qualified(self, table: str) -> str:
        """Give a table of the destination's schema as it is written in SQL."""
        schema = self._destination.plan.schema
        return f"{self._quote(schema)}.{self._quote(table)}" if schema else self._quote(table)

    def names(self, columns: Sequence[Column]) -> str:
        """Give columns as they are written in SQL."""
        return ", ".join(self._quote(column.name) for column in columns)

    def create(self, columns: tuple[Column, ...]) -> None:
        """Make the table, empty, with columns of the destination's own types.

        PostgreSQL need not log it: after a crash of the server it is empty, and that is noticed.
        """
        dialect = self._connection.dialect.name
        kind = "UNLOGGED TABLE" if dialect == "postgresql" else "TABLE"
        place = f"CAST(0 AS {_PLACE_TYPES.get(dialect, 'BIGINT')}) AS {PLACE}"
        self._execute(
            f"CREATE {kind} {self.table} AS SELECT {place}, {self.names(columns)} "
            f"FROM {self.qualified(self._destination.plan.table)} WHERE 1 = 0"
        )
        if dialect not in {"postgresql", "sqlite"}:
            self.index()  # now: later it would end the transaction in which it is needed
        self.columns = columns

    def index(self) -> None:
        """Let rows be found by their place."""
        self._execute(f"CREATE INDEX {self.qualified_index} ON {self.table} ({PLACE})")

    @property
    def qualified_index(self) -> str:
        """The index's name in SQL: of its table's schema, where an index has one of its own."""
        name = self._quote(f"{self._name}_i")
        schema = self._destination.plan.schema
        has_schema = schema and self._connection.dialect.name in {"oracle", "sqlite"}
        return f"{self._quote(schema)}.{name}" if has_schema and schema else name

    def open(self) -> int | None:
        """Find a table that an earlier try has made. :return: how many rows it has; None when there is none."""
        schema, inspector = self._destination.plan.schema, inspect(self._connection)
        if not inspector.has_table(self._name, schema=schema):
            return None
        names = {column["name"] for column in inspector.get_columns(self._name, schema=schema)}
        self.columns = tuple(column for column in self._destination.columns if column.name in names)
        return int(self._connection.execute(text(f"SELECT count(*) FROM {self.table}")).scalar_one())

    def drop(self, name: str = "") -> None:
        """Remove the table, if it is there.

        :param name: another load's.
        """
        if inspect(self._connection).has_table(name or self._name, schema=self._destination.plan.schema):
            self._execute(f"DROP TABLE {self.qualified(name or self._name)}")
        self.columns = () if not name else self.columns

    def add(self, rows: Sequence[PlacedRow]) -> list[RefusedRow]:
        """Add rows. :return: those that the database refuses."""
        names = [column.name for column in self.columns]
        tuples = [[row.place, *[row.values.get(name) for name in names]] for row in rows]
        dialect = self._connection.dialect
        if dialect.name == "oracle":
            refused = self._add_on_oracle(tuples)
        else:
            take = self._copy if dialect.name == "postgresql" else self._insert()
            refused = find_refused(tuples, take, self._connection.begin_nested, dialect)
        values = {row.place: row.values for row in rows}
        return [RefusedRow(row[0], values[row[0]], words) for row, words in refused]

    def _copy(self, rows: Sequence[_Tuple]) -> None:
        kinds = [Kind.INTEGER, *[column.kind for column in self.columns]]
        data = copy_text(list(zip(kinds, zip(*rows, strict=True), strict=True)))
        statement = f"COPY {self.table} ({PLACE}, {self.names(self.columns)}) FROM STDIN"
        raw: Any = self._connection.connection.dbapi_connection
        with raw.cursor() as cursor:
            if hasattr(cursor, "copy"):
                with cursor.copy(statement) as copy:
                    copy.write(data)
            else:  # psycopg2
                import io  # noqa: PLC0415  (only there)

                cursor.copy_expert(statement, io.BytesIO(data))

    def _insert(self) -> Any:
        """Make the function that inserts rows with as many binds."""
        binds = ", ".join(f":c{number}" for number in range(len(self.columns) + 1))
        statement = text(f"INSERT INTO {self.table} ({PLACE}, {self.names(self.columns)}) VALUES ({binds})")
        convert = self._converters()

        def take(rows: Sequence[_Tuple]) -> None:
            parameters = [
                {f"c{n}": make(value) for n, (make, value) in enumerate(zip(convert, row, strict=True))} for row in rows
            ]
            self._connection.execute(statement, parameters)

        return take

    def _converters(self) -> list[Any]:
        dialect = self._connection.dialect.name
        return [int, *[converter(column.kind, dialect) for column in self.columns]]

    def _add_on_oracle(self, rows: Sequence[_Tuple]) -> list[tuple[_Tuple, str]]:
        """Add rows as arrays; the driver tells by row which ones the database refuses."""
        binds = ", ".join(f":{number}" for number in range(1, len(self.columns) + 2))
        statement = f"INSERT INTO {self.table} ({PLACE}, {self.names(self.columns)}) VALUES ({binds})"
        convert = self._converters()
        data = [[make(value) for make, value in zip(convert, row, strict=True)] for row in rows]
        raw: Any = self._connection.connection.dbapi_connection
        with raw.cursor() as cursor:
            # The driver would take a column's type from its first row, and refuse times with fractions after a date.
            cursor.setinputsizes(None, *oracle_sizes(self.columns))
            cursor.executemany(statement, data, batcherrors=True)
            errors = cursor.getbatcherrors()
        if errors:
            check_hopeless(len(errors), len(rows) - len(errors), errors[-1].message)
        return [(rows[error.offset], " ".join(error.message.split())) for error in errors]

    def read(self, condition: str, **binds: Any) -> list[PlacedRow]:
        """Read rows back, as values that can be staged again."""
        query = f"SELECT {PLACE}, {self.names(self.columns)} FROM {self.table} WHERE {condition}"
        return [
            PlacedRow(int(place), {column.name: value for column, value in zip(self.columns, values, strict=True)})
            for place, *values in self._connection.execute(text(query), binds)
        ]

    def places(self) -> list[int]:
        """Give the places of all rows, ascending."""
        query = f"SELECT {PLACE} FROM {self.table} ORDER BY {PLACE}"
        return [int(place) for (place,) in self._connection.execute(text(query))]

    def _execute(self, statement: str) -> None:
        self._connection.exec_driver_sql(statement)


def oracle_sizes(columns: Sequence[Column]) -> list[Any]:
    """Give the types that Oracle's driver should bind, where the first row does not tell."""
    import oracledb  # noqa: PLC0415  (an optional provider's driver)

    sizes = {Kind.NAIVE_TIME: oracledb.DB_TYPE_TIMESTAMP, Kind.AWARE_TIME: oracledb.DB_TYPE_TIMESTAMP_TZ}
    return [sizes.get(column.kind) for column in columns]
