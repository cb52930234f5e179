"""What is read of a query, and what is sent of it."""

from airflow_async_rest.core.encoding.json_encoder import JsonEncoder

encode = JsonEncoder()


def read(sql, *, embed_json=False):
    from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook

    chunks = ChunkedSqlHook("source_db").chunks(sql.replace(":", r"\:"))
    chunks.embed_json = embed_json
    return [row for chunk in chunks for row in chunk]


def sent(sql, **how):
    """The JSON of the column ``v`` of the only row."""
    [row] = read(sql, **how)
    return encode({"v": row["v"]}).decode().removeprefix('{"v":').removesuffix("}")
