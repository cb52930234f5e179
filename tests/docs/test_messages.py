"""docs/troubleshooting.md has each text of an error of the package, and what to do."""

import os
import re

import pytest
from messages import HOLE, escaped, messages, table_of, tables, write
from pages import first_cells, page, section

_HOW = "WRITE_MESSAGES=1 python -m pytest tests/docs/test_messages.py -n0, then write what to do beside the new ones"
# A text that says itself what to do has one of these.
_SAYS_IT = re.compile(
    r"\b(write|give|fill in|use|put|leave|name|say|check|add|install|clear|Clear|return|cast|make|choose|create|remove"
    r"|delete|restore|correct|replay|retry|load it|set|let|paste)\b"
)

if os.environ.get("WRITE_MESSAGES"):
    write()


def test_every_text_is_there():
    there = {text for _, rows in tables() for text in rows}
    missing = {escaped(message.text) for message in messages()} - there
    assert missing == set(), _HOW
    assert there - {escaped(message.text) for message in messages()} == set(), f"no longer in the code: {_HOW}"


def test_every_text_has_its_table():
    marks = [mark for mark, _ in tables()]
    assert [message for message in messages() if table_of(message, marks) is None] == []


def test_what_to_do_stands_beside_each_text_that_does_not_say_it():
    assert [text for _, rows in tables() for text, what in rows.items() if not what and not _SAYS_IT.search(text)] == []


def test_every_reason_of_a_dead_letter_is_there():
    from airflow_async_rest.core import errors
    from airflow_async_rest.core.letters.folder import ROW_REFUSED
    from airflow_async_rest.core.results.entries import REASONS
    from airflow_async_rest.core.sending.verdict import CHECK, NEVER_SENT, UNMATCHED

    raised = {error.reason for error in vars(errors).values() if isinstance(error, type) and hasattr(error, "reason")}
    reasons = {*raised, *NEVER_SENT, *filter(None, REASONS.values()), ROW_REFUSED, CHECK, UNMATCHED, "transform"}
    table = section(page("troubleshooting"), "An item failed: reasons")
    assert reasons - {"item", "send"} <= first_cells(table)


def found(text: str) -> list[str]:
    """The rows of the page that a reader of an error would find."""
    return [
        row
        for _, rows in tables()
        for row in rows
        if re.search(".*".join(map(re.escape, row.replace(r"\|", "|").split(HOLE))), " ".join(text.split()), re.DOTALL)
    ]


def limit():
    from airflow_async_rest.core.limits.rate_limit import parse_rate_limit

    parse_rate_limit("25 per second")


def window():
    from airflow_async_rest import split_windows

    split_windows("2026-01-02", "2026-01-01", 1)


def pages():
    from airflow_async_rest.core.pages import page_style

    page_style("next")


def batch():
    from airflow_async_rest import Batch

    Batch(max_items=0)


@pytest.mark.parametrize("fail", [limit, window, pages, batch])
def test_an_error_as_it_is_raised_is_found_by_its_fixed_words(fail):
    from airflow_async_rest.core.errors import ConfigurationError

    with pytest.raises(ConfigurationError) as raised:
        fail()
    assert found(str(raised.value))
