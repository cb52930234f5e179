"""The nearest word, where one is near; and numbers with their nouns."""

import pytest
from tables import every_row

from airflow_async_rest.core.spelling import counted, hint, in_short


@every_row(
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


@every_row(
    ("count", "words", "expected"),
    [
        (0, ("row",), "0 rows"),
        (1, ("row",), "1 row"),
        (2, ("row",), "2 rows"),
        (12_345, ("row",), "12,345 rows"),
        (1, ("retry", "retries"), "1 retry"),
        (0, ("retry", "retries"), "0 retries"),
        (1, ("row was", "rows were"), "1 row was"),
    ],
)
def test_a_number_stands_with_its_noun(count, words, expected):
    assert counted(count, *words) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("as it is", "as it is"),
        ("  several\n lines\t", "several lines"),
        ("One sentence. Another one. A third.", "One sentence. Another one."),
        ("one sentence that is too long to be shown", "one sentence that is too …"),
        ("x" * 40, "x" * 28 + " …"),
        ("the table that is meant has no column b. Write a.", "the … b. Write a."),
        ("a sentence too long for it. The last one is it as well.", "a sentence too long for it."),
        ("one that is much too long to stand here. As is this.", "one … here. As is this."),
    ],
)
def test_a_long_text_is_cut_where_a_reader_would(text, expected):
    assert in_short(text, 30) == expected
