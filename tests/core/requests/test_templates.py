import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tables import every_row

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.requests.templates import parse_template, parse_text

ROW = {"id": 7, "name": "Ada", "a b": 1, "table": "users", "user_ids": [1]}


def filled(text: str) -> str:
    """What is sent for :data:`ROW`; raises where a placeholder names nothing."""
    return "".join(
        literal + ("" if name is None else str(ROW[name])) for literal, name in parse_text("query", text).parts
    )


@every_row(
    "text",
    [
        "{ users { id } }",
        "{users {id}}",
        "{ users { id name } }",
        "{users{id name}}",
        "{\n  users {\n    id\n  }\n}\n",
        "{ version }",
        "query { id }",
        "query {id}",
        "query Users { users { id } }",
        "query($id: ID!) { user(id: $id) { name } }",
        "query Q($n: Int = 5, $o: Sort = {by: ID}) @live { users(first: $n, order: $o) { id } }",
        'query ($name: String = "Ada") { id }',
        "fragment F on User { id }",
        "{ users(where: {id: 7}) {id} }",
        "{ users { ... {id} } }",
        "{ users { ...F ... on Admin { id } } } fragment F on User {name}",
        "mutation { add(user: {id: 7, tags: {}}) { id } }",
        "subscription { users { id } }",
        "{}",
        "[{}, {}]",
        '[{}, "a", 7]',
        '["a",[7,{}]]',
        '{"id":7}',
        '{ "id" : 7 }',
        '{"where":{"id":7}}',
        '{"where":{"id":{"in":[7]}}}',
        '{"match_all":{}}',
        '{"of":"{}"}',
        '[{"id":7},{"id":8}]',
        '{"filter":"{\\"id\\": 7}"}',
        '{"query": "{ users { id } }"}',
        '{"query": "query($id: ID!) { user(id: $id) { name } }", "variables": {"id": 7}}',
        '{"query": "{ users {id} }"}',
        "no brace",
        "",
    ],
)
def test_json_and_graphql_are_sent_as_they_are(text):
    assert filled(text) == text


@every_row(
    ("text", "sent"),
    [
        ("{id}", "7"),
        ("{a b}", "1"),
        ("id {id}, {name}{id}", "id 7, Ada7"),
        ("sensor_{id}", "sensor_7"),
        ("f({id}){name}", "f(7)Ada"),
        ("[{id}]", "[7]"),
        ('[{}, {id}, "for {id}"]', '[{}, 7, "for 7"]'),
        ("query {{ user(id: {id}) {{ name }} }}", "query { user(id: 7) { name } }"),
        ('{"where":{"id":{id}}}', '{"where":{"id":7}}'),
        ('{"where":{"id":[{id},{id}]}}', '{"where":{"id":[7,7]}}'),
        ('{"where":{"name":"{name}"}}', '{"where":{"name":"Ada"}}'),
        ('{"name":"sensor_{id}"}', '{"name":"sensor_7"}'),
        ('{"name":"sensor {id} of {name}"}', '{"name":"sensor 7 of Ada"}'),
        ('{"name":"f({id}){name}"}', '{"name":"f(7)Ada"}'),
        ('{"filter":"{\\"id\\": {id}}"}', '{"filter":"{\\"id\\": 7}"}'),
        ("{ user(id: {id}) { name } }", "{ user(id: 7) { name } }"),
        ("{ user(where: {id:{id}}) { id } }", "{ user(where: {id:7}) { id } }"),
        ('{ user(name: "{name}") { id } }', '{ user(name: "Ada") { id } }'),
        ('{ user(name: "of {name}") { id } }', '{ user(name: "of Ada") { id } }'),
        ("{ {table} { id } }", "{ users { id } }"),
        (
            '{"query": "query($id: ID!) { user(id: $id) { name } }", "variables": {"id": {id}}}',
            '{"query": "query($id: ID!) { user(id: $id) { name } }", "variables": {"id": 7}}',
        ),
    ],
)
def test_a_placeholder_among_other_braces_is_filled_in(text, sent):
    assert filled(text) == sent


