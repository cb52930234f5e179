"""Rows into a staging table: as a file that the server reads, or as INSERTs of many rows."""

import tempfile
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import MySQLdb

from airflow_async_rest.core.errors import EncodeError
from airflow_async_rest.databases.dialects.mysql.cells import target
from airflow_async_rest.databases.values.columns import Column

# Longer statements are not faster, and take more memory.
_MOST_BYTES = 1_000_000
_OVERHEAD = 1_024
# Of the statement, not of a row: 1287, 1681, 3719 say that something of it is deprecated, 1592 that it is unsafe to
# replicate as such.
_HARMLESS = frozenset({1287, 1592, 1681, 3719})


def insert(raw: Any, into: str, batches: Iterable[Iterable[Sequence[str]]], max_allowed_packet: int) -> None:
    """Add rows by statements as long as the server takes them.

    :param into: table and columns, in SQL.
    :param batches: of rows, as SQL has their values.
    :param max_allowed_packet: of the server, in bytes.
    :raises EncodeError: when a row is longer than that.
    """
    prefix = f"INSERT INTO {into} VALUES ".encode()
    most = max_allowed_packet - len(prefix) - _OVERHEAD
    waiting: list[bytes] = []
    length = 0
    with raw.cursor() as cursor:
        for row in chain.from_iterable(batches):
            written = f"({','.join(row)})".encode()
            if len(written) > most:
                raise EncodeError(f"the row has {len(written):,} bytes; the server's max_allowed_packet is less")
            if waiting and length + len(written) > min(most, _MOST_BYTES):
                cursor.execute(prefix + b",".join(waiting))
                waiting, length = [], 0
            waiting.append(written)
            length += len(written) + 1
        if waiting:
            cursor.execute(prefix + b",".join(waiting))


def load_data(
    raw: Any, table: str, names: Sequence[str], columns: Sequence[Column], batches: Iterable[Iterable[Sequence[str]]]
) -> None:
    """Add rows by LOAD DATA LOCAL, from a file that nobody else can read.

    :param table: its name in SQL; so are ``names``, of the columns.
    :param batches: of rows, as a file has their values.
    :raises MySQLdb.Error: when a value is not kept as it is: LOCAL makes warnings of the errors of strict mode.
    """
    targets = [target(column, name, f"@c{n}") for n, (column, name) in enumerate(zip(columns, names, strict=True))]
    sets = ", ".join(value for _, value in targets if value)
    with tempfile.NamedTemporaryFile(prefix="async_rest_") as file, raw.cursor() as cursor:
        for rows in batches:
            file.write("".join(["\t".join(row) + "\n" for row in rows]).encode())
        file.flush()
        cursor.execute(
            f"LOAD DATA LOCAL INFILE {raw.literal(file.name).decode()} INTO TABLE {table} CHARACTER SET utf8mb4 "
            r"FIELDS TERMINATED BY '\t' ESCAPED BY '\\' LINES TERMINATED BY '\n' "
            f"({', '.join(into for into, _ in targets)})" + (f" SET {sets}" if sets else "")
        )
        if cursor.warning_count:
            _refuse(raw, cursor.warning_count)


def _refuse(raw: Any, count: int) -> None:
    warnings = raw.show_warnings()
    for _, code, message in warnings:
        if int(code) not in _HARMLESS:
            raise MySQLdb.DataError(int(code), message)
    if count > len(warnings):
        raise MySQLdb.DataError(1265, "a value is not kept as it is; the server's max_error_count hides which one")
