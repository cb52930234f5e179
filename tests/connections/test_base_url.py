"""Fields of the form, and connection URIs as Airflow reads them, -> the base URL."""

import pytest

from airflow_async_rest.connections.base_url import build_base_url
from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.requests.settings import ClientSettings


@pytest.mark.parametrize(
    ("host", "schema", "port", "url"),
    [
        ("api.example.com", "", None, "https://api.example.com"),
        ("api.example.com/v1", "", 8443, "https://api.example.com:8443/v1"),
        ("https://hooks.example.com/services/T0/B0", "", None, "https://hooks.example.com/services/T0/B0"),
        ("HTTPS://api.example.com", "http", None, "https://api.example.com"),
        ("//api.example.com", "http", None, "http://api.example.com"),
        ("https://api.example.com", "ftp", None, "https://api.example.com"),
        ("api.example.com", "https://", None, "https://api.example.com"),
        ("api.example.com", " HTTP ", None, "http://api.example.com"),
        ("api.example.com", "http:", None, "http://api.example.com"),
        ("api.example.com", "v1", None, "https://api.example.com/v1"),
        ("api.example.com", "/v1/x/", 81, "https://api.example.com:81/v1/x/"),
        ("api.example.com/a/", "/v1", None, "https://api.example.com/a/v1"),
        ("http://api.example.com", "v1", None, "http://api.example.com/v1"),
        ("api.example.com", "ws", None, "https://api.example.com/ws"),
        ("api.example.com", "v1:batch", None, "https://api.example.com/v1:batch"),
        ("api.example.com", "my path/\u010d%2F", None, "https://api.example.com/my%20path/%C4%8D%2F"),
        ("api.example.com?a=1", "v1?b=2", 81, "https://api.example.com:81/v1?a=1&b=2"),
        ("x/y?next=http://z:1/", "", 81, "https://x:81/y?next=http://z:1/"),
        ("::1", "", None, "https://[::1]"),
        ("http://::1/v1", "", 81, "http://[::1]:81/v1"),
        ("2001:db8::1", "http", 8080, "http://[2001:db8::1]:8080"),
        ("fe80::1%eth0", "", 81, "https://[fe80::1%eth0]:81"),
        ("[fe80::1%25eth0]:82", "", 81, "https://[fe80::1%eth0]:82"),
        ("2001:db8::", "", None, "https://[2001:db8::]"),
        ("10.0.0.1", "", 81, "https://10.0.0.1:81"),
        ("\u017elu\u0165.cz/v1", "", None, "https://\u017elu\u0165.cz/v1"),
    ],
)
def test_host_schema_and_port_make_the_base_url(host, schema, port, url):
    made = build_base_url(host, schema, port, "https")
    assert made == url
    assert ClientSettings(made).base_url == url


@pytest.mark.parametrize(
    ("host", "schema", "text"),
    [
        ("api.example.com", "ftp", "http or https as Schema"),
        ("api.example.com", "htps", "http or https as Schema"),
        ("api.example.com", "https://api.example.com/v1", "Schema takes http or https only"),
        ("api.example.com", "ftp://x", "Schema takes http or https only"),
        ("api.example.com", "https/v1", "Schema takes http or https only"),
        ("api.example.com", "v1#x", "Host takes host, path and query only"),
        ("api.example.com", "a\\b", "Host"),
        ("", "https", "fill in Host"),
        ("", "v1", "fill in Host"),
        ("ftp://api.example.com", "", "fill in Host, and http or https"),
        ("https:/api.example.com", "", "Host has a ':'"),
        ("https:api.example.com", "", "check Host and Port"),
        ("https://https://api.example.com", "", "Host has a ':'"),
        ("api example.com", "", "check Host"),
        ("api.example.com /v1", "", "check Host"),
        ("api.exam\nple.com", "", "check Host"),
        ("api.example.com\\v1", "", "check Host"),
        ("api.example.com\u200b", "", "check Host"),
        ("\ufeffhttps://api.example.com", "", "Host has a ':'"),
        ("me:s3cret@api.example.com", "", "Login and Password"),
        ("https://me:s3cret@api.example.com/v1", "", "Login and Password"),
        ("https://me:s3/cret@api.example.com/v1", "", "check Host and Port"),
        ("1:2:3", "", "check Host and Port"),
        ("api.example.com/v1#s3cret", "", "'#'"),
    ],
)
def test_what_can_only_be_a_mistake_names_the_field(host, schema, text):
    with pytest.raises(ConfigurationError, match=text) as raised:
        ClientSettings(build_base_url(host, schema, None, "https"))
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("async-rest://api.example.com/v1", "https://api.example.com/v1"),
        ("async-rest://me:pw@api.example.com:8443/v1/x/?auth_type=basic", "https://api.example.com:8443/v1/x/"),
        ("http://host:8080/api/v2", "http://host:8080/api/v2"),
        ("http://host/https", "https://host"),
        ("async-rest://host/http", "http://host"),
        ("async-rest://http://host:8080/v1", "http://host:8080/v1"),
        ("async-rest://https%3A%2F%2Fapi.example.com%3A8443%2Fv1/https", "https://api.example.com:8443/v1"),
        ("async-rest://api.example.com%2Fv1/http", "http://api.example.com/v1"),
        ("async-rest://api.example.com/v1%2Fx%3Fapi-version%3D2024", "https://api.example.com/v1/x?api-version=2024"),
        ("async-rest://api.example.com/a%252Fb", "https://api.example.com/a%2Fb"),
        ("async-rest://[::1]:8080/v1", "https://[::1]:8080/v1"),
        ("async-rest://api.example.com/", "https://api.example.com"),
    ],
)
def test_a_connections_uri_keeps_its_path(monkeypatch, uri, url):
    from airflow_async_rest.hooks.rest import AsyncRestHook

    monkeypatch.setenv("AIRFLOW_CONN_SEARCH_API", uri)
    assert AsyncRestHook("search_api").settings().base_url == url
