import base64
from zoneinfo import ZoneInfo

import pytest

from airflow_async_rest.core.errors import ConfigurationError


@pytest.fixture
def hook(connect):
    """Make the hook of a connection with these fields."""
    from airflow_async_rest.hooks.rest import AsyncRestHook

    def make(conn_type="async_rest", host="api.example.com", **fields) -> AsyncRestHook:
        connect("search_api", conn_type=conn_type, host=host, **fields)
        return AsyncRestHook("search_api")

    return make


@pytest.fixture
def settings(hook):
    return lambda *args, **fields: hook(*args, **fields).settings()


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({}, "https://api.example.com"),
        ({"conn_type": "http"}, "http://api.example.com"),
        ({"schema": "http"}, "http://api.example.com"),
        ({"conn_type": "http", "schema": "https"}, "https://api.example.com"),
        ({"host": "api.example.com/v1/", "port": 8443}, "https://api.example.com:8443/v1/"),
        ({"host": "http://api.example.com/v1", "schema": "https"}, "http://api.example.com/v1"),
        ({"host": "api.example.com:81", "port": 82}, "https://api.example.com:81"),
        ({"host": "[::1]", "port": 82}, "https://[::1]:82"),
        ({"host": "[::1]:81/x"}, "https://[::1]:81/x"),
        ({"host": " api.example.com "}, "https://api.example.com"),
        ({"host": "api.example.com/@me"}, "https://api.example.com/@me"),
    ],
)
def test_the_base_url_is_made_of_host_schema_and_port(settings, fields, url):
    assert settings(**fields).base_url == url


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"host": ""}, "fill in Host"),
        ({"schema": "ftp"}, "http or https as Schema"),
        ({"host": "user:s3cret@api.example.com"}, "Login and Password"),
        ({"host": "https://user:s3cret@api.example.com"}, "Login and Password"),
        ({"host": "api.example.com/x?token=s3cret#x"}, "Host"),
        ({"host": "api.example.com:s3cret"}, "Host and Port"),
    ],
)
def test_a_wrong_host_names_what_to_fill_in(settings, fields, text):
    with pytest.raises(ConfigurationError, match=text) as raised:
        settings(**fields)
    assert "user:" not in str(raised.value)
    assert "token=" not in str(raised.value)


