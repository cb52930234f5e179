"""The pictures of the tabs: each is there light and dark, of two widths, is shown on the page, and is small."""

from checkout import REPOSITORY

DOCS = REPOSITORY / "docs"
_LARGEST = 120_000
_ALL = 3_000_000


def test_every_picture_is_shown_and_linked_and_small():
    pictures = {path.name: path.stat().st_size for path in (DOCS / "pictures").iterdir()}
    names = {name.rsplit("-", 2)[0] for name in pictures}
    assert len(names) >= 9
    assert pictures.keys() == {
        f"{name}-{theme}-{width}.png" for name in names for theme in ("light", "dark") for width in (1280, 1920)
    }
    text = (DOCS / "ui.md").read_text()
    assert [name for name in pictures if f"](pictures/{name})" not in text] == []
    assert [name for name, size in pictures.items() if size > _LARGEST] == []
    assert sum(pictures.values()) < _ALL
