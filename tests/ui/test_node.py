"""What runs the tabs' JavaScript says why it gives no answer."""

import re

import pytest
from ui.node import _answer, evaluated, ran


def module(body: str) -> str:
    return f"data:text/javascript,export const tried = () => {{ {body} }};"


def tried(body: str, **more):
    return _answer(module=module(body), name="tried", given=[], **more)


@pytest.mark.parametrize(
    ("body", "more", "said"),
    [
        ("process.stderr.write('out of luck'); process.exit(3);", {}, r"ended \(3\)\. It said: out of luck"),
        (
            "console.error('waits'); return new Promise(() => {});",
            {"longest_seconds": 0.5},
            r"within 0\.5 s.*It said: waits",
        ),
        ("throw new Error('of its own');", {}, "Error: of its own"),
    ],
)
def test_where_there_is_no_answer_its_own_words_say_why_and_the_next_one_has_one(body, more, said):
    with pytest.raises(AssertionError) as raised:
        tried(body, **more)
    assert re.search(said, str(raised.value), re.DOTALL), raised.value
    assert ran("format.js", "count", 1200) == "1,200"


def test_what_is_written_to_the_console_is_no_answer():
    assert tried("console.log('a line'); return 5;") == 5
    assert evaluated("format.js", "(console.log('a line'), found.count(5))") == "5"
