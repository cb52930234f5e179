"""The table of docs/compatibility: what each version of Airflow can do, as ``make matrix`` last recorded it."""

import json
import re
from collections.abc import Mapping

from checkout import REPOSITORY

PAGE = REPOSITORY / "docs" / "compatibility.md"
RESULTS = REPOSITORY / "tests" / "matrix" / "results.json"
_MARKED = re.compile(r"(?<=<!-- matrix -->\n).*?(?=<!-- end -->)", re.DOTALL)
# What a row of the table is called -> the tests that are all passed where it says yes; without their parameters.
FEATURES = {
    "rows into an API, one by one": ("test_the_rows_of_the_window_are_sent",),
    "rows into an API, in batches": ("test_the_rows_of_the_window_are_sent_in_batches",),
    "an API into a table: append, replace_window, upsert": ("test_rows_are_loaded",),
    "dead letters, on a disk or in object storage, and their replay": (
        "test_what_failed_is_a_dead_letter_and_is_replayed",
        "test_too_many_failures_fail_the_task_and_leave_the_report",
    ),
    "mapped tasks, and their replay": (
        "test_what_failed_in_mapped_tasks_is_replayed",
        "test_a_mapped_task_without_windows_leaves_nothing_to_replay",
        "test_what_mapped_tasks_return_is_delivered_and_asked_for",
    ),
    "`deliver` and `fetch` in a `@task`": ("test_plain_tasks_deliver_and_fetch",),
    "the connection's type, test and settings": (
        "test_the_provider_is_listed",
        "test_the_provider_info_follows_airflows_schema",
        "test_a_connection_is_tested",
        "test_the_settings_of_airflow_cfg_have_their_defaults",
    ),
    "the connection's form has its own fields": ("test_the_form_has_the_connections_own_fields",),
    "secrets that Airflow knows are in no log of ours": ("test_secrets_that_airflow_knows_are_found",),
    "counts on the events of assets": ("test_the_event_of_an_outlet_is_told_the_counts",),
    "PostgreSQL, SQLite and Oracle by SQLAlchemy": (
        "test_sqlalchemy_has_a_dialect_for_each_database_whose_provider_is_installed",
    ),
    "installed beside it, and imported in less than 100 ms": (
        "test_the_wheel_brought_no_other_airflow",
        "test_every_module_can_be_imported",
        "test_importing_the_operators_takes_no_longer_than_a_tenth_of_a_second",
        "test_the_plugin_is_loaded",
    ),
    "a retried delivery, or a cleared one, goes on where it ended": (
        "test_a_killed_task_goes_on_and_so_does_a_cleared_one_that_failed",
        "test_a_retry_sends_what_failed_and_a_run_that_is_made_again_all",
    ),
    "a task whose quota is gone goes on when the API says (2.11, 3.0: as a retry)": (
        "test_a_task_whose_quota_is_gone_goes_on_when_the_api_says",
    ),
    "a backfill sends each day once": ("test_a_backfill_of_a_week_sends_each_day_once",),
    "a backfill over a run that failed sends what is missing": ("test_a_second_backfill_sends_what_the_first_has_not",),
    "the examples are DAGs (2.11: with other imports)": (
        "test_the_ten_lines_are_a_dag",
        "test_the_examples_are_dags",
    ),
    "endpoints of dead letters, states and windows": (
        "test_the_endpoints_are_served",
        "test_the_state_of_a_task_is_served",
        "test_windows_are_listed_with_what_became_of_them",
    ),
    "links to pages of their own, where there are no tabs": (
        "test_links_lead_to_pages_where_there_is_no_place_for_tabs",
    ),
    "the tabs Delivery and Windows, and a replay": ("test_the_tabs_are_drawn", "test_the_tabs_are_used_in_a_browser"),
}


def read_results() -> dict[str, dict[str, str]]:
    return json.loads(RESULTS.read_text())


def order_of(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def outcome_of(tests: tuple[str, ...], results: Mapping[str, str]) -> str:
    """What became of some tests: ``passed``, ``failed``, or why one was skipped."""
    outcomes = {results.get(name, "failed") for name in results if name.partition("[")[0] in tests}
    return "failed" if "failed" in outcomes or not outcomes else max(outcomes - {"passed"}, default="passed")


def table() -> str:
    """The table, and the reasons of its gaps below it."""
    results = read_results()
    versions = sorted(results, key=order_of)
    reasons: list[str] = []
    lines = [["", *versions], ["---"] * (len(versions) + 1)]
    for feature, tests in FEATURES.items():
        cells = [outcome_of(tests, results[version]) for version in versions]
        reasons += [cell for cell in dict.fromkeys(cells) if cell not in {"passed", "failed", *reasons}]
        named = {"passed": "yes", "failed": "no"}
        lines.append([feature, *(named.get(cell) or f"no ({reasons.index(cell) + 1})" for cell in cells)])
    rows = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"{rows}\n\n" + "".join(f"{number}. {reason}.\n" for number, reason in enumerate(reasons, 1))


def shown() -> str:
    return _MARKED.search(PAGE.read_text())[0]


def write() -> None:
    PAGE.write_text(_MARKED.sub(lambda _: table(), PAGE.read_text()))
