"""Connections whose requests are signed: what their fields make, which of them are wrong, and what their test says."""

import hashlib
import json
import subprocess
import sys
import threading
from base64 import b64decode, b64encode
from dataclasses import replace
from types import ModuleType
from urllib.parse import parse_qs

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pages import page, samples

from airflow_async_rest.core.errors import ConfigurationError, ConnectionFailedError

SECRET = "cl1ent+s3cret/of=mine"
KEY = ec.generate_private_key(ec.SECP256R1())
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()


class Login:
    """An API, with a token endpoint beside it that knows one client, and one key."""

    def __init__(self, api, **said):
        self.api, self.said, self.asked, self.refusal = api, said, [], None
        api.answer = self.answer

    def answer(self, seen):
        if seen.path == "/token":
            self.asked.append((seen, {name: one for name, [one] in parse_qs(seen.body.decode()).items()}))
            return self.refusal or web.json_response({"access_token": "t0ken-of-the-test", **self.said})
        return 200 if seen.headers.get("Authorization") == "Bearer t0ken-of-the-test" else 401


@pytest.fixture
def hook(connect, api):
    from airflow_async_rest.hooks.rest import AsyncRestHook

    def make(conn_type="async_rest", host=None, **fields):
        extra = {name: value for name, value in fields.items() if name not in {"login", "password"}}
        known = {name: fields[name] for name in ("login", "password") if name in fields}
        extra = {name: f"{api.url}/token" if value == "URL" else value for name, value in extra.items()}
        connect("search_api", conn_type=conn_type, host=host or api.url, extra=json.dumps(extra), **known)
        return AsyncRestHook("search_api")

    return make


def deliver(hook, count=5, **arguments):
    """Send some rows as a plain task does, outside of any."""
    return hook.deliver([{"id": i} for i in range(count)], endpoint="x/{id}", method="PUT", key="id", **arguments)


CLIENT = {"auth_type": "oauth2_client_credentials", "login": "me", "password": SECRET, "token_url": "URL"}


@pytest.mark.parametrize(
    ("fields", "parameters", "is_basic"),
    [
        ({}, {}, True),
        ({"client_auth": "basic", "scope": "read write", "audience": "https://api"}, {"scope": "read write", "audience": "https://api"}, True),
        ({"client_auth": "body"}, {"client_id": "me", "client_secret": SECRET}, False),
        ({"token_params": {"resource": "https://api", "n": 5, "a": ["b"], "none": None}}, {"resource": "https://api", "n": "5", "a": "b"}, True),
        ({"token_params": '{"a": true, "b": [false], "c": null}'}, {"a": "true", "b": "false"}, True),
    ],
)  # fmt: skip
def test_client_credentials_are_sent_as_the_fields_say(hook, api, tmp_path, fields, parameters, is_basic):
    login = Login(api)
    assert deliver(hook(**CLIENT, **fields), dead_letter_path=str(tmp_path))["delivered"] == 5
    [(seen, form)] = login.asked
    assert form == {"grant_type": "client_credentials", **parameters}
    if is_basic:
        sent = b64decode(seen.headers["Authorization"].removeprefix("Basic ")).decode()
        assert sent == "me:cl1ent%2Bs3cret%2Fof%3Dmine"
    else:
        assert "Authorization" not in seen.headers


