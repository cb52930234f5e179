"""Where Airflow has no masker of secrets that can be asked, nothing is known, and nothing fails."""

from airflow_async_rest.compat import secrets_masker


def test_where_there_is_no_masker_nothing_is_known(monkeypatch):
    for found in (None, object(), type("Masker", (), {"patterns": None})()):
        monkeypatch.setattr(secrets_masker, "_masker", lambda found=found: found)
        assert secrets_masker.known_secrets() == frozenset()
        assert secrets_masker.is_name_of_secret("password") is False
    monkeypatch.undo()
    assert secrets_masker._masker(("airflow.no_such_module", "airflow.sdk")) is None
