"""Every sample of code runs, or is read as what would run it reads it."""

import ast
import configparser
import json
import re
import shlex
from itertools import count

import pytest
from checkout import REPOSITORY
from matrix.run import VERSIONS
from pages import ALL, name_of, samples

# What ``...`` stands for in a call of these.
_LEFT_OUT = {
    "SqlToRestOperator": {"sql": "SELECT 1 AS id", "sql_conn_id": "source_db", "endpoint": "x"},
    "RestToSqlOperator": {"items": [1], "endpoint": "x", "destination_conn_id": "w", "destination_table": "t"},
}
# What reads what a task has left behind, operators/test_documented_reading.py runs; what is for 2.11, the matrix does.
_RUN_ELSEWHERE = {"docs/dead_letters.md", "docs/compatibility.md"}
LANGUAGES = {"", "python", "sh", "bash", "sql", "ini", "json", "text", "yaml"}


class Completed(ast.NodeTransformer):
    """Has the arguments written that a sample leaves out by ``...``, and a task's id where none is."""

    def __init__(self):
        self._numbers = count()

    def visit_Call(self, node):
        self.generic_visit(node)
        if any(isinstance(argument, ast.Constant) and argument.value is ... for argument in node.args):
            name = next(part.id for part in ast.walk(node.func) if isinstance(part, ast.Name))
            given = {word.arg for word in node.keywords}
            left_out = {"task_id": f"task_{next(self._numbers)}", **_LEFT_OUT[name]}
            node.args = []
            node.keywords += [
                ast.keyword(word, ast.parse(repr(value), mode="eval").body)
                for word, value in left_out.items()
                if word not in given
            ]
        return node


def has_samples(language: str, pages=ALL) -> list:
    return [pytest.param(path, id=name_of(path)) for path in pages if samples(path.read_text(), language)]


@pytest.mark.parametrize("path", has_samples("python", [path for path in ALL if name_of(path) not in _RUN_ELSEWHERE]))
def test_python_runs(path, operators, no_pandas):
    from airflow.sdk import DAG, task

    from airflow_async_rest.hooks.rest import AsyncRestHook

    with DAG("documented", schedule=None):
        names = {**operators, "task": task, "AsyncRestHook": AsyncRestHook, "__name__": "documented"}
        names["post"] = "post_sensors"  # what failures.md replays stands in the quickstart
        completed = Completed()
        for code in samples(path.read_text(), "python"):
            tree = ast.fix_missing_locations(completed.visit(ast.parse(code)))
            exec(compile(tree, name_of(path), "exec"), names)


def commands(path) -> list[str]:
    """The commands of a page, continued lines as one, without comments."""
    code = "\n".join(samples(path.read_text(), "sh")).replace("\\\n", " ")
    return [line for line in code.splitlines() if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize("path", has_samples("sh"))
def test_commands_are_those_that_there_are(path):
    makefile = (REPOSITORY / "Makefile").read_text()
    for line in commands(path):
        match shlex.split(line, comments=True):
            case ["make", target, *_]:
                assert f"\n{target}:" in makefile, line
            case ["airflow", *arguments] | ["docker", "compose", "exec", "airflow", "airflow", *arguments]:
                parse_airflow(arguments)
            case ["pip", "install", what]:  # test_wheel.py installs it
                assert re.fullmatch(r"\.\[(postgres|sqlite|oracle|mysql|duckdb|snowflake|redis|aws)\]", what), line
            case ["uv", "pip", "install", "--exclude-newer", date, airflow, _]:  # as make matrix does
                assert (date, airflow) in {(one.date, f"apache-airflow=={one.airflow}") for one in VERSIONS}
            case ["docker", "compose", "up" | "down", *_]:  # known_limits.md: there was no Docker
                assert (REPOSITORY / "docker-compose.yaml").exists()
            case _:
                pytest.fail(f"nothing reads this command: {line}")


def parse_airflow(arguments: list[str]) -> None:
    """Have Airflow's parser read a command; it exits where it does not understand it."""
    from airflow.cli import cli_parser

    parsed = cli_parser.get_parser().parse_args(arguments)
    for name in ("conf", "conn_extra"):
        json.loads(getattr(parsed, name, None) or "{}")


@pytest.mark.parametrize("path", ALL, ids=map(name_of, ALL))
def test_commands_within_sentences_are_those_that_there_are(path):
    makefile = (REPOSITORY / "Makefile").read_text()
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    for target in re.findall(r"`make ([\w-]+)", text):
        assert f"\n{target}:" in makefile, target
    for command in re.findall(r"`airflow ([^`]+)`", text):
        is_a_command_of_airflow(" ".join(command.split()).split())


def is_a_command_of_airflow(arguments: list[str]) -> None:
    """Look for a command that a sentence names, and that may leave arguments out, among Airflow's."""
    from airflow.cli import cli_parser

    groups = {command.name: command for command in cli_parser.airflow_commands}
    group = groups[arguments[0]]
    if len(arguments) > 1 and hasattr(group, "subcommands"):
        assert arguments[1] in {command.name for command in group.subcommands}, arguments


@pytest.mark.parametrize("path", has_samples("ini"))
def test_settings_are_airflows_or_ours(path):
    from airflow.sdk.configuration import conf

    for text in samples(path.read_text(), "ini"):
        written = configparser.ConfigParser()
        written.read_string(text)
        for name in written.sections():
            for option in written[name]:
                assert conf.has_option(name, option), f"[{name}] {option}"


@pytest.mark.parametrize("path", ALL, ids=map(name_of, ALL))
def test_every_block_is_in_a_language_that_is_read_here_or_is_a_picture(path):
    blocks = re.findall(r"^ *```([^\n]*)\n.*?^ *```", path.read_text(), re.MULTILINE | re.DOTALL)
    assert [name for name in blocks if not name.startswith("{") and name not in LANGUAGES] == []


@pytest.mark.parametrize("path", ALL, ids=map(name_of, ALL))
def test_every_link_leads_somewhere(path):
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        place, _, anchor = target.partition("#")
        if "://" in target:
            continue
        there = path.parent / place if place else path
        assert there.exists(), target
        if anchor:
            titles = re.findall(r"^#{1,3} (.+)$", there.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}, target


def test_the_statement_with_all_kinds_of_binds_runs(postgres, connect):
    from datetime import UTC, datetime

    from airflow_async_rest.hooks.chunked_sql import ChunkedSqlHook

    connect("source_db", **postgres.connection())
    [statement] = samples((REPOSITORY / "docs/your_sql.md").read_text(), "sql")
    postgres.execute(
        "DROP TABLE IF EXISTS sensors",
        "CREATE TABLE sensors (id int, name text, measured_at timestamptz, site text, owner text, labels jsonb)",
        "INSERT INTO sensors VALUES (1, 'in', '2026-03-01 12:00+00', 'a', 'me', '{\"k\": 1, \"l\": 2}'), "
        "(2, 'elsewhere', '2026-03-01 12:00+00', 'c', 'me', '{\"k\": 1}'), (3, 'end', '2026-03-02+00', 'a', 'me', '{\"k\": 1}')",
    )
    day = {"window_start": datetime(2026, 3, 1, tzinfo=UTC), "window_end": datetime(2026, 3, 2, tzinfo=UTC)}
    binds = {"sites": ["a", "b"], "owner": None, "labels": {"k": 1}, **day}
    chunks = ChunkedSqlHook("source_db").iter_chunks(statement, binds)
    assert [row for chunk in chunks for row in chunk] == [{"id": 1, "name": "in"}]
    postgres.execute("DROP TABLE sensors")
