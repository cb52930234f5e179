"""A wrong argument that is written out is an import error of the DAG file, and names what to write."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from checkout import REPOSITORY

# What the author writes -> what the error says (a regular expression).
SHARED = {
    "endpoint=5": r"endpoint=5: write a path such as",
    "endpoint='x/{id'": r"endpoint='x/\{id': .*write placeholders as \{column\}",
    "endpoint='https://api/x'": r"is a whole URL: put scheme and host into the connection",
    "method='PUTT'": r"method='PUTT': write one of POST, PUT, PATCH, DELETE, GET\. The nearest is 'PUT'\.",
    "method='{{ var.value.m }}'": r"method='\{\{ var\.value\.m \}\}': write one of",
    "headers='X-A: b'": r"headers is a str: write a dict such as",
    r"headers={'X-A': 'b\nX-C: d'}": r"headers: the value of 'X-A' .*has a line break",
    "headers={'Content-Encoding': 'gzip'}": r"headers: 'Content-Encoding' calls the body compressed",
    "concurrency=0": r"concurrency=0: write a whole number from 1 to 1000, or 'adaptive'",
    "concurrency='\u00b2'": r"concurrency='.': write a whole number",
    "max_failures='\u00b2'": r"max_failures='.': write a number of items",
    "max_failures='" + "9" * 5000 + "'": r"max_failures='9+': write a number of items",
    "concurrency='16x'": r"concurrency='16x': write a whole number",
    "rate_limit='25 per second'": r"rate_limit='25 per second': write a number of requests and a unit, such as '100/s'",
    "rate_limit='1" + "0" * 400 + "/s'": r"rate_limit='10+/s': write a number of requests and a unit",
    "rate_limit=100": r"rate_limit=100: write a number of requests and a unit",
    "response_check=True": r"response_check=True: write a function",
    "request_retry=5": r"request_retry=5: write RequestRetry\(max_attempts=\.\.\.\)",
    "max_failures='one'": r"max_failures='one': write a number of items, such as 25, or a share, such as '1%'",
    "max_failures=0.01": r"max_failures=0\.01: write a number",
    "max_quota_wait=3600": r"max_quota_wait=3600: write a timedelta, such as timedelta\(hours=6\), of a year at most",
    "dead_letter_path='letters'": r"dead_letter_path='letters': write an absolute path such as",
    "http_conn_id=5": r"http_conn_id=5: write the id of a connection",
    "body_format='jsn'": r"body_format='jsn': write one of 'json', 'form', 'text'.* The nearest is 'json'\.",
}
SENDING = {
    "key=3": r"key=3: write a column's name, or a list of them",
    "key={'id', 'region'}": r"key=\{.*\}: write a column's name, or a list of them",
    "key={'id': 1}": r"key=\{'id': 1\}: write a column's name",
    "key=['id', 3]": r"key=\['id', 3\]: write a column's name",
    "order_by_key='yes'": r"order_by_key='yes': write True or False",
    "order_by_key=True": r"order_by_key=True needs key=: the column or columns",
    "schema=5": r"schema=5: write a JSON Schema as a dict, such as .* or the path of a JSON file",
    "schema={'type': 'objet'}": r"schema is no valid JSON Schema: at \$\.type, 'objet' is not valid",
    "schema={}, body_format='text', transform=str": r"schema is of JSON, which body_format='text' is not",
    "transform='upper'": r"transform='upper': write a function",
    "body_format='text'": r"body_format='text' needs a transform that returns the text",
    "batch=500": r"batch=500: write Batch\(max_items=500, \.\.\.\)",
    "batch=Batch(max_items=0)": r"Batch\(max_items=0\): write a whole number from 1 up",
    "batch=Batch(), endpoint='x/{id}'": r"has the placeholder \{id\}, and a batch has one path",
    "batch=Batch(), method='GET'": r"method='GET' has no body, which a batch needs",
    "batch=Batch(), body_format='form'": r"body_format='form' is for one item a request",
    "batch=Batch(results='list'), response_check=bool": r"response_check and Batch\(results=\.\.\.\) both read",
}
ASKING = {
    "query='id=5'": r"query='id=5': write a dict such as",
    "query={'q': '{id:>5}'}": r"a placeholder is just a column's name",
    "body={'id': 5}": r"body: a GET has none; write method='POST'",
    "body=5, method='POST'": r"body=5: write a dict such as",
    "paginate='next'": r"paginate='next': write LinkPages\(\), CursorPages",
    "paginate=LinkPages": r"paginate=LinkPages is a class: write LinkPages\(\.\.\.\), an instance",
    "paginate=OffsetPages(limit=5), rows=list": r"say with page_rows='data\.items' at which path",
    "rows=5": r"rows=5: write a path such as 'data\.items', or a function",
    "rows='a..b'": r"rows",
    "columns='id'": r"columns='id': write a dict such as",
    "columns=[]": r"columns=\[\]: write a dict such as",
    "page_rows=5": r"page_rows",
    "missing_ok='no'": r"missing_ok='no': write True or False",
    "empty_ok=1": r"empty_ok=1: write True or False",
    "max_pages=0": r"max_pages=0: write a whole number from 1 up",
    "answer_format='jsonn'": r"answer_format='jsonn': write one of",
}
WINDOW = {
    "window_start='1st', window_end='2026-01-02'": r"window_start='1st': write a date or time",
    "window_start='2026-01-01'": r"window_end is missing: the argument gives only the other end",
    "window_start='2026-01-02', window_end='2026-01-01'": r"window_end .* is not after window_start",
    "sql_conn_id=''": r"sql_conn_id='': write the id of a connection",
    "sql=' '": r"sql=' ': write a SELECT, or the path of a \.sql file",
    "sql=['SELECT 1']": r"sql=\['SELECT 1'\]: write a SELECT",
    "parameters={'a': 1, 'window_end': '2026-01-02'}": r"parameters\['window_end'\]: give it as the argument window_end= instead",
    "parameters=['a']": r"parameters= is a list: write a dict",
    "chunk_size='10'": r"chunk_size='10': write a whole number of rows from 1 up",
    "count_rows='yes'": r"count_rows='yes': write True or False",
    "read_only=None": r"read_only=None: write True or False",
    "preview=0": r"preview=0: write how many requests to show, from 1 to 100",
    "preview=True": r"preview=True: write how many requests to show",
    "preview='" + "9" * 5000 + "'": r"preview='9+': write how many requests to show",
    "preview_send=2": r"preview_send=2: write 1, which sends one request",
    "rate_limits='1/s'": r"Operator has no argument 'rate_limits'\. The nearest is 'rate_limit'\. The task is 't'\.",
    "sql='SELECT 1 WHERE id = %s'": r"sql has the bind '%s' without a name: write binds as :name",
    "sql='SELECT 1 WHERE id = ? AND a = ?'": r"sql has the bind '\?' without a name",
    "sql='SELECT 1 WHERE id > %(window_start)s'": r"sql has '%\(window_start\)s': write the bind as :window_start",
    "sql='SELECT 1; SELECT 2;'": r"sql has more than one statement: write one SELECT",
    "sql='SELECT 1 WHERE id = :customer'": r"sql has the bind :customer, which has no value: add it to parameters=",
    "sql='SELECT 1 WHERE id = :customer', parameters={'costumer': 5}": r"the bind :customer, which has no value",
    "retrys=3": r"Operator has no argument 'retrys'\. The nearest is 'retries'\.",
}
LOADING = {
    "items=[]": r"sql and items given: say what to ask for with exactly one of",
    "sql=None": r"none of sql, items and window_step given: say what to ask for",
    "sql_conn_id=None": r"sql needs sql_conn_id=: the connection that it is run on",
    "sql=None, items=5": r"items is 5; write a list of dicts or values",
    "sql=None, window_step=timedelta(0)": r"window_step=.*: write a positive length, such as timedelta\(days=1\)",
    **{
        f"sql=None, sql_conn_id=None, window_step=timedelta(days=1), {written}": rf"{argument} names 'begin', which a step"
        for argument, written in (
            ("endpoint", "endpoint='x/{begin}'"),
            ("query", "query={'from': '{begin}'}"),
            ("query", "query={'from': ['{start}', '{begin}']}"),
            ("body", "body={'a': [{'from': '{begin}'}]}, method='POST'"),
            ("columns", "columns={'a': 'item.begin', 'b': 'b'}"),
        )
    },
    "window_timezone='Mars', window_start='2026-01-01', window_end='2026-01-02'": r"window_timezone='Mars': write a name",
    "destination_conn_id=5": r"destination_conn_id=5: write the id of a connection",
    "destination_table='a..b'": r"destination_table='a\.\.b': write 'table' or 'schema\.table'",
    "load_mode='upser'": r"load_mode='upser': write one of append, replace_window, upsert\. The nearest is 'upsert'\.",
    "load_mode='upsert'": r"load_mode='upsert' needs conflict_key=: the column or columns that identify a row",
    "load_mode='upsert', conflict_key=5": r"conflict_key=5: write a column's name, or a list of them",
    "load_mode='replace_window'": r"load_mode='replace_window' needs window_column=",
    "conflict_key='id'": r"conflict_key belongs to load_mode='upsert', but load_mode is 'append'",
    "window_column='at'": r"window_column belongs to load_mode='replace_window'",
    "allow_empty_window=1": r"allow_empty_window=1: write True or False",
}
REPLAY = {
    "dead_letters={'read': 5}": r"dead_letters=.*: write a folder's URI, a list of them, or null",
    "reasons=5": r"reasons=5: write a list such as \['http_503', 'timeout'\]",
    "preview='yes'": r"preview='yes': write True or False",
    "preview='{{ params.preview }}'": r"preview='\{\{ params\.preview \}\}': .*it is not templated",
    "batch=500": r"batch=500: write Batch",
    "reason='timeout'": r"has no argument 'reason'\. The nearest is 'reasons'\.",
}
# What is known only when the task runs is no import error.
LATER = {
    "SqlToRestOperator": [
        "endpoint='x/{{ ds }}/{id'",
        "rate_limit='{{ var.value.rate }}'",
        "headers={'X-A': '{% if True %}a\\nb{% endif %}'}",
        "sql='query.sql'",
        "sql='SELECT :a {# a comment #}'",
        "sql='SELECT 1 WHERE id = :customer', parameters={'customer': '{{ ds }}'}",
        # Right, whatever it looks like: in a quote, an operator, of one database only.
        *(
            f"sql={sql!r}"
            for sql in (
                "SELECT 1 WHERE name LIKE '%s' OR name = '?' AND note <> ':customer'",
                "SELECT 10 %s, data ? 'key', data ?| ARRAY['a'], 5 % 2 FROM t",
                "SELECT a::text, tags[:n], '10:30', data->'a:b' FROM t",
                "SELECT 'it''s; SELECT 2' -- ; SELECT 3",
                "SELECT 1 /* = %s; SELECT 2 */;\n",
                r"SELECT 'it\'s = %s; SELECT :x'",
                "SELECT $a$ = %s; SELECT :x $a$",
                "SELECT q'[it's :x = ?]' FROM dual",
                "SELECT [a = %s] FROM t",
                "SELECT 1 # = %s :x",
                "SET NOCOUNT ON; SELECT 1",
                "SELECT 1 WHERE t >= :window_start AND t < :window_end",
            )
        ),
        "sql='SELECT :a', parameters={'a': 1, 'b': 2}",
        "parameters=upstream.output",
        "schema='schemas/sensor.json'",
        "parameters={'a': upstream.output}",
        "window_start='{{ ds }}'",
        "window_start='{{ ds }}', window_end=upstream.output",
        "http_conn_id='{{ params.conn }}'",
        "dead_letter_path='{{ var.value.folder }}'",
        "dead_letter_path=Path('~nobody/letters')",
    ],
    "RestToSqlOperator": [
        "sql=None, items=upstream.output",
        "sql=None, sql_conn_id=None, window_step=timedelta(days=1), query={'from': '{start}', 'to': '{end}', 'on': '{date}'}",
        "sql=None, sql_conn_id=None, window_step=timedelta(days=1), query={'q': '{{begin}}', 'from': '{{ ds }}'}",
        "sql=None, sql_conn_id=None, window_step=timedelta(days=1), body=lambda item: item, method='POST'",
        "sql=None, sql_conn_id=None, window_step=timedelta(days=1), columns={'day': 'item.date', 'b': 'begin'}",
        "sql=None, items='{{ ti.xcom_pull() }}'",
        "load_mode='{{ params.mode }}', conflict_key='id'",
        "destination_table='{{ params.schema }}.a..b'",
        "query={'q': ['{{ ds }}{']}",
        "body=lambda item: item, method='POST'",
        "window_timezone='{{ params.zone }}'",
    ],
    "ReplayDeadLettersOperator": ["dead_letters=upstream.output", "reasons='{{ params.reasons }}'"],
}
# Airflow checks the names of a mapped task's arguments; the values are checked as it runs.
MAPPED = [
    f"{operator}.partial(task_id='t', {once}).{expanded}"
    for operator, once, expanded in (
        ("SqlToRestOperator", "sql_conn_id='db', endpoint='x'", "expand(sql=['SELECT 1', ' '])"),
        (
            "SqlToRestOperator",
            "sql='SELECT 1', sql_conn_id='db', endpoint='x'",
            "expand_kwargs(split_windows('2026-01-01', '2026-01-03', timedelta(days=1)))",
        ),
        (
            "RestToSqlOperator",
            "endpoint='x', destination_conn_id='w', destination_table='t'",
            "expand(items=[[1], [2]])",
        ),
        ("ReplayDeadLettersOperator", "of='upstream'", "expand(reasons=[['timeout'], None])"),
    )
]
GOOD = {
    "SqlToRestOperator": "sql='SELECT 1', sql_conn_id='db', endpoint='x'",
    "RestToSqlOperator": "sql='SELECT 1', sql_conn_id='db', endpoint='x', destination_conn_id='w', destination_table='t'",
    "ReplayDeadLettersOperator": "dead_letters='file:///tmp/x'",
}
OF_REPLAYS = {
    written: message
    for written, message in (SHARED | SENDING).items()
    if re.match(
        r"http_conn_id|headers|concurrency|rate_limit|response_check|request_retry|max_failures|max_quota", written
    )
}
WRONG = {
    "SqlToRestOperator": SHARED | SENDING | WINDOW,
    "RestToSqlOperator": SHARED | ASKING | WINDOW | LOADING,
    "ReplayDeadLettersOperator": OF_REPLAYS | REPLAY,
}
CASES = [
    (operator, written, message) for operator, some in WRONG.items() for written, message in some.items() if message
]
ACCEPTED = [(operator, written) for operator, some in LATER.items() for written in some]
_FILE = """
from datetime import timedelta
from pathlib import Path
from airflow.sdk import DAG
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow_async_rest import Batch, LinkPages, OffsetPages, split_windows
from airflow_async_rest.operators.replay import ReplayDeadLettersOperator
from airflow_async_rest.operators.rest_to_sql import RestToSqlOperator
from airflow_async_rest.operators.sql_to_rest import SqlToRestOperator
with DAG("{dag_id}"):
    upstream = EmptyOperator(task_id="upstream")
    {task}
