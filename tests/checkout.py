"""What tests know of the checkout and of the machine they run on. (A conftest must not be imported: pytest runs it
under a name of its own, so it would run twice.)
"""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent


def skip_or_fail(reason: str) -> None:
    """Skip a test for want of something that can be installed; in CI, where it is, that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
