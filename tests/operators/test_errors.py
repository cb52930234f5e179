"""Every mistake a user can make gives one clear message, by name, before the first request."""

import json
import re

import pytest
from task_runner import run_try
from tasks import given_later, sql_to_rest

from airflow_async_rest import Batch

WINDOWED = "SELECT 1 AS id WHERE now() > :window_start"

# what the user wrote -> what the message must say (a regular expression)
ARGUMENTS = {
    "sql: empty": ({"sql": " "}, r"sql=' ': write a SELECT"),
    "sql: syntax": ({"sql": "SELEC 1"}, r"the database refuses the sql: syntax error at or near"),
    "sql: table": ({"sql": "SELECT id FROM nowhere"}, r"the database refuses the sql: relation \"nowhere\" does not"),
    "sql: column twice": ({"sql": "SELECT 1 AS id, 2 AS id"}, r"sql returns two columns named 'id': give one.* alias"),
    "sql: no select": ({"sql": "CREATE TABLE never (id int)"}, r"the database refuses the sql"),
    "sql: bind": ({"sql": "SELECT 1 AS id WHERE 1 = :limit"}, r"bind :limit.*no value: add it to parameters="),
    "sql: slice": (
        {"sql": "SELECT a[lower(b) + :n] AS id"},
        r"A colon that is not a bind, as in an array's slice, is written",
    ),
    "sql: bind as in Python": (
        {"sql": "SELECT 1 AS id WHERE now() > %(window_start)s"},
        r"sql has '%\(window_start\)s': write the bind as :window_start",
    ),
    "sql: changes data": (
        {"sql": "SELECT set_config('a.b', txid_current()::text, true) AS id, pg_notify('a', 'b') FROM lo_create(0)"},
        r"the database refuses the sql: cannot execute .*read-only transaction\. .* with read_only=False",
    ),
    "parameters: tuple": ({"parameters": (3,)}, r"parameters= is a tuple: write a dict of the binds' names and values"),
    "parameters: JSON": ({"parameters": '{"a": 3}'}, r"parameters= is a text: write a dict"),
    "parameters: empty list": ({"parameters": []}, r"parameters= is a list: write a dict"),
    "parameters: name": ({"parameters": {3: 3}}, r"parameters= has the name 3, which no bind can have"),
    "parameters: no JSON": (
        {"sql": "SELECT 1 AS id WHERE '{}' @> :a::jsonb", "parameters": {"a": {"b": object}}},
        r"parameters\['a'\]: a dict that has no JSON form \(column 'b': a builtins.type has no JSON form\)",
    ),
    "endpoint: column like a bind": ({"endpoint": "x/{:id}"}, r"a placeholder is just a column's name, such as \{id\}"),
    "endpoint: column with a colon": ({"endpoint": "x/{a:b}"}, r"a column whose name has one of .* needs an alias"),
    "key: column like a bind": (
        {"key": ":id"},
        r"key names the column ':id', which the rows do not have; they have: id",
    ),
    "parameters: window": ({"parameters": {"window_start": 1}}, r"parameters\['window_start'\]: give it as the arg"),
    "chunk_size": ({"chunk_size": 0}, r"chunk_size=0: write a whole number"),
    "read_only": ({"read_only": 1}, r"read_only=1: write True or False"),
    "read_only: count": ({"read_only": False, "count_rows": True}, r"count_rows=True runs the sql twice, which with"),
    "count_rows": ({"count_rows": "yes"}, r"count_rows='yes': write True or False"),
    "sql_conn_id: unknown": ({"sql_conn_id": "nobody"}, r"sql_conn_id='nobody': there is no such connection; add it"),
    "sql_conn_id: not sql": ({"sql_conn_id": "search_api"}, r"sql_conn_id='search_api' is of type 'async_rest', which"),
    "http_conn_id: unknown": ({"http_conn_id": "nobody"}, r"http_conn_id='nobody': there is no such connection"),
    "http_conn_id: sql": (
        {"http_conn_id": "source_db"},
        r"http_conn_id='source_db' is a connection of type 'postgres'",
    ),
    "endpoint: column": ({"endpoint": "x/{idd}"}, r"endpoint names the column 'idd', which.*; they have: id, value"),
    "endpoint: column, no rows": (
        {"sql": "SELECT 1 AS id WHERE false", "endpoint": "x/{idd}"},
        r"endpoint names the column 'idd', which.*; they have: id",
    ),
    "endpoint: brace": ({"endpoint": "x/{id"}, r"endpoint='x/\{id': .*write placeholders as \{column\}"),
    "endpoint: format": ({"endpoint": "x/{id:05d}"}, r"endpoint='x/\{id:05d\}': a placeholder is just a column's name"),
    "endpoint: doubled braces": (
        {"endpoint": "{% raw %}x/{{id}}{% endraw %}"},
        r"endpoint='x/\{\{id\}\}' has \{\{id\}\} left over, .* write a column as \{id\},",
    ),
    "endpoint: url": ({"endpoint": "http://evil/x"}, r"endpoint='http://evil/x' is a whole URL: put scheme and host"),
    "method": ({"method": "SEND"}, r"method='SEND': write one of POST, PUT"),
    "key: column": ({"key": "uuid"}, r"key names the column 'uuid', which the rows do not have; they have: id, value"),
    "key: column, no rows": (
        {"sql": "SELECT 1 AS id WHERE false", "key": "uuid", "batch": Batch(), "endpoint": "x"},
        r"key names the column 'uuid', which the rows do not have; they have: id",
    ),
    "key: type": ({"key": [1]}, r"key=\[1\]: write a column's name"),
    "headers": ({"headers": {"X-A": "a\nb"}}, r"headers: the value of 'X-A' is not a text, or has a line break"),
    "headers: none": ({"headers": {"X-A": None}}, r"headers: 'X-A' is None: write a text, or leave the header out"),
    "headers: length": ({"headers": {"content-length": "5"}}, r"headers: 'content-length' says how a message is sent"),
    "headers: packed": ({"headers": {"Content-Encoding": "gzip"}}, r"headers: 'Content-Encoding' calls the body compr"),
    "transform": ({"transform": "to_document"}, r"transform='to_document': write a function"),
    "response_check": ({"response_check": 200}, r"response_check=200: write a function"),
    "request_retry": ({"request_retry": 5}, r"request_retry=5: write RequestRetry"),
    "concurrency": ({"concurrency": 0}, r"concurrency=0: write a whole number from 1 to 1000, or 'adaptive'"),
    "concurrency: word": ({"concurrency": "auto"}, r"concurrency='auto': write a whole number from 1 to 1000, or"),
    "rate_limit: unit": ({"rate_limit": "100/w"}, r"rate_limit='100/w': write a number of requests and a unit"),
    "rate_limit: day": ({"rate_limit": "100/d"}, r"rate_limit='100/d': a day's requests are counted in a store that"),
    "rate_limit: zone": ({"rate_limit": ["1/s", "9/d Mars"]}, r"rate_limit=\['1/s', '9/d Mars'\]: 'Mars' is no time z"),
    "rate_limit: zero": ({"rate_limit": "0/s"}, r"rate_limit='0/s'"),
    "schema": ({"schema": 5}, r"schema=5: write a JSON Schema as a dict"),
    "order_by_key": ({"order_by_key": 1}, r"order_by_key=1: write True or False"),
    "order_by_key: no key": ({"order_by_key": True, "key": None}, r"order_by_key=True needs key=: the column or"),
    "body_format": ({"body_format": "xml"}, r"body_format='xml': write one of 'json', 'form', 'text'"),
    "batch: type": ({"batch": 500}, r"batch=500: write Batch\(max_items=500, \.\.\.\), which is imported from"),
    "batch: endpoint": (
        {"batch": Batch(), "endpoint": "x/{id}"},
        r"endpoint='x/\{id\}' has the placeholder \{id\}, and a batch has one path for many rows",
    ),
    "batch: method": ({"batch": Batch(), "endpoint": "x", "method": "GET"}, r"method='GET' has no body"),
    "batch: two readers": (
        {"batch": Batch(results="list"), "endpoint": "x", "response_check": bool},
        r"response_check and Batch\(results=\.\.\.\) both read the answer: leave one out",
    ),
    "batch: a reader by its format": (
        {"batch": Batch(format="bulk"), "endpoint": "x", "response_check": bool},
        r"which format='bulk' has by itself .* both read the answer: leave one out",
    ),
    "max_failures": ({"max_failures": "some"}, r"max_failures='some': write a number of items, such as 25, or a share"),
    "max_failures: negative": ({"max_failures": -1}, r"max_failures=-1"),
    "max_quota_wait": ({"max_quota_wait": "1 day"}, r"max_quota_wait='1 day': write a timedelta, such as"),
    "dead_letter_path": ({"dead_letter_path": "nosuch://bucket/x"}, r"dead_letter_path 'nosuch://bucket/x/.*cannot be"),
    "dead_letter_path: relative": ({"dead_letter_path": "x"}, r"dead_letter_path='x': write an absolute path such as"),
    "preview": ({"preview": True}, r"preview=True: write how many requests to show, from 1 to 100; to send all, leave"),
    "preview_send": (
        {"preview_send": 2},
        r"preview_send=2: write 1, which sends one request of a preview, or leave it",
    ),
    "window: unreadable": ({"window_start": "1st", "window_end": "2026-01-02"}, r"window_start='1st': write a date or"),
    "window: half": ({"window_start": "2026-01-01"}, r"window_end is missing: the argument gives only the other end"),
    "window: reversed": (
        {"window_start": "2026-01-02", "window_end": "2026-01-01"},
        r"window_end .* is not after window_start",
    ),
    "window: empty": ({"window_start": "2026-01-01", "window_end": "2026-01-01"}, r"is not after .* half-open, so one"),
}


