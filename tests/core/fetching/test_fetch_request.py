from datetime import UTC, datetime
from decimal import Decimal

import pytest
from tables import every_row
from yarl import URL

from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.errors import AnswerError, ConfigurationError, EncodeError, EndpointError, ItemError
from airflow_async_rest.core.fetching.request import FetchRequestBuilder
from airflow_async_rest.core.pages import Page
from airflow_async_rest.core.requests.address import Address
from airflow_async_rest.core.requests.builder import EndpointTemplate, Identity

ROW = {
    "id": 7,
    "name": "a&b č",
    "at": datetime(2026, 11, 1, tzinfo=UTC),
    "yes": True,
    "none": None,
    "n": Decimal("1.50"),
}


def builder(endpoint="things/{id}", base_url="https://host/api/v1", **parts) -> FetchRequestBuilder:
    return FetchRequestBuilder(
        **{
            "base_url": base_url,
            "endpoint": EndpointTemplate(endpoint),
            "method": "GET",
            "query": None,
            "body": None,
            "encode": JsonEncoder(),
            "identity": Identity(("dag", "task"), ("start", "end")),
            **parts,
        }
    )


@pytest.fixture
def build(item_of):
    def make(page=None, row=ROW, after=None, **parts):
        return builder(**parts).build(item_of(0, row, identity=b"i"), page or Page(), after.path if after else "")

    return make


def search(**parts) -> dict:
    return {"endpoint": "search", "method": "POST", **parts}


@every_row(
    ("endpoint", "query", "target"),
    [
        ("things/{id}", None, "things/7?"),
        ("things/{name}", None, "things/a%26b%20%C4%8D?"),
        ("things?of={id}", {"a": "b"}, "things?of=7&a=b"),
        ("things", {"q": "{name}", "x": "{id}-{id}"}, "things?q=a%26b%20%C4%8D&x=7-7"),
        ("things", {"at": "{at}", "yes": "{yes}", "n": "{n}"}, "things?at=2026-11-01T00%3A00%3A00%2B00%3A00&yes=true&n=1.50"),
        ("things", {"id": ["{id}", 8, None], "none": None}, "things?id=7&id=8"),
        ("things", {"t": True, "f": 1.5, "brace": "{{x}}", "b{id}": "{{"}, "things?t=true&f=1.5&brace=%7Bx%7D&b%7Bid%7D=%7B"),
        ("things", {"where": '{"id":{"in":[{id}]}}'}, "things?where=%7B%22id%22%3A%7B%22in%22%3A%5B7%5D%7D%7D"),
        ("things", {"query": "{ a { id } }"}, "things?query=%7B%20a%20%7B%20id%20%7D%20%7D"),
        ("things", {}, "things?"),
    ],
)  # fmt: skip
def test_endpoint_and_query_are_filled_with_the_items_values(build, endpoint, query, target):
    request = build(endpoint=endpoint, query=query)
    assert f"{request.path}?{request.query}" == target
    assert (request.method, request.body) == ("GET", None)


@every_row(
    ("body", "encoded"),
    [
        ({"ids": ["{id}"], "of": "id {id}", "n": 5, "deep": {"at": "{at}"}},
         b'{"ids":[7],"of":"id 7","n":5,"deep":{"at":"2026-11-01T00:00:00+00:00"}}'),
        ({"none": "{none}", "yes": "{yes}", "exact": "{n}", "brace": "{{id}}"},
         b'{"none":null,"yes":true,"exact":1.50,"brace":"{id}"}'),
        (["{id}", "{name}"], '[7,"a&b č"]'.encode()),
        ({"query": "query($id: ID!) { user(id: $id) { name } }", "variables": {"id": "{id}"}},
         b'{"query":"query($id: ID!) { user(id: $id) { name } }","variables":{"id":7}}'),
        (lambda item: {"twice": item["id"] * 2}, b'{"twice":14}'),
        (lambda item: None, None),
        (None, None),
    ],
)  # fmt: skip
def test_a_body_is_filled_and_a_placeholder_that_stands_alone_keeps_its_type(build, body, encoded):
    assert build(**search(body=body)).body == encoded


