"""The columns of a table in PostgreSQL, and its keys, by a short query each.

SQLAlchemy's own takes ten times as long to be made, and for the keys it makes six.
"""

from typing import Any

from sqlalchemy import text, types
from sqlalchemy.dialects.postgresql import TSRANGE, TSTZRANGE
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

_COLUMNS = text(
    """
    SELECT a.attname, b.typname, b.typcategory, a.atthasdef OR t.typdefault IS NOT NULL AS has_default,
        a.attidentity, a.attgenerated, c.relkind,
        COALESCE(pg_catalog.pg_get_expr(d.adbin, d.adrelid), pg_catalog.pg_get_expr(t.typdefaultbin, 0)) AS expression,
        pg_catalog.format_type(a.atttypid, -1) AS type_name,
        t.typtype = 'd' AS is_domain, pg_catalog.format_type(b.oid, b.typmod) AS base_type
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
    LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    CROSS JOIN LATERAL (
        WITH RECURSIVE base (oid, typname, typcategory, typtype, typbasetype, basemod, typmod) AS (
            SELECT t.oid, t.typname, t.typcategory, t.typtype, t.typbasetype, t.typtypmod, a.atttypmod
            UNION ALL
            SELECT i.oid, i.typname, i.typcategory, i.typtype, i.typbasetype, i.typtypmod, o.basemod
            FROM base AS o JOIN pg_catalog.pg_type AS i ON i.oid = o.typbasetype
            WHERE o.typtype = 'd'
        )
        SELECT * FROM base WHERE typtype <> 'd'
    ) AS b
    WHERE c.relname = :name AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
        AND CASE WHEN CAST(:schema AS text) IS NULL THEN pg_catalog.pg_table_is_visible(c.oid)
            ELSE n.nspname = :schema END
    ORDER BY a.attnum
    """
)
_UNIQUE_KEYS = """
    SELECT {nulls_are_equal} AS nulls_are_equal, ARRAY(
        SELECT CAST(a.attname AS text)
        FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = i.indrelid AND a.attnum = ANY ((CAST(i.indkey AS smallint[]))[0:i.indnkeyatts - 1])
    ) AS key
    FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_class AS c ON c.oid = i.indrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relname = :name AND i.indisunique AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
        AND CASE WHEN CAST(:schema AS text) IS NULL THEN pg_catalog.pg_table_is_visible(c.oid)
            ELSE n.nspname = :schema END
"""
# Before, NULL equals no NULL.
_NULLS_ARE_EQUAL, _SINCE_VERSION = "i.indnullsnotdistinct", (15,)
_VIEWS = frozenset({"v", "m"})
_TYPES: dict[str, types.TypeEngine[Any]] = {
    "json": types.JSON(),
    "jsonb": types.JSON(),
    "timestamp": types.DateTime(timezone=False),
    "timestamptz": types.DateTime(timezone=True),
    "date": types.Date(),
    "time": types.Time(),
    "timetz": types.Time(timezone=True),
    "tsrange": TSRANGE(),
    "tstzrange": TSTZRANGE(),
    "tsmultirange": TSRANGE(),  # of these the same is so here
    "tstzmultirange": TSTZRANGE(),
    "bool": types.Boolean(),
    "bytea": types.LargeBinary(),
    "int2": types.Integer(),
    "int4": types.Integer(),
    "int8": types.Integer(),
    "float4": types.Float(),
    "float8": types.Float(),
    "numeric": types.Numeric(),
    **dict.fromkeys(("_text", "_varchar", "_bpchar"), types.ARRAY(types.String())),
    "_json": types.ARRAY(types.JSON()),
    "_jsonb": types.ARRAY(types.JSON()),
    "_date": types.ARRAY(types.Date()),
    "_time": types.ARRAY(types.Time()),
    "_timetz": types.ARRAY(types.Time(timezone=True)),
    "_timestamp": types.ARRAY(types.DateTime(timezone=False)),
    "_timestamptz": types.ARRAY(types.DateTime(timezone=True)),
}
_NAIVE_TIMES = frozenset({"timestamp", "_timestamp"})
# Whose values the server rounds, or cuts off, to make them fit.
_BOUNDED, _CUT_SILENTLY = frozenset({"varchar", "time", "timetz", "timestamptz"}), frozenset({"char", "name"})
_OF_CATEGORY: dict[str, types.TypeEngine[Any]] = {"S": types.String(), "A": types.ARRAY(types.NullType())}


def columns_of(connection: Connection, name: str, schema: str | None) -> list[dict[str, Any]] | None:
    """Describe the columns as far as a load has to know them, as an inspector of SQLAlchemy's does.

    :return: empty when there is no such table; None when an inspector must be asked: of what calls itself PostgreSQL
        and has another catalogue. ``staged_as`` of a domain is its base type: it may refuse to be NULL.
    """
    try:
        found = connection.execute(_COLUMNS, {"name": name, "schema": schema}).all()
    except DBAPIError:
        connection.rollback()
        return None
    return [
        {
            "name": column.attname,
            "type": _TYPES.get(column.typname) or _OF_CATEGORY.get(column.typcategory) or types.NullType(),
            "default": _default_of(column),
            "identity": {"always": column.attidentity == "a"} if column.attidentity.strip() else None,
            "computed": bool(column.attgenerated.strip()),
            "staged_as": _staged_as(column),
            "is_view": column.relkind in _VIEWS,
        }
        for column in found
    ]


def _staged_as(column: Any) -> str | None:
    """Return the type of a column in a staging table, as precise as it is: what is rounded later may be another key."""
    if column.typname in _NAIVE_TIMES:  # a text with a zone would lose it; so it becomes UTC, which the session is in
        return str(column.base_type).replace("without time zone", "with time zone")
    is_bounded = column.typname in _CUT_SILENTLY or (column.typname in _BOUNDED and "(" in column.base_type)
    return column.base_type if column.is_domain or is_bounded else None


def _default_of(column: Any) -> str | None:
    """Return a default in SQL; unknown for a view's columns, which have those of its table."""
    if column.relkind in _VIEWS or (column.has_default and column.expression is None):
        return ""
    return f"CAST({column.expression} AS {column.type_name})" if column.has_default else None


def unique_keys(connection: Connection, table: str, schema: str | None) -> dict[frozenset[str], bool] | None:
    """Find the columns by which a table's rows are unique, all of them.

    :return: of each key, whether NULL equals NULL in it: UNIQUE NULLS NOT DISTINCT; None when an inspector must be
        asked, as for :func:`columns_of`.
    """
    version = connection.dialect.server_version_info
    can_be_equal = version is not None and version >= _SINCE_VERSION
    query = text(_UNIQUE_KEYS.format(nulls_are_equal=_NULLS_ARE_EQUAL if can_be_equal else "false"))
    try:
        found = connection.execute(query, {"name": table, "schema": schema}).all()
    except DBAPIError:
        connection.rollback()
        return None
    keys: dict[frozenset[str], bool] = {}
    for nulls_are_equal, key in found:  # several indexes may have the same one
        keys[frozenset(key)] = keys.get(frozenset(key), False) or nulls_are_equal
    return keys
