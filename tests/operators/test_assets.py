"""Events of a task's outlets carry what the report counts, to whoever is scheduled by them."""

import pytest
from aiohttp import web
from task_runner import Supervisor, run_try
from tasks import rest_to_sql, sql_to_rest

WINDOW = {"window_start": "2026-11-01T00:00:00+00:00", "window_end": "2026-11-02T00:00:00+00:00"}
DELIVERED = {"read": 100, "delivered": 100, "failed": 0, "skipped": 0}


class Listening(Supervisor):
    """Keeps the asset events of the message of success, and knows the asset ``known``."""

    def send(self, msg):
        from airflow.sdk.execution_time import comms

        match msg:
            case comms.SucceedTask():
                self.events = [(event["dest_asset_key"]["name"], event["extra"]) for event in msg.outlet_events]
            case comms.ValidateInletsAndOutlets():
                return comms.InactiveAssetsResult(inactive_assets=[])
            case comms.GetAssetByName(name="known"):
                return comms.AssetResult(name="known", uri="x://known", group="asset")
            case comms.GetAssetByName():
                raise LookupError("no such asset")
        return super().send(msg)


@pytest.fixture
def supervisor(tmp_path):
    return Listening(tmp_path / "airflow.json")


def test_the_event_of_an_asset_has_the_window_and_the_counts(places, supervisor):
    from airflow.sdk import Asset

    assert run_try(sql_to_rest(outlets=[Asset("one"), Asset("two")]), supervisor)[0] == "success"
    assert supervisor.events == [("one", WINDOW | DELIVERED), ("two", WINDOW | DELIVERED)]


def test_the_counts_are_those_of_all_tries(places, supervisor):
    from airflow.sdk import Asset

    places.answer = lambda seen: 503 if seen.path.endswith("7") else 200
    task = sql_to_rest(outlets=[Asset("one")], max_failures=9)
    assert run_try(task, supervisor)[0] == "up_for_retry"
    places.answer = lambda seen: 422 if seen.path.endswith("/7") else 200
    assert run_try(task, supervisor, 2)[0] == "success"
    assert supervisor.events == [("one", WINDOW | DELIVERED | {"delivered": 99, "failed": 1})]


def test_what_the_author_puts_there_stays(places, supervisor):
    from airflow.sdk import Asset

    asset = Asset("one")

    def first(context):
        context["outlet_events"][asset].extra.update({"team": "search", "delivered": "mine"})

    assert run_try(sql_to_rest(outlets=[asset], pre_execute=first), supervisor)[0] == "success"
    assert supervisor.events == [("one", WINDOW | DELIVERED | {"team": "search", "delivered": "mine"})]


def test_an_asset_that_is_only_referred_to_has_them_too(places, supervisor):
    from airflow.sdk import Asset

    assert run_try(sql_to_rest(outlets=[Asset.ref(name="known")]), supervisor)[0] == "success"
    assert supervisor.events == [("known", WINDOW | DELIVERED)]


def test_an_alias_and_what_is_no_asset_are_left_alone(places, supervisor):
    from airflow.sdk import Asset, AssetAlias

    alias, asset = AssetAlias("alias"), Asset("of the alias")

    def last(context, _):
        context["outlet_events"][alias].add(asset, extra={"team": "search"})

    task = sql_to_rest(outlets=[alias, {"some": "lineage"}], post_execute=last)
    assert run_try(task, supervisor) == ("success", None)
    assert supervisor.events == [("of the alias", {"team": "search"})]


def test_an_asset_that_nobody_knows_breaks_nothing(places, supervisor, logged):
    from airflow.sdk import Asset

    task = sql_to_rest(outlets=[Asset.ref(name="unknown"), Asset("one")])
    assert run_try(task, supervisor) == ("success", None)
    assert supervisor.report["delivered"] == 100
    assert supervisor.events == [("one", WINDOW | DELIVERED)]
    assert "no such asset" in logged()


def test_without_xcom_they_are_there_too(places, supervisor):
    from airflow.sdk import Asset

    assert run_try(sql_to_rest(outlets=[Asset("one")], do_xcom_push=False), supervisor)[0] == "success"
    assert supervisor.events == [("one", WINDOW | DELIVERED)]
    assert supervisor.data["xcom"] == {}


@pytest.mark.usefixtures("warehouse")
def test_a_fetch_says_how_many_rows_it_loaded(places, supervisor):
    from airflow.sdk import Asset

    rows = {"data": {"items": [{"location": {"geoLabel": "x"}, "detail": {}}] * 2}}
    places.answer = lambda _: web.json_response(rows)
    assert run_try(rest_to_sql(outlets=[Asset("locations")]), supervisor)[0] == "success"
    assert supervisor.events == [("locations", WINDOW | DELIVERED | {"rows_loaded": 200, "rows_refused": 0})]