def test_a_body_that_is_a_text_is_json_or_graphql_as_it_stands(build):
    text = '{"query": "query($id: ID!) { user(id: $id) { name } }", "variables": {"id": {id}}}'
    request = build(**search(body=text, body_format="text"))
    assert request.body == text.replace("{id}", "7").encode()


@every_row(
    ("page", "query", "body", "made"),
    [
        (Page({"page": 2, "per_page": 5}), {"q": "x"}, None, ("q=x&page=2&per_page=5", None)),
        (Page({"page": 2}), {"page": 1, "q": "x"}, None, ("q=x&page=2", None)),
        (Page({"cursor": "a=/+"}), None, None, ("cursor=a%3D%2F%2B", None)),
        (Page({"cursor": "c"}, "body"), None, {"q": "{id}"}, ("", b'{"q":7,"cursor":"c"}')),
        (Page({"cursor": ["a", 1]}, "body"), None, {"cursor": None}, ("", b'{"cursor":["a",1]}')),
        (Page({"cursor": "c"}, "body"), None, None, ("", b'{"cursor":"c"}')),
        (Page({}, "body"), None, ["{id}"], ("", b"[7]")),
        (Page({"cursor": "c"}), None, {"q": 1}, ("cursor=c", b'{"q":1}')),
    ],
)
def test_a_pages_parameters_go_into_the_query_or_the_body(build, page, query, body, made):
    request = build(page, **search(query=query, body=body))
    assert (request.query, request.body) == made


@every_row(
    ("body", "parameters", "made"),
    [
        ({"query": "q", "variables": {"first": 5, "id": "{id}"}}, {"variables.after": "c"},
         b'{"query":"q","variables":{"first":5,"id":7,"after":"c"}}'),
        ({"variables": {"after": None}}, {"variables.after": "c"}, b'{"variables":{"after":"c"}}'),
        ({"query": "q"}, {"variables.after": "c"}, b'{"query":"q","variables":{"after":"c"}}'),
        ({"variables": None}, {"variables.after": "c"}, b'{"variables":{"after":"c"}}'),
        (None, {"variables.after": "c"}, b'{"variables":{"after":"c"}}'),
        ({"a": {"b": {"x": 1}, "y": 2}}, {"a.b.page": 2, "a.b.size": 9}, b'{"a":{"b":{"x":1,"page":2,"size":9},"y":2}}'),
        ({"page.cursor": None}, {"page.cursor": "c"}, b'{"page.cursor":"c"}'),
        ({"a": {"b.c": 1}}, {"a.b.c": 2}, b'{"a":{"b.c":2}}'),
        ({"all": [{"x": 1}, {"y": 2}]}, {"all.1.page": 3}, b'{"all":[{"x":1},{"y":2,"page":3}]}'),
    ],
)  # fmt: skip
def test_a_pages_parameter_with_dots_leads_into_the_body(build, body, parameters, made):
    assert build(Page(parameters, "body"), **search(body=body)).body == made


def test_the_dict_of_a_function_stays_as_it_is(build):
    mine = {"variables": {"first": 5}}
    assert build(Page({"variables.after": "c"}, "body"), **search(body=lambda item: mine)).body != b""
    assert mine == {"variables": {"first": 5}}


def test_a_form_has_no_depth(build):
    request = build(Page({"page.number": 2}, "body"), **search(body={"q": "x"}, body_format="form"))
    assert request.body == b"q=x&page.number=2"


@pytest.mark.parametrize("body", [{"variables": "text"}, {"variables": [1]}, {"variables": 5}])
def test_a_pages_parameter_that_leads_into_no_object_is_an_error(build, body):
    with pytest.raises(EncodeError, match="'variables.after' leads into the body, which has no object before 'after'"):
        build(Page({"variables.after": "c"}, "body"), **search(body=body))


def test_a_get_has_no_body_for_a_pages_parameters(build):
    with pytest.raises(EncodeError, match="a GET has none: write method='POST'"):
        build(Page({"page": 2}, "body"))


def test_a_pages_parameter_takes_the_place_of_the_endpoints(build):
    assert build(Page({"page": 2}), endpoint="things?page=1&q=x").query == "q=x&page=2"