@pytest.mark.parametrize(
    ("fields", "claims"),
    [
        ({"password": PEM}, {"iss": "me", "sub": "me"}),
        ({"password": PEM.replace("\n", " ")}, {"iss": "me", "sub": "me"}),
        ({"private_key": PEM.replace("\n", "\\n"), "password": "unused-1"}, {"iss": "me", "sub": "me"}),
        (
            {"password": PEM, "key_id": "k", "audience": "https://login", "jwt_claims": {"sub": "ann", "exp": 60}},
            {"iss": "me", "sub": "ann", "aud": "https://login"},
        ),
        ({"password": PEM, "jwt_claims": {"aud": ["https://login", "x"]}}, {"aud": ["https://login", "x"]}),
        ({"password": PEM, "jwt_claims": '{"sub": "ann"}'}, {"iss": "me", "sub": "ann"}),
        ({"password": PEM, "scope": "a b"}, {"iss": "me", "sub": "me", "scope": "a b"}),
        ({"password": PEM, "token_params": {"client_id": "box", "client_secret": SECRET}}, {"iss": "me"}),
    ],
)
def test_an_assertion_is_exchanged_for_a_token(hook, api, tmp_path, fields, claims):
    login = Login(api, expires_in=3600)
    found = hook(**{"auth_type": "oauth2_jwt", "login": "me", "token_url": "URL", **fields})
    assert deliver(found, dead_letter_path=str(tmp_path))["delivered"] == 5
    [(seen, form)] = login.asked
    assert "Authorization" not in seen.headers
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert form.get("scope") == fields.get("scope")
    assert fields.get("token_params", {}).items() <= form.items()
    audience = claims.get("aud", f"{api.url}/token")
    audience = audience[0] if isinstance(audience, list) else audience
    made = jwt.decode(form["assertion"], KEY.public_key(), algorithms=["ES256"], audience=audience)
    assert claims.items() <= made.items()
    assert made["exp"] - made["iat"] == (70 if "exp" in str(fields.get("jwt_claims")) else 310)
    assert jwt.get_unverified_header(form["assertion"]).get("kid") == fields.get("key_id")


