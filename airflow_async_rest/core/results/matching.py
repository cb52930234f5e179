"""Which item of a batch an entry of the answer is about. Pure."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from airflow_async_rest.core.errors import ResultsError
from airflow_async_rest.core.models import ItemResult

Id = str | None


def check_count(entries: Sequence[Any], count: int) -> None:
    """Check that there is an entry for each item. :raises ResultsError: when not."""
    if len(entries) != count:
        raise ResultsError(f"the answer has {len(entries)} results for {count} items")


def check_positions(said: Sequence[Id], sent: Sequence[Id]) -> None:
    """Check that entries that have an id stand where it was sent. :raises ResultsError: when not."""
    for theirs, own in zip(said, sent, strict=True):
        if theirs is not None and own is not None and theirs != own:
            raise ResultsError(f"a result is about {theirs!r}, where {own!r} was sent")


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
    if not known or {*map(_folded, known)}.isdisjoint(map(_folded, sent)):  # no ids, or such as the API has made up
        return True
    if any(theirs not in (None, own) for theirs, own in zip(said, sent, strict=True)):
        return False
    return len(known) > 1 or len(said) - said.count(None) == 1


def _folded(one: Id) -> Id:
    """Write an id as others may spell it: in small letters, without blanks around it and zeros before it."""
    return None if one is None else one.strip().casefold().lstrip("0") or "0"


def _alike_spelled(said: Sequence[Id], sent: Sequence[Id]) -> tuple[Sequence[Id], Sequence[Id]]:
    """Return ids that compare: as they are, or where that finds none and it is certain, however they are spelled."""
    if not set(said).isdisjoint(set(sent) - {None}):
        return said, sent
    theirs, own = [*map(_folded, said)], [*map(_folded, sent)]
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
