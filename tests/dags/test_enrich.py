"""dags/enrich.py: what the API knows of each sensor of the day, in a row that has the id which was asked for."""

from collections import Counter
from datetime import timedelta

import httpx
import pytest

from demo.api_rules import Settings
from demo.inventory import MISSING_IDS, part
from demo.week import DAYS, readings

TUESDAY = DAYS[1]
NUMBERS = sorted({int(name.partition("-")[2]) for _, name, _, at in readings() if TUESDAY <= at < DAYS[2]})
KNOWN = [number for number in NUMBERS if number not in MISSING_IDS]


def expected(number):
    item = part("sensor", number)
    place = item["location"]
    return ("sensor", number, item["sku"], item["stock"], *place.values(), item["tags"])


def inventory(postgres):
    return postgres.execute(
        "SELECT type, id, sku, stock, geo_label, latitude, longitude, tags FROM inventory ORDER BY id"
    )


def stats(url):
    return httpx.get(f"{url}/_stats", trust_env=False).json()["inventory"]


@pytest.mark.release
def test_every_sensor_that_the_api_knows_is_there_with_its_id_whatever_fails(week, postgres, run_dag):
    run = run_dag("enrich", TUESDAY + timedelta(days=1))
    assert run.state == "success"
    assert inventory(postgres) == [expected(number) for number in KNOWN]
    report = run.report("enrich")
    missing = len(NUMBERS) - len(KNOWN)
    assert (report["read"], report["skipped"], missing) == (len(NUMBERS), missing, 3)
    assert (report["rows_loaded"], report["rows_refused"], report["failed"]) == (len(KNOWN), 0, 0)
    seen = stats(week)
    assert (report["requests"], report["retries"]) == (seen["requests"], sum(seen["faults"].values()))
    assert report["retries"] > 0


def test_what_is_there_is_updated_and_what_was_not_asked_for_is_left_alone(week, postgres, run_dag):
    rows = "('sensor', 7, 'old', -1, 'nowhere'), ('pump', 7, 'kept', -1, 'here'), ('sensor', 99, 'kept', -1, 'here')"
    postgres.execute(f"INSERT INTO inventory (type, id, sku, stock, geo_label) VALUES {rows}")
    for _ in range(2):
        assert run_dag("enrich", TUESDAY + timedelta(days=1)).state == "success"
    kept = Counter(sku for _, _, sku, *_ in inventory(postgres))["kept"]
    assert (kept, len(inventory(postgres))) == (2, len(KNOWN) + 2)
    assert [row for row in inventory(postgres) if row[2] != "kept"] == [expected(number) for number in KNOWN]


def test_the_limit_holds_over_all_runs_of_a_backfill(dags):
    task = dags["enrich"].get_task("enrich")
    share = int(task.rate_limit.removesuffix("/s")) + task.concurrency
    assert task.max_active_tis_per_dag * share <= Settings().inventory_per_second