KEPT = [
    ({"token": "t&1"}, ("token",), "?page=2", "page=2&token=t%261"),
    ({"token": "t", "q": "x"}, ("token",), "?page=2", "page=2&token=t"),
    ({"token": "t"}, ("token",), "?page=2&token=***", "page=2&token=t"),
    ({"token": "t"}, ("token",), "?to%6ben=old&page=2", "page=2&token=t"),
    ({"token": None}, ("token",), "?page=2&token=its", "page=2&token=its"),
    ({"f": ["a", "b"], "id": "{id}"}, ("f", "id"), "?page=2&f=c", "page=2&f=a&f=b&id=7"),
    ({"token": "t"}, ("token",), "/api/v1/other", "token=t"),
    ({"token": "t"}, (), "?page=2", "page=2"),
]


@every_row(("query", "keep", "link", "made"), KEPT)
def test_parameters_go_along_on_a_link(build, query, keep, link, made):
    asks = {"query": query, "keep": keep}
    assert build(Page(link=link), after=build(**asks), **asks).query == made


def test_parameters_of_the_endpoint_go_along_on_a_link_and_so_do_the_pages(build):
    asks = {"endpoint": "x?key={id}&b=1", "keep": ("key",)}
    assert build(Page({"n": 1}, link="?page=2&n=0"), after=build(**asks), **asks).query == "page=2&key=7&n=1"


def test_what_goes_along_is_a_parameter(build):
    with pytest.raises(ConfigurationError, match="keep=.*: query= has no 'tokn'; write names of its parameters"):
        build(query={"token": "t"}, keep=("tokn",))


LINKS = [
    ("https://host/api/v1/things?page=2", "things?page=2"),
    ("http://host:8080/api/v1/things/2", "things/2?"),
    ("HTTPS://HOST/api/v1/x", "x?"),
    ("//host/api/v1/x?a=b%26c%2Bd+e", "x?a=b%26c%2Bd+e"),
    ("/api/v1/x%2Fy?c=a%3D%3D#f", "x%2Fy?c=a%3D%3D"),
    ("/api/v1/a/../b", "b?"),
    ("?page=2", "things/7?page=2"),
    (" ?page=2 ", "things/7?page=2"),
    ("8?page=2", "things/8?page=2"),
    ("../others", "others?"),
    ("/api/v1/č", "%C4%8D?"),
    ("/api/v1?page=2", "?page=2"),
    ("/api/v1/?page=2", "/?page=2"),
]


@every_row(("link", "target"), LINKS)
def test_a_link_is_followed_from_the_page_it_was_on(build, link, target):
    first = build()
    request = build(Page(link=link), after=first)
    assert f"{request.path}?{request.query}" == target


@every_row(
    "link",
    [
        "https://elsewhere/api/v1/things", "//elsewhere/api/v1/things", "https://host.elsewhere/api/v1/x",
        "https://host@elsewhere/api/v1/x", "/api/v2/things", "/api/v11/x", "/", "../../x",
        "/api/v1/../v2/x", "/api/v1/%2e%2e/v2/x", "/api/v1/..%2f..%2fadmin", "/api/v1/%2e%2e%2fadmin",
        "javascript:alert(1)", "mailto:a@host",
    ],
)  # fmt: skip
def test_a_link_that_leads_away_is_not_followed(build, link):
    with pytest.raises(AnswerError, match="leads away from the connection's base URL"):
        build(Page(link=link), after=build())


@pytest.mark.parametrize("link", ["http://[x", "http://host:port/api/v1/x", "http://host\\@elsewhere/", "?q=\udcff"])
def test_a_link_that_is_no_url_is_an_error(build, link):
    with pytest.raises(AnswerError, match="cannot be read"):
        build(Page(link=link), after=build())


def test_a_link_from_the_base_url_itself_is_followed_from_there(build):
    asks = {"endpoint": "", "base_url": "https://host/api/v1/things"}
    for link in ("?page=2", "/api/v1/things?page=2", "things?page=2"):
        request = build(Page(link=link), after=build(**asks), **asks)
        assert (request.path, request.query) == ("", "page=2")


