"""What of the answers of a window leads nowhere: keys, and paths that are most likely written wrongly. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from itertools import islice
from typing import Any

from airflow_async_rest.core.encoding.paths import JsonPath, written_path
from airflow_async_rest.core.letters.shown import visible

# Keys that rows have too many of are not all counted by name.
_MOST_IGNORED_KEYS = 50
# What rows have instead is looked for in so many of them, so many keys of each, and so deep.
_MOST_ROWS, _MOST_KEYS, _MOST_DEPTH = 20, 200, 5
# Last pages, as full as any, that are looked at for what says that there is another one.
MOST_LOOKS = 20
_ALIKE, _VERY_MUCH_ALIKE = 0.6, 0.8


class UnfoundPaths:
    """Counts the rows that do not have a path, until one has it.

    :param paths: into rows.
    :param earlier: the count of the tries before; None: there were none.
    :ivar counts: path -> rows.
    """

    def __init__(self, paths: Iterable[JsonPath], earlier: Mapping[str, int] | None = None) -> None:
        self._paths = {path.text: path for path in paths}
        self._keys: dict[str, str] = {}
        self._rows = 0
        self.counts = dict.fromkeys(self._paths, 0) if earlier is None else dict(earlier)

    def look_at(self, row: Mapping[str, Any]) -> None:
        """Look for the paths that no row before had."""
        for text in list(self.counts):
            path = self._paths.get(text)
            if path is None or path.is_in(row):
                del self.counts[text]
            else:
                self.counts[text] += 1
        if self.counts and self._rows < _MOST_ROWS:
            self._rows += 1
            found = islice(_keys_in(row), _MOST_KEYS)
            self._keys.update((".".join(map(str, names)), written_path(names)) for names in found)

    def nearest(self, text: str) -> str | None:
        """Return the path of the rows that one was most likely meant to be, if any is like it."""
        whole = {key.lower(): path for key, path in self._keys.items()}
        return _nearest(text, whole, _ALIKE) or self._same_last_name(text)

    def _same_last_name(self, text: str) -> str | None:
        last = {key.rpartition(".")[2].lower(): path for key, path in reversed(self._keys.items())}
        return _nearest(text.rpartition(".")[2], last, _VERY_MUCH_ALIKE)

    def misspelled(self) -> dict[str, str]:
        """Return the paths that nothing had, and what is called nearly so, wherever it is: path -> path."""
        near = {text: self._same_last_name(text) for text, count in self.counts.items() if count}
        return {text: path for text, path in near.items() if path is not None}


def _nearest(text: str, keys: Mapping[str, str], cutoff: float) -> str | None:
    [*found] = get_close_matches(text.lower(), keys, 1, cutoff)
    return keys[found[0]] if found else None


def _keys_in(value: Any, *before: str | int) -> Iterator[tuple[str | int, ...]]:
    """Yield the paths of what is in a row, as keys and places; of a list, those of its first entry."""
    if isinstance(value, list):
        value = dict(enumerate(value[:1]))
    if not isinstance(value, Mapping) or len(before) == _MOST_DEPTH:
        return
    for name, inner in value.items():
        names = *before, name if isinstance(name, int) else str(name)
        yield names
        yield from _keys_in(inner, *names)


class Tally:
    """Counts keys that go into no column, and paths at which nothing is.

    :param columns: paths into rows.
    :param next_page: paths into answers, of what leads to the next page.
    :param ignored: the count of the tries before: key -> rows.
    :param unfound: the same of paths into rows; None: there were none.
    :param shown: takes secrets out of a key.
    :ivar unasked: where an item's last answer says that there is a next page, which nobody asks for.
    :ivar full_size: most rows of such an answer, and ``looks`` how many more of that size are looked at.
    """

    def __init__(
        self,
        columns: Iterable[JsonPath] = (),
        next_page: Iterable[JsonPath] = (),
        *,
        ignored: Mapping[str, int] | None = None,
        unfound: Mapping[str, int] | None = None,
        shown: Callable[[str], str] = str,
    ) -> None:
        self.ignored = Counter(ignored)
        self.unfound = UnfoundPaths(columns, unfound)
        self.unfound_next = UnfoundPaths(next_page)
        self.unasked: str | None = None
        self.full_size, self.looks = 0, MOST_LOOKS
        self._shown = shown

    def ignore(self, key: object) -> None:
        """Count a key of a row that goes into no column."""
        name = str(key)
        if name in self.ignored:
            self.ignored[name] += 1
        elif len(self.ignored) < _MOST_IGNORED_KEYS:
            # Neither NUL nor half a character is in what Airflow can keep as the task's return value.
            self.ignored[visible(self._shown(name))] += 1
