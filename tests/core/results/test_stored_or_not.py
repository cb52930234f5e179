"""Whatever payloads look like, and however an API answers: what counts as delivered is what it stored."""

import json
import os
from dataclasses import dataclass

import pytest
from batches import read_batch
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_async_rest import RESULTS, Results
from airflow_async_rest.core.errors import ResultsError
from airflow_async_rest.core.models import Response, Verdict

EXAMPLES = 500 if os.environ.get("CI") else 50
BAD = {"message": "too hot"}


@dataclass
class Sent:
    """An item as the API got it, and what it did with it.

    :ivar code: of the failure; None: it is stored.
    """

    payload: dict
    code: object = None

    def id(self, name="id"):
        return self.payload.get(name)


def by_status(sent, name="id"):
    status = {None: 201, "again": 503}.get(sent.code, 422)
    return {name: sent.id(name), "status": status} if name in sent.payload else {"status": status}


def listed(make):
    """All of them, an entry each, perhaps under a name."""
    return lambda batch, chance: (200, [make(sent) for sent in batch])


def under(name, make):
    return lambda batch, chance: (200, {name: [make(sent) for sent in batch]})


def failures(name, make, status=200, **more):
    """Only those that failed: ``make`` is told the place, too."""

    def answer(batch, chance):
        failed = [make(sent, place) for place, sent in enumerate(batch) if sent.code is not None]
        return (status if failed else 200), {**more, **({name: chance(failed)} if failed else {})}

    return answer


def elasticsearch(batch, chance):
    items = [{"index": {"_id": str(sent.id("_id")), "status": by_status(sent)["status"]}} for sent in batch]
    return 200, {"errors": any(sent.code for sent in batch), "items": items}


def splunk(batch, chance):
    """It stops at the first one that is bad."""
    first = next((place for place, sent in enumerate(batch) if sent.code is not None), None)
    if first is None:
        return 200, {"text": "Success", "code": 0}
    for sent in batch[first + 1 :]:
        sent.code = "again"
    code = 9 if batch[first].code == "again" else 6
    return (503 if code == 9 else 400), {"text": "no", "code": code, "invalid-event-number": first}


def hubspot(batch, chance):
    failed = [sent for sent in batch if sent.code is not None]
    errors = [{"message": "no", "context": {"ids": [sent.id()]}} for sent in failed]
    return (207 if failed else 200), {
        "status": "COMPLETE",
        "results": [{"id": sent.id()} for sent in batch if sent.code is None],
        **({"errors": chance(errors)} if errors else {}),
    }


def aws(stored, again):
    def entry(sent):
        return {stored: "1"} if sent.code is None else {"ErrorCode": again if sent.code == "again" else "Invalid"}

    return entry


def of_fcm(sent):
    return {"message_id": "1"} if sent.code is None else {"error": "Unavailable" if sent.code == "again" else "Invalid"}


def of_salesforce(sent):
    code = "UNABLE_TO_LOCK_ROW" if sent.code == "again" else "REQUIRED_FIELD_MISSING"
    return {"success": sent.code is None, "errors": [] if sent.code is None else [{"statusCode": code}]}


def graphql(batch, chance):
    errors = [{"userErrors": [] if sent.code is None else [BAD]} for sent in batch]
    if len(batch) % 2:
        return 200, {"data": {f"m{place}": one for place, one in enumerate(errors)}}
    return 200, [{"data": {"set": one}} for one in errors]


def of_marketo(sent):
    code = "1022" if sent.code == "again" else "1004"
    return {"status": "created"} if sent.code is None else {"status": "skipped", "reasons": [{"code": code}]}


def typesense(batch, chance):
    codes = {"again": 503}
    lines = [
        {"success": True}
        if sent.code is None
        else {"success": False, "code": codes.get(sent.code, 400), "error": "no", "document": "{"}
        for sent in batch
    ]
    return 200, b"\n".join(json.dumps(line).encode() for line in lines)


def keyed(status=200, name="id"):
    """An entry each, in any order, with the id that was sent; those of one id are in theirs."""

    def answer(batch, chance):
        return status, chance([by_status(sent, name) for sent in batch], key=lambda entry: str(entry.get(name)))

    return answer


def named(batch, chance):
    """An object with an entry under each id, in any order."""
    return 200, {"by_id": dict(chance([(str(sent.id()), {"status": by_status(sent)["status"]}) for sent in batch]))}


def of_bigquery(sent, place):
    return {"index": place, "errors": [{"reason": "stopped" if sent.code == "again" else "invalid"}]}


