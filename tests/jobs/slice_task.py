"""A task that looks up a slice of a table's ids, made in a process of its own."""

from tasks import rest_to_sql

FIRST, PAST = 2_345_678, 2_349_678  # of 4 million
PER_SECOND, CONCURRENCY = 400, 32


def make_task():
    return rest_to_sql(
        sql="SELECT id FROM master WHERE id >= :first AND id < :past ORDER BY id",
        sql_conn_id="source_db",
        parameters={"first": FIRST, "past": PAST},
        rows=None,
        columns={"id": "item.id", "label": "label", "latitude": "place.latitude"},
        destination_table="places",
        rate_limit=f"{PER_SECOND}/s",
        concurrency=CONCURRENCY,
        max_failures="5%",
    )
