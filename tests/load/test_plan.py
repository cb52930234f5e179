"""What the arguments of a load say, and what is wrong with them."""

import pytest
from loads import WINDOW

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.load.plan import LoadPlan, make_plan


def plan(table="t", mode="append", **arguments):
    return make_plan(table, mode, **({"window_column": None, "window": None, "conflict_key": None} | arguments))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (plan("t"), LoadPlan("t")),
        (plan("s.t"), LoadPlan("t", "s")),
        (plan("Mixed.Name with spaces"), LoadPlan("Name with spaces", "Mixed")),
        (plan("db.s.t"), LoadPlan("t", "db.s")),
        (plan(mode="replace_window", window_column="at", window=WINDOW), LoadPlan("t", None, "replace_window", "at", WINDOW)),
        (plan(mode="upsert", conflict_key="id"), LoadPlan("t", None, "upsert", conflict_key=("id",))),
        (plan(mode="upsert", conflict_key=["a", "b"]), LoadPlan("t", None, "upsert", conflict_key=("a", "b"))),
        (plan(window=WINDOW), LoadPlan("t")),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_what_the_arguments_say(given, expected):
    assert given == expected


def test_a_table_is_named_as_its_author_names_it():
    assert (plan("t").full_name, plan("s.t").full_name) == ("t", "s.t")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"table": ""}, "destination_table='': write 'table' or 'schema.table'"),
        ({"table": None}, "destination_table=None"),
        ({"table": "s."}, "destination_table='s.'"),
        ({"table": ".t"}, "destination_table='.t'"),
        ({"mode": "merge"}, "load_mode='merge': write one of append, replace_window, upsert"),
        ({"mode": None}, "load_mode=None: write one of"),
        ({"mode": "replace_window"}, "load_mode='replace_window' needs window_column="),
        ({"mode": "replace_window", "window_column": ["at"]}, r"window_column=\['at'\]: write a column's name"),
        ({"mode": "upsert"}, "load_mode='upsert' needs conflict_key="),
        ({"mode": "upsert", "conflict_key": []}, "load_mode='upsert' needs conflict_key="),
        ({"window_column": "at"}, "window_column belongs to load_mode='replace_window', but load_mode is 'append'"),
        (
            {"conflict_key": "id"},
            "conflict_key belongs to load_mode='upsert', but load_mode is 'append': write that one, or",
        ),
        ({"mode": "upsert", "conflict_key": "id", "window_column": "at"}, "window_column belongs to"),
    ],
)
def test_arguments_that_do_not_fit_together_are_told_by_name(arguments, words):
    with pytest.raises(ConfigurationError, match=words):
        plan(**arguments)
