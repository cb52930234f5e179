"""Rows as a Parquet file, and the query by which they are read out of it while they are copied."""

from collections.abc import Sequence
from typing import Any, BinaryIO

import pyarrow as pa
from pyarrow import parquet

from airflow_async_rest.databases.dialects.dialect import Batches
from airflow_async_rest.databases.dialects.snowflake.values import column_values
from airflow_async_rest.databases.values.columns import Column, Kind


def write_file(file: BinaryIO, columns: Sequence[Column], batches: Batches) -> tuple[int, dict[int, str]]:
    """Write rows into a file, without those that Snowflake would refuse.

    :return: how many are in it; and of the others their numbers, from 0, and why.
    """
    refused, start, tables = dict[int, str](), 0, []
    schema = pa.schema([(name, _type(column)) for name, column in zip(_names(columns), columns, strict=True)])
    for batch in batches:
        found = [column_values(column, values) for column, values in zip(columns, batch, strict=True)]
        faults = {number: words for _, some in found for number, words in some.items()}
        table = pa.table(
            [pa.array(values, field.type) for (values, _), field in zip(found, schema, strict=True)], schema
        )
        if faults:
            kept = [number for number in range(table.num_rows) if number not in faults]
            table = table.take(pa.array(kept, pa.int64()))  # of an empty list it would not know the type
        tables.append(table)
        refused |= {start + number: words for number, words in faults.items()}
        start += len(batch[0])
    parquet.write_table(pa.concat_tables(tables) if tables else schema.empty_table(), file)
    return start - len(refused), dict(sorted(refused.items()))


def select_columns(columns: Sequence[Column]) -> str:
    """Write what is selected from the file for columns: texts, which the table's own types read."""
    return ", ".join(_selected(name, column) for name, column in zip(_names(columns), columns, strict=True))


def _names(columns: Sequence[Column]) -> list[str]:
    return [f"c{number}" for number in range(len(columns))]


def _type(column: Column) -> Any:
    return pa.binary() if column.kind is Kind.BINARY else pa.string()


def _selected(name: str, column: Column) -> str:
    if column.kind is Kind.BINARY:
        return f"$1:{name}::BINARY"
    text = f"$1:{name}::VARCHAR"
    return f"PARSE_JSON({text})::{column.staged_as}" if column.kind is Kind.JSON else text
