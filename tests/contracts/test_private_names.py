"""What is private to others is used in one file each, or in few, so that there is one place to look at when it changes."""

import re

import pytest
from checkout import REPOSITORY

_PACKAGE = REPOSITORY / "airflow_async_rest"
_TEXTS = {f"{path.relative_to(_PACKAGE)}": path.read_text() for path in _PACKAGE.rglob("*.py")}
# Pattern -> the files, or rooms, that may have it.
_PLACES = {
    r"\.cursor_strategy\b|\"cursor_strategy\"": ("databases/values/row_values.py",),
    r"\.do_begin\b": ("databases/dialects/engines.py",),
    r"psycopg\.adapt import .*Transformer": ("databases/dialects/postgresql/psycopg_values.py",),
    r"_BaseOperator__": ("operators/job_operator.py",),
    r"\bairflow\.models\b": (
        *("compat/core_api.py", "compat/names.py", "compat/task_states.py"),
        *("ui/reports.py", "ui/windows.py", "ui/deliveries.py", "ui/pages/facts.py", "ui/schedule/due.py"),
    ),
    r"\bairflow\.api_fastapi\b": ("compat/core_api.py", "compat/task_states.py"),
    r"\bairflow\.(serialization|timetables)\b": ("compat/timetables.py",),
    r"\b_secrets_masker\(|\bairflow\.sdk\._": ("compat/secrets_masker.py",),
    r"\bClientSession\._request\b": ("core/transport/session/session.py",),
    # What ruff sees by itself.
    r"noqa: .*SLF001": (
        "compat/secrets_masker.py",
        "core/transport/session/session.py",
        "databases/dialects/mysql/driver.py",
        "databases/dialects/snowflake/snowflake.py",
        "ui/reports.py",
        "ui/windows.py",
    ),
}


@pytest.mark.parametrize("name", _PLACES)
def test_a_private_name_of_others_is_used_in_no_other_files(name):
    found = [file for file, text in _TEXTS.items() if re.search(name, text)]
    assert found
    assert [file for file in found if not file.startswith(_PLACES[name])] == []
