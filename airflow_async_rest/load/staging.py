"""The staging table: rows of one load that are not in the destination yet."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection

from airflow_async_rest.core.letter_lines import parse_exactly
from airflow_async_rest.core.loading import PlacedRow, RefusedRow
from airflow_async_rest.load.copy_text import copy_text
from airflow_async_rest.load.destination import Column, Destination
from airflow_async_rest.load.names import quoted, without_marks
from airflow_async_rest.load.refusals import check_hopeless, find_refused, is_refusal
from airflow_async_rest.load.values import Kind, converter, text_of

PLACE = "async_rest_place"
# The driver reads no time that is infinite, before the year 1 or after 9999, and gives some of these as its own types.
_READ_AS_TEXT = frozenset({Kind.AWARE_TIME, Kind.NAIVE_TIME, Kind.DATE, Kind.OTHER, Kind.JSON})
_NOT_IN_JSON = (bytes, bytearray, memoryview, timedelta, Decimal)
_COPIED_AT_A_TIME = 1_000
_DROP_IF_EXISTS = frozenset({"postgresql", "sqlite", "mysql", "mariadb"})
_PLACE_TYPES = {"oracle": "NUMBER(19)", "mysql": "SIGNED", "mariadb": "SIGNED"}


class Staging:
    """One load's staging table. Its name is its load's; whether it exists, the register knows.

    :param columns: those that are loaded.
    """

    def __init__(self, name: str, destination: Destination, connection: Connection) -> None:
        self._name = name
        self._destination = destination
        self._connection = connection
        self.columns: tuple[Column, ...] = ()

    @property
    def table(self) -> str:
        """Its name in SQL."""
        return self.qualified(self._name)

    def _quote(self, name: str) -> str:
        return quoted(name, self._connection.dialect)

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
        index, table = f"{self._name}_i", self.table
        match self._connection.dialect.name:  # which schema it is in, and who says so
            case "oracle":
                name = self.qualified(index)
            case "sqlite":
                name, table = self.qualified(index), self._quote(self._name)
            case _:
                name = self._quote(index)
        self._execute(f"CREATE INDEX {name} ON {table} ({PLACE})")

    def open(self) -> int | None:
        """Find a table that an earlier try has made. :return: how many rows it has; None when there is none."""
        schema, inspector = self._destination.plan.schema, inspect(self._connection)
        if not inspector.has_table(self._name, schema=schema):
            return None
        names = {column["name"] for column in inspector.get_columns(self._name, schema=schema)}
        self.columns = tuple(column for column in self._destination.columns if column.name in names)
        return self.count()

    def drop(self, name: str = "") -> None:
        """Remove the table, if it is there.

        :param name: another load's.
        """
        table, schema = name or self._name, self._destination.plan.schema
        if self._connection.dialect.name in _DROP_IF_EXISTS:
            self._execute(f"DROP TABLE IF EXISTS {self.qualified(table)}")
        elif inspect(self._connection).has_table(table, schema=schema):
            self._execute(f"DROP TABLE {self.qualified(table)}")
        self.columns = () if not name else self.columns

    def add(self, rows: Sequence[PlacedRow]) -> list[RefusedRow]:
        """Add rows, as the first thing of a transaction. :return: those that the database refuses."""
        dialect = self._connection.dialect
        told: list[tuple[PlacedRow, str]] = []
        match dialect.name:
            case "postgresql":
                take = self._copy
            case "oracle":
                take = self._insert_on_oracle(told)
            case _:
                take = self._insert()
        refused: list[tuple[PlacedRow, str]] = []
        if not self._takes_all(rows, take):
            told.clear()
            refused = find_refused(rows, take, self._connection.begin_nested, dialect)
        refused += told
        if told:
            check_hopeless(len(refused), len(rows) - len(refused), told[-1][1])
        return [RefusedRow(row.place, _storable(row.values), words) for row, words in refused]

    def _takes_all(self, rows: Sequence[PlacedRow], take: Callable[[Sequence[PlacedRow]], None]) -> bool:
        """Add all rows at once, without a savepoint: it costs two round trips, and most rows are good.

        :return: whether the database takes them; if not, nothing is left of them.
        """
        if not self._connection.in_transaction():
            self._connection.begin()
        try:
            take(rows)
        except Exception as error:
            if not is_refusal(error, self._connection.dialect):
                raise
            self._connection.rollback()
            return False
        return True

    def _copy(self, rows: Sequence[PlacedRow]) -> None:
        statement = f"COPY {self.table} ({PLACE}, {self.names(self.columns)}) FROM STDIN WITH (ENCODING 'UTF8')"
        raw: Any = self._connection.connection.dbapi_connection
        with raw.cursor() as cursor:
            if hasattr(cursor, "copy"):
                with cursor.copy(without_marks(statement)) as copy:
                    for text_of_some in self._iter_copy_text(rows):
                        copy.write(text_of_some)
            else:  # psycopg2
                import io  # noqa: PLC0415  (only there)

                cursor.copy_expert(without_marks(statement), io.BytesIO(b"".join(self._iter_copy_text(rows))))

    def _iter_copy_text(self, rows: Sequence[PlacedRow]) -> Iterator[bytes]:
        """Write rows as text, some at a time: the server reads these while the next ones are written."""
        for start in range(0, len(rows), _COPIED_AT_A_TIME):
            some = rows[start : start + _COPIED_AT_A_TIME]
            places, values = zip(*some, strict=True)
            columns = [(column.kind, [row.get(column.name) for row in values]) for column in self.columns]
            yield copy_text([(Kind.INTEGER, places), *columns])

    def _insert(self) -> Any:
        """Make the function that inserts rows with as many binds."""
        binds = ", ".join(f":c{number}" for number in range(len(self.columns) + 1))
        statement = text(f"INSERT INTO {self.table} ({PLACE}, {self.names(self.columns)}) VALUES ({binds})")
        bind = self._binder()

        def take(rows: Sequence[PlacedRow]) -> None:
            parameters = [{f"c{number}": value for number, value in enumerate(bind(row))} for row in rows]
            self._connection.execute(statement, parameters)

        return take

    def _binder(self) -> Callable[[PlacedRow], list[Any]]:
        """Make the function that gives a row's values as the driver binds them, its place first."""
        dialect = self._connection.dialect.name
        converters = [(column.name, converter(column.kind, dialect)) for column in self.columns]
        return lambda row: [row.place, *[convert(row.values.get(name)) for name, convert in converters]]

    def _insert_on_oracle(self, refused: list[tuple[PlacedRow, str]]) -> Any:
        """Make the function that inserts rows as arrays.

        :param refused: gets those of which the driver tells that the database refuses them; it takes the others.
        """
        binds = ", ".join(f":{number}" for number in range(1, len(self.columns) + 2))
        statement = f"INSERT INTO {self.table} ({PLACE}, {self.names(self.columns)}) VALUES ({binds})"
        bind = self._binder()

        def take(rows: Sequence[PlacedRow]) -> None:
            data = list(map(bind, rows))
            raw: Any = self._connection.connection.dbapi_connection
            with raw.cursor() as cursor:
                # The driver would take a column's type from its first row, and refuse what the next ones have.
                cursor.setinputsizes(None, *oracle_sizes(self.columns))
                cursor.executemany(without_marks(statement), data, batcherrors=True)
                errors = cursor.getbatcherrors()
            refused.extend((rows[error.offset], " ".join(error.message.split())) for error in errors)

        return take

    def read(self, condition: str, **binds: Any) -> list[PlacedRow]:
        """Read rows back, as values that can be staged again."""
        dialect = self._connection.dialect.name
        texts = _READ_AS_TEXT if dialect == "postgresql" else ()
        selected = [
            f"CAST({name} AS text)" if column.kind in texts else name
            for column in self.columns
            for name in [self._quote(column.name)]
        ]
        query = f"SELECT {PLACE}, {', '.join(selected)} FROM {self.table} WHERE {condition}"
        return [
            PlacedRow(int(place), _storable(dict(zip(names, self._parsed(values), strict=True))))
            for names in [[column.name for column in self.columns]]
            for place, *values in self._connection.execute(text(query), binds)
        ]

    def _parsed(self, values: Sequence[Any]) -> list[Any]:
        """Undo what JSON columns were written as, with all digits of their numbers."""
        return [
            _json_of(value) if column.kind is Kind.JSON and isinstance(value, str) else value
            for column, value in zip(self.columns, values, strict=True)
        ]

    def count(self, condition: str = "1 = 1", **binds: Any) -> int:
        """Count rows."""
        query = f"SELECT count(*) FROM {self.table} WHERE {condition}"
        return int(self._connection.execute(text(query), binds).scalar_one())

    def places(self) -> list[int]:
        """Give the places of all rows, ascending."""
        query = f"SELECT {PLACE} FROM {self.table} ORDER BY {PLACE}"
        return [int(place) for (place,) in self._connection.execute(text(query))]

    def _execute(self, statement: str) -> None:
        self._connection.execute(text(statement))


def oracle_sizes(columns: Sequence[Column]) -> list[Any]:
    """Give the types that Oracle's driver should bind, where the first row does not tell."""
    import oracledb  # noqa: PLC0415  (an optional provider's driver)

    sizes = {
        Kind.NAIVE_TIME: oracledb.DB_TYPE_TIMESTAMP,
        Kind.AWARE_TIME: oracledb.DB_TYPE_TIMESTAMP_TZ,
        Kind.INTEGER: oracledb.DB_TYPE_NUMBER,
        Kind.NUMBER: oracledb.DB_TYPE_NUMBER,
    }
    return [sizes.get(column.kind) for column in columns]


def _json_of(value: str) -> Any:
    try:
        return parse_exactly(value.encode())
    except ValueError:  # the driver has done it
        return value


def _storable(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give values as they can be staged again after they were JSON."""
    return {name: _as_text(value) if isinstance(value, _NOT_IN_JSON) else value for name, value in values.items()}


def _as_text(value: Any) -> Any:
    if isinstance(value, Decimal):
        return value if value.is_finite() else str(value)
    return text_of(value) if isinstance(value, timedelta) else "\\x" + bytes(value).hex()
