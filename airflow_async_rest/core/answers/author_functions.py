"""Calling the functions of DAG authors that make something of an answer: plain ones only."""

import inspect
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine
from typing import Any

from airflow_async_rest.core.errors import ConfigurationError

_PLAIN = "it is an async function; write a plain one"


def check_plain(argument: str, function: Callable[..., Any]) -> None:
    """Check that a function is no async one, as far as that can be seen. :raises ConfigurationError: when it is."""
    for one in (function, getattr(function, "__call__", None)):  # noqa: B004  (an object's own method)
        if inspect.iscoroutinefunction(one) or inspect.isasyncgenfunction(one):
            raise ConfigurationError(f"{argument}={name_of(function)}: {_PLAIN}.")


def call(function: Callable[..., Any], *given: Any) -> Any:
    """Call a function. :raises TypeError: when it is an async one after all; else what it raises."""
    made = function(*given)
    if isinstance(made, Coroutine):
        made.close()
    if isinstance(made, Awaitable | AsyncIterable):
        raise TypeError(_PLAIN)
    return made


def name_of(function: Callable[..., Any]) -> str:
    """Return what a function is called, for people."""
    function = getattr(function, "func", function)  # of a partial
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)
