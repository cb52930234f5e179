"""The benchmarks run from beginning to end; what they measure is looked at by people."""

import json
import subprocess
import sys

import pytest
from checkout import REPOSITORY


@pytest.mark.release
def test_a_smoke_run_has_figures_for_every_measure_that_is_quick_to_start_and_a_plot(tmp_path):
    figures, plot = tmp_path / "figures.json", tmp_path / "throughput.svg"
    command = [sys.executable, "-m", "benchmarks", "--smoke", "--json", figures, "--plot", plot]
    done = subprocess.run(command, check=False, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    measured = {figure["measure"] for figure in json.loads(figures.read_text())["figures"]}
    quick = {
        "import",
        "first_request",
        "single",
        "bulk",
        "checked",
        "stages",
        "latency",
        "rate",
        "adaptive",
        "fetch",
        "pages",
        "load",
        "queue",
        "progress",
    }
    assert measured == quick
    for measure in measured:
        assert measure in done.stdout
    for contestant in ("gather, chunk by chunk", "reading and encoding alone"):
        assert f">{contestant}<" in plot.read_text()
