"""Oracle's driver for SQLAlchemy 1.4, which knows its predecessor only."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from sqlalchemy.dialects.oracle.cx_oracle import OracleDialect_cx_oracle


class OracleDialect(OracleDialect_cx_oracle):
    """Oracle by ``oracledb``, which has the names and the ways of cx_Oracle 8; registered in 1.4 alone."""

    driver = "oracledb"
    supports_statement_cache = True

    @classmethod
    def dbapi(cls) -> ModuleType:  # type: ignore[override]
        """Return the driver's module; in 2 this is no method."""
        import oracledb  # noqa: PLC0415  (an optional provider's driver)

        return oracledb

    def _generate_connection_outputtype_handler(self) -> Any:
        return texts_as_in_2(super()._generate_connection_outputtype_handler())  # type: ignore[no-untyped-call]

    def _parse_cx_oracle_ver(self, _: Any) -> tuple[int, ...]:
        return 8, 3  # the versions of the two are counted apart


# What 2 says for LOBs, so that they come with their rows: more bytes than a VARCHAR2 may have.
_LOB_SIZE = 131_072


def texts_as_in_2(default: Callable[..., Any]) -> Callable[..., Any]:
    """Return what decides what columns are fetched as, which fetches texts as 2 does.

    1.4 fetches those of the national character set as if they were of the database's own, which may lack their letters,
    and LONG with the 4,000 bytes of a VARCHAR2.

    :param default: 1.4's own decision.
    """
    import oracledb  # noqa: PLC0415  (an optional provider's driver)

    lobs = {
        oracledb.DB_TYPE_CLOB: oracledb.DB_TYPE_VARCHAR,
        oracledb.DB_TYPE_NCLOB: oracledb.DB_TYPE_NVARCHAR,
        oracledb.DB_TYPE_BLOB: oracledb.DB_TYPE_RAW,
    }

    # The driver counts the arguments: with six it calls this as it calls 1.4's.
    def handler(cursor: Any, name: str, kind: Any, size: int, precision: int, scale: int) -> Any:  # noqa: PLR0917
        if kind in lobs:
            return cursor.var(lobs[kind], _LOB_SIZE, cursor.arraysize)
        if kind == oracledb.STRING:  # of any kind: as the driver would
            return None
        return default(cursor, name, kind, size, precision, scale)

    return handler
