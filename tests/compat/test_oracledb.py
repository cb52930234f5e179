"""Columns of Oracle are fetched by SQLAlchemy 1.4 as by 2."""

from types import SimpleNamespace

import oracledb
import pytest

from airflow_async_rest.compat.oracledb import texts_as_in_2

CURSOR = SimpleNamespace(arraysize=7, var=lambda *how: how)


def fetched_as(kind):
    handler = texts_as_in_2(lambda *_: "the default of 1.4")
    return handler(CURSOR, "C", kind, 10, 0, 0)


@pytest.mark.parametrize("name", ["VARCHAR", "NVARCHAR", "CHAR", "NCHAR", "LONG"])
def test_texts_are_fetched_as_the_driver_does(name):
    assert fetched_as(getattr(oracledb, f"DB_TYPE_{name}")) is None


@pytest.mark.parametrize(("lob", "with_its_row"), [("CLOB", "VARCHAR"), ("NCLOB", "NVARCHAR"), ("BLOB", "RAW")])
def test_lobs_come_with_their_rows_in_their_own_character_set(lob, with_its_row):
    expected = getattr(oracledb, f"DB_TYPE_{with_its_row}")
    assert fetched_as(getattr(oracledb, f"DB_TYPE_{lob}")) == (expected, 131_072, 7)


@pytest.mark.parametrize("name", ["NUMBER", "BINARY_DOUBLE", "DATE", "RAW", "LONG_RAW"])
def test_the_rest_is_left_to_1_4(name):
    assert fetched_as(getattr(oracledb, f"DB_TYPE_{name}")) == "the default of 1.4"