BASIC = "Basic " + base64.b64encode(b"me:s3cret").decode()


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({}, {}),
        ({"login": "me", "password": "s3cret"}, {"Authorization": BASIC}),
        ({"conn_type": "http", "login": "me", "password": "s3cret"}, {"Authorization": BASIC}),
        ({"login": "me"}, {"Authorization": "Basic " + base64.b64encode(b"me:").decode()}),
        ({"login": "é", "password": "ž"}, {"Authorization": "Basic " + base64.b64encode("é:ž".encode()).decode()}),
        ({"password": "s3cret", "extra": {"auth_type": "bearer"}}, {"Authorization": "Bearer s3cret"}),
        ({"conn_type": "http", "password": "s3cret", "extra": {"auth_type": "bearer"}}, {"Authorization": "Bearer s3cret"}),
        ({"password": "s3cret", "extra": {"auth_type": "api_key"}}, {"X-API-Key": "s3cret"}),
        ({"password": "s3cret", "extra": {"auth_type": "api_key", "api_key_header": "X-Key"}}, {"X-Key": "s3cret"}),
        ({"password": "s3cret", "extra": {"auth_type": "api_key_query", "headers": {"A": "b"}}}, {"A": "b"}),
        ({"login": "me", "password": "s3cret", "extra": {"auth_type": "none"}}, {}),
        ({"extra": {"auth_type": "", "headers": {"A": "b", "N": 5}}}, {"A": "b", "N": "5"}),
        ({"login": "me", "password": "s3cret", "extra": {"headers": {"A": "b"}}}, {"A": "b", "Authorization": BASIC}),
        ({"conn_type": "http", "extra": {"A": "b", "headers": {"C": "d"}}}, {"A": "b", "C": "d"}),
        ({"password": " s3cret\r\n", "extra": {"auth_type": "bearer"}}, {"Authorization": "Bearer s3cret"}),
        ({"password": "bearer  s3cret\n", "extra": {"auth_type": "bearer"}}, {"Authorization": "Bearer s3cret"}),
        ({"password": "Authorization: Bearer s3cret", "extra": {"auth_type": "bearer"}}, {"Authorization": "Bearer s3cret"}),
        ({"password": "bearers3cret", "extra": {"auth_type": "bearer"}}, {"Authorization": "Bearer bearers3cret"}),
        ({"password": "s3cret\n", "extra": {"auth_type": "api_key"}}, {"X-API-Key": "s3cret"}),
        ({"login": "me\n", "password": "s3cret\r\n"}, {"Authorization": BASIC}),
        ({"login": "me", "password": " s3cret "}, {"Authorization": "Basic " + base64.b64encode(b"me: s3cret ").decode()}),
        ({"extra": {"headers": {"X-Key": "s3cret\n"}}}, {"X-Key": "s3cret"}),
    ],
)  # fmt: skip
def test_authentication_and_headers_come_from_the_connection(settings, fields, headers):
    assert settings(**fields).headers == headers


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"extra": {"auth_type": "digest"}}, "auth_type='digest': write one of none, basic, bearer, api_key"),
        ({"extra": {"auth_type": "basic"}}, "login="),
        ({"extra": {"auth_type": "bearer"}}, "password="),
        ({"extra": {"auth_type": "api_key"}}, "password="),
        ({"extra": {"auth_type": "api_key_query"}}, "password=.*takes its key from the password"),
        ({"password": "s3c\nret", "extra": {"auth_type": "api_key_query"}}, "Password has a line break"),
        ({"password": "s3cret"}, "auth_type"),
        ({"password": "s3c\nret", "extra": {"auth_type": "bearer"}}, "Password has a line break"),
        ({"password": "s3cret\0", "extra": {"auth_type": "api_key"}}, "Password has a line break"),
        ({"password": "s3cret\u200b", "extra": {"auth_type": "api_key"}}, "Password has a line break"),
        ({"password": "Bearer \n", "extra": {"auth_type": "bearer"}}, "password="),
        ({"extra": {"headers": {"content-length": "5"}}}, "'content-length' says how a message is sent.*leave it out"),
        ({"extra": {"idempotency_header": "Transfer-Encoding"}}, "'Transfer-Encoding'"),
        ({"extra": {"headers": {"Content-Encoding": "gzip"}}}, "'Content-Encoding' calls the body compressed"),
        ({"password": "s3cret", "extra": {"auth_type": "api_key", "api_key_header": "X Key"}}, "'X Key'"),
        ({"extra": {"headers": {"A": "b\r\nC: d"}}}, "'A'.*line break"),
        ({"extra": {"headers": "A: b"}}, "headers="),
        ({"extra": {"headers": ["A"]}}, "headers="),
        ({"extra": {"request_timeout_seconds": 0}}, "request_timeout_seconds=0"),
        ({"extra": {"max_response_mb": "big"}}, "max_response_mb='big': write a number of megabytes above 0"),
        ({"extra": {"connect_timeout_seconds": "soon"}}, "connect_timeout_seconds='soon'"),
        ({"extra": {"connect_timeout_seconds": "nan"}}, "connect_timeout_seconds='nan'"),
        ({"extra": {"trust_env": "perhaps"}}, "trust_env='perhaps'"),
        ({"extra": {"cookies": 5}}, "cookies=5"),
        ({"extra": {"trust_close": "always"}}, "trust_close='always': write true or false"),
        ({"extra": {"transport": "httpx"}}, "transport='httpx': write own or aiohttp"),
        ({"extra": {"transport": True}}, "transport=True: write own or aiohttp"),
        ({"extra": {"transport": ["own"]}}, "transport=\\['own'\\]: write own or aiohttp"),
        ({"extra": {"cert": ["a", "b", "c"]}}, "cert="),
        ({"extra": {"cert": {"a": 1}}}, "cert="),
        ({"extra": {"cert": []}}, "cert="),
        ({"extra": {"cert": "a,b,c"}}, "cert="),
        ({"extra": {"cert": "a,"}}, "cert="),
        ({"extra": {"cert": "-----BEGIN PRIVATE KEY-----\ns3cret" + 300 * "x"}}, r"cert='\*\*\*': write the path"),
        ({"extra": {"cert": ["/c.pem", "-----BEGIN PRIVATE KEY-----\ns3cret"]}}, r"cert='\*\*\*': write the path"),
        ({"extra": {"verify": "-----BEGIN CERTIFICATE-----\ns3cret"}}, r"verify='\*\*\*': write the path"),
        ({"extra": {"proxy": "proxy.example.com:port"}}, "the connection's proxy: write a URL"),
        ({"extra": {"proxy": "socks5://me:s3cret@p:1"}}, "the connection's proxy: write a URL"),
        ({"extra": {"proxy": 5}}, "the connection's proxy: write a URL"),
        ({"extra": {"headers": "Authorization: s3cret"}}, "headers="),
        ({"extra": {"idempotency_header": "A B"}}, "idempotency_header"),
        ({"extra": {"retries": 5}}, "unknown field 'retries'; known are: auth_type"),
        ({"extra": "[1, 2]"}, "must be a JSON object"),
        ({"extra": "no json"}, "must be a JSON object"),
    ],
)
def test_a_wrong_field_is_named(settings, fields, text):
    with pytest.raises(ConfigurationError, match=text) as raised:
        settings(**fields)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("fields", "query_key"),
    [
        ({"password": " s3cret\n", "extra": {"auth_type": "api_key_query"}}, ("api_key", "s3cret")),
        ({"password": "s3cret", "extra": {"auth_type": "api_key_query", "api_key_param": "key"}}, ("key", "s3cret")),
        ({"password": "s3cret", "extra": {"auth_type": "api_key", "api_key_param": "key"}}, None),
        ({"login": "me", "password": "s3cret"}, None),
    ],
)
def test_a_key_goes_into_the_query_where_the_connection_says_so(settings, fields, query_key):
    found = settings(**fields)
    assert found.query_key == query_key
    assert found.base_url == "https://api.example.com"


