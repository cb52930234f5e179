"""MySQL and MariaDB."""

from collections.abc import Sequence

from airflow_async_rest.databases.dialects.dialect import Dialect, Upsert
from airflow_async_rest.databases.errors import code_of
from airflow_async_rest.databases.quotes import Quotes

# Drivers raise the same class for these as for a server that is gone: a column, table or function that does not exist
# or is ambiguous, a subquery or a GROUP BY that cannot be, a right that is not granted.
_WRONG = frozenset({1052, 1054, 1055, 1056, 1064, 1109, 1111, 1140, 1142, 1143, 1146, 1222, 1227, 1235, 1241}) | {
    1242, 1247, 1248, 1305, 1318, 1370, 1582, 1630
}  # fmt: skip
_FORBIDDEN = frozenset({1044, 1142, 1143})
_CHECK_VIOLATED = 3819
_READ_ONLY = 1792


class MySQL(Dialect):
    """MySQL."""

    name = "mysql"
    is_tried = True
    utc_in_session = "SET time_zone = '+00:00'"
    begin_read_only = "START TRANSACTION READ ONLY"
    begin_to_write = "START TRANSACTION"  # the session may commit each statement by itself
    # It takes "5--1" for a sum.
    quotes = Quotes(backslashes=True, dollars=False, line_comment=r"\#[^\n]*|--(?=\s|\Z)[^\n]*")
    ends_at_semicolon = True
    empty_in = ("(NULL) IS TRUE", "(NULL) IS NULL")
    has_any_type = False
    upsert = Upsert.ON_DUPLICATE_KEY
    place_type = "SIGNED"
    sets_type = "VARCHAR(4000)"
    sets_type_in_cast = "CHAR(4000)"

    def is_transient(self, error: BaseException) -> bool:
        """Return whether the server is down or busy, and the SQL not wrong."""
        return super().is_transient(error) and code_of(error) not in _WRONG

    def is_write_refused(self, error: BaseException) -> bool:
        """Return whether it refuses to change something because it was told to."""
        return code_of(error) == _READ_ONLY

    def is_refusal(self, error: BaseException) -> bool:
        """Return whether it refuses a row."""
        return super().is_refusal(error) or code_of(error) == _CHECK_VIOLATED

    def is_forbidden(self, error: BaseException) -> bool:
        """Return whether it says that the user may not do something."""
        return code_of(error) in _FORBIDDEN

    def joined(self, texts: Sequence[str]) -> str:
        """Write texts one after the other."""
        return f"CONCAT({', '.join(texts)})"


class MariaDB(MySQL):
    """MariaDB."""

    name = "mariadb"
