"""What of a row, of the item that was asked for, and of the window goes into which column. Pure."""

import base64
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from airflow_async_rest.core.errors import ConfigurationError

Path = tuple[str, ...]
Columns = Mapping[str, str] | Sequence[str] | None

# What a path can begin with to lead elsewhere than into the row, or, for a row that has such a key itself, into it.
_ITEM, _WINDOW, _ROW = "item", "window", "row"
# What stands before a path whose text is bytes.
_BASE64 = "base64:"
# Keys that rows have too many of are not all counted by name.
_MOST_IGNORED_KEYS = 50


_URL_SAFE = str.maketrans("-_", "+/")
MISSING: Final = object()


def follow(value: Any, path: Path) -> Any:
    """Go along a path in JSON, such as ``("hits", "0", "id")``. :return: MISSING where it leads nowhere."""
    for name in path:
        if isinstance(value, Mapping):
            value = value.get(name, MISSING)
        elif isinstance(value, list) and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            return MISSING
    return value


def parse_path(argument: str, path: Any) -> Path:
    """Read a path such as ``data.items`` or ``hits.0.id``.

    :raises ConfigurationError: when it is none; names the argument.
    """
    names = tuple(path.split(".")) if isinstance(path, str) else ()
    if not names or not all(names):
        raise ConfigurationError(f"{argument}: {path!r} is no path; write names with dots between, as 'data.items'.")
    return names


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
    """

    def __init__(
        self,
        columns: Columns = None,
        *,
        known: Sequence[str] | None = None,
        window: Mapping[str, Any] | None = None,
        texts: Collection[str] = (),
    ) -> None:
        self._window = window or {}
        self._known = {name: name for name in known} if known is not None else None
        self._folded = {name.lower(): name for name in known or ()}
        self._encoded: frozenset[str] = frozenset()
        self._paths = None if columns is None else self._parse(columns)
        self.names = tuple(self._paths) if self._paths is not None else None
        # Told apart once, and not for each answer.
        paths = self._paths or {}
        self._of_item = {column: path[1:] for column, path in paths.items() if path[0] == _ITEM}
        self._of_window = {column: self._window.get(path[1]) for column, path in paths.items() if path[0] == _WINDOW}
        of_row = {
            column: path[1:] if path[0] == _ROW else path
            for column, path in paths.items()
            if path[0] not in {_ITEM, _WINDOW}
        }
        self._getters = [(column, self._getter(column, path)) for column, path in of_row.items()]
        self._used = {path[0] for path in of_row.values()}
        self._texts = [name for name in texts if self._paths is None or name in paths]
        self.ignored: Counter[str] = Counter()

    def _parse(self, columns: Columns) -> dict[str, Path]:
        if isinstance(columns, Mapping):
            pairs = dict(columns)
        elif isinstance(columns, Sequence) and not isinstance(columns, str):
            if wrong := [name for name in columns if not isinstance(name, str) or "." in name]:
                raise ConfigurationError(f"columns: {wrong[0]!r} is no column: write {{'column': {wrong[0]!r}}}.")
            pairs = {name: f"{_ROW}.{name}" for name in columns}
        else:
            pairs = {}
        if not pairs or not all(isinstance(name, str) and name for name in pairs):
            raise ConfigurationError(
                f"columns={columns!r}: write a dict such as {{'id': 'item.id', 'label': 'location.label'}}, or a list "
                "of names."
            )
        encoded = {name for name, path in pairs.items() if isinstance(path, str) and path.startswith(_BASE64)}
        pairs |= {name: pairs[name].removeprefix(_BASE64) for name in encoded}
        self._encoded = frozenset(map(self._column, encoded))
        paths = {self._column(name): parse_path("columns", path) for name, path in pairs.items()}
        if len(paths) < len(pairs):
            raise ConfigurationError(f"columns names one column twice: {', '.join(pairs)}.")
        for path in paths.values():
            if path[0] == _WINDOW and path[1:] not in {("start",), ("end",)}:
                raise ConfigurationError(f"columns: {'.'.join(path)!r}: write 'window.start' or 'window.end'.")
            if path in {(_ITEM,), (_ROW,)}:
                raise ConfigurationError(
                    f"columns: {path[0]!r}: write '{path[0]}.<name>'; a key of the row that is called {path[0]!r} is "
                    f"'row.{path[0]}'."
                )
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

    @property
    def item_columns(self) -> tuple[str, ...]:
        """What the paths ask of the item."""
        return tuple(path[0] for path in self._of_item.values())

    def shape(self, rows: Sequence[Mapping[str, Any]], item: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Make the rows that are loaded, and count the keys that are not."""
        if not rows:
            return []
        if self._paths is None:
            return [self._same_names(row) for row in rows] if self._known is not None else [dict(row) for row in rows]
        fixed: dict[str, Any] = dict.fromkeys(self._paths)  # in the author's order
        fixed |= self._of_window
        for column, path in self._of_item.items():
            fixed[column] = self._getter(column, path)(item)
        of_item_is_whole = not any(value is MISSING for value in fixed.values())
        shaped = []
        for row in rows:
            made, is_whole = fixed.copy(), of_item_is_whole
            for column, get in self._getters:
                made[column] = value = get(row)
                if value is MISSING:
                    is_whole = False
            shaped.append(made if is_whole else self._without_missing(made))
            if not row.keys() <= self._used:
                self._ignore(row.keys() - self._used)
        return shaped

    def needs_exact_numbers(self, rows: Iterable[Mapping[str, Any]]) -> bool:
        """Tell whether shaped rows have floats where their text is kept, which they do not remember."""
        for row in rows:
            for column in self._texts:
                value = row.get(column)
                if value.__class__ is not str and _has_float(value):
                    return True
        return False

    def shape_again(self, rows: Sequence[Mapping[str, Any]], item: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Make the rows that are loaded of others with the same keys, which are counted already."""
        counted, self.ignored = self.ignored, Counter()
        try:
            return self.shape(rows, item)
        finally:
            self.ignored = counted

    def _getter(self, column: str, path: Path) -> Callable[[Mapping[str, Any]], Any]:
        get = _getter(path)
        return (lambda row: _bytes_of(get(row))) if column in self._encoded else get

    def _without_missing(self, made: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values that there are: a table has defaults for the others, and no table has them."""
        if self._known is None:
            return {column: None if value is MISSING else value for column, value in made.items()}
        return {column: value for column, value in made.items() if value is not MISSING}

    def _same_names(self, row: Mapping[str, Any]) -> dict[str, Any]:
        assert self._known is not None  # noqa: S101  (for the type checker)
        made, extra = {}, []
        for key, value in row.items():
            column = self._known.get(key) or self._folded.get(str(key).lower())
            if column is None or (column != key and column in row):  # the other key is the column's very name
                extra.append(key)
            else:
                made[column] = value
        if extra:
            self._ignore(extra)
        return made

    def _ignore(self, keys: Iterable[Any]) -> None:
        for key in map(str, keys):
            if key in self.ignored or len(self.ignored) < _MOST_IGNORED_KEYS:
                self.ignored[key] += 1


def _has_float(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_float, value.values()))
    return isinstance(value, float) or (isinstance(value, list) and any(map(_has_float, value)))


def _getter(path: Path) -> Callable[[Mapping[str, Any]], Any]:
    if len(path) == 1:
        [name] = path
        return lambda row: row.get(name, MISSING)
    return lambda row: follow(row, path)


def _bytes_of(value: Any) -> Any:
    """Decode base64, whichever alphabet, lines and padding it has; what is none is told apart from any text."""
    if value is None or value is MISSING:
        return value
    try:
        text = "".join(value.split()).rstrip("=").translate(_URL_SAFE)
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (AttributeError, ValueError):
        return {"base64": value}
