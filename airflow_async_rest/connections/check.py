"""The connection test: what Airflow's Test button and `airflow connections test` show."""

import logging
import os
from dataclasses import replace
from urllib.parse import urlsplit

from airflow_async_rest.connections.connection import RestConnection
from airflow_async_rest.connections.diagnosis import diagnose
from airflow_async_rest.connections.limits.check import check_shared_limit
from airflow_async_rest.connections.limits.shared_limit import SharedLimit, limiting_of, quota_headers_of
from airflow_async_rest.connections.probe import probe
from airflow_async_rest.connections.secrets import without_known_secrets
from airflow_async_rest.connections.signing import signer_of
from airflow_async_rest.core.errors import ConfigurationError, StoppedError
from airflow_async_rest.core.requests.headers import CREDENTIAL_HEADER
from airflow_async_rest.core.requests.settings import parse_concurrency
from airflow_async_rest.core.sending.auth import Auth
from airflow_async_rest.core.signing.bearer import Bearer
from airflow_async_rest.core.signing.token import describe_token

# A token endpoint has so many seconds of the patience of somebody who looks at the form.
_LONGEST_FOR_TOKEN = 5.0


def check_connection(hook: RestConnection) -> tuple[bool, str]:
    """Check every field of a connection, then send one GET to its base URL as a task would.

    :return: whether tasks can work with it, and in words what was found and what to fill in; never an exception,
        never a secret.
    """
    try:
        settings = hook.settings()
        shared = _check_what_tasks_read_later(hook)
        patient = replace(settings, request_timeout_seconds=min(settings.request_timeout_seconds, _LONGEST_FOR_TOKEN))
        auth = signer_of(hook, patient, settings.headers)
        finding = probe(settings, auth=auth)
        works, text = diagnose(finding, settings, _credentials(hook, auth), settings.find_proxy(os.environ))
        limited, about = check_shared_limit(shared, hook.options()) if shared else (True, "")
        return works and limited, f"{text} {about}".strip()
    except StoppedError as error:
        return False, f"{error}."
    except ConfigurationError as error:
        # The one that is tested from the form has an id made up by Airflow.
        said = str(error).replace(f"connection {hook.http_conn_id!r}", "the connection")
        return False, without_known_secrets(said)
    except Exception as error:  # noqa: BLE001  (its text may hold anything: only its kind is told)
        return False, f"the test ended with {type(error).__name__}, which says nothing about the connection."


def _check_what_tasks_read_later(hook: RestConnection) -> SharedLimit | None:
    options = hook.options()
    hook.naive_timezone()
    limiting = limiting_of(hook, None, longest_seconds=0, log=logging.getLogger(__name__))
    quota_headers_of(hook)
    if "concurrency" in options:
        parse_concurrency(options["concurrency"])
    return limiting.shared


def _credentials(hook: RestConnection, auth: Auth | None) -> str:
    """Say what requests identify with, and which field it comes from."""
    if isinstance(auth, Bearer) and auth.token is not None:
        host = urlsplit(hook.text_option("token_url")).netloc
        return f"a token of {host} (as auth_type says; {describe_token(auth.token)})"
    if auth is not None:
        return f"a signature ({f'of {own}' if (own := hook.text_option('auth')) else 'as auth_type says'})"
    options, kind = hook.options(), hook.auth_type()
    default = "the default with a login" if hook.connection.login else "there is no login, and auth_type is not set"
    origin = "as auth_type says" if options.get("auth_type") else default
    sent = {
        "none": "no credentials",
        "basic": "login and password, as basic authentication",
        "bearer": "the password, as bearer token",
        "api_key_query": f"the password, as API key in the query parameter {hook.api_key_param()}",
        "api_key": f"the password, as API key in the header {hook.api_key_header()}",
    }[kind]
    others = [name for name in options.get("headers", {}) if CREDENTIAL_HEADER.search(name)]
    return f"{sent} ({origin})" + (f", and of the extra field headers {', '.join(others)}" if others else "")
