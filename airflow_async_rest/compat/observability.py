"""Airflow's client of metrics."""

from typing import TYPE_CHECKING

__all__ = ["stats"]

if TYPE_CHECKING:
    from airflow.sdk.observability import stats
else:
    try:
        from airflow.sdk.observability.stats import incr  # noqa: F401
    except ImportError:
        try:
            from airflow.sdk.observability.stats import Stats as stats  # noqa: N813  (3.2: an object)
        except ImportError:
            from airflow.stats import Stats as stats  # noqa: N813  (2 to 3.1)
    else:
        from airflow.sdk.observability import stats  # 3.3: functions of a module