def test_a_query_of_the_base_url_is_in_no_request_whose_link_repeats_it(build):
    asks = {"base_url": "https://host/api/v1?code=s3cret%3D&v=1"}
    link = "https://host/api/v1/things?v=2&page=2&code=s3cret="
    assert build(Page(link=link), after=build(**asks), **asks).query == "v=2&page=2"


def test_a_link_to_the_base_url_itself_is_followed_however_its_slash_is_written(build):
    for base, target in [("https://host/v1/items", "/v1/items?page=2"), ("https://host/v1/items/", "/v1/items?page=2"),
                         ("https://host/v1/items", "/v1/items/?page=2"), ("https://host/v1/items/", "/v1/items/?page=2")]:  # fmt: skip
        request = build(Page(link=target), base_url=base, endpoint="")
        assert Address(base).target(request.path, request.query) == target


@every_row(
    ("below", "link", "followed", "hint"),
    [
        ("/", "/v2/things?page=2", True, None),
        ("/v2", "/v2/things?page=2", True, None),
        ("/v2/", "/v2?page=2", True, None),
        ("/v2", "../../../v2/things?page=2", True, None),
        ("/v2", "https://host:8080/v2/things", True, None),
        ("/v2", "/api/v1/things?page=2", True, None),
        ("/v2", "/v22/things", False, "below='/v22' follows it"),
        ("/v2", "/v2/../admin", False, "below='/admin' follows it"),
        ("/v2", "/v2/%2e%2e/admin", False, "below='/admin' follows it"),
        ("/v2", "/v2/..%2fadmin", False, ""),
        ("/", "https://elsewhere/v2/things", False, ""),
        ("/", "//elsewhere/v2/things", False, ""),
        (None, "/v2/things?page=2", False, "below='/v2' follows it"),
        (None, "/api?page=2", False, "below='/api' follows it"),
    ],
)
def test_a_link_is_followed_elsewhere_on_the_host_where_the_author_says_so(build, below, link, followed, hint):
    first = build(below=below)
    if not followed:
        with pytest.raises(
            AnswerError, match="leads away from (the connection's base URL|below='/(v2)?' on its host)"
        ) as caught:
            build(Page(link=link), after=first, below=below)
        assert hint == str(caught.value).partition("; paginate with ")[2]
        return
    address = Address("https://host/api/v1")
    request = build(Page(link=link), after=first, below=below)
    target = address.target(request.path, request.query)
    assert target == str(address.url("things/7").join(URL(link)).relative())
    again = build(Page(link="?page=3"), after=request, below=below)
    assert address.target(again.path, again.query) == f"{target.partition('?')[0]}?page=3"


def test_without_a_base_path_every_path_of_the_host_is_followed(build):
    assert build(Page(link="/x/y?z=1"), base_url="https://host").path == "x/y"


@pytest.mark.parametrize(
    ("body", "parameters", "made"),
    [
        ({"variables": {"n": 5}}, {"variables.after": "c"}, b'{"variables":{"n":5,"after":"c"}}'),
        (lambda item: {"variables": {"after": None}}, {"variables.after": "c"}, b'{"variables":{"after":"c"}}'),
        ({"a": {"b": {}}}, {"a.b.c": 1, "a.d": 2}, b'{"a":{"b":{"c":1},"d":2}}'),
        ({"variables.after": 1, "variables": {}}, {"variables.after": 2}, b'{"variables.after":2,"variables":{}}'),
        ({}, {"page.size": 2}, b'{"page":{"size":2}}'),
    ],
)
def test_a_parameter_of_a_page_goes_into_the_object_that_it_names(build, body, parameters, made):
    for _ in range(2):  # what the author wrote stays as it is
        assert build(Page(parameters, "body"), **search(body=body)).body == made


def test_the_body_of_a_search_goes_to_the_linked_page_too(build):
    request = build(Page(link="/api/v1/search/2"), **search(body={"q": "{id}"}))
    assert (request.method, request.path, request.body) == ("POST", "search/2", b'{"q":7}')


