"""Which table is loaded, and how: the arguments, checked. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.requests.builder import key_columns
from airflow_async_rest.core.spelling import hint
from airflow_async_rest.windows import Window

APPEND, REPLACE_WINDOW, UPSERT = "append", "replace_window", "upsert"
MODES = (APPEND, REPLACE_WINDOW, UPSERT)


@dataclass(frozen=True)
class LoadPlan:
    """What to load into.

    :param schema: None: the connection's own.
    :param window: whose rows are replaced; only with ``window_column``.
    :param allow_empty_window: whether its rows may be deleted where there are none to be loaded.
    :param conflict_key: columns by which a row is known to be there already; only for an upsert.
    """

    table: str
    schema: str | None = None
    mode: str = APPEND
    window_column: str | None = None
    window: Window | None = None
    conflict_key: tuple[str, ...] = ()
    allow_empty_window: bool = False

    @property
    def full_name(self) -> str:
        """The table as the author names it."""
        return f"{self.schema}.{self.table}" if self.schema else self.table


def make_plan(
    destination_table: Any,
    load_mode: Any,
    *,
    window_column: Any,
    window: Window | None,
    conflict_key: str | Sequence[str] | None,
    allow_empty_window: bool = False,
) -> LoadPlan:
    """Read the arguments of a load.

    :raises ConfigurationError: when they do not fit together; names the one that is wrong.
    """
    schema, table = parse_table(destination_table)
    check_mode(load_mode, window_column, conflict_key, allow_empty_window)
    keys = key_columns(conflict_key, "conflict_key") if conflict_key else ()
    if load_mode != REPLACE_WINDOW:
        return LoadPlan(table, schema or None, load_mode, conflict_key=keys)
    return LoadPlan(table, schema or None, load_mode, window_column, window, allow_empty_window=allow_empty_window)


def parse_table(destination_table: Any) -> tuple[str, str]:
    """Return schema and table. :raises ConfigurationError: when it names none."""
    if not isinstance(destination_table, str) or not all(map(str.strip, destination_table.split("."))):
        raise ConfigurationError(f"destination_table={destination_table!r}: write 'table' or 'schema.table'.")
    schema, _, table = destination_table.rpartition(".")
    return schema, table


def parse_mode(load_mode: Any) -> str:
    """Return the mode. :raises ConfigurationError: when it is not one of :data:`MODES`."""
    if load_mode not in MODES:
        raise ConfigurationError(f"load_mode={load_mode!r}: write one of {', '.join(MODES)}.{hint(load_mode, MODES)}")
    return load_mode  # type: ignore[no-any-return]


def check_mode(load_mode: Any, window_column: Any, conflict_key: Any, allow_empty_window: Any) -> None:
    """Check a mode and what belongs to it. :raises ConfigurationError: when they do not fit; names what is wrong."""
    mode = parse_mode(load_mode)
    if window_column not in (None, "") and not (isinstance(window_column, str) and window_column.strip()):
        raise ConfigurationError(f"window_column={window_column!r}: write a column's name.")
    _check_pair(mode, REPLACE_WINDOW, "window_column", window_column, "the column that tells a row's window")
    _check_pair(mode, UPSERT, "conflict_key", conflict_key, "the column or columns that identify a row")
    if not isinstance(allow_empty_window, bool):
        raise ConfigurationError(f"allow_empty_window={allow_empty_window!r}: write True or False.")
    if allow_empty_window and mode != REPLACE_WINDOW:
        raise _belongs_elsewhere("allow_empty_window", REPLACE_WINDOW, mode)


def _check_pair(mode: str, its_mode: str, argument: str, value: Any, what: str) -> None:
    if mode == its_mode and not value:
        raise ConfigurationError(f"load_mode={its_mode!r} needs {argument}=: {what}.")
    if mode != its_mode and value:
        raise _belongs_elsewhere(argument, its_mode, mode)


def _belongs_elsewhere(argument: str, its_mode: str, mode: str) -> ConfigurationError:
    return ConfigurationError(
        f"{argument} belongs to load_mode={its_mode!r}, but load_mode is {mode!r}: write that one, or leave this out."
    )
