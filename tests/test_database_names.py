"""What is known of one database stands in its own files: code elsewhere does not name it."""

import ast
import re
from collections.abc import Iterator

import pytest
from checkout import REPOSITORY
from tables import every_row

PACKAGE = REPOSITORY / "airflow_async_rest"
_NAME = re.compile(
    r"(?<![a-z])(postgres(?:ql)?|psycopg2?|oracle(?:db)?|sqlite3?|mysql|mariadb|snowflake|duckdb)(?![a-z])",
    re.IGNORECASE,
)
# Where a database is what the code is about, or an author is told of one. File -> what it may name, and why.
_ALLOWED = {
    # Examples of what to install.
    "databases/database.py": {
        "airflow-provider-async-rest[postgres]",
        "airflow-provider-async-rest[sqlite] for sqlite",
    },
    # SQLAlchemy 1.4 lacks a driver of one database, and a type of another one.
    "compat/oracledb.py": {"oracle"},
    "compat/sqlalchemy.py": {"oracle", "postgresql"},
    # Limits and tokens that tasks share may be kept in one of the databases.
    "connections/limits/store.py": {"postgres", "POSTGRES"},
    "connections/shared_tokens.py": {"postgres"},
    "core/limits/shared/postgres_store.py": {"postgres"},
    "core/stores/postgres.py": {"postgres"},
    "core/stores/postgres_tokens.py": {"postgres"},
    "provider_info.py": {"redis or postgres"},
    # Rows and cursors of Python's own driver are among what an author may give as items.
    "core/reading/given_items.py": {"sqlite3"},
}


def names_in(tree: ast.AST) -> Iterator[str]:
    """Yield what code says: its names, imports, and texts that are no docstrings."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value
        for field in ("id", "attr", "name", "asname", "arg", "module"):
            if isinstance(name := getattr(node, field, None), str):
                yield name


FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if "dialects" not in path.relative_to(PACKAGE).parts]


@every_row("path", FILES)
def test_no_database_is_named_outside_of_its_own_files(path):
    allowed = _ALLOWED.get(f"{path.relative_to(PACKAGE)}", ())
    found = {each for each in names_in(ast.parse(path.read_text())) if _NAME.search(each)}
    assert {each for each in found if not any(name in each for name in allowed)} == set()


@pytest.mark.parametrize("name", ["dialect", "engines"])
def test_neither_does_what_they_share(name):
    texts = names_in(ast.parse((PACKAGE / f"databases/dialects/{name}.py").read_text()))
    assert {each for each in texts if _NAME.search(each)} == set()
