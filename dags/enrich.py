"""What an API knows of each sensor that measured on a day, into a table: one GET for each, by its id.

The ids come out of a database. An API that answers after 200 ms gives five answers a second, one after another; with
twenty requests in flight it gives up to a hundred. A row is inserted or, where the table has it, updated.

It needs three connections: ``source_db`` and ``warehouse`` (any SQL databases) and ``search_api`` (type ``async_rest``
or ``http``). The table is there beforehand.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_async_rest.operators.rest_to_sql import RestToSqlOperator

with DAG(
    dag_id="enrich",
    # Not "@daily": its runs have a window of zero width. Those of this timetable have the day that just ended.
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
):
    RestToSqlOperator(
        task_id="enrich",
        sql_conn_id="source_db",
        # The API knows a sensor by type and number, and this table by a name that has both, as in "sensor-07".
        sql="""
            SELECT DISTINCT split_part(name, '-', 1) AS type, CAST(split_part(name, '-', 2) AS integer) AS id
            FROM sensors
            WHERE measured_at >= :window_start AND measured_at < :window_end
            ORDER BY type, id
        """,
        http_conn_id="search_api",
        endpoint="inventory/{type}",
        query={"id": "{id}"},
        rows="data.items",
        # What the answer lacks is known from the question: which sensor it is about.
        columns={
            "type": "item.type",
            "id": "item.id",
            "sku": "sku",
            "stock": "stock",
            "geo_label": "location.geoLabel",
            "latitude": "location.latitude",
            "longitude": "location.longitude",
            "tags": "tags",
        },
        # The API does not know all of them: a 404 means no row, and no failure.
        missing_ok=True,
        destination_conn_id="warehouse",
        destination_table="inventory",
        load_mode="upsert",
        conflict_key=["type", "id"],
        # A rate limit is one task's own: one task at a time, in all runs of this DAG, has all of it. Stay some requests
        # below what your API allows: those in flight may arrive together.
        rate_limit="80/s",
        concurrency=20,
        max_active_tis_per_dag=1,
        # Of the task. Of one request: see RequestRetry.
        retries=2,
        retry_delay=timedelta(seconds=10),
    )
