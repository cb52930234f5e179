"""What the README and the pages of ``docs/`` say, for the tests that hold it against the code."""

import re
from pathlib import Path

from checkout import REPOSITORY

README = REPOSITORY / "README.md"
PAGES = sorted((REPOSITORY / "docs").glob("*.md"))
ALL = [README, *PAGES]


def page(name: str) -> str:
    return (REPOSITORY / "docs" / f"{name}.md").read_text()


def section(text: str, title: str) -> str:
    """What stands under a heading of any level, up to the next of that level or above."""
    found = re.search(rf"^(#+) {re.escape(title)}\n", text, re.MULTILINE)
    after = text[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", after, re.MULTILINE)
    return after[: end.start()] if end else after


def first_cells(text: str) -> set[str]:
    """The names in the first column of the tables."""
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def samples(text: str, language: str) -> list[str]:
    """The blocks of code in a language, those within lists without their indent."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    return [re.sub(f"^{indent}", "", code, flags=re.MULTILINE) for indent, code in found]


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))
