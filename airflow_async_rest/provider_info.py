"""What Airflow's provider manager reads: the connection type, its form, and the settings in airflow.cfg."""

from typing import Any


def _field(label: str, description: str, kind: str = "string", **schema: Any) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": [kind, "null"], **schema}}


# What Airflow's form draws for a schema, and what it stores, decides how the fields are written here:
# * Two types but null make a text box of six lines: verify and cert are one line of text each, which the hook reads.
# * A switch without a default shows "off", whatever the hook does without it; so defaults are stated, as the hook's.
# * An emptied field is stored as null, and null means the default: "none" is what turns the idempotency header off.
# * Number fields know `minimum` and `maximum`. `examples` become suggestions, `values_display` the choices' labels.
# Who may see connections sees their extra, but for what Airflow masks by its name: `proxy` is (and `api_key_header`
# and `api_key_param`, needlessly), and in `headers` Authorization or X-API-Key, but not X-Key or Cookie. So the form
# sends secrets to the password; `proxy`, whose URL may have one, is hidden while it is typed, too.
# Airflow also masks `token_url` and `private_key`: the latter with reason.
_SIGNING: dict[str, dict[str, Any]] = {
    "token_url": _field(
        "Token URL", "OAuth2: where tokens are asked for, such as https://login.example.com/oauth2/token."
    ),
    "scope": _field("Scope", "OAuth2: what the token is to allow, with spaces between. Empty: what the server says."),
    "audience": _field("Audience", "OAuth2: the API that the token is for, where the server asks for it."),
    "client_auth": _field(
        "Client authentication",
        "OAuth2: where client id and secret stand: basic (a header), or body. Default: basic.",
        enum=[None, "basic", "body"],
        values_display={"null": "default: basic", "basic": "basic: in a header", "body": "body: in the form"},
    ),
    "token_params": _field(
        "Token parameters", 'OAuth2: further ones, as JSON: {"resource": "https://api.example.com"}.', "object"
    ),
    "refresh_token": _field(
        "Refresh token",
        "OAuth2 with a refresh token: the one of the last login. The next ones are in the store of rate_limit_conn_id.",
        format="password",
    ),
    "private_key": _field(
        "Private key", "OAuth2 with assertions: a PEM text, where it is not the password.", format="password"
    ),
    "key_id": _field("Key id", "OAuth2 with assertions: the kid by which the server finds the key, where it asks."),
    "jwt_claims": _field(
        "Claims",
        'OAuth2 with assertions: others than iss and sub (the login) and aud, as JSON: {"sub": "user@example.com"}.',
        "object",
    ),
    "aws_service": _field(
        "AWS service",
        "aws_sigv4: its name in signatures.",
        examples=["execute-api", "es", "aoss", "lambda", "s3"],
    ),
    "aws_region": _field("AWS region", "aws_sigv4: the API's, such as eu-west-1."),
    "aws_conn_id": _field(
        "AWS connection", "aws_sigv4: id of an Airflow AWS connection. Empty: the credentials of the machine."
    ),
    "hmac": _field(
        "HMAC",
        'hmac: what is signed, and where it stands, as JSON: {"signed": "{timestamp}.{body}", "headers": '
        '{"X-Signature": "t={timestamp},v1={signature}"}}.',
        "object",
    ),
    "auth": _field("Class of your own", "module:Class that signs requests, instead of an authentication above."),
    "auth_params": _field(
        "Parameters of it", 'Passed on to that class by their names, as JSON: {"realm": "A"}.', "object"
    ),
}
FIELDS_OF_SIGNING = frozenset(_SIGNING)
CONNECTION_FIELDS: dict[str, dict[str, Any]] = {
    "auth_type": _field(
        "Authentication",
        "What requests are signed in with: what login and password are.",
        enum=[
            None,
            "basic",
            "bearer",
            "api_key",
            "api_key_query",
            "oauth2_client_credentials",
            "oauth2_jwt",
            "oauth2_refresh_token",
            "aws_sigv4",
            "hmac",
            "none",
        ],
        values_display={
            "null": "default: basic with a login, else none",
            "basic": "basic: login and password",
            "bearer": "bearer: the password is the token",
            "api_key": "api_key: the password is the key, sent in a header",
            "api_key_query": "api_key_query: the password is the key, sent in the query",
            "oauth2_client_credentials": "OAuth2: client id and secret are login and password",
            "oauth2_jwt": "OAuth2: the password is a private key, which signs assertions (JWT bearer)",
            "oauth2_refresh_token": "OAuth2: a refresh token; client id and secret are login and password",
            "aws_sigv4": "aws_sigv4: signatures of AWS",
            "hmac": "hmac: signatures; the password is the secret",
            "none": "none",
        },
    ),
    "api_key_header": _field(
        "API key header", "Header that carries the key of authentication api_key. Default: X-API-Key."
    ),
    "api_key_param": _field(
        "API key parameter",
        "Parameter of the query that carries the key of authentication api_key_query. Default: api_key.",
    ),
    **_SIGNING,
    "headers": _field(
        "Headers",
        'Sent with every request, as JSON: {"Accept": "application/json"}. Put a key into the '
        "password: those who may see the connection may read most of these.",
        "object",
    ),
    "rate_limit": _field(
        "Rate limit",
        "100/s, 6000/m or 10000/h; several with a comma between. Of one task, whose own argument wins; with a "
        "store (next field) of all tasks together, also a day's: 10000/d UTC. Empty: none.",
        examples=["10/s", "100/s", "6000/m", "10000/h", "10/s, 10000/d UTC"],
    ),
    "rate_limit_conn_id": _field(
        "Rate limit: kept in",
        "Id of a connection of type redis or postgres: there all tasks find the limit, and the OAuth2 tokens, that "
        "they share. "
        "Empty: [async_rest] rate_limit_conn_id of airflow.cfg; where that is empty too, each task has its own.",
    ),
    "rate_limit_key": _field(
        "Rate limit: key", "Connections with the same key share one limit. Default: the id of this connection."
    ),
    "rate_limit_fallback": _field(
        "Rate limit: fallback",
        "Limit of each task by itself while the store of the shared one is away. Empty: nothing is sent then.",
        examples=["10/s"],
    ),
    "rate_limit_headers": _field(
        "Rate limit: headers",
        'In which the API tells what remains: {"remaining": "X-Quota-Left", "reset": "X-Quota-Reset", "limit": '
        '"X-Quota"}. Default: RateLimit and the X-RateLimit- family.',
        "object",
    ),
    "concurrency": _field(
        "Concurrency",
        "Requests in flight of one task, 1 to 1000, or adaptive: as many as the API can handle. A "
        "task's own argument wins. Default: 16.",
        examples=["16", "64", "adaptive"],
        default="16",
    ),
    "idempotency_header": _field(
        "Idempotency header",
        "Header of the key by which the API can tell a request it sees twice. none: send no key.",
        examples=["Idempotency-Key", "X-Request-ID", "none"],
        default="Idempotency-Key",
    ),
    "connect_timeout_seconds": _field(
        "Connect timeout (s)", "For a new connection, TLS included. Default: 10.", "number", minimum=0.1, default=10
    ),
    "request_timeout_seconds": _field(
        "Request timeout (s)",
        "From sending a request to the last byte of its answer. Default: 60.",
        "number",
        minimum=0.1,
        default=60,
    ),
    "max_response_mb": _field(
        "Largest answer (MB)", "A larger answer fails its item. Default: 10.", "number", minimum=0.001, default=10
    ),
    "trust_close": _field(
        "Trust a closed connection",
        "Whether an answer that is not JSON and has no length is whole when the API closes the "
        "connection. Off: it may have been cut off, so its item fails.",
        "boolean",
        default=False,
    ),
    "transport": _field(
        "Transport",
        "What sends requests: own, or aiohttp, where something between here and the API needs it.",
        enum=[None, "own", "aiohttp"],
        values_display={"null": "default: own", "own": "own: faster", "aiohttp": "aiohttp: its client session"},
    ),
    "verify": _field(
        "TLS verification",
        "true; or the path of a PEM file with the CA certificates to trust, or of a directory of them; "
        "or false, which trusts any server.",
        examples=["true", "/etc/ssl/certs/internal-ca.pem", "false"],
        default="true",
    ),
    "cert": _field("Client certificate", "Path of a PEM file; or of two, with a comma between: certificate, key."),
    "trust_env": _field(
        "Proxy from the environment",
        "Whether HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY and REQUESTS_CA_BUNDLE count.",
        "boolean",
        default=True,
    ),
    "proxy": _field(
        "Proxy", "URL of a proxy, instead of the environment's: http://proxy.example.com:3128.", format="password"
    ),
    "cookies": _field("Keep cookies", "Whether cookies that the API sets are sent back.", "boolean", default=False),
    "naive_timezone": _field(
        "Time zone of naive times",
        "Zone of times without an offset that a database returns, such as Europe/Prague.",
        examples=["UTC", "Europe/London", "Europe/Prague", "America/New_York", "Asia/Tokyo"],
        default="UTC",
    ),
}

FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": [],
    "relabeling": {"schema": "Schema (http or https)", "password": "Password, token or API key"},
    "placeholders": {
        "host": "api.example.com/v1",
        "schema": "https (the default)",
        "port": "443 (in Airflow 3.3 the Test button needs one)",
    },
}


def _option(description: str, *, default: str, example: str | None = None, kind: str = "string") -> dict[str, Any]:
    about = {"description": description, "version_added": "0.1.0", "type": kind}
    return {**about, "example": example, "default": default}


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description (the schema is Airflow's ``provider_info.schema.json``)."""
    name = "Async REST"
    return {
        "package-name": "airflow-provider-async-rest",
        "name": name,
        "description": "Rows out of a database into a REST API by date window, or back: concurrently, inside the "
        "API's limits, each one accounted for.",
        "integrations": [{"integration-name": name, "external-doc-url": "", "tags": ["protocol"]}],
        "operators": [
            {
                "integration-name": name,
                "python-modules": [
                    "airflow_async_rest.operators.sql_to_rest",
                    "airflow_async_rest.operators.rest_to_sql",
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
                "ui-field-behaviour": FIELD_BEHAVIOUR,
                "conn-fields": CONNECTION_FIELDS,
            }
        ],
        "config": {
            "async_rest": {
                "description": "Settings of the provider airflow-provider-async-rest.",
                "options": {
                    "dead_letter_path": _option(
                        "Where dead letters are kept: a folder or an object-storage URI. Empty: "
                        "async_rest/dead_letters in AIRFLOW_HOME. With workers on several machines it must be "
                        "storage that all of them reach.",
                        default="",
                        example="s3://aws_default@bucket/dead_letters",
                    ),
                    "state_path": _option(
                        "Where checkpoints, progress and requests to replay are kept, instead of in Airflow's task "
                        "state store: a folder or an object-storage URI that all workers and the API server reach. "
                        "Empty: in Airflow's store; before Airflow 3.3, which has none, in the folder _state below "
                        "dead_letter_path.",
                        default="",
                        example="s3://aws_default@bucket/state",
                    ),
                    "file_mode": _option(
                        "Who may read dead letters, and state, on a disk: the mode of their files, whatever the "
                        "umask is; the same users may enter the folders made for them. Where the API server runs as "
                        "another user than the tasks: 0640, and a group that both are in.",
                        default="0600",
                        example="0640",
                    ),
                    "rate_limit_conn_id": _option(
                        "Id of a connection of type redis or postgres, in which tasks keep what they share, where "
                        "the API's connection names no other store: the limits of connections that have a rate_limit, "
                        "and the OAuth2 tokens of all that sign in with these.",
                        default="",
                        example="limits",
                    ),
                    "xcom_payloads": _option(
                        "Whether the failed items in XCom show their payloads.", default="True", kind="boolean"
                    ),
                },
            }
        },
    }
