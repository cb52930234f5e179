"""A real Chromium, and what its console said."""

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

from checkout import skip_or_fail

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_LONGEST_MS = 240_000
_COLOURS = 256
# Nothing but the page: no calls home, no sandbox (which root has not), no GPU.
_QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find_chromium() -> str:
    """Return its path; skip the test where there is none."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        skip_or_fail("needs a browser: install the Debian package chromium")
    return found


@contextmanager
def browsing() -> Iterator:
    """Return a browser, with a fresh folder for what it keeps."""
    path = find_chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_QUIET)
        try:
            yield browser
        finally:
            browser.close()


def open_page(browser, url: str, token: str, *, width: int = 1280, dark: bool = False):
    """Open a page for who has a token; ``page.complaints`` has what our files write to the console."""
    context = browser.new_context(
        base_url=url,
        viewport={"width": width, "height": 1100},
        color_scheme="dark" if dark else "light",
        timezone_id="UTC",
        locale="en-GB",
        reduced_motion="reduce",
    )
    # Nothing here measures time; a machine that is busy with other tests is slow.
    context.set_default_timeout(_LONGEST_MS)
    context.add_cookies([{"name": "_token", "value": token, "url": url}])
    page = context.new_page()
    page.complaints = []

    def note(message) -> None:
        where = message.location.get("url", "")
        if message.type in {"error", "warning"} and ("async-rest" in where or "async-rest" in message.text):
            page.complaints.append(f"{message.type}: {message.text} ({where})")

    page.on("console", note)
    page.on("pageerror", lambda error: page.complaints.append(f"uncaught: {error}"))
    return page


def photograph(page, name: str, height: int = 1100) -> None:
    """Keep pictures of what a page shows, where SCREENSHOTS names a folder: those of the documentation are in docs/pictures."""
    if folder := os.environ.get("SCREENSHOTS"):
        before = page.viewport_size
        page.mouse.move(0, 0)  # else the row below it looks chosen
        for theme, width in product(("light", "dark"), (1280, 1920)):
            page.emulate_media(color_scheme=theme)
            page.set_viewport_size({"width": width, "height": height})
            _keep(page.screenshot(animations="disabled"), Path(folder) / f"{name}-{theme}-{width}.png")
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(before)


def _keep(picture: bytes, path: Path) -> None:
    """Write a picture with few colours, which is a third as large, and looks the same."""
    from PIL import Image

    few = (
        Image.open(io.BytesIO(picture))
        .convert("RGB")
        .quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE)
    )
    few.save(path, optimize=True)
