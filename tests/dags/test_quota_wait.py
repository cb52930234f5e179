"""A whole run whose quota is gone, where nothing starts a task again later."""

from aiohttp import web
from dag_runs import Run, after_day, ids, ids_of_day


def test_under_dag_test_it_stops_retriably(sensors, dags):
    asked = []

    def answer(seen):
        asked.append(seen)
        return 200 if len(asked) <= 20 else web.Response(status=429, headers={"Retry-After": "3600"})

    sensors.answer = answer
    dags["sensors"].get_task("post_sensors").retries = 0  # dag.test() would wait for them
    run = Run(dags["sensors"].test(logical_date=after_day(1)))
    assert run.states("post_sensors") == ["failed"]
    assert run.report("post_sensors")["waits"] == []
    assert set(ids(sensors.delivered)) < set(ids_of_day(1))
