"""The tabs' own elements, for where Airflow gives none: what is made of their styles, and that none is missing."""

import json
import re

import pytest
from checkout import REPOSITORY
from ui.node import evaluated, ran

STATIC = REPOSITORY / "airflow_async_rest" / "ui" / "static"
FG = "var(--chakra-colors-fg-muted, currentColor)"


@pytest.mark.parametrize(
    ("style", "inside"),
    [
        ({"px": 2, "mt": 0, "boxSize": 2.5}, "padding-inline:0.5rem;margin-top:0;width:0.625rem;height:0.625rem;"),
        ({"m": -1, "maxW": "full", "gap": "3px"}, "margin:-0.25rem;max-width:100%;gap:3px;"),
        ({"flex": 1, "opacity": 0.5, "lineHeight": 1, "zIndex": 3}, "flex:1;opacity:0.5;line-height:1;z-index:3;"),
        ({"fontSize": "sm", "fontWeight": "medium"}, "font-size:0.875rem;font-weight:500;"),
        ({"color": "fg.muted", "bg": "transparent"}, f"color:{FG};background:transparent;"),
        ({"borderColor": "up_for_retry.solid"}, "border-color:var(--chakra-colors-up_for_retry-solid, #eab308);"),
        ({"background": "rgb(0 0 0 / 0.5)"}, "background:rgb(0 0 0 / 0.5);"),
        ({"alignItems": None, "bg": False}, ""),
        ({"& td": {"py": 1, "@container x": {"display": "none"}}}, "& td{padding-block:0.25rem;@container x{display:none;}}"),
    ],
)  # fmt: skip
def test_styles_are_what_they_are_in_the_hosts_components(style, inside):
    assert ran("styles.js", "insideOf", style) == inside


def test_what_moves_is_a_rule_of_its_own():
    style = {"animation": "turn 1s", "@keyframes turn": {"to": {"opacity": 0}}}
    assert ran("styles.js", "rulesOf", ".a", style) == [".a{animation:turn 1s;}", "@keyframes turn{to{opacity:0;}}"]


def test_every_component_that_a_tab_uses_is_there_where_the_host_gives_none():
    ours = re.search(r"ELEMENTS = \{(.*)\};", (STATIC / "elements.js").read_text(), re.DOTALL)[1]
    there = set(re.findall(r"^  ([A-Z]\w+)[:,]", ours, re.MULTILINE))
    used = {
        (script.name, name)
        for script in STATIC.glob("*.js")
        for name in re.findall(r"\bC\.([A-Z][\w.]*)", script.read_text())
    }
    assert {(script, name) for script, name in used if name not in there} == set()


# What the host's components take for longer names, besides those that our own elements know.
SHORT = {a + b for a in "pm" for b in ["", *"xytblrse"]} | {"w", "h", "minW", "maxW", "minH", "maxH", "boxSize", "bg"}
SHORT |= {"bgColor", "bgImage", "bgSize", "pos", "rounded", "shadow", "hideFrom", "hideBelow", "insetX", "insetY"}


def test_a_short_name_of_a_style_is_one_that_is_known_where_the_host_gives_no_elements():
    used = {
        (script.name, name)
        for script in STATIC.glob("*.js")
        for name in re.findall(r"(?<=[{,\s])(\w+):", script.read_text())
        if name in SHORT
    }
    assert {name for _, name in used} > {"px", "boxSize"}
    known = set(evaluated("styles.js", f"{json.dumps(sorted(SHORT))}.filter(found.isShort)"))
    assert {(script, name) for script, name in used if name not in known} == set()


def test_nothing_but_the_kit_asks_for_what_the_host_gives():
    asking = {
        script.name for script in STATIC.glob("*.js") if re.search(r"ChakraUI|ReactRouterDOM", script.read_text())
    }
    assert asking == {"kit.js"}


@pytest.mark.parametrize(
    ("version", "asks"),
    [("3.0.6", False), ("3.1.8", False), ("3.2.0", True), ("3.10.1", True), ("3.3.2.dev0", True), ("4.0.0", True)],
)
def test_a_clear_asks_for_what_the_version_of_airflow_knows(version, asks):
    scope = {"dagId": "d", "runId": "r", "taskId": "t", "mapIndex": -1}
    body = ran("api.js", "clearBody", scope, False, version)
    assert ("prevent_running_task" in body) is asks
    assert (body["task_ids"], body["dag_run_id"], body["only_failed"]) == (["t"], "r", False)
    assert ran("api.js", "clearBody", {**scope, "mapIndex": 2}, True, version)["task_ids"] == [["t", 2]]


@pytest.mark.parametrize("page", ["delivery.js", "windows.js", "deliveries.js"])
def test_a_page_names_all_scripts_that_it_needs_so_that_they_are_asked_for_at_once(page):
    def named(script: str) -> set[str]:
        return set(re.findall(r'(?:from|import) "\./([\w.]+)"', (STATIC / script).read_text()))

    needed, new = set(), {page}
    while new:
        needed |= new
        new = {other for script in new for other in named(script)} - needed
    assert named(page) == needed - {page}
