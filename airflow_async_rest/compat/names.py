"""What tasks, operators and hooks take from Airflow, by the names that it has in 3.3.

Each is looked for where it is imported, not before: a DAG file that is parsed loads nothing that only tasks need.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.models.xcom import XComModel
    from airflow.sdk import (
        Asset,
        BaseHook,
        BaseOperator,
        BaseOperatorLink,
        ObjectStoragePath,
        XComArg,
        get_current_context,
    )
    from airflow.sdk.configuration import conf
    from airflow.sdk.crypto import get_fernet
    from airflow.sdk.definitions.asset import AssetRef
    from airflow.sdk.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowRescheduleException,
        AirflowSkipException,
        AirflowTaskTimeout,
    )
    from airflow.sdk.execution_time.xcom import resolve_xcom_backend
    from airflow.sdk.log import mask_secret

__all__ = [
    "AirflowException",
    "AirflowFailException",
    "AirflowRescheduleException",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "Asset",
    "AssetRef",
    "BaseHook",
    "BaseOperator",
    "BaseOperatorLink",
    "ObjectStoragePath",
    "XComArg",
    "XComModel",
    "conf",
    "get_current_context",
    "get_fernet",
    "mask_secret",
    "resolve_xcom_backend",
]

_ERRORS = ("airflow.sdk.exceptions", "airflow.exceptions")  # 3.2; 2 to 3.1
# Where a name is, and, after a colon, what it is called there: the newest place first. Beside it: since which version.
_PLACES = {
    "AirflowException": _ERRORS,
    "AirflowFailException": _ERRORS,
    "AirflowRescheduleException": _ERRORS,
    "AirflowSkipException": _ERRORS,
    "AirflowTaskTimeout": _ERRORS,
    "Asset": ("airflow.sdk", "airflow.datasets:Dataset"),  # 3; 2
    # A reference is not documented, and 2 has none: then another name of what an outlet is there.
    "AssetRef": ("airflow.sdk.definitions.asset", "airflow.sdk:Asset", "airflow.datasets:Dataset"),  # 3; 3; 2
    "BaseHook": ("airflow.sdk", "airflow.hooks.base"),  # 3.1; 2 and 3.0
    "BaseOperator": ("airflow.sdk", "airflow.models.baseoperator"),  # 3; 2
    "BaseOperatorLink": ("airflow.sdk", "airflow.models.baseoperatorlink"),  # 3; 2
    "ObjectStoragePath": ("airflow.sdk", "airflow.io.path"),  # 3; 2
    "XComArg": ("airflow.sdk", "airflow.models.xcom_arg"),  # 3; 2
    "XComModel": ("airflow.models.xcom", "airflow.models.xcom:BaseXCom"),  # 3; 2
    "conf": ("airflow.sdk.configuration", "airflow.configuration"),  # 3.2; 2 to 3.1
    "get_current_context": ("airflow.sdk", "airflow.operators.python"),  # 3; 2
    "get_fernet": ("airflow.sdk.crypto", "airflow.models.crypto"),  # 3.2; 2 to 3.1
    "resolve_xcom_backend": ("airflow.sdk.execution_time.xcom", "airflow.models.xcom"),  # 3; 2
    "mask_secret": ("airflow.sdk.log", "airflow.utils.log.secrets_masker"),  # 3; 2
}


def __getattr__(name: str) -> Any:
    """Find a name that is imported from here. :raises AttributeError: when this version of Airflow has it nowhere."""
    for place in _PLACES.get(name, ()):
        module, _, other = place.partition(":")
        try:
            return getattr(import_module(module), other or name)
        except (ImportError, AttributeError):
            continue
    raise AttributeError(
        f"{__name__} has no {name!r}: this version of Airflow has it in none of {_PLACES.get(name, ())}; use one of "
        "those that docs/compatibility names."
    )
