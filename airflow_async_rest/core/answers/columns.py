"""What of a row, of the item that was asked for, and of the window goes into which column. Pure."""

import base64
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from airflow_async_rest.core.answers.tally import Tally
from airflow_async_rest.core.encoding.paths import MISSING, Find, JsonPath, key_path, parse_path
from airflow_async_rest.core.errors import AnswerError, ConfigurationError

Columns = Mapping[str, str] | Sequence[str] | None

# What a path can begin with to lead elsewhere than into the row, or, for a row that has such a key itself, into it.
_ITEM, _WINDOW, _ROW = "item", "window", "row"
# What stands before a path whose text is bytes.
_BASE64 = "base64:"
_URL_SAFE = str.maketrans("-_", "+/")


class RowShape:
    """Makes of the API's rows those that are loaded.

    :param columns: column -> path in the row, or ``item.<name>``, ``window.start``, ``window.end``; with ``base64:``
        before it, where bytes are written so; or a list of columns whose paths are their names; None: every key is a
        column.
    :param known: the columns of the table that is loaded; a key that differs from one only in case is that one. Then a
        column whose path leads nowhere in a row is not among the row's; without a table, it is None.
    :param window: what ``window.`` leads into.
    :param texts: those of ``known`` that keep texts: a number there is what the API has written.
    :raises ConfigurationError: when ``columns`` cannot be read, or names one that there cannot be.
    :ivar encoded: the columns whose values are base64, and become bytes.
    :ivar names: of the columns; None: every key is one.
    :ivar asked: the paths into rows.
    :ivar item_columns: what the paths ask of the item: of each group one name, at least.
    """

    def __init__(
        self,
        columns: Columns = None,
        *,
        known: Sequence[str] | None = None,
        window: Mapping[str, Any] | None = None,
        texts: Collection[str] = (),
    ) -> None:
        self._known = {name: name for name in known} if known is not None else None
        self._folded = {name.lower(): name for name in known or ()}
        self.encoded: frozenset[str] = frozenset()
        paths = {} if columns is None else self._parse(columns)
        self.names = None if columns is None else tuple(paths)
        # Told apart once, and not for each answer.
        of: dict[str, dict[str, JsonPath]] = {_ITEM: {}, _WINDOW: {}, _ROW: {}}
        for column, (origin, path) in paths.items():
            of[origin][column] = path
        of_row = of[_ROW]
        self.item_columns = tuple(tuple(sorted(path.keys)) for path in of[_ITEM].values())
        self._of_window = {column: (window or {}).get(path.text) for column, path in of[_WINDOW].items()}
        self._of_item, self._of_row = self._compile(of[_ITEM]), self._compile(of_row)
        self.asked = tuple(path for path in of_row.values() if not path.is_constant)
        self._has_expressions = any(path.is_expression for path in of_row.values())
        self._used = frozenset[str]().union(*(path.keys for path in of_row.values()))
        # Of an expression's number it is the expression that says how it is written.
        self._texts = frozenset(
            name for name in texts if columns is None or (name in of_row and not of_row[name].computes)
        )

    def _parse(self, columns: Columns) -> dict[str, tuple[str, JsonPath]]:
        encoded: list[str] = []
        if isinstance(columns, Mapping):
            pairs = {name: _origin_and_path(_without_base64(path)) for name, path in columns.items()}
            encoded = [name for name, path in columns.items() if path != _without_base64(path)]
        elif isinstance(columns, Sequence) and not isinstance(columns, str):
            if wrong := [name for name in columns if not isinstance(name, str) or "." in name]:
                raise ConfigurationError(f"columns: {wrong[0]!r} is not a column: write {{'column': {wrong[0]!r}}}.")
            pairs = {name: (_ROW, key_path(name)) for name in columns}
        else:
            pairs = {}
        if not pairs or not all(isinstance(name, str) and name for name in pairs):
            raise ConfigurationError(
                f"columns={columns!r}: write a dict such as {{'id': 'item.id', 'label': 'location.label'}}, or a list "
                "of names."
            )
        self.encoded = frozenset(map(self._column, encoded))
        paths = {self._column(name): path for name, path in pairs.items()}
        if len(paths) < len(pairs):
            raise ConfigurationError(f"columns names one column twice: {', '.join(pairs)}.")
        return paths

    def _column(self, name: str) -> str:
        if self._known is None:
            return name
        column = self._known.get(name) or self._folded.get(name.lower())
        if column is None:
            raise ConfigurationError(
                f"columns names {name!r}, which the destination table does not have; it has: {', '.join(self._known)}."
            )
        return column

    def shape(
        self,
        rows: Sequence[Mapping[str, Any]],
        item: Mapping[str, Any],
        excerpt: Callable[[Any], str] = str,
        tally: Tally | None = None,
    ) -> list[dict[str, Any]]:
        """Make the rows that are loaded, and count the keys that are not.

        :param tally: counts what of the rows, and of the columns, leads nowhere.
        :param excerpt: shows a part of the answer.
        :raises AnswerError: when a row has nothing that is loaded: it may be an error message, for example.
        """
        if not rows:
            return []
        tally = tally or Tally()
        if self.names is None:
            return [dict(row) if self._known is None else self._same_names(row, excerpt, tally) for row in rows]
        fixed, nothing = self._fixed(item), len(self._of_row) or -1
        shaped, unfound, getters, used = [], tally.unfound.counts, self._of_row, self._used
        for row in rows:
            made, missing = fixed.copy(), nothing
            for column, find in getters:
                if (value := find(row)) is not MISSING:
                    made[column] = value
                else:
                    missing -= 1
            if not missing or (self._has_expressions and not self._has_something(row)):
                asked = ", ".join(path.text for path in self.asked)
                raise AnswerError(f"a row of the answer has nothing that columns= asks for ({asked}): {excerpt(row)!r}")
            shaped.append(made)
            if unfound:
                tally.unfound.look_at(row)
            if not row.keys() <= used:
                _ignore(row.keys() - used, tally)
        return shaped

    def check_names(self, names: Sequence[str], excerpt: Callable[[Any], str] = str) -> None:
        """Check that a file without rows has columns that are loaded.

        :param names: of its columns.
        :raises AnswerError: when it has none: it may be an error message, for example.
        """
        row = dict.fromkeys(names, "")
        if self.names is None:
            is_asked_for = self._known is None or bool(self._divided(row)[0])
        else:
            is_asked_for = self._has_something(row)
        if not is_asked_for:
            raise AnswerError(
                f"the answer has no rows, and none of its columns is loaded: {excerpt(', '.join(names))!r}"
            )

    def _has_something(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row has what is asked for, apart from what expressions make of nothing."""
        return not self.asked or any(path.is_in(row) for path in self.asked)

    def _fixed(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Return what all rows of an item have; a table has defaults for what is missing, and no table has them."""
        fixed: dict[str, Any] = dict.fromkeys(self.names or ()) if self._known is None else {}
        fixed |= self._of_window
        for column, find in self._of_item:
            if (value := find(item)) is not MISSING:
                fixed[column] = value
        return fixed

    def needs_exact_numbers(self, rows: Iterable[Mapping[str, Any]]) -> bool:
        """Return whether shaped rows have floats where their text is kept, which they do not remember."""
        for row in rows:
            for column in self._texts:
                value = row.get(column)
                if value.__class__ is not str and _has_float(value):
                    return True
        return False

    def write_exactly(self, shaped: Sequence[dict[str, Any]], rows: Sequence[Mapping[str, Any]]) -> None:
        """Put numbers as they were written into shaped rows, where they are kept as texts.

        :param rows: of which these were shaped, parsed exactly.
        """
        getters = [(column, find) for column, find in self._of_row if column in self._texts]
        for made, row in zip(shaped, rows, strict=True):
            if self.names is None:
                made |= {column: value for column, value in self._divided(row)[0].items() if column in self._texts}
            for column, find in getters:
                if (value := find(row)) is not MISSING:
                    made[column] = value

    def _compile(self, paths: Mapping[str, JsonPath]) -> list[tuple[str, Find]]:
        return [
            (column, _decoding(_getter(path)) if column in self.encoded else _getter(path))
            for column, path in paths.items()
        ]

    def _same_names(self, row: Mapping[str, Any], excerpt: Callable[[Any], str], tally: Tally) -> dict[str, Any]:
        made, extra = self._divided(row)
        if not made:
            raise AnswerError(
                f"no key of a row of the answer is a column of the table, which has {', '.join(self._known or ())}: "
                f"{excerpt(row)!r}; say what goes where with columns={{'column': 'path.in.row'}}"
            )
        _ignore(extra, tally)
        return made

    def _divided(self, row: Mapping[str, Any]) -> tuple[dict[str, Any], list[Any]]:
        """Divide a row into values of the table's columns, and keys that name no column."""
        assert self._known is not None  # noqa: S101  (for the type checker)
        made, extra = {}, []
        for key, value in row.items():
            column = self._known.get(key) or self._folded.get(str(key).lower())
            if column is None or (column != key and column in row):  # the other key is the column's very name
                extra.append(key)
            else:
                made[column] = value
        return made, extra


def _ignore(keys: Iterable[Any], tally: Tally) -> None:
    """Count the keys of a row that go into no column."""
    ignored = tally.ignored
    for key in keys:
        if key in ignored:  # as nearly all are after the first row
            ignored[key] += 1
        else:
            tally.ignore(key)


def _without_base64(path: Any) -> Any:
    return path.removeprefix(_BASE64) if isinstance(path, str) else path


def _origin_and_path(text: Any) -> tuple[str, JsonPath]:
    """Return what a path leads into: the item, the window or the row."""
    origin, _, rest = text.partition(".") if isinstance(text, str) else ("", "", "")
    if origin == _WINDOW:
        if rest not in {"start", "end"}:
            raise ConfigurationError(
                f"columns: {text!r}: write 'window.start' or 'window.end'; what the row has there is 'row.{text}'."
            )
        return _WINDOW, key_path(rest)
    if origin in {_ITEM, _ROW} and not rest:
        raise ConfigurationError(
            f"columns: {text!r}: write '{origin}.<name>'; a key of the row that is called {origin!r} is 'row.{origin}'."
        )
    if origin in {_ITEM, _ROW}:
        return origin, parse_path("columns", rest)
    return _ROW, parse_path("columns", text)


def _decoding(find: Find) -> Find:
    return lambda row: _bytes_of(find(row))


def _getter(path: JsonPath) -> Find:
    """Return what finds a path in rows, which are objects: a key without a look at the type."""
    if path.is_expression:
        return lambda row: MISSING if (value := path.find(row)) is None and not path.is_in(row) else value
    if not path.is_key:
        return path.find
    name = path.text
    return lambda row: row.get(name, MISSING)


def _has_float(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_float, value.values()))
    return isinstance(value, float) or (isinstance(value, list) and any(map(_has_float, value)))


def _bytes_of(value: Any) -> Any:
    """Decode base64, whichever alphabet, lines and padding it has; what is not base64 is told apart from any text."""
    if value is None or value is MISSING:
        return value
    try:
        text = "".join(value.split()).rstrip("=").translate(_URL_SAFE)
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (AttributeError, ValueError):
        return {"base64": value}
