"""fakesnow's server, without two faults that Snowflake does not have."""

import fakesnow.arrow
import fakesnow.server
import fakesnow.transforms
import pyarrow as pa
from sqlglot import exp

app = fakesnow.server.app
_merge, _times = fakesnow.transforms.merge, fakesnow.arrow.timestamp_to_sf_struct


def merge(statement):
    """Let a MERGE set columns to expressions: it only knows the source's columns that stand alone, or after ON."""
    if isinstance(statement, exp.Merge):
        source = statement.args["using"].alias_or_name
        set_to = [each for when in statement.args["whens"] for each in when.args["then"].args.get("expressions") or ()]
        for column in {each for expression in set_to for each in expression.find_all(exp.Column)}:
            if column.table == source:
                is_any = f"({column.sql()} IS NULL OR {column.sql()} IS NOT NULL)"
                statement.set("on", exp.and_(statement.args["on"], is_any))
    return _merge(statement)


def timestamp_to_sf_struct(times):
    """Leave times NULL that are NULL; they would be those of 1970."""
    times = times.combine_chunks() if isinstance(times, pa.ChunkedArray) else times
    found = _times(times)
    return pa.StructArray.from_arrays(found.flatten(), fields=list(found.type), mask=times.is_null())


fakesnow.transforms.merge = merge
fakesnow.arrow.timestamp_to_sf_struct = timestamp_to_sf_struct