JWT = {"auth_type": "oauth2_jwt", "login": "me", "password": PEM, "token_url": "URL"}
HMAC = {"auth_type": "hmac", "password": SECRET}
AWS = {"auth_type": "aws_sigv4", "aws_service": "es", "aws_region": "eu-west-1"}
REFRESH = CLIENT | {"auth_type": "oauth2_refresh_token"}
LOGIN = {"login": "me", "password": SECRET}
WRONG = [
    (CLIENT | {"token_url": ""}, "needs token_url: write the URL that gives tokens"),
    (CLIENT | {"token_url": "/token"}, "token_url cannot be read: write the whole URL"),
    (CLIENT | {"token_url": "https://me:s3cretpass@login/token"}, "token_url cannot be read"),
    (CLIENT | {"token_url": 5}, "token_url='***': write a text"),
    (CLIENT | {"login": ""}, "takes the client id from the login"),
    (CLIENT | {"password": ""}, "takes the client secret from the password"),
    (CLIENT | {"client_auth": "post"}, "client_auth='post': write one of basic, body"),
    (CLIENT | {"token_params": "resource=a"}, "token_params is a str: write a JSON object such as"),
    (CLIENT | {"token_params": {"client_secret": "s3cretpass"}}, "token_params has 'client_secret'"),
    (CLIENT | {"auth_type": "oauth2"}, "auth_type='oauth2': write one of none, basic"),
    (CLIENT | {"token_params": {"refresh_token": "s3cretpass"}}, "token_params has 'refresh_token'"),
    (JWT | {"token_params": {"assertion": "s3cretpass"}}, "token_params has 'assertion'"),
    (REFRESH, "needs refresh_token: sign in once"),
    (REFRESH | {"login": "", "refresh_token": "s3cretpass"}, "takes the client id from the login"),
    (REFRESH | {"refresh_token": "s3cretpass"}, "needs rate_limit_conn_id: a refresh token may be used up"),
    (REFRESH | {"refresh_token": "s3cretpass", "rate_limit_conn_id": "none"}, "needs a fernet_key in [core] of airflow.cfg"),
    (REFRESH | {"refresh_token": ["s3cretpass"]}, "refresh_token='***': write a text"),
    (JWT | {"private_key": {"type": "service_account", "private_key": "s3cretpass"}}, "private_key='***': write a text"),
    (HMAC | {"hmac": {"secret": "s3cretpass"}}, "hmac: secret='***': write one of text, base64, hex"),
    (JWT | {"login": ""}, "takes who signs in (the claim iss) from the login"),
    (JWT | {"password": "s3cretpass"}, "the private key is no PEM text"),
    (JWT | {"jwt_claims": [1]}, "jwt_claims is a list"),
    (JWT | {"jwt_claims": {"exp": 86_400}}, "jwt_claims: exp=86400: write for how many seconds"),
    (HMAC | {"password": ""}, "takes its secret from the password"),
    (HMAC | {"hmac": {"signd": "{body}"}}, "hmac: there is no 'signd'"),
    (HMAC | {"hmac": "{body}"}, "hmac is a str"),
    (CLIENT | {"token_params": {"a": {"b": 1}}}, "token_params: a is a dict: write a text, a number, true or false"),
    (CLIENT | {"token_params": {"a": [["b"]]}}, "token_params: a is a list"),
    (CLIENT | {"token_params": {"a": "\ud800"}}, "token_params='***': it has half a surrogate pair in it"),
    (CLIENT | {"token_params": {"\udfff": "s3cretpass"}}, "token_params='***': it has half a surrogate pair in it"),
    (CLIENT | {"token_params": '{"a": "\\ud800"}'}, "token_params='***': it has half a surrogate pair in it"),
    (HMAC | {"hmac": {"signed": "{body}\ud800"}}, "hmac='***': it has half a surrogate pair in it"),
    (JWT | {"jwt_claims": {"a": ["\ud800"]}}, "jwt_claims='***': it has half a surrogate pair in it"),
    (JWT | {"jwt_claims": {"aud": []}}, "jwt_claims: aud=[]: write a text"),
    (JWT | {"jwt_claims": {"iat": 5}}, "jwt_claims has 'iat', which is another one in each assertion: leave it out"),
    (JWT | {"jwt_claims": {"jti": "a"}}, "jwt_claims has 'jti'"),
    (AWS | {"aws_region": "Europe (Ireland)"}, "aws_region='Europe (Ireland)': write it as it stands in signatures, such as eu-west-1"),
    (AWS | {"aws_service": "API Gateway"}, "aws_service='API Gateway': write it as it stands in signatures, such as execute-api"),
    (LOGIN | {"login": "me:s3cretpass"}, "login='***': with authentication basic what follows a ':' is the password"),
    (LOGIN | {"headers": {"X-A": {"s3cretpass": 1}}}, "headers={'X-A': '***'}: write a text"),
    (LOGIN | {"headers": {"X-A": ["s3cretpass"]}}, "headers={'X-A': '***'}: write a text"),
    (CLIENT | {"token_params": "[1]"}, "token_params is a list: write a JSON object"),
    (CLIENT | {"token_params": False}, "token_params is a bool"),
    (CLIENT | {"auth_type": ["basic"]}, "auth_type=['basic']: write one of none, basic"),
    (CLIENT | {"auth_type": {}}, "auth_type={}: write one of none, basic"),
    (JWT | {"jwt_claims": '{"exp": 0}'}, "jwt_claims: exp=0"),
    (JWT | {"jwt_claims": {"iss": 5}}, "jwt_claims: iss=5: write a text"),
    (JWT | {"jwt_claims": {"aud": ["a", 5]}}, "jwt_claims: aud=['a', 5]: write a text"),
    (LOGIN | {"token_url": "https://a/s3cretpass"}, "token_url='***': it belongs to auth_type='oauth2_client_credentials' or"),
    (LOGIN | {"scope": "a", "auth_type": "bearer"}, "scope='***': it belongs to auth_type="),
    (LOGIN | {"hmac": {"signed": "{body}"}}, "hmac='***': it belongs to auth_type='hmac', and authentication here is basic"),
    (LOGIN | {"private_key": "s3cretpass"}, "private_key='***': it belongs to auth_type='oauth2_jwt'"),
    (LOGIN | {"aws_service": "es"}, "aws_service='***': it belongs to auth_type='aws_sigv4'"),
    (LOGIN | {"auth_params": {"realm": "s3cretpass"}}, "auth_params='***': it belongs to auth, and authentication here"),
    ({"jwt_claims": {"sub": "ann"}}, "jwt_claims='***': it belongs to auth_type='oauth2_jwt', and authentication here is none"),
    (HMAC | {"token_url": "https://a"}, "token_url='***': it belongs to auth_type="),
    (AWS | {"aws_service": ""}, "needs aws_service: write the service's name"),
    (AWS | {"aws_region": ""}, "needs aws_region"),
    ({"auth": "kerberos"}, "auth='kerberos': write module:Class"),
    ({"auth": "no_such_module:Class"}, "cannot be imported (No module named 'no_such_module')"),
    ({"auth": "json:Class"}, "cannot be imported (module 'json' has no attribute 'Class')"),
    ({"auth": "json:JSONDecoder"}, "auth='json:JSONDecoder' is no class with 'async def sign'"),
    ({"auth": "os:system"}, "auth='os:system' is no class with 'async def sign'"),
    ({"auth": "airflow_async_rest:Auth"}, "cannot be made ("),
    ({"auth": "test_signing_of_connections:Company", "auth_params": {"relam": "A"}}, "'relam'): it is called with the connection"),
    ({"auth": "json:loads", "auth_type": "basic", "login": "me"}, "leave it out where auth names a class of your own"),
    ({"auth": "test_signing_of_connections:Company", "auth_params": "x"}, "auth_params is a str"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "said"), WRONG)