def test_without_extra_the_defaults_hold(settings):
    found = settings()
    assert (found.idempotency_header, found.connect_timeout_seconds, found.request_timeout_seconds) == (
        "Idempotency-Key",
        10.0,
        60.0,
    )
    assert (found.verify, found.client_certificate, found.trust_env, found.proxy, found.cookies) == (
        True,
        None,
        True,
        None,
        False,
    )


@pytest.mark.parametrize(
    ("extra", "name", "value"),
    [
        ({"idempotency_header": ""}, "idempotency_header", None),
        ({"idempotency_header": "none"}, "idempotency_header", None),
        ({"idempotency_header": "X-Id"}, "idempotency_header", "X-Id"),
        ({"idempotency_header": None}, "idempotency_header", "Idempotency-Key"),
        ({"connect_timeout_seconds": "2.5"}, "connect_timeout_seconds", 2.5),
        ({"verify": False}, "verify", False),
        ({"verify": "False"}, "verify", False),
        ({"verify": "/ca.pem"}, "verify", "/ca.pem"),
        ({"cert": "/both.pem"}, "client_certificate", ("/both.pem", None)),
        ({"cert": ["/c.pem", "/k.pem"]}, "client_certificate", ("/c.pem", "/k.pem")),
        ({"cert": "/c.pem, /k.pem"}, "client_certificate", ("/c.pem", "/k.pem")),
        ({"trust_env": False}, "trust_env", False),
        ({"trust_env": "false"}, "trust_env", False),
        ({"cookies": "TRUE"}, "cookies", True),
        ({"cookies": "yes"}, "cookies", True),
        ({"trust_env": "No"}, "trust_env", False),
        ({}, "trust_close", False),
        ({"trust_close": "true"}, "trust_close", True),
        ({"transport": None}, "transport", "own"),
        ({"transport": "aiohttp"}, "transport", "aiohttp"),
        ({"proxy": "http://p:1"}, "proxy", "http://p:1"),
    ],
)
def test_an_extra_field_sets_its_option(settings, extra, name, value):
    assert getattr(settings(extra=extra), name) == value


def test_a_comma_may_be_part_of_a_certificates_name(settings, tmp_path):
    path = tmp_path / "CN=api,O=Example.pem"
    path.touch()
    assert settings(extra={"cert": str(path)}).client_certificate == (str(path), None)


@pytest.mark.parametrize(
    ("extra", "name", "value"),
    [
        ({"timeout": 5}, "request_timeout_seconds", 5.0),
        ({"verify_ssl": False}, "verify", False),
        ({"proxies": {"https": "http://p:1", "http": "http://p:2"}}, "proxy", "http://p:2"),
        ({"proxies": {"HTTP://": "http://p:2", "all": "http://p:3"}}, "proxy", "http://p:2"),
        ({"proxies": {"https": "http://p:1", "all": "http://p:3"}}, "proxy", "http://p:3"),
        ({"proxies": {"https": "http://p:1"}}, "proxy", None),
        ({"stream": True, "allow_redirects": False, "max_redirects": 3, "check_response": False}, "headers", {}),
        ({"rate_limit": "5/s"}, "headers", {}),
    ],
)
def test_airflows_http_type_keeps_its_own_names(settings, extra, name, value):
    assert getattr(settings(conn_type="http", extra=extra), name) == value


def test_limits_of_the_connection_are_given_as_they_are(hook):
    assert hook(extra={"rate_limit": "5/s", "concurrency": 4, "proxy": ""}).options() == {
        "rate_limit": "5/s",
        "concurrency": 4,
    }


