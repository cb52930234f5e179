"""Which of many rows a database refuses: found by halving what it does not take as a whole."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError

from airflow_async_rest.core.errors import ConfigurationError, EncodeError, LoadError
from airflow_async_rest.databases.dialects import is_transient

Row = TypeVar("Row")

# oracledb raises the same class for these as for a wrong SQL. 1400, 1407: NULL; 1438, 1455: too large a number; 1722:
# no number; 1830 to 1899: no date; 2290 to 2292: a constraint; 12899: too long; 20000 to 20999: a trigger's own.
_ORACLE_REFUSALS = frozenset({1400, 1401, 1407, 1438, 1455, 1722, 2290, 2291, 2292, 2293, 12899, 40441})
_ORACLE_REFUSAL_RANGES = (range(1830, 1900), range(20000, 21000))
# 60: deadlock; 8177: cannot serialize; 2049: waited too long; 1653 to 1691, 30036: no space left, until it is extended.
_ORACLE_LATER = frozenset({60, 1653, 1654, 1658, 1683, 1688, 1691, 2049, 8177, 30036})
# Raised by a trigger of PostgreSQL's; a view's WITH CHECK OPTION; a value too long for its index; two rows of an upsert
# that a trigger, or another collation of the index, gives one key: one after the other, they are taken.
_POSTGRES_REFUSALS = ("P0", "44", "54000", "21000")
# What finds, in PostgreSQL, that a policy of the table does not allow a row. Its state is that of a missing right.
_FINDS_ROWS_WRONG = "ExecWithCheckOptions"
# Values that cannot even be sent: half of a surrogate pair, a time before the year 1, NaN as JSON.
_UNSENDABLE = (UnicodeEncodeError, OverflowError, EncodeError)
_FORBIDDEN_STATE = "42501"
# A view that takes no rows, a constraint that an upsert cannot go by. To the driver it is as if the server were busy.
_WRONG_OBJECT_STATE = "55000"
_SQLITE_LATER = ("disk", "malformed")
_ORACLE_FORBIDDEN = frozenset({1031, 1536, 1950, 41900})
_MYSQL_FORBIDDEN = frozenset({1044, 1142, 1143})
_MYSQL_CHECK_VIOLATED = 3819
# When so many are refused, and nearly all of what there was, the next ones will be, too.
_MOST_REFUSED = 1_000
_HOPELESS_SHARE = 0.9


def find_refused(
    rows: Sequence[Row],
    take: Callable[[Sequence[Row]], None],
    savepoint: Callable[[], AbstractContextManager[Any]],
    dialect: Dialect,
) -> list[tuple[Row, str]]:
    """Have a database take rows, as many at a time as it takes. :return: those that it refuses, with its messages.

    :param take: takes some of them, in one statement.
    :raises ConfigurationError: when it refuses nearly all of very many: then the rows are not at fault.
    """
    refused: list[tuple[Row, str]] = []
    taken, left = 0, [rows]
    while left:
        some = left.pop()
        try:
            with savepoint():
                take(some)
            taken += len(some)
        except Exception as error:
            if not is_refusal(error, dialect):
                raise
            if len(some) > 1:
                middle = len(some) // 2
                left += [some[middle:], some[:middle]]
                continue
            refused.append((some[0], message_of(error)))
            check_hopeless(len(refused), taken, refused[-1][1])
    return refused


def check_hopeless(refused: int, taken: int, message: str) -> None:
    """Give up when a database refuses nearly all of very many rows. :raises ConfigurationError: then."""
    if refused >= _MOST_REFUSED and refused >= _HOPELESS_SHARE * (refused + taken):
        raise ConfigurationError(
            f"the destination table refuses nearly all rows ({refused} of the first {refused + taken}), the last one "
            f"with: {message} Fix the table, or what makes the rows (columns=, rows=); what was fetched is kept."
        )


def is_refusal(error: BaseException, dialect: Dialect) -> bool:
    """Return whether a database refuses a row, rather than the statement, and is not down."""
    original = original_of(error)
    driver: Any = dialect.loaded_dbapi
    if isinstance(original, (driver.IntegrityError, driver.DataError, *_UNSENDABLE)):
        return True
    if _state_of(original).startswith(_POSTGRES_REFUSALS) or _is_against_policy(original):
        return True
    code = _code_of(original)
    if (
        dialect.name == "oracle"
    ):  # of values whose type is not the column's, its driver says that it does not support it
        refused = code in _ORACLE_REFUSALS or any(code in some for some in _ORACLE_REFUSAL_RANGES)
        return refused or isinstance(original, driver.NotSupportedError)
    return dialect.name in {"mysql", "mariadb"} and code == _MYSQL_CHECK_VIOLATED


def is_forbidden(error: BaseException, dialect: Dialect) -> bool:
    """Return whether a database says that the connection's user may not do something."""
    original = original_of(error)
    if _is_against_policy(original):
        return False
    forbidden = {"oracle": _ORACLE_FORBIDDEN, "mysql": _MYSQL_FORBIDDEN, "mariadb": _MYSQL_FORBIDDEN}
    return _state_of(original) == _FORBIDDEN_STATE or _code_of(original) in forbidden.get(dialect.name, ())


def _is_against_policy(original: BaseException) -> bool:
    """Return whether PostgreSQL's row-level security refuses a row."""
    return getattr(getattr(original, "diag", None), "source_function", None) == _FINDS_ROWS_WRONG


def _state_of(original: BaseException) -> str:
    """Return the SQLSTATE, as psycopg and psycopg2 call it."""
    return str(getattr(original, "sqlstate", None) or getattr(original, "pgcode", None) or "")


def _code_of(original: BaseException) -> Any:
    """Return the number that a database of other makers gives its errors."""
    return getattr(original.args[0], "code", original.args[0]) if original.args else None


def original_of(error: BaseException) -> BaseException:
    """Return the driver's own error."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def message_of(error: BaseException) -> str:
    """Return what the database says, on one line."""
    return " ".join(str(original_of(error)).split())


def translate(error: Exception, dialect: Dialect) -> Exception:
    """Return the error by which the engine knows what to do about one of the database's."""
    driver: Any = dialect.loaded_dbapi
    original = original_of(error)
    if not isinstance(original, driver.Error):
        return error
    if _is_wrong(error, original, dialect):
        return ConfigurationError(f"the database refuses to load the rows: {message_of(error)}")
    return LoadError(f"the database does not take the rows: {message_of(error)}")


def _is_wrong(error: Exception, original: BaseException, dialect: Dialect) -> bool:
    """Return whether a retry cannot help: the table, the statement or a right is wrong."""
    driver: Any = dialect.loaded_dbapi
    wrapped = error if isinstance(error, DBAPIError) else DBAPIError.instance(None, None, error, driver.Error)
    if not isinstance(wrapped, DBAPIError) or isinstance(original, driver.IntegrityError):
        return False
    if _state_of(original) == _WRONG_OBJECT_STATE:
        return True
    if dialect.name == "oracle" and _code_of(original) in _ORACLE_LATER:
        return False
    if dialect.name == "sqlite" and any(word in message_of(original) for word in _SQLITE_LATER):
        return False
    # Oracle's driver and SQLite's have one class for all that.
    has_class = dialect.name not in {"oracle", "sqlite"}
    wrong = isinstance(original, driver.ProgrammingError) or not has_class
    return wrong and not is_transient(wrapped, dialect.name)
