"""demo/backfill.py reads dead-letter folders by itself, so that the verdict does not trust the code it judges."""

import json

from demo.backfill import dead_ids


def test_a_later_part_counts_and_what_is_resolved_or_void_is_gone(tmp_path):
    parts = {
        "1-1": [{"index": 9, "key": 90}],
        "1-2": [{"reset": True}, {"index": 0, "key": 10}, {"index": 1, "key": 11}],
        "1-10": [{"index": 1, "resolved": True}],
        "2-1": [{"index": 2, "key": 12}, {"index": 0, "key": 10}],
    }
    for name, records in parts.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    assert sorted(dead_ids(f"file://{tmp_path}")) == [10, 12]
    assert dead_ids(None) == []
