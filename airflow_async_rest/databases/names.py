"""Names as they are written in SQL, whatever they are made of."""

from sqlalchemy.engine import Dialect


def quoted(name: str, dialect: Dialect, *, is_schema: bool = False) -> str:
    """Write a name for ``sqlalchemy.text``: in quotes where it needs them, its colons marked as no beginning of a bind.

    :param is_schema: whether it is a schema's, which may have its database's before it.
    """
    preparer = dialect.identifier_preparer
    quote = preparer.quote_schema if is_schema else preparer.quote
    written = quote(name)
    if "%%" in quote("%"):  # for some drivers SQLAlchemy doubles these, and text() does it once more
        written = written.replace("%%", "%")
    return written.replace(":", "\\:")


def without_marks(statement: str) -> str:
    """Return a statement with names for ``text`` as the database reads it: for a driver's own cursor."""
    return statement.replace("\\:", ":")
