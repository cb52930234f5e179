"""What Airflow's provider manager reads: the connection type, its form, and the settings in airflow.cfg."""

from typing import Any

CONNECTION_FIELDS: dict[str, dict[str, Any]] = {
    "auth_type": {
        "label": "Authentication",
        "description": "none; basic (login and password); bearer (the password is the token); api_key (the "
        "password is the key). Default: basic where a login is given, else none.",
        "schema": {"type": ["string", "null"], "enum": ["none", "basic", "bearer", "api_key", None]},
    },
    "api_key_header": {
        "label": "API key header",
        "description": "Header that carries the key of authentication api_key. Default: X-API-Key.",
        "schema": {"type": ["string", "null"]},
    },
    "headers": {
        "label": "Headers",
        "description": 'Sent with every request, as JSON: {"Accept": "application/json"}.',
        "schema": {"type": ["object", "null"]},
    },
    "connect_timeout_seconds": {
        "label": "Connect timeout (s)",
        "description": "For a new connection. Default: 10.",
        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
    },
    "request_timeout_seconds": {
        "label": "Request timeout (s)",
        "description": "From sending a request to the last byte of its answer. Default: 60.",
        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
    },
    "verify": {
        "label": "TLS verification",
        "description": "true (default), false, or the path of a file with the CA certificates to trust.",
        "schema": {"type": ["boolean", "string", "null"]},
    },
    "cert": {
        "label": "Client certificate",
        "description": "Path of a PEM file, or a list of two: certificate and key.",
        "schema": {"type": ["string", "array", "null"]},
    },
    "trust_env": {
        "label": "Proxy from the environment",
        "description": "Whether HTTP_PROXY, HTTPS_PROXY and NO_PROXY count. Default: true.",
        "schema": {"type": ["boolean", "null"]},
    },
    "proxy": {
        "label": "Proxy",
        "description": "URL of a proxy, instead of the environment's.",
        "schema": {"type": ["string", "null"]},
    },
    "cookies": {
        "label": "Keep cookies",
        "description": "Whether cookies that the API sets are sent back. Default: false.",
        "schema": {"type": ["boolean", "null"]},
    },
    "idempotency_header": {
        "label": "Idempotency header",
        "description": "Header for each request's key; empty for none. Default: Idempotency-Key.",
        "schema": {"type": ["string", "null"]},
    },
    "rate_limit": {
        "label": "Rate limit",
        "description": "Default for every task: 100/s, 6000/m, 10000/h. Empty for none.",
        "schema": {"type": ["string", "null"]},
    },
    "concurrency": {
        "label": "Concurrency",
        "description": "Default for every task: requests in flight. Default: 16.",
        "schema": {"type": ["integer", "null"], "minimum": 1},
    },
    "naive_timezone": {
        "label": "Time zone of naive times",
        "description": "What a time without an offset, read from a database, is taken to be in. Default: UTC.",
        "schema": {"type": ["string", "null"]},
    },
}


def get_provider_info() -> dict[str, Any]:
    """Give the provider's description (the schema is Airflow's ``provider_info.schema.json``)."""
    name = "Async REST"
    return {
        "package-name": "airflow-provider-async-rest",
        "name": name,
        "description": "Rows out of a database into a REST API by date window: concurrently, inside the API's "
        "limits, each one accounted for.",
        "integrations": [{"integration-name": name, "external-doc-url": "", "tags": ["protocol"]}],
        "operators": [
            {
                "integration-name": name,
                "python-modules": [
                    "airflow_async_rest.operators.sql_to_rest",
                    "airflow_async_rest.operators.replay",
                ],
            }
        ],
        "hooks": [
            {
                "integration-name": name,
                "python-modules": ["airflow_async_rest.hooks.rest", "airflow_async_rest.hooks.chunked_sql"],
            }
        ],
        "connection-types": [
            {
                "connection-type": "async_rest",
                "hook-class-name": "airflow_async_rest.hooks.rest.AsyncRestHook",
                "hook-name": name,
                "ui-field-behaviour": {
                    "hidden-fields": [],
                    "relabeling": {"schema": "Schema (http or https)", "password": "Password, token or API key"},
                    "placeholders": {"host": "api.example.com/v1", "schema": "https", "port": "443"},
                },
                "conn-fields": CONNECTION_FIELDS,
            }
        ],
        "config": {
            "async_rest": {
                "description": "Settings of the provider airflow-provider-async-rest.",
                "options": {
                    "dead_letter_path": {
                        "description": "Where dead letters are kept: a folder or an object-storage URI. Empty: "
                        "async_rest/dead_letters in AIRFLOW_HOME. With workers on several machines it must be "
                        "storage that all of them reach.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "s3://aws_default@bucket/dead_letters",
                        "default": "",
                    },
                    "xcom_payloads": {
                        "description": "Whether the failed items in XCom show their payloads.",
                        "version_added": "0.1.0",
                        "type": "boolean",
                        "example": None,
                        "default": "True",
                    },
                },
            }
        },
    }
