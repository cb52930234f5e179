"""Reading from Oracle: what its driver and SQLAlchemy's dialect would lose on the way.

* **Time zones.** The driver gives TIMESTAMP WITH TIME ZONE as the wall time of the zone it was stored with, and drops
  the zone; in thin mode it refuses named zones (DPY-3022). What it makes of TIMESTAMP WITH LOCAL TIME ZONE depends on
  its mode. So the database is asked for both in UTC, with ``SYS_EXTRACT_UTC`` around the query.
* **Numbers.** SQLAlchemy fetches FLOAT, ``NUMBER(*, 2)`` and ``NUMBER(10, -2)`` as binary floats, of 15 digits; they
  have up to 38. BINARY_FLOAT it reads as text, which it takes for an integer when it is ``1e+30``.
* **Fractions of a second.** The driver binds a datetime as DATE, which has none. One that has is bound as TIMESTAMP;
  not all are, because a DATE column that is compared with that cannot use its index. (SQLAlchemy's own way to say so,
  ``setinputsizes`` by type, leaves out ``text()`` statements.)
* **Rows at a time.** A round trip brings 100 rows unless told otherwise, with all of their LOBs. In thin mode each
  brings as many as are fetched; in thick mode as many as were asked for when the query began.
"""

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

import oracledb
from sqlalchemy import event
from sqlalchemy.engine import Engine

from airflow_async_rest.core.encoding.chunk_sizes import FEW_ROWS

# In thick mode, where the memory is taken beforehand, and a value of these types may have megabytes.
_ROUND_TRIP_LARGE_ROWS = 10
_LARGE = frozenset(
    {
        oracledb.DB_TYPE_CLOB,
        oracledb.DB_TYPE_NCLOB,
        oracledb.DB_TYPE_BLOB,
        oracledb.DB_TYPE_LONG,
        oracledb.DB_TYPE_LONG_RAW,
        oracledb.DB_TYPE_JSON,
        oracledb.DB_TYPE_XMLTYPE,
        oracledb.DB_TYPE_OBJECT,
        oracledb.DB_TYPE_VECTOR,
    }
)
ZONED = (oracledb.DB_TYPE_TIMESTAMP_TZ, oracledb.DB_TYPE_TIMESTAMP_LTZ)

Column = tuple[str, Any]
_OutputTypeHandler = Callable[..., Any]


def prepare_engine(engine: Engine) -> None:
    """Make an engine read exactly; its ``stream_results`` statements, that is."""
    event.listen(engine, "do_execute", _execute)


def _execute(cursor: Any, statement: str, parameters: Any, context: Any) -> Literal[True] | None:
    """Execute a statement in SQLAlchemy's stead; errors go through SQLAlchemy as usual."""
    if not context.execution_options.get("stream_results"):
        return None
    cursor.arraysize = min(context.execution_options.get("max_row_buffer", FEW_ROWS), FEW_ROWS)
    columns = describe(cursor.connection, statement)
    # Two columns of one name are refused later, by name; wrapped, they would be refused in the database's terms.
    unique = len({name for name, _ in columns}) == len(columns)
    zoned = {name for name, kind in columns if kind in ZONED and unique}
    if not _LARGE.isdisjoint(kind for _, kind in columns):
        cursor.arraysize = min(cursor.arraysize, _ROUND_TRIP_LARGE_ROWS)
    cursor.outputtypehandler = _exact_types(cursor.connection.outputtypehandler, zoned)
    if sizes := input_sizes(parameters):
        cursor.setinputsizes(**sizes)
    cursor.prefetchrows = 0  # A value that cannot be loaded is to be met where rows are fetched.
    if not zoned:
        cursor.execute(statement, parameters)
        return True
    wrapped = _in_utc(statement, columns, zoned)
    try:
        cursor.execute(wrapped, parameters)
    except oracledb.DatabaseError as error:
        error.add_note(f"It was sent as {wrapped.partition(chr(10))[0]} ... ), to have times with a zone in UTC.")
        raise
    return True


def describe(connection: Any, statement: str) -> list[Column]:
    """Ask the database for the columns of a query, without running it."""
    with connection.cursor() as cursor:
        cursor.parse(statement)
        return [(name, kind) for name, kind, *_ in cursor.description or ()]


def _in_utc(statement: str, columns: list[Column], zoned: Collection[str]) -> str:
    """Wrap a query. Its rows stay in its own order: there is nothing outside of it to sort them by."""
    selected = ", ".join(
        f'SYS_EXTRACT_UTC("{name}") AS "{name}"' if name in zoned else f'"{name}"' for name, _ in columns
    )
    # On separate lines, because the query may end in a comment.
    return f"SELECT {selected} FROM (\n{statement}\n)"


def input_sizes(parameters: Any) -> dict[str, Any]:
    """Return the types of binds that the driver would not find out by itself."""
    fractions = [name for name, value in parameters.items() if isinstance(value, datetime) and value.microsecond]
    return dict.fromkeys(fractions, oracledb.DB_TYPE_TIMESTAMP)


def _exact_types(default: _OutputTypeHandler, zoned: Collection[str]) -> _OutputTypeHandler:
    """Decide what columns are fetched as.

    :param default: SQLAlchemy's own decision: among others, LOBs as text and bytes.
    :param zoned: names of columns that are in UTC.
    """

    # The driver counts the arguments: with six it calls this as it calls SQLAlchemy's.
    def handler(cursor: Any, name: str, kind: Any, size: int, precision: int, scale: int) -> Any:  # noqa: PLR0917
        if name in zoned:
            return cursor.var(oracledb.DB_TYPE_TIMESTAMP, arraysize=cursor.arraysize, outconverter=_aware)
        if kind is oracledb.DB_TYPE_NUMBER and (precision == 0 or scale < 0):
            return cursor.var(Decimal, arraysize=cursor.arraysize, outconverter=_integer_where_whole)
        if kind is oracledb.DB_TYPE_BINARY_FLOAT:
            return None
        return default(cursor, name, kind, size, precision, scale)

    return handler


def _aware(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC)


def _integer_where_whole(value: Decimal) -> Decimal | int:
    whole = int(value)
    return whole if whole == value else value
