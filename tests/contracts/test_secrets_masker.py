"""What is relied on of Airflow's masker of secrets: where it is, and what it can be asked."""

import pytest

from airflow_async_rest.compat import secrets_masker


@pytest.mark.parametrize(
    "secret", ["a(b)c+d\\e.f", "two words", "line\nbreak", "{br@ced}", "[br@cket", "\u017elu\u0165ou\u010dk\u00fd"]
)
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
    assert found.extra not in known


@pytest.mark.parametrize(
    ("name", "secret"), [("api_key", True), ("access-token", True), ("password", True), ("page", False), ("key", False)]
)
def test_names_of_secrets_are_known(name, secret):
    assert secrets_masker.is_name_of_secret(name) is secret
