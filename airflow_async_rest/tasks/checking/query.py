"""The arguments of a query, checked before there is a connection. No I/O."""

import re
from collections.abc import Mapping
from typing import Any

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.databases.binds import read_alike
from airflow_async_rest.databases.styles import WINDOW_BINDS, check_style

_NAME = re.compile(r"\w+")


def check_connection(argument: str, value: Any) -> None:
    """Check that an argument may be the id of a connection. :raises ConfigurationError: when not; names it."""
    if not isinstance(value, str) or not value.strip():
        shown = repr(value) if isinstance(value, str | int | None) else f"a {type(value).__name__}"  # with a password
        raise ConfigurationError(f"{argument}={shown}: write the id of a connection, such as 'search_api'.")


def check_parameters(parameters: Any) -> dict[str, Any]:
    """Return a query's ``parameters`` as a dict.

    :raises ConfigurationError: when they are no mapping of names; their values are not shown.
    """
    if parameters is None:
        return {}
    write = "write a dict of the binds' names and values, such as {'customer': 3} for :customer"
    if not isinstance(parameters, Mapping):
        kind = "a text" if isinstance(parameters, str) else f"a {type(parameters).__name__}"
        raise ConfigurationError(f"parameters= is {kind}: {write}; a template may stand in its values.")
    for name in parameters:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ConfigurationError(f"parameters= has the name {name!r}, which no bind can have: {write}.")
    return dict(parameters)


def check_own_parameters(parameters: Any) -> dict[str, Any]:
    """Return an operator's ``parameters`` as a dict, in which the window is not: that is the run's, or an argument's.

    :raises ConfigurationError: when it is there, or they are no mapping of names.
    """
    own = check_parameters(parameters)
    for name in sorted(WINDOW_BINDS.intersection(own)):
        raise ConfigurationError(f"parameters[{name!r}]: give it as the argument {name}= instead.")
    return own


def check_statement(sql: Any) -> None:
    """Check SQL as far as that takes no database, and no values. :raises ConfigurationError: when it is wrong."""
    if (statement := read_alike(sql)) is not None:
        check_style(statement.sql, statement.bare, ())


def check_binds(sql: Any, parameters: Any) -> None:
    """Check that each bind has a value, where all databases read the same ones.

    :raises ConfigurationError: when one has none; names it.
    """
    if sql is not None and (statement := read_alike(sql)) is not None:
        statement.check_binds(WINDOW_BINDS.union(check_parameters(parameters)))


def check_reading(chunk_size: Any, count_rows: Any, read_only: Any) -> None:
    """Check how rows are read. :raises ConfigurationError: when an argument is wrong; names it."""
    if isinstance(chunk_size, bool) or not isinstance(chunk_size, int) or chunk_size < 1:
        raise ConfigurationError(f"chunk_size={chunk_size!r}: write a whole number of rows from 1 up.")
    for name, switch in (("count_rows", count_rows), ("read_only", read_only)):
        if not isinstance(switch, bool):
            raise ConfigurationError(f"{name}={switch!r}: write True or False.")
    if count_rows and not read_only:
        raise ConfigurationError(
            "count_rows=True runs the sql twice, which with read_only=False may change data: leave one of them out."
        )
