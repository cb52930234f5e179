from dataclasses import replace

import pytest

from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.errors import ConfigurationError, DeadLetterStoreError
from airflow_async_rest.core.letters.filter import LetterFilter
from airflow_async_rest.core.letters.folder import DeadLetterFolder, refused_record
from airflow_async_rest.core.letters.origins import Origins
from airflow_async_rest.core.models import DeadLetter
from airflow_async_rest.core.replay import Replay, can_replay
from airflow_async_rest.core.sending.retry import RequestRetry


@pytest.fixture
def letter(item_of, request_of):
    def make(index, reason="http_422", *, sent=True, **request) -> DeadLetter:
        made = request_of(idempotency_key=f"k{index}", **request) if sent else None
        return DeadLetter.of(item_of(index, key=f"row {index}"), reason, request=made)

    return make


@pytest.fixture
def folders(tmp_path):
    return [DeadLetterFolder(tmp_path / name, 1) for name in "ab"]


def replay_of(folders, reasons=None) -> Replay:
    return replay_from(Origins(folders), reasons)


def replay_from(origins, reasons=None) -> Replay:
    return Replay(origins, LetterFilter(reasons).matches, JsonEncoder(), RequestRetry())


def items_of(replay: Replay) -> list:
    digests = []
    items = [item for chunk in replay.open(None, digests.append) for item in chunk]
    assert len(digests) == 1
    return items


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":123456789012345678901234567890.10,"b":1.50}', b"18446744073709551616", b'"x"', b"[]", b"0", None,
        b"[" * 250 + b"]" * 250, b"[" * 5_000 + b"]" * 5_000, b'{"a":' * 300 + b"1" + b"}" * 300,
        rb'{"a":"\ud800"}', rb'{"a":"\\\udc00"}', rb'["\ude00\ud83d"]',
        b'{"a":1e9999999999999999999}', b'[-0.1E-1234567890123456789,"3e1234567890123456789"]', b"[1E+400]",
    ],
)  # fmt: skip
def test_a_replay_sends_the_very_request_that_failed(folders, letter, body):
    dead = letter(5, method="PUT", path="x/5", query="a=1", body=body)
    folders[0].write([dead])
    [item] = items_of(replay_of(folders))
    assert item.request == dead.request
    assert (item.index, item.key, item.settled) == (0, "row 5", None)


def test_json_that_would_not_come_back_goes_into_a_bulk_request_as_it_was(folders, letter):
    body = b'{"a":%b}' % (b"[" * 5_000 + b"]" * 5_000)
    batch = {"format": "ndjson", "results": None, "max_items": 2, "max_bytes": 99_999, "split_on": [413], "key": ["id"]}
    folders[0].write([replace(letter(index, body=body), batch=batch) for index in range(2)])
    [of_both] = items_of(replay_of(folders))
    assert of_both.form.build(of_both.items).body == body + b"\n" + body + b"\n"


def test_json_that_cannot_be_made_a_document_again_stays_dead_with_all_that_is_known_of_it(folders, letter):
    body = b'{"a":%b}' % (b"[" * 5_000 + b"]" * 5_000)
    batch = {"format": "bulk", "results": None, "max_items": 2, "max_bytes": 99_999, "split_on": [413], "key": ["id"]}
    folders[0].write([replace(letter(1, body=body), batch=batch)])
    for _ in range(2):
        origins = Origins(folders)
        [item] = items_of(replay_from(origins))
        assert (item.settled.reason, item.settled.request.body) == ("http_422", body)
        assert item.settled.response_excerpt.startswith("not sent: its JSON is nested too deeply")
        origins.write([item.settled])


def test_dead_letters_of_several_folders_are_numbered_through(folders, letter):
    folders[0].write([letter(3), letter(7)])
    folders[1].write([letter(3)])
    assert [item.index for item in items_of(replay_of(folders))] == [0, 1, 2]


def test_only_some_reasons_are_replayed(folders, letter):
    folders[0].write([letter(0, "timeout"), letter(1)])
    assert [item.key for item in items_of(replay_of(folders, {"timeout"}))] == ["row 0"]


def test_what_was_never_a_request_stays_a_dead_letter(folders, letter):
    folders[0].write([letter(4, "encode", sent=False)])
    [item] = items_of(replay_of(folders))
    assert (item.request, item.settled.reason, item.settled.row) == (None, "encode", {"id": 4})


def test_what_became_of_an_item_is_written_where_it_lay(folders, letter):
    folders[0].write([letter(3), letter(7)])
    folders[1].write([letter(3)])
    origins = Origins(folders)
    items = items_of(replay_from(origins))
    failed_again = DeadLetter.of(items[1], "timeout", request=items[1].request)
    origins.write([{"index": 0, "resolved": True}, failed_again, {"index": 2, "resolved": True}])
    assert [folder.read() for folder in folders] == [{7: "timeout"}, {}]
    assert [item.key for item in items_of(replay_of(folders))] == ["row 7"]


