"""The benchmarks run from beginning to end; what they measure is looked at by people."""

import json
import subprocess
import sys

from checkout import REPOSITORY


def test_a_smoke_run_has_figures_for_every_measure_but_the_slowest(tmp_path):
    command = [sys.executable, "-m", "benchmarks", "--smoke", "--json", str(tmp_path / "figures.json")]
    done = subprocess.run(command, check=False, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    measured = {figure["measure"] for figure in json.loads((tmp_path / "figures.json").read_text())["figures"]}
    assert measured == {"import", "rate", "latency", "throughput"}
    for measure in measured:
        assert measure in done.stdout
