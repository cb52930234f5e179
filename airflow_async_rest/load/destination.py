"""The table that is loaded, as the database describes it."""

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, NoSuchTableError, SAWarning

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.databases.dialects.dialect import Dialect, Upsert
from airflow_async_rest.databases.values.columns import Column, Kind
from airflow_async_rest.load.plan import UPSERT, LoadPlan

_KEEP_TEXTS = frozenset({Kind.TEXT, Kind.TEXT_ARRAY})
_TAKE_BYTES = frozenset({Kind.BINARY, Kind.OTHER})


@dataclass(frozen=True)
class Destination:
    """A table, by the names that the database knows it by; ``plan`` has them, too.

    :param nulls_are_equal: whether two rows whose key is NULL have one key.
    :param collations: by which columns of the key are compared, where a staging table does not have them.
    :param is_view: whether it is one, which may take no rows.
    """

    plan: LoadPlan
    columns: tuple[Column, ...]
    nulls_are_equal: bool = False
    collations: Mapping[str, str] = field(default_factory=dict)
    is_view: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(column.name for column in self.columns)

    @property
    def texts(self) -> frozenset[str]:
        """The names of those that keep texts."""
        return frozenset(column.name for column in self.columns if column.kind in _KEEP_TEXTS)

    def kind_of(self, name: str | None) -> Kind | None:
        """Return the kind of a column; None where there is none."""
        return next((column.kind for column in self.columns if column.name == name), None)

    def check_bytes(self, names: Collection[str]) -> None:
        """Check that columns keep bytes. :raises ConfigurationError: when one has another type."""
        for column in self.columns:
            if column.name in names and column.kind not in _TAKE_BYTES:
                raise ConfigurationError(
                    f"columns: {column.name!r} has a path with 'base64:', which makes bytes, but the column's type "
                    "holds none: leave 'base64:' out to load the text as it is; or decode it in a function as rows=."
                )

    def choose(self, names: Collection[str] | None) -> tuple[Column, ...]:
        """Return the columns that can be loaded, those first that the load goes by.

        :param names: those that the author names; None: all.
        """
        needed = {name for _, name in self._needed()}
        chosen = (column for column in self.columns if names is None or column.name in needed.union(names))
        return tuple(sorted(chosen, key=lambda column: column.name not in needed))

    def expected(self, names: Collection[str] | None) -> tuple[Column, ...]:
        """Return the columns that rows are likely to have: without ``names``, not those with a default."""
        needed = {name for _, name in self._needed()}
        chosen = self.choose(names)
        return tuple(
            column for column in chosen if names is not None or column.name in needed or not column.has_default
        )

    def check_loaded(self, names: Collection[str]) -> None:
        """Check that what the load goes by is loaded. :raises ConfigurationError: when it is not."""
        for argument, column in self._needed():
            if column not in names:
                raise ConfigurationError(
                    f"{argument} names the column {column!r}, which columns= does not load: add it."
                )

    def _needed(self) -> list[tuple[str, str]]:
        """Return what the load goes by: argument and column."""
        of_window = [("window_column", self.plan.window_column)] if self.plan.window_column else []
        return of_window + [("conflict_key", column) for column in self.plan.conflict_key]