@every_row(
    ("text", "sent"),
    [
        ("{{", "{"),
        ("}}", "}"),
        ("}} {{", "} {"),
        ("{{id}}", "{id}"),
        ("{{ ds }}", "{ ds }"),
        ("{{{id}}}", "{7}"),
        ("{{users{id}}}", "{users7}"),
        ('{{"where":{{"id":{id}}}}}', '{"where":{"id":7}}'),
        ("query {{ users {id} }}", "query { users 7 }"),
        ("{users{{id}}}", "{users{id}}"),
        ("{ user(id: 7){{ name }} }", "{ user(id: 7){ name } }"),
        ('{"brace": "{{"}', '{"brace": "{"}'),
        ('{"url": "/x/{{id}}"}', '{"url": "/x/{id}"}'),
    ],
)
def test_doubled_braces_are_single_ones_of_the_text(text, sent):
    assert filled(text) == sent


@every_row(
    ("text", "names"),
    [
        ("{users{id}}", "{{id}}"),
        ("{ users{id} }", "{ id }"),
        ("{ user(id: 7){name} }", "{{name}}"),
        ("query{id}", "{{id}}"),
        ("query($a: Int){id}", "{{id}}"),
        ("fragment F on User{id}", "{{id}}"),
        ('{"query": "{ users{id} }"}', "{{id}}"),
    ],
)
def test_a_name_in_braces_right_after_a_name_or_arguments_may_mean_either(text, names):
    with pytest.raises(ConfigurationError, match="query=") as caught:
        parse_text("query", text)
    assert names in str(caught.value)


@every_row(
    "text",
    [
        "{", "}", "{{id}", "{id}}", "{ users { id }", '{"a": "}"}',
        "{id.x}", "{id!r}", "{id:>5}", "{id:}", "{row[id]}", "{ id.x }", "{a:1}", "{'a': 1}", "x {}", '{"a": "x {}"}',
        '{"where": {id.x}}', '{"day": "{at:%Y}"}', '{"a": "of {id:05}"}', "{ users(id: {id!r}) { id } }",
    ],
)  # fmt: skip
def test_braces_that_are_neither_text_nor_a_placeholder_are_refused_by_name(text):
    with pytest.raises(ConfigurationError, match=r"^body="):
        parse_text("body", text)


@every_row(
    ("text", "in_braces"),
    [
        ("{ users { id } }", ()),
        ("{ users {id} }", ("id",)),
        ("{ users {id name} of {name} all {id name} }", ("id name", "name")),
        ("query {id}", ("id",)),
        ("{ id }", (" id ", "id")),
        ("for { id }", (" id ", "id")),
        ("{{ users {id} }}", ()),
        ('{"id":7}', ()),
    ],
)
def test_what_is_text_but_could_be_a_column_is_known(text, in_braces):
    assert parse_text("query", text).in_braces == in_braces


PIECES = ["{", "}", "{{", "}}", "a", " ", '"', "(", ")", ":", ",", "[", "]", "{a}", "{a b}"]


@pytest.mark.slow("fifty examples")
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_what_is_written_with_doubled_braces_means_what_it_did(text):
    try:
        parts = parse_template("query", text)
    except ConfigurationError:
        assume(False)
    assume(all(name is None or name == name.strip() for _, name in parts))
    row = {"a": "<A>", "a b": "<A B>"}
    before, now = (
        "".join(literal + row.get(name, f"<{name}>") * (name is not None) for literal, name in some)
        for some in (parts, parse_text("query", text).parts)
    )
    assert now == before


@every_row(
    ("text", "depths"),
    [
        ('{"of":{id}}', [0]),
        ('{"of":"{name}"}', [1]),
        ('{"of":["{name}", {id}, "{name}"]}', [1, 0, 1]),
        ('["{name}", {id}]', [1, 0]),
        ('{ user(name: "{name}", id: {id}) { id } }', [1, 0]),
        ('{"of":"{\\"name\\":\\"{name}\\",\\"id\\":{id}}"}', [2, 0]),
        ('{"of":"name:\\"{name}\\" or {id}"}', [2, 1]),
        ('{"of":"C:\\\\","name":"{name}"}', [1]),
        ('{{"of":"{name}", "id":{id}}}', [1, 0]),
        ('name:"{name}"', [0]),
        ('{table}:"{name}"', [0, 0]),
        ("{id}", [0]),
    ],
)
def test_how_many_quotes_deep_a_column_stands(text, depths):
    parsed = parse_text("query", text)
    assert [depth for (_, name), depth in zip(parsed.parts, parsed.depths, strict=True) if name is not None] == depths