def test_a_wrong_field_is_told_before_anything_is_sent(hook, api, tmp_path, fields, said, monkeypatch):
    from airflow.sdk.exceptions import AirflowFailException

    make_module(monkeypatch, "test_signing_of_connections", Company=Company)
    if fields.get("auth_type") == "aws_sigv4":
        pytest.importorskip("botocore", reason="signatures of AWS need botocore")
    found = hook(**fields)
    with pytest.raises(AirflowFailException) as raised:
        deliver(found, dead_letter_path=str(tmp_path))
    works, text = found.test_connection()
    assert not works
    for told in (str(raised.value), text):
        assert said in told
        assert "s3cretpass" not in told
    assert api.seen == []


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"expires_in": 3600, "scope": "read write"}, "it may do: read write; it ends in 3600 s"),
        ({}, "what it may do is not said; when it ends is not said"),
    ],
)
def test_the_test_says_what_a_token_may_do_and_when_it_ends(hook, api, said, words):
    Login(api, **said)
    works, text = hook(**CLIENT).test_connection()
    place = api.url.partition("//")[2]
    assert works
    assert text == f"{api.url}: reached, answers 200. Sent: a token of {place} (as auth_type says; {words})."
    assert [seen.path for seen in api.seen] == ["/token", "/"]


@pytest.mark.parametrize("fields", [CLIENT, JWT])
@pytest.mark.parametrize("error", ["invalid_client", "invalid_grant", "invalid_scope", "unauthorized_client"])
def test_the_test_says_why_there_is_no_token(hook, api, fields, error):
    login = Login(api)
    shown = f"{SECRET if fields is CLIENT else PEM[60:100]} you said"

    def refuse(seen):
        login.answer(seen)
        body = {
            "error": error,
            "error_description": f"{shown} {seen.body.decode()} {seen.headers.get('Authorization')}",
        }
        return web.json_response(body, status=400, headers={"Date": "Thu, 01 Jan 2026 12:00:00 GMT"})

    api.answer = refuse
    works, text = hook(**fields).test_connection()
    assert not works
    assert f"gives no token: it answers 400 {error}; it says: '***" in text
    [(_, form)] = login.asked
    assert len(form.get("assertion", "?" * 20)) >= 20
    for secret in (
        SECRET,
        PEM[60:100],
        form.get("assertion", "?" * 20)[:20],
        b64encode(f"me:{SECRET}".encode()).decode(),
    ):
        assert secret not in text
    if error in {"invalid_client", "invalid_grant"}:
        assert "its clock is" in text
        assert "behind this machine's" in text


def test_the_test_says_what_signs_where_it_is_no_token(hook, api):
    works, text = hook(**HMAC).test_connection()
    assert (works, "Sent: a signature (as auth_type says)." in text) == (True, True)
    assert len(api.seen[0].headers["X-Signature"]) == 64


def test_a_refused_token_says_so(hook, api):
    login = Login(api, expires_in=60)
    api.answer = lambda seen: login.answer(seen) if seen.path == "/token" else 403
    works, text = hook(**CLIENT).test_connection()
    assert not works
    assert "answers 403: access is refused" in text
    assert "a token of 127.0.0.1" in text


