"""The form of Airflow before 3.2 has the same fields, and stores what is read; tabs have addresses that each version loads."""

import json
import sys
from types import ModuleType, SimpleNamespace

import pytest
from tables import every_row

from airflow_async_rest.compat.ui import bundle_url
from airflow_async_rest.provider_info import CONNECTION_FIELDS


def module(name, **contents):
    made = ModuleType(name)
    vars(made).update(contents)
    return made


@pytest.fixture
def drawn(monkeypatch):
    """The fields, as the mocks of 3.0 and 3.1 keep them."""

    def kind(name):
        return lambda label, validators, **more: SimpleNamespace(kind=name, label=label, validators=validators, **more)

    validators = module("wtforms.validators", Optional=lambda: None, any_of=lambda values: values)
    for each in (
        module("wtforms", StringField=kind("text"), PasswordField=kind("password")),
        validators,
        module("flask_appbuilder"),
        module("flask_appbuilder.fieldwidgets", BS3TextFieldWidget=object, BS3PasswordFieldWidget=object),
    ):
        monkeypatch.setitem(sys.modules, each.__name__, each)
    from airflow_async_rest.hooks.rest import AsyncRestHook

    return AsyncRestHook.get_connection_form_widgets()


def test_all_fields_are_drawn_and_what_may_have_a_password_is_hidden(drawn):
    assert list(drawn) == list(CONNECTION_FIELDS)
    hidden = {name for name, field in drawn.items() if field.kind == "password"}
    assert hidden == {"proxy", "private_key", "refresh_token"}
    assert all(field.label and field.description for field in drawn.values())


def test_what_can_be_chosen_are_texts_and_nothing_may_be_chosen(drawn):
    choices = {name: field.validators[1] for name, field in drawn.items() if len(field.validators) > 1}
    assert choices["trust_env"] == ["true", "false"]
    assert choices["auth_type"] == [each for each in CONNECTION_FIELDS["auth_type"]["schema"]["enum"] if each]
    assert all(field.validators[0] is None for field in drawn.values())


def test_a_form_saved_untouched_is_a_connection_with_the_hooks_defaults(drawn, connect):
    from airflow_async_rest.hooks.rest import AsyncRestHook

    stored = {name: field.default for name, field in drawn.items() if field.default is not None}
    assert all(isinstance(value, str) for value in stored.values())
    connect("untouched", conn_type="async_rest", host="api.example.com", extra=json.dumps(stored))
    connect("empty", conn_type="async_rest", host="api.example.com")
    assert AsyncRestHook("untouched").settings() == AsyncRestHook("empty").settings()


def test_headers_are_read_from_the_text_that_the_form_stores(connect):
    from airflow_async_rest.hooks.rest import AsyncRestHook

    extra = {"headers": '{"Accept": "application/json"}'}
    connect("texts", conn_type="async_rest", host="api.example.com", extra=json.dumps(extra))
    assert AsyncRestHook("texts").settings().headers == {"Accept": "application/json"}


def test_the_standard_fields_are_called_the_same():
    from airflow_async_rest.hooks.rest import AsyncRestHook

    behaviour = AsyncRestHook.get_ui_field_behaviour()
    assert set(behaviour) == {"hidden_fields", "relabeling", "placeholders"}
    assert behaviour["relabeling"]["password"] == "Password, token or API key"


@every_row(
    ("version", "base_url", "url"),
    [
        ((2, 11), "", None),
        ((3, 0), "", None),
        ((3, 1), "http://localhost:8080", "/async-rest/x.js"),
        ((3, 1), "https://example.com/airflow", "/airflow/async-rest/x.js"),
        ((3, 2), "", "/async-rest/x.js"),
        ((3, 2), "http://localhost:8080", "/async-rest/x.js"),
        ((3, 2), "http://localhost:8080/", "/async-rest/x.js"),
        ((3, 2), "https://example.com/team/airflow", "/team/airflow/async-rest/x.js"),
        ((3, 2), "https://example.com/team/airflow/?x", "/team/airflow/async-rest/x.js"),
        ((3, 2), "/airflow", "/airflow/async-rest/x.js"),
        ((3, 3), "https://example.com/team/airflow", "async-rest/x.js"),
        ((4, 0), "", "async-rest/x.js"),
    ],
)
def test_the_address_of_a_tab(version, base_url, url):
    assert bundle_url("async-rest/x.js", version, base_url) == url
