"""Which databases the other files test here: a line tells of each that is not to be had."""

import pytest
from every_database.parameters import DRIVERS, lack_of


@pytest.mark.parametrize("name", DRIVERS)
def test_a_database_is_tested_where_its_driver_is(name):
    if lack := lack_of(name):
        pytest.skip(lack)