def make_module(monkeypatch, name, **names):
    module = ModuleType(name)
    vars(module).update(names)
    monkeypatch.setitem(sys.modules, name, module)


class Company:
    """As an author writes it."""

    def __init__(self, connection, realm="none"):
        self.connection, self.realm = connection, realm

    async def sign(self, request):
        return replace(
            request, headers={"X-Company": f"{self.realm} {self.connection.login} made-of-{request.path}-and-more"}
        )

    async def refused(self, response):
        return False


def test_a_class_of_ones_own_signs(hook, api, tmp_path, monkeypatch):
    make_module(monkeypatch, "company_signing", Company=Company)
    found = hook(auth="company_signing:Company", auth_params={"realm": "A"}, login="me")
    assert deliver(found, 1, dead_letter_path=str(tmp_path))["delivered"] == 1
    [seen] = api.seen
    assert seen.headers["X-Company"] == "A me made-of-x/0-and-more"
    assert "Authorization" not in seen.headers  # the login is the class's
    works, text = found.test_connection()
    assert (works, "Sent: a signature (of company_signing:Company)" in text) == (True, True)


def test_fields_of_json_may_be_text(hook, api, tmp_path, monkeypatch):
    make_module(monkeypatch, "company_signing", Company=Company)
    deliver(hook(auth="company_signing:Company", auth_params='{"realm": "A"}'), 1, dead_letter_path=str(tmp_path / "a"))
    deliver(hook(**HMAC, hmac='{"headers": {"X-Own": "{signature}"}}'), 1, dead_letter_path=str(tmp_path / "b"))
    assert api.seen[0].headers["X-Company"].startswith("A ")
    assert len(api.seen[1].headers["X-Own"]) == 64


@pytest.mark.parametrize("error", [ValueError, KeyError, TimeoutError, ConnectionFailedError, StopAsyncIteration])
def test_the_test_says_that_it_is_the_class_that_fails(hook, api, monkeypatch, error):
    class Failing(Company):
        async def sign(self, request):
            raise error(SECRET)

    make_module(monkeypatch, "company_signing", Failing=Failing)
    works, text = hook(auth="company_signing:Failing", password=SECRET).test_connection()
    said = f"what signs requests has ended with {error.__name__}: if that is a class of your own, check its function 'sign'"
    assert (works, said in text, SECRET in text) == (False, True, False)
    assert api.seen == []


@pytest.mark.parametrize("error", [TypeError, ValueError, KeyError])
@pytest.mark.parametrize("shown", ["password", "pin"])
def test_a_class_that_cannot_be_made_shows_no_secret(hook, monkeypatch, shown, error):
    class Strict:
        sign = refused = Company.refused

        def __init__(self, connection, pin):
            value = connection.password if shown == "password" else pin
            raise error(f"no number: {value!r}")

    make_module(monkeypatch, "company_signing", Strict=Strict)
    found = hook(auth="company_signing:Strict", password=SECRET, auth_params={"pin": "p1n-of-the-test"})
    works, text = found.test_connection()
    assert (works, "no number: '***'" in text) == (False, True)
    assert "cannot be made (" in text


def test_parameters_that_an_endpoint_echoes_are_not_shown(hook, api):
    def refuse(seen):
        return web.json_response({"error": "invalid_grant", "error_description": seen.body.decode()}, status=400)

    api.answer = refuse
    params = {"password": "h1d-den", "assertion_of": "another/value+of=it", "resource": "https://api"}
    _, text = hook(**CLIENT, token_params=params).test_connection()
    assert "it says: 'grant_type=client_credentials" in text
    assert not [secret for secret in ("h1d-den", "another", "value%2Bof") if secret in text]
    assert "resource=https%3A%2F%2Fapi" in text


def test_a_key_in_the_query_of_the_token_endpoint_is_not_shown(hook, api):
    api.answer = lambda seen: web.json_response(
        {"error": "invalid_client", "error_description": seen.target}, status=400
    )
    _, text = hook(**CLIENT | {"token_url": f"{api.url}/token?v=1&code=h1dden-key"}).test_connection()
    assert "it says: '/token?v=1&code=***'" in text


