"""The garbage collector while a job runs: it ignores what was there before, and is as it was afterwards."""

import gc

from airflow_async_rest.core.phases.garbage import collecting_new_garbage_only


def test_what_is_there_is_ignored_also_by_one_job_in_another():
    before = gc.get_threshold()
    with collecting_new_garbage_only():
        frozen = gc.get_freeze_count()
        assert frozen > 0
        with collecting_new_garbage_only():
            assert gc.get_freeze_count() >= frozen
        assert gc.get_freeze_count() >= frozen
        assert gc.get_threshold()[0] > before[0]
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)
