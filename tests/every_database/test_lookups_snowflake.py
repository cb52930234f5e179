"""dags/lookups_snowflake.py: ids out of one table of Snowflake, what the API knows of them into another."""

import importlib.util

import pytest
from aiohttp import web
from checkout import REPOSITORY
from every_database.loading import number_of
from task_runner import run_try

KNOWN, UNKNOWN, OF_ANOTHER_DAY = range(1, 40), 40, 41


def look_up():
    """Return the DAG's task."""
    spec = importlib.util.spec_from_file_location("lookups_snowflake", REPOSITORY / "dags" / "lookups_snowflake.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.dag.get_task("look_up")


def answer(seen):
    number = number_of(seen)
    if number not in KNOWN:
        return 404
    place = {"geoLabel": f"place {number}", "latitude": number / 4, "longitude": None}
    return web.json_response({"label": f"label {number}", "location": place})


@pytest.mark.parametrize("database", ["snowflake"], indirect=True)
def test_what_the_api_knows_of_each_id_is_there_and_a_second_run_changes_nothing(database, api, supervisor):
    database.create("id {integer}, changed_at {naive}", "master_locations")
    database.create(
        "id {integer} NOT NULL, label {text}, geo_label {text}, latitude float, longitude float, place {json}",
        "standardized_locations",
    )
    database.execute(
        f"INSERT INTO master_locations SELECT id, CAST('2026-11-01 12:00:00' AS timestamp_ntz) FROM {database.series(40)}",
        "INSERT INTO master_locations SELECT 41, CAST('2026-11-02 00:00:00' AS timestamp_ntz)",
        "INSERT INTO standardized_locations (id, label) SELECT 7, 'old'",
        "INSERT INTO standardized_locations (id, label) SELECT 999, 'kept'",
    )
    api.answer = answer
    for _ in range(2):
        assert run_try(look_up(), supervisor) == ("success", None)
        rows = database.rows("id, label, geo_label, latitude, longitude", "standardized_locations")
        found = [(n, f"label {n}", f"place {n}", n / 4, None) for n in KNOWN]
        assert rows == [*found, (999, "kept", None, None, None)]
    assert {number_of(seen) for seen in api.seen} == {*KNOWN, UNKNOWN}