@pytest.mark.parametrize(
    ("proxy", "of_api", "of_endpoint"),
    [
        ({"https": "http://proxy:1"}, None, "http://proxy:1"),
        ({"http": "http://proxy:2"}, "http://proxy:2", None),
        ({"all": "http://proxy:3"}, "http://proxy:3", "http://proxy:3"),
        ("http://proxy:4", "http://proxy:4", "http://proxy:4"),
    ],
)
def test_a_token_endpoint_is_reached_by_the_proxy_of_its_own_scheme(hook, proxy, of_api, of_endpoint):
    from airflow_async_rest.connections.signing import token_endpoint

    found = hook(**CLIENT | {"token_url": "HTTPS://login.example.com/token", "proxy": proxy})
    settings = found.settings()
    assert (settings.proxy, token_endpoint(found, settings).settings.proxy) == (of_api, of_endpoint)


@pytest.mark.parametrize(
    "headers", [{"X-A": "a\x01"}, {"X A": "a"}, {"X-A": 5}, {"Content-Length": "5"}, {"X-A": "\ud800"}]
)
def test_the_test_refuses_headers_that_tasks_refuse(hook, api, monkeypatch, headers):
    class Odd(Company):
        async def sign(self, request):
            return request.with_headers(headers)

    make_module(monkeypatch, "company_signing", Odd=Odd)
    works, text = hook(auth="company_signing:Odd").test_connection()
    assert (works, text.startswith("what signs a request: ")) == (False, True)
    assert api.seen == []


def test_the_class_on_the_page_of_connections_signs_and_counts_on(hook, api, tmp_path, monkeypatch):
    names = {"__name__": "company_signing"}
    for block in samples(page("connections"), "python"):
        exec(block, names)
    make_module(monkeypatch, "company_signing", **names)

    def answer(seen):
        wanted = 7
        told = int(seen.headers["X-Count"])
        text = f"{told}:PUT:{seen.path[1:]}:{SECRET}".encode() + seen.body
        good = hashlib.sha256(text).hexdigest() == seen.headers["X-Signature"] and seen.headers["X-Realm"] == "A"
        return 200 if good and told == wanted else web.Response(status=401, headers={"X-Count": str(wanted)})

    api.answer = answer
    found = hook(auth="company_signing:Digest", auth_params={"realm": "A"}, password=SECRET)
    report = deliver(found, 20, dead_letter_path=str(tmp_path))
    assert (report["delivered"], report["failed"]) == (20, 0)


def test_the_public_protocol_is_imported_without_anything_heavy():
    code = "import sys; from airflow_async_rest import Auth, Request; print({'aiohttp', 'airflow', 'jwt'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


HTTP = [
    ({"auth_type": "bearer"}, {"Authorization": f"Bearer {SECRET}"}),
    ({"auth_type": "requests.auth.HTTPBasicAuth"}, {"Authorization": "Basic " + b64encode(f"me:{SECRET}".encode()).decode()}),
    ({"auth_type": "aiohttp.BasicAuth"}, {"Authorization": "Basic " + b64encode(f"me:{SECRET}".encode()).decode()}),
    ({"scope": "a", "audience": "b", "auth": "c"}, {"scope": "a", "audience": "b", "auth": "c"}),
    ({"hmac": "a", "key_id": "b"}, {"hmac": "a", "key_id": "b"}),
    ({"auth_type": "basic", "scope": "a", "token_url": "b"}, {"scope": "a", "token_url": "b"}),
    ({"auth_type": "bearer", "hmac": "a", "auth": "c"}, {"hmac": "a", "auth": "c"}),
    ({"auth_type": "aiohttp.BasicAuth", "audience": "a"}, {"audience": "a"}),
    ({"auth_type": "aiohttp.helpers.BasicAuth", "headers": {"X-A": "a"}}, {"X-A": "a"}),
    ({"auth_type": "", "headers": '{"X-A": 5}'}, {"X-A": "5", "Authorization": "Basic " + b64encode(f"me:{SECRET}".encode()).decode()}),
    ({"auth_type": "none", "headers": {"Authorization": "Bearer a"}}, {"Authorization": "Bearer a"}),
    ({"X-A": "a", "headers": {"X-B": "b"}, "srv_lookup": False, "stream": True}, {"X-A": "a", "X-B": "b"}),
]  # fmt: skip


