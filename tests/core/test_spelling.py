"""The nearest word, where one is near."""

import pytest

from airflow_async_rest.core.spelling import hint


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("upser", " The nearest is 'upsert'."),
        ("UPSERT", " The nearest is 'upsert'."),
        ("apend", " The nearest is 'append'."),
        ("merge", ""),
        ("", ""),
        (None, ""),
        (5, ""),
    ],
)
def test_the_nearest_word_is_named(word, expected):
    assert hint(word, ("append", "upsert")) == expected


@pytest.mark.parametrize(
    ("word", "alike", "found"), [("upser", 0.85, True), ("upst", 0.85, False), ("upst", 0.6, True)]
)
def test_how_near_may_be_said(word, alike, found):
    assert bool(hint(word, ("append", "upsert"), alike)) is found
