"""Where Airflow has no masker of secrets that can be asked, nothing is known, and nothing fails."""

import sys
from types import ModuleType

from airflow_async_rest.compat import secrets_masker


def test_where_there_is_no_masker_nothing_is_known(monkeypatch):
    for found in (None, object(), type("Masker", (), {"patterns": None})()):
        monkeypatch.setattr(secrets_masker, "_masker", lambda found=found: found)
        assert secrets_masker.known_secrets() == frozenset()
        assert secrets_masker.is_name_of_secret("password") is False
    monkeypatch.undo()
    assert secrets_masker._masker(("airflow.no_such_module", "airflow.sdk")) is None


def test_before_3_1_a_function_of_the_maskers_module_knows_the_names_of_secrets(monkeypatch):
    older = ModuleType("older_masker")
    older.should_hide_value_for_key = lambda name: name == "api_key"
    masker = type("Masker", (), {"__module__": older.__name__, "patterns": {"s3cret-word"}})()
    monkeypatch.setitem(sys.modules, older.__name__, older)
    monkeypatch.setattr(secrets_masker, "_masker", lambda: masker)
    assert [secrets_masker.is_name_of_secret(name) for name in ("api_key", "name")] == [True, False]
    assert secrets_masker.known_secrets() == {"s3cret-word"}
