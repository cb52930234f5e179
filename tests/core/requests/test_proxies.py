import base64

import pytest
from tables import every_row
from yarl import URL

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.requests.proxies import is_exempt, parse_proxy, proxy_of_environment


@every_row(
    ("value", "place"),
    [
        ("http://proxy.example.com:3128", "http://proxy.example.com:3128"),
        ("proxy:3128", "http://proxy:3128"),
        ("user:pass@proxy:3128", "http://proxy:3128"),
        ("proxy.example.com", "http://proxy.example.com"),
        ("HTTP://Proxy:3128/", "http://proxy:3128"),
        ("Https://proxy", "https://proxy"),
        ("//proxy:3128", "http://proxy:3128"),
        (" proxy:3128\n", "http://proxy:3128"),
        ("http://[::1]:3128", "http://[::1]:3128"),
        ("http://user:a/b@proxy:3128/x?y#z", "http://proxy:3128"),
    ],
)
def test_a_proxy_is_read_as_others_read_it(value, place):
    found = parse_proxy(value, "x")
    assert found.place == place
    assert "pass" not in repr(found)


@pytest.mark.parametrize(
    ("proxy", "scheme", "sent"),
    [
        ("http://user:pass@p:1", "http", b"user:pass"),
        ("http://user@p:1", "http", b"user:"),
        ("http://u:\u017d@p:1", "http", "u:\u017d".encode()),
        ("http://user:pass@p:1", "https", None),
        ("http://p:1", "http", None),
    ],
)
def test_a_request_tells_the_proxy_itself_who_asks_where_there_is_no_tunnel(proxy, scheme, sent):
    told = parse_proxy(proxy, "x").headers_of_request(scheme)
    assert told == ({} if sent is None else {"Proxy-Authorization": f"Basic {base64.b64encode(sent).decode()}"})


@every_row(
    "value",
    ["socks5://s3cret@p:1", "SOCKS5H://p:1", "socks4://p", "ftp://p", "proxy:port", "proxy:0", "http://s3cret@", "::1",
     "pro xy:1", "http://s3%3Acret:x@p", "", 5, None],
)  # fmt: skip
def test_what_is_no_http_proxy_is_an_error_with_its_origin_and_without_its_value(value):
    with pytest.raises(
        ConfigurationError, match="^the environment's https_proxy: write a URL such as http://"
    ) as raised:
        parse_proxy(value, "the environment's https_proxy")
    assert "extra field proxy, or set its trust_env to false" in str(raised.value)
    assert "cret" not in str(raised.value)


@every_row(
    ("url", "variables", "place", "name"),
    [
        ("http://x", {}, None, None),
        ("http://x", {"http_proxy": "p:1", "HTTP_PROXY": "p:2"}, "http://p:1", "http_proxy"),
        ("http://x", {"HTTP_PROXY": "p:2"}, "http://p:2", "HTTP_PROXY"),
        ("http://x", {"HTTP_PROXY": "p:2", "REQUEST_METHOD": "GET"}, None, None),
        ("http://x", {"http_proxy": "p:1", "REQUEST_METHOD": "GET"}, "http://p:1", "http_proxy"),
        ("https://x", {"HTTPS_PROXY": "p:2", "REQUEST_METHOD": "GET"}, "http://p:2", "HTTPS_PROXY"),
        ("http://x", {"https_proxy": "p:1"}, None, None),
        ("https://x", {"http_proxy": "p:1", "https_proxy": "p:2", "all_proxy": "p:3"}, "http://p:2", "https_proxy"),
        ("https://x", {"http_proxy": "p:1", "ALL_PROXY": "p:3"}, "http://p:3", "ALL_PROXY"),
        ("https://x", {"https_proxy": " ", "all_proxy": "p:3"}, "http://p:3", "all_proxy"),
        ("https://x", {"https_proxy": "", "HTTPS_PROXY": "p:2"}, None, None),
        ("https://x", {"https_proxy": "p:2", "all_proxy": "socks5://p:3"}, "http://p:2", "https_proxy"),
        ("https://x", {"all_proxy": "socks5://p:3", "no_proxy": "x"}, None, None),
        ("https://x", {"https_proxy": "p:2", "no_proxy": "y", "NO_PROXY": "x"}, "http://p:2", "https_proxy"),
        ("https://x", {"https_proxy": "p:2", "no_proxy": "", "NO_PROXY": "x"}, None, None),
        ("https://localhost", {"https_proxy": "p:2"}, "http://p:2", "https_proxy"),
        ("https://127.0.0.1", {"https_proxy": "p:2"}, "http://p:2", "https_proxy"),
    ],
)
def test_the_environment_names_the_proxy(url, variables, place, name):
    found = proxy_of_environment(url, variables)
    assert (found and found.place, found and found.origin) == (place, name and f"the environment's {name}")


@every_row(
    ("no_proxy", "url", "exempt"),
    [
        ("*", "http://x", True),
        ("", "http://x", False),
        ("other, api.example.com", "https://api.example.com", True),
        ("other api.example.com", "https://api.example.com", True),
        ("API.Example.COM", "https://api.example.com", True),
        ("example.com", "https://api.example.com", True),
        (".example.com", "https://api.example.com", True),
        ("*.example.com", "https://a.api.example.com", True),
        (".example.com", "https://example.com", True),
        ("example.com.", "https://api.example.com", True),
        ("example.com", "https://api.example.com.", True),
        ("example.com", "https://notexample.com", False),
        ("api.example.com", "https://example.com", False),
        ("example.com:8443", "https://api.example.com:8443", True),
        ("example.com:443", "https://api.example.com", True),
        ("example.com:8443", "https://api.example.com", False),
        ("\u017elu\u0165.cz", "https://api.\u017elu\u0165.cz", True),
        ("xn--lu-yta1h.cz", "https://\u017elu\u0165.cz", True),
        ("10.1.2.3", "http://10.1.2.3:8080", True),
        ("10.1.2.3:80", "http://10.1.2.3", True),
        ("10.1.2.3:81", "http://10.1.2.3", False),
        ("10.0.0.0/8", "http://10.1.2.3", True),
        ("10.1.2.3/8", "http://10.9.9.9", True),
        ("10.0.0.0/255.0.0.0", "http://10.9.9.9", True),
        ("10.0.0.0/8", "http://11.1.2.3", False),
        ("10.0.0.0/8", "http://10.example.com", False),
        ("1.2.3", "http://10.1.2.3", False),
        ("::1", "http://[::1]:8080", True),
        ("[::1]", "http://[::1]", True),
        ("[::1]:8080", "http://[::1]:8080", True),
        ("[::1]:8080", "http://[::1]", False),
        ("2001:DB8::/32", "http://[2001:db8::7]", True),
        ("[2001:db8::]/32", "http://[2001:db8::7]", True),
        ("2001:db8:0:0:0:0:0:7", "http://[2001:db8::7]", True),
        ("2001:db8::/32", "http://[2001:db9::7]", False),
        ("fe80::/10", "http://[fe80::1%eth0]", True),
        ("0.0.0.0/0", "http://[::1]", False),
        ("10.0.0.0/99, x", "http://x", True),
        (".,,:80,/", "http://x", False),
    ],
)
def test_no_proxy_lists_names_addresses_and_networks(no_proxy, url, exempt):
    assert is_exempt(URL(url), no_proxy) is exempt
