"""What the README says is what the code has."""

import inspect
import re
from textwrap import indent

import pytest
from checkout import REPOSITORY

README = (REPOSITORY / "README.md").read_text()


def operators():
    from airflow_async_rest.operators.replay import ReplayDeadLettersOperator
    from airflow_async_rest.operators.rest_to_sql import RestToSqlOperator
    from airflow_async_rest.operators.sql_to_rest import SqlToRestOperator

    return {cls.__name__: cls for cls in (SqlToRestOperator, RestToSqlOperator, ReplayDeadLettersOperator)}


def arguments_of(operator) -> dict:
    parameters = inspect.signature(operator.__init__).parameters
    return {name: p for name, p in parameters.items() if name not in {"self", "kwargs"}}


def section(title: str) -> str:
    return README.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def first_cells(text: str) -> set[str]:
    """The names in the first column of a section's table."""
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


@pytest.mark.parametrize("operator", ["SqlToRestOperator", "RestToSqlOperator"])
def test_the_argument_table_is_the_operators_arguments(operator):
    text = section(f"Arguments of `{operator}`")
    assert first_cells(text) == set(arguments_of(operators()[operator]))


@pytest.mark.parametrize("operator", ["SqlToRestOperator", "RestToSqlOperator"])
def test_the_argument_tables_defaults_are_the_operators(operator):
    text = section(f"Arguments of `{operator}`")
    defaults = {name: p.default for name, p in arguments_of(operators()[operator]).items()}
    for line in text.splitlines():
        if line.startswith("| `"):
            name, written = re.match(r"\| `(\w+)`.*? \| `?([^`|]+)`? \|", line).groups()
            if isinstance(defaults[name], int | str):
                assert written == str(defaults[name]), name
            elif written == "required":
                assert defaults[name] is inspect.Parameter.empty, name
            else:
                assert defaults[name] is None, name


def test_every_format_of_answers_is_named_with_what_can_be_said_of_csv():
    from airflow_async_rest import Csv
    from airflow_async_rest.core.answers.formats import _FORMATS

    text = section("REST to SQL").split("### Formats of answers", 1)[1].split("\n### ", 1)[0]
    assert set(re.findall(r'^\| `"(\w+)"` \|', text, re.MULTILINE)) == set(_FORMATS)
    assert set(re.findall(r"(\w+)=", text.split("| `Csv(", 1)[1].split(")", 1)[0])) == set(
        inspect.signature(Csv).parameters
    )


def test_every_way_to_read_the_results_of_a_batch_is_named():
    from airflow_async_rest import RESULTS, Results

    table, arguments = section("Bulk requests").split("| argument of `Results` |")
    named = re.findall(r'`"(\w+)"`', table.split("| `results` |")[1].split("The names stand")[0])
    assert set(named) == set(RESULTS)
    defined = set(inspect.signature(Results).parameters)
    rows = {name for line in arguments.splitlines() if line.startswith("| `") for name in re.findall(r"`(\w+)`", line)}
    assert defined <= rows
    assert set(re.findall(r":param (\w+):", inspect.getdoc(Results))) == defined


def test_every_argument_of_the_replay_is_named():
    text = section("Arguments of `SqlToRestOperator`").split("`ReplayDeadLettersOperator` takes", 1)[1]
    assert set(arguments_of(operators()["ReplayDeadLettersOperator"])) - {"trigger_rule"} <= set(
        re.findall(r"`(\w+)`", text)
    )


@pytest.mark.parametrize("name", ["SqlToRestOperator", "RestToSqlOperator", "ReplayDeadLettersOperator"])
def test_every_argument_is_in_the_docstring_and_templated_ones_say_so(name):
    operator = operators()[name]
    documented = dict(re.findall(r":param (\w+): (.*?)(?=\n\s*:param|\n\s*\Z|\Z)", inspect.getdoc(operator), re.DOTALL))
    assert set(documented) == set(arguments_of(operator))
    assert {argument for argument, text in documented.items() if "(templated)" in text} == set(operator.template_fields)


def test_the_connection_table_is_the_connection_form():
    from airflow_async_rest.provider_info import CONNECTION_FIELDS

    assert first_cells(section("The connection")) == set(CONNECTION_FIELDS)


def test_the_reports_fields_are_those_of_the_readme(api, tmp_path, connect):
    from airflow_async_rest.hooks.rest import AsyncRestHook

    connect("search_api", conn_type="async_rest", host=api.url)
    report = AsyncRestHook("search_api").deliver([{"id": 1}], endpoint="x", dead_letter_path=str(tmp_path))
    row = next(line for line in section("What a task leaves behind").splitlines() if "`return_value`" in line)
    assert set(re.findall(r"`(\w+)`", row)) - {"return_value", "p50", "p95", "p99"} == set(report)


