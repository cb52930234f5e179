"""Oracle's driver for SQLAlchemy 1.4, which knows its predecessor only."""

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

    def _parse_cx_oracle_ver(self, _: Any) -> tuple[int, ...]:
        return 8, 3  # the versions of the two are counted apart