# Name -> the API's answer; those of a reader of one's own by the reader.
APIS = {
    "elasticsearch": elasticsearch,
    "multi_status": keyed(207),
    "list": keyed(),
    "bigquery": failures("insertErrors", of_bigquery, kind="..."),
    "braze": failures("errors", lambda sent, place: {"type": "no", "index": place}, 201, message="success"),
    "splunk_hec": splunk,
    "hubspot": hubspot,
    "kinesis": under("Records", aws("SequenceNumber", "ProvisionedThroughputExceededException")),
    "firehose": under("RequestResponses", aws("RecordId", "ServiceUnavailableException")),
    "fcm": under("results", of_fcm),
    "salesforce": listed(of_salesforce),
    "graphql": graphql,
    "marketo": under("result", of_marketo),
    "typesense": typesense,
    Results(match="id"): keyed(),
    Results(match="id", key="ref", status="status"): keyed(name="ref"),
    Results(entries="by_id.*"): named,
    Results(lists="failures", entries="bad"): failures("bad", lambda sent, place: {"id": sent.id()}),
    Results(lists="failures", entries="bad", match="index", at="n", first_index=1): failures(
        "bad", lambda sent, place: {"n": str(place + 1)}
    ),
}
# What those APIs do not tell apart, or the model does not: one verdict for all failures.
TELL_NO_RETRIES = {"braze", "hubspot", "graphql", *(key for key in APIS if isinstance(key, Results))}

ids = st.integers(0, 6) | st.integers(0, 6).map(str)
payloads = st.fixed_dictionaries({"value": st.integers(0, 9)}, optional={"id": ids, "ref": ids, "sensor": ids}).map(
    dict
)
codes = st.sampled_from([None, None, None, "bad", "again"])
# What may go wrong on the way: entries are lost, one of them cannot be read, or is about another batch.
mishaps = st.sampled_from([None, None, None, "lose", "blank", "stranger"])


def spoil(results, answer, mishap, place):
    """Make a mishap of an answer. :return: whether one could be made."""
    only_failures = RESULTS.get(results, results).lists == "failures"
    if isinstance(answer, bytes) or (mishap == "lose" and only_failures):  # which says that it is stored
        return False
    entries = answer if isinstance(answer, list) else next((v for v in answer.values() if isinstance(v, list)), None)
    if not entries:
        return False
    place %= len(entries)
    if mishap == "stranger" and not only_failures and not any("id" in one for one in entries if one != entries[place]):
        return False  # an id that the API has made up looks the same
    if mishap == "lose":
        del entries[place]
    elif mishap == "blank":
        entries[place] = {}
    else:
        entries[place] = {**entries[place], "id": "of another batch", "index": 99, "n": 99}
    return True


def is_certain(results, payloads):
    """Tell whether ids, where they count, leave no doubt."""
    ids = [str(payload.get("ref" if results.key == "ref" else "id")) for payload in payloads]
    return results.match in {"position", "index"} or ("None" not in ids and len(set(ids)) == len(ids))


def test_each_named_reader_has_an_api():
    assert set(RESULTS) <= set(APIS)


@pytest.mark.slow("many examples for each API")
@pytest.mark.parametrize("results", APIS, ids=lambda results: results if isinstance(results, str) else "own")
@settings(max_examples=EXAMPLES)
@given(
    rows=st.lists(st.tuples(payloads, codes), min_size=1, max_size=8),
    mishap=mishaps,
    place=st.integers(0, 7),
    shuffle=st.randoms(use_true_random=False),
    in_order=st.booleans(),
)
def test_an_item_counts_as_delivered_if_and_only_if_it_is_stored(results, rows, mishap, place, shuffle, in_order):
    def chance(entries, key=None):
        """Shuffle, but for entries of one id, be it a number or its text: nobody could tell them apart."""
        if in_order:
            return entries
        order = list(range(len(entries)))
        shuffle.shuffle(order)
        shuffled = [entries[one] for one in order]
        if key is not None:
            queues = {}
            for entry in entries:
                queues.setdefault(key(entry), []).append(entry)
            shuffled = [queues[key(entry)].pop(0) for entry in shuffled]
        return shuffled

    own = [
        dict(payload, _id=number) if results == "elasticsearch" else payload for number, (payload, _) in enumerate(rows)
    ]
    batch = [Sent(payload, code) for payload, (_, code) in zip(own, rows, strict=True)]
    status, answer = APIS[results](batch, chance)
    spoiled = mishap is not None and spoil(results, answer, mishap, place)
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    try:
        found = read_batch(Response(status, {}, body, 0.01), results, own, ("id",))
    except ResultsError:  # nothing counts as delivered, and all of it is kept
        assert spoiled or not is_certain(RESULTS.get(results, results), own)
        return
    if found is None:
        assert spoiled
        assert status >= 300 or not any(sent.code for sent in batch), answer
        return
    for sent, result in zip(batch, found, strict=True):
        assert (result.verdict is Verdict.DELIVERED) == (sent.code is None), (answer, own)
        if sent.code is not None and results not in TELL_NO_RETRIES:
            assert (result.verdict is Verdict.RETRY) == (sent.code == "again")
