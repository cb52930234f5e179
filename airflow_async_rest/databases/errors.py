"""What drivers raise: told by the names that PEP 249 has them call their classes, and by what a database says in it."""

from sqlalchemy.exc import DBAPIError


def original_of(error: BaseException) -> BaseException:
    """Return the driver's own error."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def message_of(error: BaseException) -> str:
    """Return what the database says, on one line."""
    return " ".join(str(original_of(error)).split())


def classes_of(error: BaseException) -> frozenset[str]:
    """Return the names of the classes that the driver's own error is of."""
    return frozenset(kind.__name__ for kind in type(original_of(error)).__mro__)


def is_of_driver(error: BaseException) -> bool:
    """Return whether a driver raises it."""
    return not classes_of(error).isdisjoint({"Error", "DatabaseError"})


def state_of(error: BaseException) -> str:
    """Return the SQLSTATE, as drivers call it; empty where there is none."""
    original = original_of(error)
    return str(getattr(original, "sqlstate", None) or getattr(original, "pgcode", None) or "")


def code_of(error: BaseException) -> int | None:
    """Return the number that a database gives its errors; None where there is none."""
    original = original_of(error)
    code = getattr(original.args[0], "code", original.args[0]) if original.args else None
    return code if isinstance(code, int) else None
