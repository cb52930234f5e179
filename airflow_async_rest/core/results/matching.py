"""Which item of a batch an entry of the answer is about: by its place, or by an id as it was sent. Pure."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from airflow_async_rest.core.answers.formats import parse_json
from airflow_async_rest.core.encoding.json_encoder import encode_anything
from airflow_async_rest.core.encoding.paths import MISSING, Names, compile_path, follow, present
from airflow_async_rest.core.errors import ResultsError
from airflow_async_rest.core.models import ItemResult
from airflow_async_rest.core.spelling import counted

Id = str | None

_LONGEST = 8_000  # of which a few hundred characters are shown
_LONGEST_INDEX = 9  # digits
_MOST_ZEROS = 100
_TIME = re.compile(r"\s*\d{4}-\d\d-\d\d[T ]\d")
_GUID = re.compile(r"\{?[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}\}?")
_OF_GUID = re.compile(r"[{}-]")


def short(value: Any) -> str:
    """Write down what an answer says; its beginning is shown, without secrets, in a dead letter."""
    text = value if isinstance(value, str) else encode_anything(None if value is MISSING else value).decode()
    return text[:_LONGEST]


def id_text(value: Any) -> str:
    """Write a JSON value so that it compares: 7 and "7", 1.50 and 1.5 are the same."""
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal | float):
        number = Decimal(str(value))
        if abs(number.adjusted()) > _MOST_ZEROS:
            return str(number)
        text = format(number, "f")  # exact, which normalize() is only to 28 digits
        return text.rstrip("0").rstrip(".") if "." in text else text
    return str(value) if type(value) is int else encode_anything(value).decode().strip('"')


def known_id(value: Any) -> str | None:
    """Write an id of an answer; None where it names nothing."""
    return None if value is MISSING or value is None else id_text(value) or None


class SentIds:
    """Takes ids out of payloads, as JSON has them.

    :param paths: where they are, one for each kind of id.
    :param encode: payload -> JSON.
    """

    def __init__(self, paths: tuple[Names, ...], encode: Callable[[Any], bytes]) -> None:
        self._paths = paths
        self._encode = encode
        self._name = paths[0][0] if len(paths) == 1 and len(paths[0]) == 1 else None

    def take(self, payload: Any) -> tuple[Id, ...]:
        """Return the ids of a payload that has been encoded, in the order of the paths."""
        if self._name is not None and isinstance(payload, dict):
            value = payload.get(self._name)
            return (str(value) if type(value) is int else self._text(value),)
        return tuple([self._text(self._follow(payload, path)) for path in self._paths])

    def _follow(self, value: Any, path: Names) -> Any:
        for name in path:
            if value is not MISSING and not isinstance(value, Mapping | list):  # as JSON that is embedded as it is
                value = self._parse(value)
            value = follow(value, (name,))
        return value

    def _text(self, value: Any) -> str | None:
        if type(value) is str:
            return value or None
        return None if value is None or value is MISSING else known_id(self._parse(value))

    def _parse(self, value: Any) -> Any:
        try:
            return parse_json(self._encode(value))
        except RecursionError:
            return MISSING


class Places:
    """What entries name their items by.

    :param paths: of the index or id in an entry; the first that is there counts.
    :param first_index: see :class:`~airflow_async_rest.core.results.results.Results`.
    """

    def __init__(self, paths: Sequence[str | Names], first_index: int) -> None:
        self._finds = list(enumerate(map(compile_path, paths)))
        self._first_index = first_index

    def named_by(self, entry: Any) -> tuple[int, list[Any]] | None:
        """Return what an entry names, and by which path; None: nothing."""
        for number, find in self._finds:
            if named := present(find(entry)):
                return number, named
        return None

    def id_of(self, entry: Any) -> str | None:
        """Return the id that an entry has; None: it has none."""
        for _, find in self._finds:
            for value in find(entry):
                if type(value) is str and value:
                    return value
                if (text := known_id(value)) is not None:
                    return text
        return None

    def indices_of(self, entry: Any, count: int) -> list[int]:
        """Return the places of the items that an entry names. :raises ResultsError: when it names none of them."""
        named = self.named_by(entry)
        if named is None:
            raise ResultsError(f"an entry names no item: {short(entry)}")
        indices = [_index(value) for value in named[1]]
        places = [index - self._first_index for index in indices if index is not None]
        if len(places) < len(indices) or not all(0 <= place < count for place in places):
            raise ResultsError(
                f"an entry is about an item that is not one of the {count} that were sent: {short(entry)}"
            )
        return places


def _index(value: Any) -> int | None:
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) <= _LONGEST_INDEX else None
    return value if type(value) is int else None


def check_count(entries: Sequence[Any], count: int) -> None:
    """Check that there is an entry for each item. :raises ResultsError: when not."""
    if len(entries) != count:
        raise ResultsError(f"the answer has {counted(len(entries), 'result')} for {counted(count, 'item')}")


def check_positions(said: Sequence[Id], sent: Sequence[Id]) -> None:
    """Check that entries that have an id stand where it was sent. :raises ResultsError: when not."""
    if _stranger(said, sent) and (stranger := _stranger(*_alike_spelled(said, sent))):
        raise ResultsError(f"a result is about {stranger[0]!r}, where {stranger[1]!r} was sent")


def _stranger(said: Sequence[Id], sent: Sequence[Id]) -> tuple[str, str] | None:
    """Return the first id that stands where another one was sent, and that one; None: there is none."""
    for theirs, own in zip(said, sent, strict=True):
        if theirs is not None and own is not None and theirs != own:
            return theirs, own
    return None


def match_by_index(pairs: Sequence[tuple[int, ItemResult]], count: int) -> list[ItemResult]:
    """Put results in the order of their items. :raises ResultsError: when there is not one for each."""
    of_place = dict(pairs)
    if len(of_place) < len(pairs):
        raise ResultsError("two results have the same index")
    check_count(pairs, count)
    return [of_place[place] for place in range(count)]


def match_by_id(
    said: Sequence[Id], sent: Sequence[Id], results: Sequence[ItemResult], *, order_counts: bool
) -> list[ItemResult]:
    """Put results in the order of their items.

    An entry is about the item that was sent with its id. Where several have the same, or some none, what is left may
    be settled all the same: by elimination, or because all entries that are left say the same.

    :param said: the ids of the entries.
    :param sent: the ids of the items.
    :param order_counts: whether entries are in the order of the items unless their ids say otherwise.
    :raises ResultsError: when an item's result is not certain.
    """
    if order_counts and _is_in_order(said, sent):
        if not _agree(range(len(results)), results) and _are_places(said):
            raise ResultsError(
                "the results have numbers of their own, in another order: where these are places in the request, write "
                "Results(match='index', at=..., first_index=...), and else match='position'"
            )
        return list(results)
    said, sent = _alike_spelled(said, sent)
    matched: list[ItemResult | None] = [None] * len(sent)
    entries, items = _places(said), _places(sent)
    for own, of_own in [(own, of_own) for own, of_own in items.items() if own is not None]:
        theirs = entries.get(own, [])
        if len(theirs) == len(of_own) and _agree(theirs, results):
            for item, entry in zip(of_own, theirs, strict=True):
                matched[item] = results[entry]
            del entries[own], items[own]
    left = [entry for places in entries.values() for entry in places]
    if not _can_be_matched(entries, items) or not _agree(left, results):
        raise ResultsError(
            "the results are not in the order of the items, and the keys that were sent do not tell which "
            "result belongs to which item"
        )
    for item, entry in zip((item for places in items.values() for item in places), left, strict=True):
        matched[item] = results[entry]
    return [result for result in matched if result is not None]


def _is_in_order(said: Sequence[Id], sent: Sequence[Id]) -> bool:
    """Return whether nothing speaks against the order of the items, and something for it where ids are repeated."""
    known = set(said) - {None}
    if any(theirs not in (None, own) for theirs, own in zip(said, sent, strict=True)):
        return not share_one(said, sent)  # they are such as the API has made up
    return len(known) != 1 or len(said) - said.count(None) == 1


def _are_places(said: Sequence[Id]) -> bool:
    """Return whether ids may be the places of items in the request, and so that they speak against the order."""
    places = [-1 if (place := _index(one)) is None else place for one in said]
    first = min(places)
    return first in {0, 1} and places != sorted(places) and sorted(places) == [*range(first, first + len(places))]


def share_one(said: Sequence[Id], sent: Sequence[Id]) -> bool:
    """Return whether one of the ids of an answer was sent, however it is spelled."""
    return not {*map(folded, {*said} - {None})}.isdisjoint(map(folded, sent))


def places_of(names: Sequence[str], first_index: int) -> list[int]:
    """Read names as the places of items; none where they are something else, or do not name each once."""
    indices = [_index(name) for name in names]
    places = [index - first_index for index in indices if index is not None]
    return places if sorted(places) == [*range(len(names))] else []


def folded(one: Id) -> Id:
    """Write an id as others may spell it: in small letters, without blanks around it and zeros before it.

    A time is written in UTC, and a GUID without what stands between its digits.
    """
    if one is None:
        return None
    if _TIME.match(one):
        with suppress(ValueError, OverflowError):
            when = datetime.fromisoformat(one.strip())
            return (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    plain = one.strip().casefold()
    return (_OF_GUID.sub("", plain) if _GUID.fullmatch(plain) else plain).lstrip("0") or "0"


def _alike_spelled(said: Sequence[Id], sent: Sequence[Id]) -> tuple[Sequence[Id], Sequence[Id]]:
    """Return ids that compare: as they are, or where that finds none and it is certain, however they are spelled."""
    if not set(said).isdisjoint(set(sent) - {None}):
        return said, sent
    theirs, own = [*map(folded, said)], [*map(folded, sent)]
    certain = len(set(theirs)) == len(set(said)) and len(set(own)) == len(set(sent))
    return (theirs, own) if certain else (said, sent)


def _places(ids: Sequence[Id]) -> dict[Id, list[int]]:
    places = defaultdict[Id, list[int]](list)
    for place, one in enumerate(ids):
        places[one].append(place)
    return dict(places)


def _agree(entries: Sequence[int], results: Sequence[ItemResult]) -> bool:
    return len({results[entry].verdict for entry in entries}) <= 1


def _can_be_matched(entries: dict[Id, list[int]], items: dict[Id, list[int]]) -> bool:
    """Return whether each entry can be about an item: of the same id, or one of them without any."""
    theirs = Counter({one: len(places) for one, places in entries.items()})
    own = Counter({one: len(places) for one, places in items.items()})
    without_theirs, without_own = theirs.pop(None, 0), own.pop(None, 0)
    return (theirs - own).total() <= without_own and (own - theirs).total() <= without_theirs