@pytest.mark.parametrize(
    "extra",
    [
        *({"auth_kwargs": value} for value in ({}, "", None, "{}", "null")),
        *({"srv_lookup": value} for value in (False, "false", "False", "no", "0", 0, "")),
    ],
)
def test_what_an_http_connection_leaves_empty_is_no_header(hook, extra):
    assert list(hook("http", login="me", password="x", **extra).settings().headers) == ["Authorization"]


@pytest.mark.parametrize(("extra", "headers"), HTTP)
def test_an_http_connection_has_the_kinds_too_and_its_own_headers_stay(hook, extra, headers):
    settings = hook("http", login="me", password=SECRET, **extra).settings()
    assert headers.items() <= settings.headers.items()


def test_an_http_connection_signs_in_with_oauth2(hook, api, tmp_path):
    Login(api)
    assert deliver(hook("http", **CLIENT), dead_letter_path=str(tmp_path))["delivered"] == 5


BASIC = {"auth_type": "requests.auth.HTTPBasicAuth"}
REFUSED_OF_HTTP = [
    (BASIC | {"auth_kwargs": {"username": "me", "password": "s3cretpass"}}, "auth_kwargs='***': it is for a class of requests"),
    (BASIC | {"auth_kwargs": '{"password": "s3cretpass"}'}, "auth_kwargs='***': it is for a class of requests"),
    ({"auth_kwargs": {"password": "s3cretpass"}}, "auth_kwargs='***'"),
    ({"auth_type": "requests_ntlm.HttpNtlmAuth", "auth_kwargs": {"a": "s3cretpass"}}, "auth_kwargs='***'"),
    ({"auth_type": "requests_ntlm.HttpNtlmAuth"}, "auth_type='requests_ntlm.HttpNtlmAuth': write one of none, basic"),
    ({"auth_type": "requests.auth.HTTPProxyAuth"}, "auth_type='requests.auth.HTTPProxyAuth': write one of none, basic"),
    ({"auth_type": "airflow.providers.http.hooks.http.HTTPBasicAuth"}, "write one of none, basic"),
    (BASIC | {"login": ""}, "login='': authentication basic needs a login"),
    ({"X-A": {"a": "s3cretpass"}}, "headers={'X-A': '***'}: write a text"),
    ({"headers": '{"X-A": ["s3cretpass"]}'}, "headers={'X-A': '***'}: write a text"),
    ({"headers": "X-A: s3cretpass"}, "headers='***': write a JSON object such as"),
    ({"headers": [{"X-A": "s3cretpass"}]}, "headers='***': write a JSON object such as"),
    ({"srv_lookup": True}, "srv_lookup='***': servers are not looked up by SRV records here: write the server's own name"),
    ({"srv_lookup": "true"}, "srv_lookup='***'"),
]  # fmt: skip


@pytest.mark.parametrize(("extra", "said"), REFUSED_OF_HTTP)
def test_an_http_connection_that_would_sign_in_otherwise_is_refused_with_what_to_write(hook, extra, said):
    with pytest.raises(ConfigurationError) as raised:
        hook("http", **{"login": "me", "password": "x", **extra}).settings()
    assert said in str(raised.value)
    assert "s3cretpass" not in str(raised.value)


@pytest.mark.parametrize("kind", ["requests.auth.HTTPDigestAuth", "requests_kerberos.HTTPKerberosAuth", ["basic"], {}])
def test_a_class_of_requests_is_refused_with_what_to_write(hook, kind):
    with pytest.raises(ConfigurationError, match="write one of none, basic, .*, or a class of your own into auth"):
        hook("http", login="me", password="x", auth_type=kind).settings()


