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
