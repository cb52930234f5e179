"""A task that fetches one item of very many pages, made in a process of its own."""

from tasks import rest_to_sql

from airflow_async_rest import CursorPages


def make_task():
    return rest_to_sql(
        items=[{"id": 1}],
        paginate=CursorPages("next"),
        rows="items",
        columns=None,
        destination_table="long_item",
    )
