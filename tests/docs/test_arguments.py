"""The tables of arguments are the operators' own."""

import inspect
import re
from datetime import timedelta

import pytest
from pages import first_cells, page, section

TABLES = {"SqlToRestOperator": "sql_to_rest", "RestToSqlOperator": "rest_to_sql"}


def table(operator: str) -> str:
    return section(page(TABLES[operator]), f"Arguments of `{operator}`")


def arguments_of(operator) -> dict:
    parameters = inspect.signature(operator.__init__).parameters
    return {name: p for name, p in parameters.items() if name not in {"self", "kwargs"}}


@pytest.mark.parametrize("operator", TABLES)
def test_the_argument_table_is_the_operators_arguments(operators, operator):
    assert first_cells(table(operator)) == set(arguments_of(operators[operator]))


@pytest.mark.parametrize("operator", TABLES)
def test_the_argument_tables_defaults_are_the_operators(operators, operator):
    defaults = {name: p.default for name, p in arguments_of(operators[operator]).items()}
    for line in table(operator).splitlines():
        if line.startswith("| `"):
            name, written = re.match(r"\| `(\w+)`.*? \| `?([^`|]+)`? \|", line).groups()
            if isinstance(defaults[name], int | str):
                assert written == str(defaults[name]), name
            elif isinstance(defaults[name], timedelta):
                assert written == f"timedelta(days={defaults[name].days})", name
            elif written == "required":
                assert defaults[name] is inspect.Parameter.empty, name
            else:
                assert defaults[name] is None, name


def test_every_argument_of_the_replay_is_named(operators):
    text = table("SqlToRestOperator").split("`ReplayDeadLettersOperator` takes", 1)[1]
    named = set(re.findall(r"`(\w+)`", text))
    assert set(arguments_of(operators["ReplayDeadLettersOperator"])) - {"trigger_rule"} <= named


@pytest.mark.parametrize("name", [*TABLES, "ReplayDeadLettersOperator"])
def test_every_argument_is_in_the_docstring_and_templated_ones_say_so(operators, name):
    operator = operators[name]
    documented = dict(re.findall(r":param (\w+): (.*?)(?=\n\s*:param|\n\s*\Z|\Z)", inspect.getdoc(operator), re.DOTALL))
    assert set(documented) == set(arguments_of(operator))
    assert {argument for argument, text in documented.items() if "(templated)" in text} == set(operator.template_fields)


def test_every_argument_of_fetch_is_one_of_the_operators(operators):
    from airflow_async_rest.hooks.rest import AsyncRestHook

    fetch = set(inspect.signature(AsyncRestHook.fetch).parameters) - {"self"}
    assert fetch <= set(arguments_of(operators["RestToSqlOperator"]))
