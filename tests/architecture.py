"""``docs/architecture.md``: what is written there by tests, between marks, and read again."""

import os
import re

import pytest
from checkout import REPOSITORY

PAGE = REPOSITORY / "docs/architecture.md"
_HOW = "WRITE_ARCHITECTURE=1 python -m pytest tests/test_architecture.py tests/test_rooms.py -n0"


def written(name: str) -> str:
    """Return what the page has between the marks of this name."""
    return _marked(name).search(PAGE.read_text())[2].strip()


def hold(name: str, text: str) -> None:
    """Fail when the page has another text between the marks of this name; or write it there, when asked to."""
    if os.environ.get("WRITE_ARCHITECTURE"):
        PAGE.write_text(_marked(name).sub(lambda marks: f"{marks[1]}\n{text}\n{marks[3]}", PAGE.read_text()))
    elif written(name) != text:
        pytest.fail(f"docs/architecture.md is no longer true of the {name}; write it again: {_HOW}\n\n{text}")


def _marked(name: str) -> re.Pattern[str]:
    return re.compile(f"(<!-- {name} -->)\n(.*?)(<!-- end -->)", re.DOTALL)