@every_row(
    ("parts", "error", "text"),
    [
        ({"endpoint": "x/{none}"}, EndpointError, "column 'none' is NULL"),
        ({"endpoint": "x", "query": {"q": "{none}"}}, EndpointError, "column 'none' is NULL"),
        (search(body={"q": "x{none}"}), EndpointError, "column 'none' is NULL"),
        (search(body=lambda item: item["x"]), EncodeError, "the function body raised KeyError: 'x'"),
        (search(body=lambda item: {1: object()}), EncodeError, "has no JSON form"),
        (search(body={"q": float("nan")}), EncodeError, "nan has no JSON form"),
    ],
)
def test_an_item_that_makes_no_request_fails_by_name(build, parts, error, text):
    with pytest.raises(error, match=".") as caught:
        build(**parts)
    assert isinstance(caught.value, ItemError)
    assert text in str(caught.value)


def test_a_page_that_goes_into_a_body_without_names_is_an_error(build):
    with pytest.raises(EncodeError, match="use into='query'"):
        build(Page({"cursor": "c"}, "body"), **search(body=["{id}"]))


@every_row(
    ("parts", "text"),
    [
        ({"query": "a=b"}, "query='a=b': write a dict"),
        ({"query": ["a"]}, "query=['a']: write a dict"),
        ({"query": {1: "x"}}, "query: 1 is no name"),
        ({"query": {"": "x"}}, "query: '' is no name"),
        ({"query": {"a": {"b": 1}}}, "query: a={'b': 1} is no text, number or list of them: write JSON as a text"),
        ({"query": {"a": b"x"}}, "query: a=b'x' is no text"),
        ({"query": {"a": len}}, "query: a=<built-in function len> is no text"),
        ({"query": {"a": [{1}]}}, "query: a={1} is no text"),
        ({"query": {"a": "{id.x}"}}, "a placeholder is just a column's name"),
        ({"query": {"a": "{"}}, "query='{'"),
        ({"body": {"a": 1}}, "body: a GET has none"),
        (search(body="text"), "body='text': write a dict"),
        (search(body=5), "body=5: write a dict"),
        (search(body={"a": [len]}), "within it is a function: write one that makes the whole, body=lambda item:"),
        (search(body={"a": ["{x!r}"]}), "body='{x!r}'"),
        ({"query": {"a": "{users{id}}"}}, "query='{users{id}}': {id} right after a name"),
        ({"query": {"a": "query{id}"}}, "double all other braces; where there are none, make the whole text a column."),
        (search(body={"a": [{"b": "{ user(id: 7){id} }"}]}), "write the selection as { id } or {{id}}"),
    ],
)
def test_what_cannot_be_a_request_is_said_early(parts, text):
    with pytest.raises(ConfigurationError) as caught:
        builder(**parts)
    assert text in str(caught.value)


def test_the_columns_that_are_asked_for_are_known_before_the_first_request():
    made = builder(
        "x/{id}", method="POST", query={"a": "{b}{c}", "d": ["{b}"]}, body={"e": ["{f}", {"g": "{id}"}], "h": 1}
    )
    assert made.columns == {"endpoint": ("id",), "query": ("b", "c"), "body": ("f", "id")}
    assert builder(method="POST", body=lambda item: item).columns["body"] == ()


def test_what_is_text_and_could_be_a_column_is_known_before_the_first_request():
    made = builder(method="POST", query={"b": ["{ v }", "{ a {b} }"]}, body={"e": ["{ f {g} }", {"h": "{ f {g} }"}]})
    assert made.in_braces == {"query": (" v ", "v", "b"), "body": ("g",)}
    assert made.columns == {"endpoint": ("id",), "query": (), "body": ()}
    assert builder(method="POST", body=lambda item: item).in_braces == {"query": (), "body": ()}


def test_the_same_page_of_the_same_item_has_the_same_key(build, item_of):
    assert build(Page({"page": 1})).idempotency_key == build(Page({"page": 1})).idempotency_key
    keys = {
        build(Page({"page": 1})).idempotency_key,
        build(Page({"page": 2})).idempotency_key,
        build(endpoint="other/{id}").idempotency_key,
        build(identity=Identity(("dag", "task"), ("start", "later"))).idempotency_key,
        builder().build(item_of(0, ROW, identity=b"j"), Page()).idempotency_key,
        build(**search(body={"a": 1})).idempotency_key,
        build(**search(body={"a": 2})).idempotency_key,
    }
    assert len(keys) == 7
