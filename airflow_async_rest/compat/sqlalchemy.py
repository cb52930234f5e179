"""SQLAlchemy 1.4, which Airflow up to 3.0 has: its engines are like those of 2, where they are asked for."""

from typing import TYPE_CHECKING, Any, TypeAlias

import sqlalchemy
from sqlalchemy.dialects import registry
from sqlalchemy.future import Engine, create_engine  # in 2 they are its own

if TYPE_CHECKING:
    from sqlalchemy.dialects.postgresql import DOMAIN
    from sqlalchemy.engine import CursorResult
else:
    try:
        from sqlalchemy.dialects.postgresql import DOMAIN
    except ImportError:

        class DOMAIN:
            """The type of a domain's columns in 2; in 1.4 they have the type below it."""


__all__ = ["DOMAIN", "ENGINE_OPTIONS", "Engine", "QueryResult", "create_engine"]

ENGINE_OPTIONS = {"future": True}  # for engines that others make: what 2 does anyway
QueryResult: TypeAlias = "CursorResult[Any]"  # a text: in 1.4 the class takes no parameters

if sqlalchemy.__version__.startswith("1.4."):
    registry.register("oracle.oracledb", "airflow_async_rest.compat.oracledb", "OracleDialect")
