"""The table that is loaded, as the database describes it."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy
from sqlalchemy.engine import Connection
from sqlalchemy.exc import NoSuchTableError

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.load.plan import UPSERT, LoadPlan
from airflow_async_rest.load.values import Kind, kind_of

# Those whose upsert goes by a unique index; the others compare columns.
_NEEDS_UNIQUE_KEY = frozenset({"postgresql", "sqlite", "mysql", "mariadb"})


@dataclass(frozen=True)
class Column:
    """A column of the table.

    :param has_default: whether the database gives it a value when none is given: a default, an identity.
    """

    name: str
    kind: Kind
    has_default: bool


@dataclass(frozen=True)
class Destination:
    """A table, by the names that the database knows it by; ``plan`` has them, too."""

    plan: LoadPlan
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(column.name for column in self.columns)

    def choose(self, names: Collection[str] | None, seen: Collection[str]) -> tuple[Column, ...]:
        """Give the columns that are loaded.

        :param names: those that the author names; None: all, but for one with a default that no row has a value for.
        :param seen: those that the first rows have values for.
        """
        wanted = set(names or seen) | {name for _, name in self._needed()}
        return tuple(
            column for column in self.columns if column.name in wanted or (names is None and not column.has_default)
        )

    def check_loaded(self, names: Collection[str]) -> None:
        """Check that what the load goes by is loaded. :raises ConfigurationError: when it is not."""
        for argument, column in self._needed():
            if column not in names:
                raise ConfigurationError(
                    f"{argument} names the column {column!r}, which columns= does not load: add it."
                )

    def _needed(self) -> list[tuple[str, str]]:
        """Give what the load goes by: argument and column."""
        of_window = [("window_column", self.plan.window_column)] if self.plan.window_column else []
        return of_window + [("conflict_key", column) for column in self.plan.conflict_key]


def describe(connection: Connection, plan: LoadPlan) -> Destination:
    """Ask the database for a table.

    :raises ConfigurationError: when there is no such table, or no such column as the plan names.
    """
    inspector = sqlalchemy.inspect(connection)
    for table, schema in ((plan.table, plan.schema), (plan.table.lower(), plan.schema and plan.schema.lower())):
        try:
            described = inspector.get_columns(table, schema=schema)
        except NoSuchTableError:
            continue
        if described:
            break
    else:
        raise ConfigurationError(
            f"destination_table={plan.full_name!r}: there is no such table, or the connection's user may not see it; "
            "it must exist before it is loaded."
        )
    found = {column["name"]: column for column in described if not column.get("computed")}
    plan = replace(
        plan,
        table=table,
        schema=schema,
        window_column=_named("window_column", plan.window_column, found),
        conflict_key=tuple(str(_named("conflict_key", key, found)) for key in plan.conflict_key),
    )
    if plan.mode == UPSERT and connection.dialect.name in _NEEDS_UNIQUE_KEY:
        _check_unique(inspector, plan)
    return Destination(plan, tuple(_column(column, plan, connection.dialect.name) for column in found.values()))


def _column(described: Any, plan: LoadPlan, dialect: str) -> Column:
    kind = kind_of(described["type"])
    if dialect == "sqlite" and described["name"] == plan.window_column:
        kind = Kind.NAIVE_TIME  # times are text there, and these are compared
    has_default = bool(described.get("default") is not None or described.get("identity"))
    has_default |= described.get("autoincrement") is True
    # A table's rowid by another name.
    has_default |= dialect == "sqlite" and bool(described.get("primary_key")) and kind is Kind.INTEGER
    return Column(described["name"], kind, has_default)


def _named(argument: str, name: str | None, columns: dict[str, Any]) -> str | None:
    if name is None or name in columns:
        return name
    folded = {known.lower(): known for known in columns}
    if name.lower() in folded:
        return folded[name.lower()]
    raise ConfigurationError(
        f"{argument} names the column {name!r}, which the destination table does not have; it has: "
        f"{', '.join(columns)}."
    )


def _check_unique(inspector: Any, plan: LoadPlan) -> None:
    """Check that the conflict key is unique in the database, which is what its upsert goes by."""
    where = {"table_name": plan.table, "schema": plan.schema}
    unique = [inspector.get_pk_constraint(**where).get("constrained_columns", [])]
    unique += [constraint["column_names"] for constraint in inspector.get_unique_constraints(**where)]
    unique += [index["column_names"] for index in inspector.get_indexes(**where) if index.get("unique")]
    if set(plan.conflict_key) not in [set(columns) for columns in unique]:
        raise ConfigurationError(
            f"conflict_key={list(plan.conflict_key)}: the table {plan.full_name} has no unique index of exactly these "
            f"columns, which an upsert goes by: CREATE UNIQUE INDEX ON {plan.full_name} "
            f"({', '.join(plan.conflict_key)}), or name the columns of one that there is."
        )
