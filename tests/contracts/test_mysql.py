"""What is relied on of Airflow's MySQL hook and of mysqlclient beyond their documentation."""

import inspect

import pytest

MySqlHook = pytest.importorskip("airflow.providers.mysql.hooks.mysql").MySqlHook
connections, cursors = pytest.importorskip("MySQLdb.connections"), pytest.importorskip("MySQLdb.cursors")


def test_the_hook_connects_with_nothing_but_its_settings():
    source = inspect.getsource(MySqlHook.get_conn)
    assert "conn_config = self._get_conn_config_mysql_client(conn)" in source
    assert "return MySQLdb.connect(**conn_config)" in source


def test_a_cursor_has_a_result_until_that_is_discarded():
    assert "self._result = result = self._get_result()" in inspect.getsource(cursors.BaseCursor)
    assert "if self._result:" in inspect.getsource(cursors.BaseCursor._discard)


def test_values_are_made_by_the_connections_converters():
    assert "self.converter[FIELD_TYPE.JSON]" in inspect.getsource(connections.Connection)
