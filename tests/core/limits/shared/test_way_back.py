"""How late an answer is: by its way back, and not by what it waited before the store had the question."""

import pytest
from tables import every_row

from airflow_async_rest.core.limits.shared.way_back import WayBack

FAST = (0.0, 0.002, 100.001)  # asked and answered by this clock, when by the store's


@every_row(
    ("answers", "excess"),
    [
        ([FAST], 0.0),
        ([FAST, (1.0, 1.002, 101.001)], 0.0),
        ([FAST, (1.0, 1.022, 101.021)], 0.0),  # slow on its way there
        ([FAST, (1.0, 1.022, 101.001)], 0.019),  # slow on its way back, less what clocks may drift
        ([FAST, (1.0, 1.022, 101.011)], 0.009),
        ([FAST, (1.0, 1.022, 99.001)], 0.02),  # the store's clock was set back: at most what it took longer
        ([FAST, (1.0, 1.022, 99.001), (2.0, 2.002, 100.001)], 0.0),
        ([FAST, (1.0, 1.002, 201.001)], 0.0),  # and forward
        ([FAST, (1.0, 1.002, 201.001), (2.0, 2.022, 202.001)], 0.019),
        ([(0.0, 0.002, 0.0), (1.0, 1.022, 0.0)], 0.02),  # a store that does not say
    ],
)
def test_how_much_longer_than_the_fastest_an_answer_was_on_its_way_back(answers, excess):
    way = WayBack()
    found = [way.excess(*answer) for answer in answers]
    assert found[-1] == pytest.approx(excess, abs=0.0002)
