"""What the pages name is what the code has: fields, formats, metrics."""

import inspect
import re

from checkout import REPOSITORY
from pages import README, first_cells, page, section
from task_runner import run_try
from tasks import READINGS, sql_to_rest


def test_every_format_of_answers_is_named_with_what_can_be_said_of_csv():
    from airflow_async_rest import Csv
    from airflow_async_rest.core.answers.formats import _FORMATS

    text = page("formats")
    assert set(re.findall(r'^\| `"(\w+)"` \|', text, re.MULTILINE)) == set(_FORMATS)
    said = set(re.findall(r"(\w+)=", text.split("| `Csv(", 1)[1].split(")", 1)[0]))
    assert said == set(inspect.signature(Csv).parameters)


def test_every_way_to_read_the_results_of_a_batch_is_named():
    from airflow_async_rest import RESULTS, Results

    table, arguments = page("bulk").split("| argument of `Results` |")
    named = re.findall(r'`"(\w+)"`', table.split("| `results` |")[1].split("The names stand")[0])
    assert set(named) == set(RESULTS)
    defined = set(inspect.signature(Results).parameters)
    rows = {name for line in arguments.splitlines() if line.startswith("| `") for name in re.findall(r"`(\w+)`", line)}
    assert defined <= rows
    assert set(re.findall(r":param (\w+):", inspect.getdoc(Results))) == defined


def test_the_connection_table_is_the_connection_form():
    from airflow_async_rest.provider_info import CONNECTION_FIELDS

    assert first_cells(section(page("connections"), "Fields")) == set(CONNECTION_FIELDS)


def test_every_setting_of_airflow_cfg_is_in_one_table():
    from airflow_async_rest.provider_info import get_provider_info

    options = get_provider_info()["config"]["async_rest"]["options"]
    table = section(page("reference"), "Settings in `airflow.cfg`")
    assert first_cells(table) == set(options)
    for name, option in options.items():
        default = re.search(rf"^\| `{name}` \| (.*?) \|", table, re.MULTILINE)[1]
        assert not option["default"] or default == f"`{option['default']}`", name


def test_the_extras_that_are_named_are_those_that_there_are():
    from tomllib import loads

    extras = loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for text in (README.read_text(), page("quickstart")):
        [line] = re.findall(r"^pip install '\.\[.*$", text, re.MULTILINE)
        assert set(re.findall(r"\[(\w+)\]", line)) == set(extras)


def test_the_ways_to_sign_in_are_those_of_the_connection():
    from airflow_async_rest.provider_info import CONNECTION_FIELDS

    offered = set(CONNECTION_FIELDS["auth_type"]["schema"]["enum"]) - {"none", "basic", None}
    assert set(re.findall(r"`auth_type` `(\w+)`", section(page("connections"), "Signing in"))) == offered


def reports(api, connect, tmp_path):
    """A report of ``deliver``, and one of ``fetch``."""
    from airflow_async_rest.hooks.rest import AsyncRestHook

    connect("search_api", conn_type="async_rest", host=api.url)
    hook = AsyncRestHook("search_api")
    chunks = hook.fetch([1], endpoint="x", dead_letter_path=str(tmp_path))
    list(chunks)
    return hook.deliver([{"id": 1}], endpoint="x", dead_letter_path=str(tmp_path)), chunks.report


def test_the_reports_fields_are_those_of_the_page(api, tmp_path, connect):
    delivered, fetched = reports(api, connect, tmp_path)
    of_all, of_fetching = section(page("report"), "The report").split("A task that fetches", 1)
    assert first_cells(of_all) == set(delivered)
    assert first_cells(of_fetching) == set(fetched) - set(delivered)


def test_the_table_of_metrics_is_what_is_emitted():
    from airflow_async_rest.tasks import telemetry

    text = section(page("observability"), "Metrics")
    rows = re.findall(r"^\| `async_rest\.(\w+)` \| (\w+) \| (.*) \|$", text, re.MULTILINE)
    kinds = {"counter": telemetry.COUNTERS, "timer": telemetry.TIMERS, "gauge": telemetry.GAUGES}
    assert {name: kind for name, kind, _ in rows} == {name: kind for kind, names in kinds.items() for name in names}
    tags = re.search(r"Their tags are (.*?)\.", text, re.DOTALL)[1]
    assert set(re.findall(r"`(\w+)`", tags)) == {*telemetry.TAGS, "reason"}
    assert {name for name, _, what in rows if "`reason`" in what} == {"failed", "retries"}
    assert f"at most {telemetry.MOST_LATENCIES}," in text


def test_what_assets_are_told_is_what_the_page_names():
    from airflow_async_rest.tasks.lineage import TOLD_TO_ASSETS

    told = section(page("observability"), "Assets").split("of the report", 1)[0]
    assert set(re.findall(r"`(\w+)`", told)) - {"outlets"} == set(TOLD_TO_ASSETS)


def test_every_field_of_a_dead_letter_is_on_its_page():
    from airflow_async_rest.core.letters.folder import refused_record, to_record
    from airflow_async_rest.core.models import DeadLetter, Item, Request

    item, how = Item(0, 7, {"id": 7}, {}), {"batch": {"request": "k", "items": 1}, "fetch": True, "uncertain": True}
    request = Request("PUT", "x/7", "a=1", b"<a/>", "k", "text/xml", verbatim=True)
    records = [DeadLetter.of(item, "http_422", request=request, **how), DeadLetter.of(item, "encode")]
    fields = {name for letter in records for name in to_record(letter)} | refused_record(0, 1, {}, "words").keys()
    assert fields <= set(re.findall(r"`(\w+)`", page("dead_letters")))


def test_everything_the_package_exports_is_in_the_reference():
    import airflow_async_rest

    documented = re.findall(r"^\.\. (?:auto\w+|py:data):: ([\w.]+)$", page("reference"), re.MULTILINE)
    assert set(airflow_async_rest.__all__) - {"__version__"} <= set(documented)


def test_everything_the_package_exports_exists_and_loads_neither_airflow_nor_aiohttp():
    import subprocess
    import sys

    code = (
        "import sys, airflow_async_rest as a; [getattr(a, name) for name in a.__all__]; "
        "print([m for m in sys.modules if m.split('.')[0] in {'airflow', 'aiohttp', 'sqlalchemy', 'orjson'}])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_state_store_is_called_as_often_before_the_first_request_as_the_page_says(places, supervisor, monkeypatch):
    calls, before, send = [], [], supervisor.send

    def noting(msg):
        if "TaskStateStore" in type(msg).__name__:
            calls.append(msg)
        return send(msg)

    monkeypatch.setattr(supervisor, "send", noting)

    def answer(_):
        before.append(len(calls))
        return 200

    places.answer = answer
    assert run_try(sql_to_rest(sql=READINGS.format(rows=3)), supervisor) == ("success", None)
    assert f"{before[0]} calls of Airflow's state store" in page("performance").replace("\n  ", " ")
