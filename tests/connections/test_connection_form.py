"""The connection form: what Airflow's UI gets, and that the hook understands what it stores."""

import json

import pytest

from airflow_async_rest.core.requests.settings import parse_concurrency
from airflow_async_rest.provider_info import FIELDS_OF_SIGNING


@pytest.fixture(scope="module")
def form():
    """What the UI draws the form of."""
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    return next(meta for meta in HookMetaService.hook_meta_data() if meta.connection_type == "async_rest")


@pytest.fixture
def hook(connect):
    from airflow_async_rest.hooks.rest import AsyncRestHook

    def make(extra, **fields) -> AsyncRestHook:
        connect("search_api", conn_type="async_rest", host="api.example.com", extra=json.dumps(extra), **fields)
        return AsyncRestHook("search_api")

    return make


def test_every_field_is_drawn_with_a_label_and_a_description(form):
    from airflow_async_rest.provider_info import CONNECTION_FIELDS

    assert list(form.extra_fields) == list(CONNECTION_FIELDS)
    for name, field in form.extra_fields.items():
        assert field["schema"]["title"], name
        assert field["description"].endswith("."), name


def test_the_standard_fields_say_what_belongs_into_them(form):
    assert form.standard_fields.password.title == "Password, token or API key"
    assert form.standard_fields.host.placeholder == "api.example.com/v1"
    assert form.standard_fields.url_schema.placeholder.startswith("https")


def test_no_field_has_two_types_which_would_be_drawn_as_a_text_box(form):
    types = {name: set(field["schema"]["type"]) - {"null"} for name, field in form.extra_fields.items()}
    assert [name for name, found in types.items() if len(found) != 1] == []
    assert [name for name, field in form.extra_fields.items() if "null" not in field["schema"]["type"]] == []


def test_every_choice_has_a_label(form):
    schema = form.extra_fields["auth_type"]["schema"]
    assert {str(choice).replace("None", "null") for choice in schema["enum"]} == set(schema["values_display"])


def test_a_form_saved_untouched_is_a_connection_with_the_hooks_defaults(form, hook):
    stored = {name: field["value"] for name, field in form.extra_fields.items()}
    assert stored["trust_env"] is True  # without a default the switch would show "off"
    assert hook(stored).settings() == hook({}).settings()
    assert hook(stored).naive_timezone() is None
    assert parse_concurrency(hook(stored).options()["concurrency"]) == 16


def test_a_form_whose_fields_are_all_emptied_is_a_connection_with_the_hooks_defaults(form, hook):
    assert hook(dict.fromkeys(form.extra_fields)).settings() == hook({}).settings()


def test_the_hook_understands_what_a_filled_form_stores(form, hook):
    stored = {
        "auth_type": "api_key",
        "api_key_header": "X-Key",
        "api_key_param": "key",
        "headers": {"Accept": "application/json"},
        "rate_limit": "100/s, 5000/d UTC",
        "rate_limit_conn_id": "limits",
        "rate_limit_key": "search",
        "rate_limit_fallback": "10/s",
        "rate_limit_headers": {"remaining": "X-Left", "reset": "X-Reset"},
        "concurrency": 4,
        "idempotency_header": "none",
        "connect_timeout_seconds": 2.5,
        "request_timeout_seconds": 30,
        "max_response_mb": 0.5,
        "trust_close": True,
        "transport": "aiohttp",
        "verify": "false",
        "cert": "/c.pem, /k.pem",
        "trust_env": False,
        "proxy": "http://u:pr0xypass@127.0.0.1:3128",
        "cookies": True,
        "naive_timezone": "Europe/Prague",
        **dict.fromkeys(FIELDS_OF_SIGNING),
    }
    assert set(stored) == set(form.extra_fields)
    found = hook(stored, password="s3cret")
    settings = found.settings()
    assert settings.headers == {"Accept": "application/json", "X-Key": "s3cret"}
    assert (settings.connect_timeout_seconds, settings.request_timeout_seconds) == (2.5, 30.0)
    assert (settings.max_response_bytes, settings.trust_close, settings.transport) == (500_000, True, "aiohttp")
    assert (settings.verify, settings.client_certificate) == (False, ("/c.pem", "/k.pem"))
    assert (settings.trust_env, settings.proxy, settings.cookies) == (False, stored["proxy"], True)
    assert settings.idempotency_header is None
    assert str(found.naive_timezone()) == "Europe/Prague"
    assert (found.options()["rate_limit"], found.options()["concurrency"]) == ("100/s, 5000/d UTC", 4)


def test_airflow_hides_the_private_key_and_the_form_restores_what_it_hides():
    from airflow._shared.secrets_masker import merge
    from airflow.sdk.log import redact

    stored = {"private_key": "-----BEGIN", "token_url": "https://login", "scope": "a"}
    shown = redact(stored)
    assert shown == {"private_key": "***", "token_url": "***", "scope": "a"}
    assert merge(shown, stored) == stored


def test_airflow_hides_the_proxy_which_may_have_a_password(form):
    from airflow.providers_manager import ProvidersManager
    from airflow.sdk.log import redact

    assert redact({"proxy": "http://u:pr0xypass@p:1"}) == {"proxy": "***"}
    assert ProvidersManager()._connection_form_widgets_from_metadata["extra__async_rest__proxy"].is_sensitive
