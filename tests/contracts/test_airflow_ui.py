"""What is relied on of Airflow's pages: the libraries that they share with tabs of plugins."""

import re
from pathlib import Path

import pytest


@pytest.mark.parametrize("name", ["React", "ReactDOM", "ReactRouterDOM"])
def test_airflows_pages_share_a_library_with_tabs(name):
    import airflow

    scripts = (Path(airflow.__file__).parent / "ui/dist/assets").glob("*.js")
    assert any(re.search(rf"globalThis\W{{1,3}}{name}\W", script.read_text()) for script in scripts)