@pytest.mark.parametrize(
    ("fields", "texts"),
    [
        (JWT, ["".join(PEM.split("\n")[1:-2])[10:40], PEM.split("\n")[1]]),
        (JWT | {"private_key": PEM, "password": ""}, [PEM.split("\n")[1]]),
        (
            JWT | {"password": f"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n{PEM}"},
            [PEM.split("\n")[1]],
        ),
        (JWT | {"password": json.dumps({"private_key": PEM})}, [PEM.split("\n")[1]]),
        (CLIENT, [SECRET]),
        (HMAC, [SECRET]),
    ],
)
def test_what_a_client_has_is_secret_and_words_are_not(hook, fields, texts):
    settings = hook(**fields).settings()
    assert "Authorization" not in settings.headers
    for text in texts:
        assert settings.redact(f"<{text}>") == "<***>"
    assert settings.redact("paste the PRIVATE KEY") == "paste the PRIVATE KEY"


def test_a_token_is_masked_in_airflows_logs_from_its_beginning(hook, api, tmp_path, caplog):
    from airflow_async_rest.compat.secrets_masker import known_secrets

    Login(api)
    deliver(hook(**CLIENT), dead_letter_path=str(tmp_path))
    [thread.join(60) for thread in threading.enumerate() if thread.name == "async-rest-mask"]
    assert "t0ken-of-the-test" in known_secrets()


def test_airflow_may_take_its_time_to_mask_a_token(hook, api, tmp_path, monkeypatch):
    asked, goes_on = threading.Event(), threading.Event()

    def wait(secrets):
        asked.set()
        goes_on.wait(30)

    Login(api)
    found = hook(**CLIENT)
    monkeypatch.setattr("airflow_async_rest.connections.signing.mask_in_logs", wait)
    try:
        assert deliver(found, dead_letter_path=str(tmp_path))["delivered"] == 5
        assert asked.wait(60)
    finally:
        goes_on.set()


def test_the_aws_connection_is_asked_for_its_credentials(hook, api, tmp_path, monkeypatch, connect):
    connect("our_aws", conn_type="aws")
    botocore = pytest.importorskip("botocore.credentials", reason="signatures of AWS need botocore")
    asked = []

    class Hook:
        conn_config = None

        def __init__(self, aws_conn_id, client_type):
            self.conn_id = aws_conn_id

        def get_session(self, region_name):
            asked.append((self.conn_id, region_name))
            return self

        def get_credentials(self):
            return botocore.Credentials("AKID", "s3cret-of-aws")

    name = "airflow.providers.amazon.aws.hooks.base_aws"
    monkeypatch.setitem(sys.modules, name, type(sys)("base_aws"))
    sys.modules[name].AwsGenericHook = Hook
    found = hook(**AWS, aws_conn_id="our_aws")
    assert deliver(found, dead_letter_path=str(tmp_path))["delivered"] == 5
    assert asked == [("our_aws", "eu-west-1")]
    assert "Credential=AKID/" in api.seen[0].headers["Authorization"]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("aws", "aws_conn_id='our_aws' needs apache-airflow-providers-amazon: install it"),
        ("http", "aws_conn_id='our_aws' is a connection of type 'http'"),
        (None, "aws_conn_id='our_aws': there is no such connection"),
    ],
)
def test_an_aws_connection_that_cannot_be_used_says_why(hook, tmp_path, monkeypatch, connect, kind, said):
    from airflow.sdk.exceptions import AirflowFailException

    if kind is not None:
        connect("our_aws", conn_type=kind)
    monkeypatch.setitem(sys.modules, "airflow.providers.amazon.aws.hooks.base_aws", None)
    with pytest.raises(AirflowFailException, match=said):
        deliver(hook(**AWS, aws_conn_id="our_aws"), dead_letter_path=str(tmp_path))


def test_a_preview_asks_for_no_token(hook, api):
    from airflow.sdk.exceptions import AirflowSkipException

    login = Login(api)
    with pytest.raises(AirflowSkipException):
        hook(**CLIENT).preview([{"id": 1}], endpoint="x/{id}")
    assert (api.seen, login.asked) == ([], [])
