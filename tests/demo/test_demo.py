"""The demo itself, from its start to its verdict."""

import subprocess
import sys

from checkout import REPOSITORY


def test_all_of_the_demos_claims_hold():
    """What ``make demo CHECK=1`` does, beside the other tests, because it waits most of the time."""
    demo = subprocess.run(
        [sys.executable, "-m", "demo", "--check"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    print(demo.stdout, demo.stderr)  # shown when it fails
    assert demo.returncode == 0