@pytest.mark.parametrize(("arguments", "message"), ARGUMENTS.values(), ids=ARGUMENTS.keys())
def test_a_wrong_argument_is_named_before_the_first_request(places, supervisor, arguments, message):
    state, error = run_try(given_later(sql_to_rest(), **arguments), supervisor)
    assert state == "failed"  # no retry of Airflow's mends it
    assert re.search(message, str(error)), error
    assert places.seen == []


def test_every_argument_of_the_operator_that_can_be_wrong_is_in_the_table():
    import inspect

    from airflow_async_rest.operators.sql_to_rest import SqlToRestOperator

    arguments = set(inspect.signature(SqlToRestOperator.__init__).parameters) - {"self", "kwargs"}
    tried = {name for wrong, _ in ARGUMENTS.values() for name in wrong}
    assert arguments == tried


CONNECTIONS = {
    "no host": ({"host": ""}, r"base URL is '.*fill in Host"),
    "password in host": ({"host": "ann:secret@api"}, r"host='\*\*\*': put user name and password into Login"),
    "host and path in schema": ({"host": "api", "schema": "https://api/v1"}, r"Schema takes http or https only"),
    "schema": ({"schema": "ftp", "host": "api"}, r"base URL is 'ftp://api': fill in Host, and http or https"),
    "space in host": ({"host": "my api"}, r"base URL has a space, .*: check Host"),
    "proxy": ({"extra": {"proxy": "socks5://secret@p:1"}}, r"the connection's proxy: write a URL such as http://"),
    "token in lines": ({"password": "a\nsecret", "extra": {"auth_type": "bearer"}}, r"Password has a line break"),
    "framing": ({"extra": {"headers": {"Transfer-Encoding": "chunked"}}}, r"'Transfer-Encoding' says how a message is"),
    "password without a use": ({"password": "secret"}, r"password='\*\*\*': say how it is meant"),
    "auth_type": ({"extra": {"auth_type": "oauth"}}, r"auth_type='oauth': write one of none, basic, bearer, api_key"),
    "basic without login": ({"extra": {"auth_type": "basic"}}, r"login='': authentication basic needs a login"),
    "bearer without token": ({"extra": {"auth_type": "bearer"}}, r"password='': authentication bearer takes"),
    "unknown field": ({"extra": {"time_out": 3}}, r"unknown field 'time_out'; known are: auth_type"),
    "headers": ({"extra": {"headers": "Accept: all"}}, r"headers='\*\*\*': write a JSON object"),
    "header without a value": ({"extra": {"headers": {"X-A": None}}}, r"headers={'X-A': None}: write a text, or leave"),
    "timeout": ({"extra": {"request_timeout_seconds": 0}}, r"request_timeout_seconds=0: write a number of seconds"),
    "certificate file": ({"extra": {"verify": "/no/such.pem"}}, r"certificate files cannot be read.*'verify' and"),
    "time zone": ({"extra": {"naive_timezone": "Mars"}}, r"naive_timezone='Mars': write a name such as 'Europe/Pr"),
    "rate limit": ({"extra": {"rate_limit": "fast"}}, r"rate_limit='fast': write a number of requests"),
    "concurrency": ({"extra": {"concurrency": "many"}}, r"concurrency='many': write a whole number"),
}