def describe(connection: Connection, dialect: Dialect, plan: LoadPlan) -> Destination:
    """Ask the database for a table.

    :raises ConfigurationError: when there is no such table, or no such column as the plan names.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # of types and indexes that it does not know, and need not
        return _describe(connection, dialect, plan)


def _describe(connection: Connection, dialect: Dialect, plan: LoadPlan) -> Destination:
    inspector = sqlalchemy.inspect(connection)
    table, schema, described = _find(connection, dialect, inspector, plan)
    is_view = described[0].get("is_view")
    if is_view is None:
        is_view = table in inspector.get_view_names(schema=schema)
    if is_view and not dialect.loads_views:
        raise ConfigurationError(
            f"destination_table={plan.full_name!r} is a view, which takes no rows in {dialect.title}: write the table "
            "that it shows."
        )
    found = {column["name"]: column for column in described if not _is_generated(column)}
    made = [column["name"] for column in described if column["name"] not in found]
    plan = replace(
        plan,
        table=table,
        schema=schema,
        window_column=_named("window_column", plan.window_column, found, made),
        conflict_key=tuple(str(_named("conflict_key", key, found, made)) for key in plan.conflict_key),
    )
    columns = tuple(_column(column, plan, dialect) for column in found.values())
    if plan.mode != UPSERT:
        return Destination(plan, columns, is_view=is_view)
    nulls_are_equal = False
    if dialect.upsert is not Upsert.MERGE:  # which compares columns, and needs no index
        keys = dialect.unique_keys(inspector, table, schema)
        _check_unique(keys, plan, is_view=is_view)
        nulls_are_equal = keys[frozenset(plan.conflict_key)]
    collations = dialect.collations(connection, table, schema, plan.conflict_key)
    return Destination(plan, columns, nulls_are_equal, collations, is_view)


def _find(
    connection: Connection, dialect: Dialect, inspector: Any, plan: LoadPlan
) -> tuple[str, str | None, Sequence[Any]]:
    """Find the table: its name, its schema's, its columns."""
    for table, schema in ((plan.table, plan.schema), (plan.table.lower(), plan.schema and plan.schema.lower())):
        try:
            described = dialect.columns_of(connection, table, schema)
        except DBAPIError as error:
            if not dialect.is_forbidden(error):
                raise
            described = []  # as some databases say of a schema that they do not have, too
        if described is None:
            described = _inspected(inspector, table, schema)
        if described:
            return dialect.stored_name(inspector, table, schema), schema, described
    raise ConfigurationError(
        f"destination_table={plan.full_name!r}: there is no such table, or the connection's user may not see it; "
        "it must exist before it is loaded."
    )


def _inspected(inspector: Any, table: str, schema: str | None) -> list[Any]:
    try:
        described = inspector.get_columns(table, schema=schema)
    except NoSuchTableError:
        return []
    if table in inspector.get_view_names(schema=schema):  # whose columns have the defaults of its table's
        return [{**column, "default": ""} for column in described]
    return list(described)


def _is_generated(column: Mapping[str, Any]) -> bool:
    """Return whether the database makes a column's values itself, and accepts none."""
    return bool(column.get("computed") or (column.get("identity") or {}).get("always"))


def _column(described: Any, plan: LoadPlan, dialect: Dialect) -> Column:
    kind = dialect.kind_of(described["type"])
    if dialect.times_are_texts and described["name"] == plan.window_column and kind is not Kind.DATE:
        kind = Kind.NAIVE_TIME  # as these are compared
    default = str(described.get("default") or "") if dialect.defaults_are_expressions else ""
    has_default = dialect.has_default(described, kind)
    is_required = described.get("nullable") is False
    return Column(described["name"], kind, has_default, default, described.get("staged_as") or "", is_required)


def _named(argument: str, name: str | None, columns: Mapping[str, Any], made: Collection[str]) -> str | None:
    """Return a column's name as the database has it.

    :param columns: those that can be loaded.
    :param made: those whose values the database makes itself.
    """
    if name is None or name in columns:
        return name
    folded = {known.lower(): known for known in columns}
    if name.lower() in folded:
        return folded[name.lower()]
    if name in made:
        raise ConfigurationError(
            f"{argument} names the column {name!r}, whose values the database makes itself (GENERATED ALWAYS): "
            f"name one that can be loaded, of {', '.join(columns)}."
        )
    raise ConfigurationError(
        f"{argument} names the column {name!r}, which the destination table does not have; it has: "
        f"{', '.join(columns)}."
    )


def _check_unique(keys: Collection[frozenset[str]], plan: LoadPlan, *, is_view: bool) -> None:
    """Check that the conflict key is unique in the database, which is what its upsert goes by."""
    if frozenset(plan.conflict_key) in keys:
        return
    if is_view:
        raise ConfigurationError(
            f"destination_table={plan.full_name!r} is a view, which has no unique index of conflict_key, and an upsert "
            "needs one: write the table that it shows."
        )
    raise ConfigurationError(
        f"conflict_key={list(plan.conflict_key)}: the table {plan.full_name} has no unique index of exactly these "
        f"columns, which an upsert needs: CREATE UNIQUE INDEX ... ON {plan.full_name} "
        f"({', '.join(plan.conflict_key)}), or name the columns of one that there is. One with a WHERE, of expressions "
        "or of a DEFERRABLE constraint does not count."
    )