def test_what_fails_again_keeps_its_request_to_the_last_digit(folders, letter):
    body = b'{"a":123456789012345678901234567890.10,"b":18446744073709551616}'
    folders[0].write([letter(0, body=body)])
    for _ in range(2):
        origins = Origins(folders)
        [item] = items_of(replay_from(origins))
        origins.write([DeadLetter.of(item, "timeout", request=item.request)])
    [item] = items_of(replay_of(folders))
    assert item.request.body == body
    assert item.request.idempotency_key == "k0"


def test_many_dead_letters_come_in_chunks(folders, letter):
    folders[0].write([letter(index) for index in range(1_200)])
    sizes = [len(chunk) for chunk in replay_of(folders).open(None, lambda digest: None)]
    assert sum(sizes) == 1_200
    assert max(sizes) == 500


def test_folders_that_are_not_there_have_nothing_to_replay(folders):
    assert items_of(replay_of(folders)) == []


def test_a_part_that_cannot_be_read_is_an_error(folders, letter, tmp_path):
    folders[0].write([letter(0)])
    (tmp_path / "a" / "1-1.jsonl").write_bytes(b'{"index": 0, "rea')
    with pytest.raises(DeadLetterStoreError):
        items_of(replay_of(folders))


@pytest.mark.parametrize(
    ("mark", "sent"),
    [("mine", [1, 2, 3]), ("another", [0, 1, 2, 3, 4]), ("", [0, 1, 2, 3, 4])],
)
def test_what_failed_in_the_same_try_is_counted_as_it_was_and_not_sent(folders, letter, mark, sent):
    """What failed for another reason than the chosen ones, too, and what no request could be made of."""
    folders[0].write([letter(index, "timeout") for index in range(4)])
    folders[0].write([letter(4, "encode", sent=False)])
    first = Origins(folders[:1], "mine")
    [taken, *_] = items_of(replay_from(first))
    first.number(folders[0], 4)
    failed = replace(DeadLetter.of(taken, "http_422", status=422, attempts=3, request=taken.request), index=0)
    first.write([failed, letter(4, "encode", sent=False)])
    reasons = {"timeout", "encode"} if mark == "mine" else None
    items = items_of(replay_from(Origins(folders[:1], mark), reasons))
    assert [item.index for item in items if item.settled is None or not item.settled.is_kept] == sent
    if mark == "mine":
        assert items[0].settled == replace(failed, is_kept=True)


def test_a_replay_starts_nothing_again(folders, letter):
    folders[0].write([letter(0)])
    assert Origins(folders).parts() == []
    assert Origins(folders).history is None


@pytest.mark.parametrize("fetched", [True, False])
def test_dead_letters_of_a_fetch_are_not_replayed(folders, letter, fetched):
    """Their answers are wanted: nobody would take them."""
    folders[0].write([letter(1)])
    folders[1].write([replace(letter(3), fetch=True) if fetched else refused_record(3, 0, {"n": 1}, "too long")])
    with pytest.raises(ConfigurationError, match="clear that task instead; it fetches, and loads, only what failed"):
        items_of(replay_of(folders))


def test_a_fetch_of_which_nothing_is_dead_any_more_has_nothing_to_replay(folders, letter):
    folders[0].write([replace(letter(3), fetch=True), refused_record(4, 0, {"n": 1}, "too long")])
    folders[0].write([{"index": 3, "resolved": True}, {"index": 4, "row_number": 0, "resolved": True}])
    digests = []
    assert [item for chunk in replay_of(folders).open(None, digests.append) for item in chunk] == []


def test_large_dead_letters_are_given_few_at_a_time(folders, letter):
    folders[0].write(letter(index, body=b'"%s"' % (b"x" * 100_000)) for index in range(100))
    sizes = [len(chunk) for chunk in replay_of(folders).open(None, lambda digest: None)]
    assert sum(sizes) == 100
    assert max(sizes) <= 50


DEEP = b"[" * 5_000 + b"]" * 5_000


@pytest.mark.parametrize(
    ("how", "batch", "can"),
    [
        ({"sent": False}, None, False),
        ({}, None, True),
        ({"body": DEEP}, None, True),
        ({"body": DEEP}, {"format": "ndjson"}, True),
        ({"body": DEEP}, {"format": "bulk"}, False),
        ({"body": b"[1]"}, {"format": "bulk"}, True),
        ({"body": None}, {"format": "bulk"}, True),
    ],
)
def test_it_is_known_beforehand_what_can_be_replayed(letter, how, batch, can):
    assert can_replay(replace(letter(0, **how), batch=batch)) is can
