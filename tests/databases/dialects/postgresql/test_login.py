"""What PostgreSQL says of a connection that is wrong, which no retry changes, and of a server that is away."""

import pytest

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.databases.database import Database
from airflow_async_rest.databases.dialects.registry import dialect_named

_WRONG = [
    'FATAL:  password authentication failed for user "me"',
    "FATAL:  SASL authentication failed",
    'FATAL:  Peer authentication failed for user "me"',
    "fe_sendauth: no password supplied",
    'FATAL:  role "me" does not exist',
    'FATAL:  database "my ""odd"" name" does not exist',
    'FATAL:  no pg_hba.conf entry for host "127.0.0.1", user "me", database "d", no encryption',
    "FATAL:  no such database: d",
    'FATAL:  role "me" is not permitted to log in',
    'FATAL:  permission denied for database "d"',
]
_AWAY = [
    "Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?",
    "FATAL:  the database system is starting up",
    "FATAL:  sorry, too many clients already",
    "server closed the connection unexpectedly",
    "FATAL:  terminating connection due to administrator command",
    "timeout expired",
]


@pytest.mark.parametrize(("message", "is_wrong"), [(text, True) for text in _WRONG] + [(text, False) for text in _AWAY])
def test_a_login_that_is_refused_is_told_from_a_server_that_is_away(message, is_wrong):
    error = RuntimeError(f"connection failed: connection to server at ::1, port 5432 failed: {message}")
    assert dialect_named("postgresql").is_login_refused(error) is is_wrong


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"schema": "nowhere"}, 'database "nowhere" does not exist'),
        ({"login": "nobody here"}, 'role "nobody here" does not exist'),
    ],
)
def test_a_connection_that_is_wrong_is_named(driver, connect, postgres, fields, words):
    connect("wrong_db", **(postgres.connection() | fields))
    with pytest.raises(ConfigurationError, match="sql_conn_id='wrong_db'") as raised:
        Database("sql_conn_id", "wrong_db").engine.connect()
    assert words in str(raised.value)