def test_a_fetch_adds_the_fields_that_the_readme_names(api, connect, tmp_path):
    from airflow_async_rest.hooks.rest import AsyncRestHook

    connect("search_api", conn_type="async_rest", host=api.url)
    hook = AsyncRestHook("search_api")
    chunks = hook.fetch([1], endpoint="x", dead_letter_path=str(tmp_path))
    list(chunks)
    delivered = hook.deliver([1], endpoint="x", dead_letter_path=str(tmp_path))
    row = next(line for line in section("What a task leaves behind").splitlines() if "a task that fetches" in line)
    assert set(re.findall(r"`(\w+)`", row)) == set(chunks.report) - set(delivered)


def test_the_table_of_metrics_is_what_is_emitted():
    from airflow_async_rest.tasks import telemetry

    text = section("Metrics, traces, lineage and assets")
    rows = re.findall(r"^\| `async_rest\.(\w+)` \| (\w+) \| (.*) \|$", text, re.MULTILINE)
    kinds = {"counter": telemetry.COUNTERS, "timer": telemetry.TIMERS, "gauge": telemetry.GAUGES}
    assert {name: kind for name, kind, _ in rows} == {name: kind for kind, names in kinds.items() for name in names}
    tags = re.search(r"Their tags are (.*?)\.", text, re.DOTALL)[1]
    assert set(re.findall(r"`(\w+)`", tags)) == {*telemetry.TAGS, "reason"}
    assert {name for name, _, what in rows if "`reason`" in what} == {"failed", "retries"}
    assert f"at most {telemetry.MOST_LATENCIES}," in text


def test_what_assets_are_told_is_what_the_readme_names():
    from airflow_async_rest.tasks.lineage import TOLD_TO_ASSETS

    told = section("Metrics, traces, lineage and assets").split("**Assets**", 1)[1].split("of the report", 1)[0]
    assert set(re.findall(r"`(\w+)`", told)) - {"outlets"} == set(TOLD_TO_ASSETS)


def test_every_argument_of_fetch_is_one_of_the_operators():
    from airflow_async_rest.hooks.rest import AsyncRestHook

    fetch = set(inspect.signature(AsyncRestHook.fetch).parameters) - {"self"}
    of_the_operator = list(arguments_of(operators()["RestToSqlOperator"]))
    assert fetch <= set(of_the_operator)


def test_the_ten_lines_are_a_dag(tmp_path):
    from airflow.dag_processing.dagbag import DagBag

    code, replay = (
        section(title).split("```python\n", 1)[1].split("```", 1)[0]
        for title in ("Ten lines", "Dead letters and replay")
    )
    (tmp_path / "ten_lines.py").write_text(code + indent(replay, "    "))
    bag = DagBag(str(tmp_path), load_op_links=False)
    assert bag.import_errors == {}
    assert bag.dags["sensors"].get_task("post_sensors").downstream_task_ids == {"replay"}
    assert len([line for line in code.splitlines() if line.strip()]) <= 11


def test_every_python_example_can_be_read():
    for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        compile(code, "README.md", "exec")


def test_every_link_leads_somewhere():
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if target.startswith("#"):
            titles = re.findall(r"^#{2,3} (.+)$", README, re.MULTILINE)
            assert target in {"#" + re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
        else:
            assert (REPOSITORY / target).exists(), target


def test_every_command_of_make_exists():
    makefile = (REPOSITORY / "Makefile").read_text()
    for target in re.findall(r"(?:^|`)make (\w+)", README, re.MULTILINE):
        assert f"\n{target}:" in makefile, target


def test_everything_the_package_exports_exists_and_loads_neither_airflow_nor_aiohttp():
    import subprocess
    import sys

    code = (
        "import sys, airflow_async_rest as a; [getattr(a, name) for name in a.__all__]; "
        "print([m for m in sys.modules if m.split('.')[0] in {'airflow', 'aiohttp', 'sqlalchemy', 'orjson'}])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_every_field_of_a_dead_letter_is_in_its_document():
    from airflow_async_rest.core.letters.folder import refused_record, to_record
    from airflow_async_rest.core.models import DeadLetter, Item, Request

    item, how = Item(0, 7, {"id": 7}, {}), {"batch": {"request": "k", "items": 1}, "fetch": True, "uncertain": True}
    request = Request("PUT", "x/7", "a=1", b"<a/>", "k", "text/xml", verbatim=True)
    records = [DeadLetter.of(item, "http_422", request=request, **how), DeadLetter.of(item, "encode")]
    fields = {name for letter in records for name in to_record(letter)} | refused_record(0, 1, {}, "words").keys()
    named = set(re.findall(r"`(\w+)`", (REPOSITORY / "docs" / "dead_letters.md").read_text()))
    assert fields <= named