@pytest.mark.parametrize(("name", "zone"), [(None, None), ("UTC", None), ("Europe/Prague", ZoneInfo("Europe/Prague"))])
def test_naive_times_have_the_zone_of_the_connection(hook, name, zone):
    assert hook(extra={"naive_timezone": name}).naive_timezone() == zone


@pytest.mark.parametrize("name", ["Mars/Olympus", "Europe", "../x", 5, "/etc/passwd"])
def test_an_unknown_zone_is_named(hook, name):
    with pytest.raises(ConfigurationError, match="naive_timezone="):
        hook(extra={"naive_timezone": name}).naive_timezone()


@pytest.mark.parametrize(
    ("fields", "echoed"),
    [
        ({"login": "me", "password": "s3cret"}, ["s3cret", base64.b64encode(b"me:s3cret").decode()]),
        ({"password": "s3cret", "extra": {"auth_type": "bearer"}}, ["s3cret", "Bearer s3cret"]),
        ({"password": "s3cret", "extra": {"auth_type": "api_key"}}, ["s3cret"]),
        ({"extra": {"headers": {"Authorization": "Token s3cret"}}}, ["s3cret", "Token s3cret"]),
        ({"conn_type": "http", "extra": {"X-Token": "s3cret"}}, ["s3cret"]),
        ({"extra": {"proxy": "http://me:s3cr%40t@p:1"}}, ["me:s3cr%40t", "s3cr%40t", "s3cr@t"]),
        ({"extra": {"proxy": "me:s3c/r%40t@p:1"}}, ["s3c/r%40t", "s3c/r@t"]),
        ({"password": "s3cret\n", "extra": {"auth_type": "bearer"}}, ["s3cret"]),
        ({"password": "Bearer s3cret", "extra": {"auth_type": "bearer"}}, ["s3cret"]),
        ({"login": "me", "password": "s3cret\n"}, ["s3cret"]),
        ({"host": "x?api-version=2024-01-01&subscription-key=s3cr%2Fet1"}, ["s3cr%2Fet1", "s3cr/et1"]),
    ],
)
def test_secrets_of_the_connection_are_taken_out_of_texts(settings, fields, echoed):
    found = settings(**fields)
    for text in echoed:
        redacted = found.redact(f'{{"you sent": "{text}"}}')
        assert text not in redacted
        assert "***" in redacted
        assert text not in repr(found)


def test_of_a_query_in_host_only_what_identifies_is_a_secret(settings):
    found = settings(host="x/y?api-version=2024-01-01&code=v2&sig=abcdefgh1")
    assert found.secrets == {"abcdefgh1"}
    assert found.place == "https://x/y"


def test_what_is_no_secret_stays_readable(settings):
    found = settings(
        login="me", password="abc", extra={"headers": {"Accept": "application/json", "content-type": "text/x"}}
    )
    assert found.redact("abc application/json text/x") == "abc application/json text/x"
    assert "abc" not in found.secrets


def test_what_is_made_of_a_secret_is_masked_in_airflows_logs(settings, monkeypatch):
    masked = []
    monkeypatch.setattr("airflow.sdk.log.mask_secret", masked.append)
    found = settings(login="me", password="s3cret")
    assert found.secrets <= set(masked)
    assert base64.b64encode(b"me:s3cret").decode() in masked


@pytest.mark.parametrize("conn_id", ["nowhere", "", None, 5])
def test_a_connection_that_is_not_there_is_named(conn_id, airflow_db):
    from airflow_async_rest.hooks.rest import AsyncRestHook

    with pytest.raises(ConfigurationError, match="http_conn_id="):
        AsyncRestHook(conn_id).settings()


def test_a_connection_of_another_type_is_refused(hook):
    with pytest.raises(ConfigurationError, match="type 'postgres': use one of type async_rest or http"):
        hook(conn_type="postgres").settings()


def test_a_connection_is_asked_for_once(hook, monkeypatch):
    asked = hook()
    asked.settings()
    monkeypatch.delenv("AIRFLOW_CONN_SEARCH_API")
    assert asked.settings().base_url == "https://api.example.com"
    assert asked.naive_timezone() is None


def test_the_header_of_authentication_is_sent_once_however_it_is_written(settings):
    made = settings(login="me", password="pw", extra={"headers": {"authorization": "Basic other", "X-A": "b"}})
    assert [name for name in made.headers if name.lower() == "authorization"] == ["Authorization"]
    assert made.headers["X-A"] == "b"


@pytest.mark.parametrize("verify", [[], {}, 2, 0.5])
def test_what_is_no_flag_does_not_switch_the_check_of_certificates_off(settings, verify):
    with pytest.raises(ConfigurationError, match="verify=.*: write true, false, or the path"):
        settings(extra={"verify": verify})
