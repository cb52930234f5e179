"""How soon the tabs show something, in a real browser before Airflow's own API server."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.request import urlopen

from benchmarks.airflow_ui import BEFORE, DAG, NEWEST, TASK, running_airflow
from benchmarks.measuring import CLIENT_CORE, SERVER_CORE, Figure, Plan, figure, in_turns, pinned

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_LONGEST_MS = 60_000
_MOST_SECONDS = 1.0
_OWN_TAB = "a[href$='/details']"
_LETTERS = "table[aria-label='Dead letters'] button.key"

# Notes when each was on the screen first: the frame after the one in which it is drawn begins then.
_WATCH = """
    globalThis.seen = {};
    const wanted = Object.entries(%s);
    const note = (name) => requestAnimationFrame(() => requestAnimationFrame(() => (seen[name] ??= performance.now())));
    new MutationObserver(() => {
        for (const [name, selector] of wanted) if (!(name in seen) && document.querySelector(selector)) note(name);
    }).observe(document, { childList: true, subtree: true });
"""
_NEXT_PAGE = """async (key) => {
    const first = () => document.querySelector(key)?.innerText;
    const [before, began] = [first(), performance.now()];
    document.querySelector("[aria-label='Pages of dead letters'] [aria-label='Next page']").click();
    do await new Promise(requestAnimationFrame); while (first() === before);
    await new Promise(requestAnimationFrame);
    return (performance.now() - began) / 1000;
}"""


def measure(plan: Plan) -> Iterator[Figure]:
    """Measure from when Airflow's page is there, with its tabs, until the first of what ours is for is seen."""
    runs, many, few = (20, 200, 100) if plan.smoke else (2_000, 10_000, 100)
    with running_airflow(runs, many, few) as url, _looking(url) as looks:
        for what, path, first in (
            (f"Windows of {runs:,} runs", f"/dags/{DAG}/plugin/windows", "section[aria-label=Windows] a.cell"),
            (f"Delivery with {many:,} dead letters", _path_of(NEWEST), "[aria-label='Items done']"),
        ):
            seen = [looks.seconds_until(path, first) for _ in range(plan.rounds)]
            yield figure(
                "tabs",
                f"{what}: s after Airflow's page",
                [(page, wanted - page) for page, wanted in seen],
                "Airflow's page",
                target=f"<= {_MOST_SECONDS:g} s",
                meets=lambda line: line.ours.median <= _MOST_SECONDS,
            )
        pairs = in_turns(plan.rounds, lambda: looks.next_page(BEFORE), lambda: looks.next_page(NEWEST))
        yield figure("tabs", f"the next page of {many:,} dead letters: s", pairs, f"of {few}")


def _path_of(run: str) -> str:
    return f"/dags/{DAG}/runs/{run}/tasks/{TASK}/plugin/delivery"


@dataclass(frozen=True)
class _Looks:
    """A browser before Airflow, and the token of who looks."""

    browser: Any
    url: str
    token: str

    @contextmanager
    def _page(self, path: str, wanted: str) -> Iterator[Any]:
        """Open a page with an empty cache, as who looks for the first time; until it shows what is wanted."""
        context = self.browser.new_context(base_url=self.url, viewport={"width": 1280, "height": 1100})
        context.set_default_timeout(_LONGEST_MS)
        context.add_cookies([{"name": "_token", "value": self.token, "url": self.url}])
        context.add_init_script(_WATCH % json.dumps({"page": _OWN_TAB, "wanted": wanted}))
        page = context.new_page()
        page.goto(path)
        page.wait_for_function("() => seen.page && seen.wanted")
        yield page
        context.close()

    def seconds_until(self, path: str, wanted: str) -> tuple[float, float]:
        """Return after how long Airflow's own tabs were seen, and what is wanted."""
        with self._page(path, wanted) as page:
            page_seconds, wanted_seconds = page.evaluate("() => [seen.page / 1000, seen.wanted / 1000]")
            return page_seconds, wanted_seconds

    def next_page(self, run: str) -> float:
        """Return how long the next page of the dead letters of a run takes."""
        with self._page(_path_of(run), _LETTERS) as page:
            page.wait_for_load_state("networkidle")
            return float(page.evaluate(_NEXT_PAGE, _LETTERS))


@contextmanager
def _looking(url: str) -> Iterator[_Looks]:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  (only this measure needs it)

    path = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if path is None:
        raise RuntimeError("the tabs are measured in a browser: install the Debian package chromium")
    with urlopen(f"{url}/auth/token") as answer:
        token = json.load(answer)["access_token"]
    # A browser is many processes, and nobody has one on a single core.
    with pinned(CLIENT_CORE, SERVER_CORE), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        looks = _Looks(browser, url, token)
        looks.seconds_until(_path_of(NEWEST), _LETTERS)  # what the server imports first is not counted
        yield looks
        browser.close()
