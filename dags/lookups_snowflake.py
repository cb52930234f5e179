"""Ids out of a Snowflake table, one GET about each, and what the API answers into another Snowflake table.

A job of millions of lookups: a run takes the ids that changed in its window, asks for each as fast as the API allows,
and puts what came into the table in bulk, by PUT and COPY INTO. A retry goes on where the try before it ended, and a
Clear of a run inserts nothing twice: a row that is there is updated.

It needs three connections: ``source_db`` and ``warehouse`` (type ``snowflake``; they may be one) and ``search_api``
(type ``async_rest`` or ``http``). Both tables are there beforehand.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_async_rest.operators.rest_to_sql import RestToSqlOperator

with DAG(
    dag_id="lookups_snowflake",
    # Not "@daily": its runs have a window of zero width. Those of this timetable have the day that just ended.
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
) as dag:
    RestToSqlOperator(
        task_id="look_up",
        sql_conn_id="source_db",
        # Unquoted names are known by small letters: {id} is the column ID.
        sql="""
            SELECT id
            FROM master_locations
            WHERE changed_at >= :window_start AND changed_at < :window_end
            ORDER BY id
        """,
        http_conn_id="search_api",
        endpoint="entities/{id}",
        query={"select": "id,label,location"},
        # The API does not know all of them: a 404 means no row, and no failure.
        missing_ok=True,
        columns={
            "id": "item.id",
            "label": "label",
            "geo_label": "location.geoLabel",
            "latitude": "location.latitude",
            "longitude": "location.longitude",
            "place": "location",  # for a VARIANT
        },
        destination_conn_id="warehouse",
        destination_table="standardized_locations",
        load_mode="upsert",
        conflict_key="id",
        # The API allows 100 of these a second. A rate limit is one task's own: one task at a time, in all runs.
        rate_limit="80/s",
        concurrency=40,
        max_active_tis_per_dag=1,
        retries=2,
        retry_delay=timedelta(seconds=10),
    )
