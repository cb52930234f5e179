"""What is relied on of Airflow's masker of secrets: where it is, and what it can be asked."""

import pytest

from airflow_async_rest.compat import secrets_masker


@pytest.mark.parametrize("secret", ["a(b)c+d\\e.f", "two words", "line\nbreak", "\u017elu\u0165ou\u010dk\u00fd"])
def test_what_is_masked_is_known(secret):
    from airflow.sdk.log import mask_secret, redact

    mask_secret(secret)
    assert secret in secrets_masker.known_secrets()
    assert secret not in secrets_masker.known_secrets(shortest=20)
    assert redact(f"a {secret}") == "a ***"


def test_a_password_that_a_template_asks_for_is_known(connect):
    from airflow.sdk.definitions.context import Context  # noqa: F401
    from airflow.sdk.execution_time.context import ConnectionAccessor

    connect("partner", conn_type="http", password="p4rtner-password", extra='{"api_key": "p4rtner-key", "a": "b"}')
    found = ConnectionAccessor().partner
    assert (found.password, found.extra_dejson["api_key"]) == ("p4rtner-password", "p4rtner-key")
    known = secrets_masker.known_secrets()
    assert {"p4rtner-password", "p4rtner-key"} <= known
    assert not [secret for secret in known if secret.startswith("{")]


@pytest.mark.parametrize(
    ("name", "secret"), [("api_key", True), ("access-token", True), ("password", True), ("page", False), ("key", False)]
)
def test_names_of_secrets_are_known(name, secret):
    assert secrets_masker.is_name_of_secret(name) is secret


def test_where_there_is_no_masker_nothing_is_known(monkeypatch):
    for found in (None, object(), type("Masker", (), {"patterns": None})()):
        monkeypatch.setattr(secrets_masker, "_masker", lambda found=found: found)
        assert secrets_masker.known_secrets() == frozenset()
        assert secrets_masker.is_name_of_secret("password") is False
    monkeypatch.undo()
    monkeypatch.setattr(secrets_masker, "_PLACES", ("airflow.no_such_module", "airflow.sdk"))
    assert secrets_masker._masker() is None
