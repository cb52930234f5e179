"""Templates, rendered as DAGs have it: as texts, or as the objects that expressions give."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from airflow.sdk import DAG, task
from tasks import rest_to_sql, sql_to_rest

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.operators.replay import ReplayDeadLettersOperator

AT = datetime(2026, 1, 1, tzinfo=UTC)
CONTEXT = {"number": 5, "text": "1e5", "digits": "[1, 2]", "rows": [{"id": 1}], "at": AT, "nothing": None}


def replay(**arguments):
    return ReplayDeadLettersOperator(**{"task_id": "replay", "dead_letters": None} | arguments)


def rendered(make, field: str, value, **dag_arguments):
    operator = make(**{field: value})
    DAG("rendered", schedule=None, **dag_arguments).add_task(operator)
    operator.render_template_fields(dict(CONTEXT))
    return getattr(operator, field)


NATIVE = [
    (sql_to_rest, "headers", {"X-Version": "1e5"}, {"X-Version": "1e5"}),
    (sql_to_rest, "headers", {"X-Version": "{{ text }}"}, {"X-Version": "1e5"}),
    (sql_to_rest, "headers", {"X-Version": "v{{ number }}"}, {"X-Version": "v5"}),
    (sql_to_rest, "headers", {"X-Version": "1{{ number }}"}, {"X-Version": "15"}),
    (sql_to_rest, "headers", {"X": "True", "Y": "None", "Z": "[]"}, {"X": "True", "Y": "None", "Z": "[]"}),
    (sql_to_rest, "endpoint", "2024", "2024"),
    (sql_to_rest, "sql", "1_000", "1_000"),
    (sql_to_rest, "rate_limit", "{% if nothing %}5/s{% endif %}", ""),
    (sql_to_rest, "dead_letter_path", "/tmp/'x'", "/tmp/'x'"),
    (sql_to_rest, "sql_conn_id", "1e5", "1e5"),
    (sql_to_rest, "parameters", {"n": "{{ number }}", "t": "{{ text }}"}, {"n": 5, "t": "1e5"}),
    (sql_to_rest, "window_start", "{{ at }}", AT),
    (sql_to_rest, "window_start", "{{ nothing }}", None),
    (sql_to_rest, "window_start", "{{ nothing }}20260301", "None20260301"),
    (rest_to_sql, "window_timezone", "UTC", "UTC"),
    (rest_to_sql, "items", "{{ rows }}", [{"id": 1}]),
    (rest_to_sql, "items", "{{ [1, '2', none] }}", [1, "2", None]),
    (rest_to_sql, "body", "{{ 'a' if true else 'b' }}", "a"),
    (sql_to_rest, "window_start", "{{ none }}", None),
    (sql_to_rest, "parameters", {"n": "{{ 5 }}", "t": "{{ '5' }}", "m": "{{ 5 }}0"}, {"n": 5, "t": "5", "m": "50"}),
    (sql_to_rest, "endpoint", "None", "None"),
    (rest_to_sql, "query", {"v": "1.10", "ids": ["{{ number }}", "1e5"]}, {"v": "1.10", "ids": [5, "1e5"]}),
    (rest_to_sql, "body", {"zip": "12345", "deep": ("{{ text }}",)}, {"zip": "12345", "deep": ("1e5",)}),
    (rest_to_sql, "destination_table", "1e5", "1e5"),
    (replay, "dead_letters", "{{ nothing }}", None),
    (replay, "dead_letters", "{{ digits }}", "[1, 2]"),
    (replay, "headers", {"X-Version": "1e5"}, {"X-Version": "1e5"}),
]


@pytest.mark.parametrize(("make", "field", "value", "expected"), NATIVE)
def test_texts_stay_texts_in_a_dag_of_native_objects(make, field, value, expected):
    got = rendered(make, field, value, render_template_as_native_obj=True)
    assert (got, type(got)) == (expected, type(expected))


def test_an_operator_may_render_natively_by_itself():
    def make(**arguments):
        return sql_to_rest(render_template_as_native_obj=True, **arguments)

    assert rendered(make, "headers", {"X": "{{ text }}"}) == {"X": "1e5"}
    assert rendered(make, "parameters", {"n": "{{ number }}"}) == {"n": 5}


@pytest.mark.parametrize("native", [False, True])
def test_a_file_of_sql_may_begin_with_a_mark_of_byte_order(tmp_path, native):
    (tmp_path / "rows.sql").write_text("SELECT {{ number }} AS id\n", encoding="utf-8-sig")
    dag = {"template_searchpath": str(tmp_path), "render_template_as_native_obj": native}
    assert rendered(sql_to_rest, "sql", "rows.sql", **dag) == "SELECT 5 AS id"


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1"])
def test_a_file_that_is_not_in_utf_8_is_refused_by_its_name(tmp_path, native, encoding):
    (tmp_path / "rows.sql").write_text("SELECT 1 AS id" + " -- é" * (encoding == "latin-1"), encoding=encoding)
    dag = {"template_searchpath": str(tmp_path), "render_template_as_native_obj": native}
    with pytest.raises(ConfigurationError, match=r"'rows\.sql' is not in UTF-8: save it as UTF-8"):
        rendered(sql_to_rest, "sql", "rows.sql", **dag)


@pytest.mark.parametrize("native", [False, True])
def test_an_unknown_name_is_an_error(native):
    from jinja2 import UndefinedError

    for endpoint in ("x/{{id}}", "{{id}}"):
        with pytest.raises(UndefinedError, match="'id' is undefined"):
            rendered(sql_to_rest, "endpoint", endpoint, render_template_as_native_obj=native)


@task
def made() -> str:
    return "x"


class Called:
    def __call__(self, context, jinja_env):
        return "x"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (lambda: "x", "rate_limit has the function .*<lambda>, which Airflow calls with context= and jinja_env="),
        (lambda context: "x", "let it take these two"),
        (lambda context, env: "x", "let it take these two"),
        (lambda item, **kwargs: "x", "let it take these two"),
        (len, "rate_limit has the function len"),
        (dict.get, "rate_limit has the function dict.get"),
        (int, "rate_limit has the function int"),
        (made, r"rate_limit has the task made itself, and not what it returns: write made\(\)"),
        (task(lambda: "x"), "rate_limit has the task"),
        ([lambda: "x"], "rate_limit has the function"),
        (lambda context, jinja_env: "x", None),
        (lambda *, jinja_env, context, more=1: "x", None),
        (lambda **kwargs: "x", None),
        (partial(lambda item, context, jinja_env: item, "x"), None),
        (Called(), None),
        (Path("/tmp/x"), "rate_limit"),
    ],
)
def test_a_function_that_airflow_cannot_call_is_refused_as_the_dag_file_is_parsed(value, said):
    if said is None:
        sql_to_rest(rate_limit=value)
    else:
        with pytest.raises(ConfigurationError, match=said):
            sql_to_rest(rate_limit=value)


def test_a_task_that_has_no_name_itself_is_called_as_what_it_runs():
    """As 2 has them."""
    nameless = type(
        "_TaskDecorator", (), {"__call__": str, "operator_class": None, "function": staticmethod(daily_rate)}
    )
    with pytest.raises(ConfigurationError, match=r"has the task daily_rate itself.*write daily_rate\(\)"):
        sql_to_rest(rate_limit=nameless())


def daily_rate():
    return "5/s"


def test_so_is_one_within_headers():
    with pytest.raises(ConfigurationError, match="headers has the function"):
        sql_to_rest(headers={"X-Day": lambda day: day})
    sql_to_rest(headers={"X-Day": lambda context, jinja_env: "x"})


@pytest.mark.parametrize(
    ("own", "text", "is_one"),
    [
        ({}, "{{ params.rate }}", True),
        ({"variable_start_string": "[[", "variable_end_string": "]]"}, "[[ params.rate ]]", True),
        ({"variable_start_string": "[[", "variable_end_string": "]]"}, "{{ params.rate }}", False),
        ({"variable_start_string": "[[", "variable_end_string": "]]"}, "{% if 1 %}5/s{% endif %}", True),
        ({"block_start_string": "<%", "block_end_string": "%>"}, "<% if 1 %>5/s<% endif %>", True),
        ({"line_statement_prefix": "%%"}, "%% if 1\n5/s\n%% endif", True),
        ({}, "[[ params.rate ]]", False),
    ],
)
def test_a_template_is_what_its_dag_says(own, text, is_one):
    with DAG("own", schedule=None, jinja_environment_kwargs=own):
        if is_one:
            sql_to_rest(rate_limit=text)
        else:
            with pytest.raises(ConfigurationError, match="rate_limit"):
                sql_to_rest(rate_limit=text)


@pytest.mark.parametrize(("preview", "previews"), [(3, True), (None, False), (True, True)])
def test_a_preview_that_all_tasks_have_is_one_of_a_replay_too(preview, previews):
    with DAG("all", schedule=None, default_args={"preview": preview}):
        replay = ReplayDeadLettersOperator(task_id="replay", dead_letters="file:///tmp/x")
    assert replay.preview is previews


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"preview": 3}, "preview=3: write True or False"),
        ({"preview": None}, "preview=None: write True or False"),
        ({"default_args": {"preview": 0}}, "preview=0: write how many requests to show"),
    ],
)
def test_a_preview_of_a_replay_that_is_none_names_its_task(arguments, words):
    with pytest.raises(ConfigurationError, match=words) as raised:
        ReplayDeadLettersOperator(task_id="replay", dead_letters="file:///tmp/x", **arguments)
    assert raised.value.__notes__ == ["of ReplayDeadLettersOperator, task_id='replay'"]