@pytest.mark.parametrize(("fields", "message"), CONNECTIONS.values(), ids=CONNECTIONS.keys())
def test_a_wrong_connection_is_named_with_its_field(places, supervisor, connect, fields, message):
    fields = {"conn_type": "async_rest", "host": places.url} | fields
    connect("search_api", **(fields | {"extra": json.dumps(fields.get("extra", {}))}))
    state, error = run_try(sql_to_rest(), supervisor)
    assert state == "failed"
    assert re.search(message, str(error)), error
    assert "secret" not in str(error)
    assert places.seen == []


def test_a_backfill_with_a_window_in_its_conf_is_refused(places, supervisor):
    conf = {"window_start": "2026-01-01", "window_end": "2026-01-02"}
    state, error = run_try(sql_to_rest(sql=WINDOWED), supervisor, conf=conf, run_type="backfill")
    assert (state, places.seen) == ("failed", [])
    assert "each of its runs would send that same window" in str(error)
    assert run_try(sql_to_rest(sql=WINDOWED), supervisor, conf=conf, run_type="manual")[0] == "success"
    assert supervisor.report["window_start"] == "2026-01-01T00:00:00+00:00"


def test_a_zero_width_interval_fails_and_names_the_ways_out(places, supervisor):
    from task_runner import WINDOW

    state, error = run_try(sql_to_rest(sql=WINDOWED), supervisor, window=(WINDOW[0], WINDOW[0]))
    assert (state, places.seen) == ("failed", [])
    for way in ("CronDataIntervalTimetable(", "window_start= and window_end=", '{"window_start": "2026-01-01"'):
        assert way in str(error)


def test_a_database_that_is_down_is_worth_a_retry(places, supervisor, connect):
    connect("source_db", conn_type="postgres", host="127.0.0.1", port=1, login="x", schema="x")
    state, _ = run_try(sql_to_rest(), supervisor)
    assert state == "up_for_retry"


def test_an_api_that_is_down_makes_dead_letters_worth_a_retry(places, supervisor, connect):
    from airflow_async_rest import RequestRetry

    connect("search_api", conn_type="async_rest", host="http://127.0.0.1", port=1)
    retry = RequestRetry(max_attempts=2, backoff_base_seconds=0.001)
    state, error = run_try(sql_to_rest(request_retry=retry), supervisor)
    assert state == "up_for_retry"
    assert "100 connection" in str(error)


def test_a_row_that_makes_the_sql_fail_is_named_after_all_before_it_are_delivered(places, supervisor):
    sql = "SELECT id, 1 / (61 - id) AS value FROM generate_series(1, 90) id"
    state, error = run_try(sql_to_rest(sql=sql, chunk_size=20), supervisor)
    assert state == "failed"
    assert "the sql failed after 60 rows: division by zero. It runs, so one of the rows after those" in str(error)
    assert (supervisor.report["delivered"], supervisor.report["complete"]) == (60, False)
