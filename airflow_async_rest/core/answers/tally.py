"""What of the answers of a window leads nowhere, counted as they are read. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from airflow_async_rest.core.answers.unfound_paths import UnfoundPaths
from airflow_async_rest.core.encoding.paths import JsonPath

# Keys that rows have too many of are not all counted by name.
_MOST_IGNORED_KEYS = 50


class Tally:
    """Counts keys that go into no column, and paths at which nothing is.

    :param columns: paths into rows.
    :param next_page: paths into answers, of what leads to the next page.
    :param ignored: the count of the tries before: key -> rows.
    :param unfound: the same of paths into rows; None: there were none.
    :param shown: takes secrets out of a key.
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
        self._shown = shown

    def ignore(self, keys: Iterable[object]) -> None:
        """Count the keys of a row that go into no column."""
        for key in map(str, keys):
            if key in self.ignored:
                self.ignored[key] += 1
            elif len(self.ignored) < _MOST_IGNORED_KEYS:
                self.ignored[self._shown(key)] += 1