"""


def _task(operator: str, written: str) -> str:
    return f"{operator}(**(dict(task_id='t', {GOOD[operator]}) | dict({written})))"


@pytest.fixture(scope="module")
def parsed(tmp_path_factory) -> Mapping[str, str]:
    """The import error of each way to write a task; empty for one that Airflow takes."""
    from airflow.dag_processing.dagbag import DagBag

    folder = tmp_path_factory.mktemp("dags")
    tasks = [*(_task(operator, written) for operator, written, _ in CASES), *(_task(*one) for one in ACCEPTED), *MAPPED]
    for number, task in enumerate(tasks):
        (folder / f"file_{number}.py").write_text(_FILE.format(dag_id=f"dag_{number}", task=task))
    bag = DagBag(str(folder), load_op_links=False)
    assert len(bag.dags) == len(ACCEPTED) + len(MAPPED) or bag.import_errors
    errors = {Path(path).name: text for path, text in bag.import_errors.items()}
    return {task: errors.get(f"file_{number}.py", "") for number, task in enumerate(tasks)}


@pytest.mark.parametrize(("operator", "written", "message"), CASES)
def test_a_wrong_literal_is_an_import_error(parsed, operator, written, message):
    assert re.search(message, parsed[_task(operator, written)]), parsed[_task(operator, written)]


@pytest.mark.parametrize(("operator", "written"), ACCEPTED)
def test_what_is_known_only_when_the_task_runs_is_none(parsed, operator, written):
    assert parsed[_task(operator, written)] == ""


@pytest.mark.parametrize("task", MAPPED)
def test_a_mapped_task_is_none(parsed, task):
    assert parsed[task] == ""


def test_every_argument_is_tried():
    import inspect

    from airflow_async_rest.operators.replay import ReplayDeadLettersOperator
    from airflow_async_rest.operators.rest_to_sql import RestToSqlOperator
    from airflow_async_rest.operators.sql_to_rest import SqlToRestOperator

    for operator in (SqlToRestOperator, RestToSqlOperator, ReplayDeadLettersOperator):
        tried = {name for written in WRONG[operator.__name__] for name in re.findall(r"(\w+)=", written)}
        arguments = set(inspect.signature(operator.__init__).parameters) - {"self", "kwargs", "trigger_rule", "of"}
        assert arguments - tried == set()


def _values(written: str) -> dict[str, Any]:
    from datetime import timedelta

    from airflow_async_rest import Batch, LinkPages, OffsetPages

    names = {"Batch": Batch, "LinkPages": LinkPages, "OffsetPages": OffsetPages, "timedelta": timedelta}
    return eval(f"dict({written})", names)


@pytest.mark.parametrize(
    ("call", "written", "message"),
    [
        (call, written, message)
        for call, some in {"deliver": SHARED | SENDING, "fetch": SHARED | ASKING}.items()
        for written, message in some.items()
        if not written.startswith(("batch=Batch(max_items=0", "http_conn_id"))  # raises by itself; is the hook's
    ],
)
def test_calls_say_the_same(airflow_db, connect, api, call, written, message):
    from airflow.sdk.exceptions import AirflowFailException

    from airflow_async_rest.hooks.rest import AsyncRestHook

    connect("search_api", conn_type="async_rest", host=api.url)
    with pytest.raises(AirflowFailException) as raised:
        list(getattr(AsyncRestHook("search_api"), call)([{"id": 1}], **({"endpoint": "x"} | _values(written))))
    assert re.search(message, str(raised.value))
    assert api.seen == []


def test_airflow_lists_them(airflow_db, tmp_path):
    (tmp_path / "wrong.py").write_text(
        _FILE.format(dag_id="wrong", task=_task("SqlToRestOperator", "rate_limit='25 per second'"))
    )
    command = [str(Path(sys.executable).with_name("airflow")), "dags", "list-import-errors", "--local", "-o", "json"]
    environment = os.environ | {
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path),
        "PYTHONPATH": str(REPOSITORY),
    }
    listed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert "rate_limit='25 per second': write a number of requests" in listed.stdout, listed.stderr
    assert "of SqlToRestOperator, task_id='t'" in listed.stdout  # Airflow shows no line of the DAG file


def test_parsing_loads_neither_a_database_library_nor_an_http_client():
    code = (
        "import sys; from airflow.sdk import DAG; before = set(sys.modules)\n"
        + _FILE.format(dag_id="light", task=_task("SqlToRestOperator", ""))
        + f"    {_task('RestToSqlOperator', '').replace(chr(39) + 't' + chr(39), chr(39) + 'u' + chr(39), 1)}\n"
        + "loaded = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(loaded & {'aiohttp', 'sqlalchemy', 'pandas', 'jsonschema', 'jmespath', 'uvloop'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
