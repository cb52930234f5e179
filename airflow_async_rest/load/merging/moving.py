"""The statements that move staged rows into the destination, each with the columns that it has."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from airflow_async_rest.databases.dialects.dialect import Upsert
from airflow_async_rest.databases.values.columns import Column, Constraint
from airflow_async_rest.load.destination import Destination
from airflow_async_rest.load.plan import UPSERT
from airflow_async_rest.load.staging.column_sets import SETS
from airflow_async_rest.load.staging.filling import PLACE, Part
from airflow_async_rest.load.staging.table import Staging

_RANK = "async_rest_rank"
# Into so many the rows are divided by what they leave to defaults: each of them costs a look at all rows.
_MOST_PARTS = 16


class _Part(NamedTuple):
    """Rows that leave the same columns to defaults.

    :param columns: those that are inserted.
    :param values: what is selected for them.
    :param conditions: of the rows.
    """

    columns: Sequence[Column]
    values: Sequence[Column | str]
    conditions: Sequence[str]


class Moving:
    """Writes statements for the rows that are staged when they are asked for."""

    def __init__(self, destination: Destination, staging: Staging) -> None:
        self._dialect = staging.dialect
        self._plan = destination.plan
        self._nulls_are_equal = destination.nulls_are_equal
        self._collations = destination.collations
        self._staging = staging
        self._into = staging.qualified(destination.plan.table)
        self._quote = staging.quote
        # Of which an INSERT says what becomes of a row that is there, and so can be told which rows are not.
        self._has_on_conflict = self._dialect.upsert is Upsert.ON_CONFLICT
        self._has_update_join = self._dialect.upsert is Upsert.UPDATE_JOIN

    @property
    def keys(self) -> list[str]:
        """The columns of the key in SQL, as the destination compares them."""
        return [
            self._quote(name) + (f" COLLATE {self._collations[name]}" if name in self._collations else "")
            for name in self._plan.conflict_key
        ]

    @property
    def is_uniform(self) -> bool:
        """Whether all rows have the same columns."""
        return self._staging.sets.any == self._staging.sets.all

    def at_once(self) -> list[str]:
        """Write the statements that move all rows, of which no two have one key."""
        return self.of_columns(self._staging.sets.all) if self.is_uniform else self.in_parts()

    def of_columns(self, columns: Sequence[Column]) -> list[str]:
        """Write the statements that move all rows, of which each has these columns, and no two have one key."""
        if not columns:
            return []
        if self._plan.mode != UPSERT:
            return [self._insert(columns, [])]
        rows = self._select(columns, ["1 = 1"])  # without any, SQLite takes ON CONFLICT for a condition of a join
        if not self._has_update_join:
            return [self._upsert(columns, rows)]
        names = self._staging.names(columns)
        new = f"INSERT INTO {self._into} ({names}) SELECT {names} FROM ({rows}) AS s WHERE {self._is_new('s')}"
        return [*self._update(columns, rows), new]

    def in_parts(self, *conditions: str) -> list[str]:
        """Write the statements that move rows, of which no two have one key.

        :param conditions: of the rows.
        """
        if self._plan.mode == UPSERT and (self._has_on_conflict or self._has_update_join):
            # First those that are there: an INSERT would be refused for what they have, and a row of ours has not.
            new = [self._insert_new(part, conditions) for part in self._parts(_has_default)]
            used = self._staging.sets.any
            return [*self._update(used, self._select([*used, SETS], conditions)), *new]
        if self._plan.mode == UPSERT:
            return [
                self._upsert(columns, self._select([*columns, SETS], [*which, *conditions]))
                for columns, _, which in self._parts(_has_default)
            ]
        return [
            f"INSERT INTO {self._into} ({self._staging.names(columns)}) {self._select(values, [*which, *conditions])}"
            for columns, values, which in self._parts(_has_default)
        ]

    def _parts(self, differ: Callable[[Column], bool]) -> list[_Part]:
        """Divide rows by which of their columns they leave to defaults.

        :param differ: tells a column for which it is not the same whether a row has none or NULL.
        """
        sets = self._staging.sets
        differing = [column for column in sets.any if differ(column) and not sets.is_of_all(column)]
        divided, said = sets.divide(differing), frozenset[Column]()
        # Of two rows that a trigger gives one key, only one statement tells; and the last of them must win.
        most = 1 if self._plan.mode == UPSERT else _MOST_PARTS
        if len(divided) > most and self._has_on_conflict:
            said = frozenset(column for column in differing if column.default)
            divided = sets.divide([column for column in differing if column not in said])
        parts = []
        for has in divided:
            columns = [column for column in sets.any if has.get(column, True)]
            values = [self._value_or_default(column) if column in said else column for column in columns]
            conditions = [sets.has(column) if there else sets.lacks(column) for column, there in has.items()]
            parts.append(_Part(columns, values, conditions))
        return parts

    def _value_or_default(self, column: Column) -> str:
        default = column.default.replace(":", "\\:")
        return f"CASE WHEN {self._staging.sets.has(column)} THEN {self._quote(column.name)} ELSE ({default}) END"

    def _select(self, columns: Sequence[Column | str], conditions: Sequence[str], alias: str = "") -> str:
        names = ", ".join(each if isinstance(each, str) else self._quote(each.name) for each in columns)
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return f"SELECT {names} FROM {self._staging.source(alias)}{where}"

    def _insert(self, columns: Sequence[Column], conditions: Sequence[str]) -> str:
        names = self._staging.names(columns)
        return f"INSERT INTO {self._into} ({names}) {self._select(columns, conditions)}"

    def _upsert(self, columns: Sequence[Column], rows: str) -> str:
        """Write the statement that inserts rows, or updates those that are there.

        :param rows: a SELECT of the columns; and of :data:`SETS`, when the rows do not all have all of them.
        """
        others = [column for column in columns if column.name not in self._plan.conflict_key]
        names = [self._quote(column.name) for column in others]
        into = f"INSERT INTO {self._into} ({self._staging.names(columns)}) {rows}"
        if self._has_on_conflict:
            sets = ", ".join(f"{name} = excluded.{name}" for name in names)
            return f"{into} ON CONFLICT ({', '.join(self.keys)}) " + (
                f"DO UPDATE SET {sets}" if names else "DO NOTHING"
            )
        changed = self._dialect.merges_into
        sets = ", ".join(f"{changed}{self._quote(column.name)} = {self._value(column, 's', 'd')}" for column in others)
        new = ", ".join(f"s.{self._quote(column.name)}" for column in columns)
        return (
            f"MERGE INTO {self._into} d USING ({rows}) s ON ({self._same('d', 's')}) "
            + (f"WHEN MATCHED THEN UPDATE SET {sets} " if names else "")
            + f"WHEN NOT MATCHED THEN INSERT ({self._staging.names(columns)}) VALUES ({new})"
        )

    def _update(self, columns: Sequence[Column], rows: str) -> list[str]:
        """Write the statement that updates the rows that are there. :param rows: as of :meth:`_upsert`."""
        changed = [column for column in columns if column.name not in self._plan.conflict_key]
        if not changed:
            return []
        old = "d." if self._has_update_join else ""
        values = ", ".join(f"{old}{self._quote(column.name)} = {self._value(column, 's', 'd')}" for column in changed)
        if self._has_update_join:  # in this order: few rows are staged, and the table may have many
            return [f"UPDATE ({rows}) AS s STRAIGHT_JOIN {self._into} AS d ON {self._same('d', 's')} SET {values}"]
        return [f"UPDATE {self._into} AS d SET {values} FROM ({rows}) AS s WHERE {self._same('d', 's')}"]

    def _insert_new(self, part: _Part, conditions: Sequence[str]) -> str:
        """Write the statement that inserts the rows that are not there; nor have come there in this moment."""
        rows = self._select(part.values, [*part.conditions, *conditions, self._is_new("s")], " AS s")
        if self._has_update_join:
            return f"INSERT INTO {self._into} ({self._staging.names(part.columns)}) {rows}"
        changed = [column for column in part.columns if column.name not in self._plan.conflict_key]
        into = f"INSERT INTO {self._into} AS d ({self._staging.names(part.columns)}) {rows}"
        if not changed:
            return f"{into} ON CONFLICT ({', '.join(self.keys)}) DO NOTHING"
        new = ", ".join(self._value(column, "excluded", "d", f"n.{SETS}") for column in changed)
        mine = f"SELECT {new} FROM {self._staging.table} AS n WHERE {self._is_excluded(part.conditions, conditions)}"
        return f"{into} ON CONFLICT ({', '.join(self.keys)}) DO UPDATE SET ({self._staging.names(changed)}) = ({mine})"

    def _is_new(self, row: str) -> str:
        return f"NOT EXISTS (SELECT 1 FROM {self._into} AS e WHERE {self._same('e', row)})"

    def _is_excluded(self, of_part: Sequence[str], conditions: Sequence[str]) -> str:
        """Write the condition of the staged row that is there already.

        A trigger may have given it another key: then it is any row, which a statement is only right about if it is for
        one; for more it fails, and these are moved one by one.
        """
        mine, found = (
            " AND ".join([*conditions, *of_part, self._is_new(row), self._same(row, "excluded")]) for row in "nm"
        )
        changed = f"NOT EXISTS (SELECT 1 FROM {self._staging.table} AS m WHERE {found})"
        return f"({mine}) OR ({' AND '.join([*conditions, changed])})"

    def _value(self, column: Column, new: str, old: str, sets: str = "") -> str:
        """Write what a column is to be of a row that is there: what is new, where the staged row has it."""
        name, all_ = self._quote(column.name), self._staging.sets
        if all_.is_of_all(column):
            return f"{new}.{name}"
        return f"CASE WHEN {all_.has(column, sets or f'{new}.{SETS}')} THEN {new}.{name} ELSE {old}.{name} END"

    def _same(self, one: str, other: str) -> str:
        equal = "IS NOT DISTINCT FROM" if self._nulls_are_equal else "="
        return " AND ".join(f"{one}.{key} {equal} {other}.{key}" for key in self.keys)

    @property
    def _has_key(self) -> list[str]:
        """Conditions of rows that can have the key of others: NULL is no key, and equals no other, as a rule."""
        return [] if self._nulls_are_equal else [f"{key} IS NOT NULL" for key in self.keys]

    def take_out_repeated(self) -> list[str]:
        """Write the statements that leave one row of each key staged: that of its rows one after the other.

        Moved one by one, each would count; and one that is refused would be loaded by the next try, over a later one.
        """
        return self._keep_last() if self.is_uniform else self._collapse()

    def refused_by(self, constraint: Constraint) -> str:
        """Write the condition of the staged rows ``s`` that a constraint is sure to refuse; empty: nobody can say.

        Rows may leave a column to its default, and a row that has a key now may have another one afterwards.
        """
        names = {column.name for column in self._staging.sets.all}
        if not names.issuperset(constraint.columns):
            return ""
        if constraint.check:
            return f"NOT ({constraint.check.replace(':', chr(92) + ':')})"
        if set(constraint.columns) == set(self._plan.conflict_key):
            return ""
        keys = [self._quote(name) for name in constraint.columns]
        equal = " AND ".join(f"e.{key} = s.{key}" for key in keys)
        stays = f" AND NOT EXISTS (SELECT 1 FROM {self._staging.table} AS o WHERE {self._same('o', 'e')})"
        there = f"SELECT 1 FROM {self._into} AS e WHERE {equal}{stays if self._plan.mode == UPSERT else ''}"
        before = f"SELECT 1 FROM {self._staging.table} AS e WHERE {equal} AND e.{PLACE} < s.{PLACE}"
        return f"EXISTS ({there}) OR EXISTS ({before})"

    def _keep_last(self) -> list[str]:
        # From the last one, by the order of items and of their rows.
        rank = f"ROW_NUMBER() OVER (PARTITION BY {', '.join(self.keys)} ORDER BY {PLACE} DESC) AS {_RANK}"
        ranked = self._select([PLACE, rank], self._has_key)
        repeated = f"SELECT {PLACE} FROM ({ranked}) ranked WHERE {_RANK} > 1"
        return [f"DELETE FROM {self._staging.table} WHERE {PLACE} IN ({repeated})"]

    def _collapse(self) -> list[str]:
        """Make one row of each key that several have: of each column, the last value that any of them has."""
        table, of_key = self._staging.table, f"PARTITION BY {', '.join(self.keys)}"
        counted = self._select([PLACE, f"COUNT(*) OVER ({of_key}) AS {_RANK}"], [f"{PLACE} >= 0", *self._has_key])
        repeated = f"{PLACE} IN (SELECT {PLACE} FROM ({counted}) counted WHERE {_RANK} > 1)"
        statements = [self._unite(part, of_key, repeated) for part in self._staging.parts]
        statements.append(f"DELETE FROM {table} WHERE {repeated}")
        for part in self._staging.parts:
            if part.number > 1:
                gone = f"{part.place} NOT IN (SELECT {PLACE} FROM {table})"
                statements.append(f"DELETE FROM {part.table} WHERE {part.place} >= 0 AND {gone}")
        return statements + [
            f"UPDATE {part.table} SET {part.place} = -1 - {part.place} WHERE {part.place} < 0"
            for part in self._staging.parts
        ]

    def _unite(self, part: Part, of_key: str, repeated: str) -> str:
        """Write the statement that adds the united rows; with separate places while the others are there."""
        sets = self._staging.sets
        columns = part.those_of(sets.any)
        names = [self._quote(column.name) for column in columns]
        by_place = not self._dialect.has_large_values_in_windows
        found = [f"async_rest_{n}" if by_place else name for n, name in enumerate(names)]
        values = [
            f"FIRST_VALUE({PLACE if by_place else name}) OVER ({of_key} ORDER BY {self._has_first(column)}) AS {alias}"
            for column, name, alias in zip(columns, names, found, strict=True)
        ]
        if by_place:
            of_place = f"FROM {part.table} v WHERE v.{part.place} = united."
            found = [f"(SELECT v.{name} {of_place}{alias})" for name, alias in zip(names, found, strict=True)]
        if part.number == 1:
            union = self._dialect.joined(sets.union(of_key))
            names, found, values = [*names, SETS], [*found, SETS], [*values, f"{union} AS {SETS}"]
        rank = f"ROW_NUMBER() OVER ({of_key} ORDER BY {PLACE} DESC) AS {_RANK}"
        united = self._select([PLACE, *values, rank], [repeated])
        return (
            f"INSERT INTO {part.table} ({', '.join([part.place, *names])}) "
            f"SELECT {', '.join([f'-1 - {PLACE}', *found])} FROM ({united}) united WHERE {_RANK} = 1"
        )

    def _has_first(self, column: Column) -> str:
        """Write the order in which the last row that has a column is the first."""
        sets = self._staging.sets
        has = "" if sets.is_of_all(column) else f"CASE WHEN {sets.has(column)} THEN 0 ELSE 1 END, "
        return f"{has}{PLACE} DESC"


def _has_default(column: Column) -> bool:
    return column.has_default
