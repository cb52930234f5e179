"""What the operators do when Airflow has taken note of what became of a task."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import Context


def after_success(arguments: dict[str, Any], own: "Callable[[Context], None]") -> "list[Callable[[Context], None]]":
    """Return the callbacks of a task's success: its author's, which are taken out of the arguments, then our own."""
    given = arguments.pop("on_success_callback", None) or []
    return [*given, own] if isinstance(given, Sequence) else [given, own]
