"""What Airflow's own masker of logs knows: the secrets of a task, and which names only secrets have.

There is no documented way to ask it, and other versions have it elsewhere. Where it is not found, nothing is known.
"""

import contextlib
import json
import re
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Any

_PLACES = (
    "airflow.sdk._shared.secrets_masker",  # 3.1
    "airflow.sdk.execution_time.secrets_masker",  # 3.0
    "airflow.utils.log.secrets_masker",  # 2
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def _masker(places: Iterable[str] = _PLACES) -> Any:
    for place in places:
        with contextlib.suppress(ImportError, AttributeError):
            return import_module(place)._secrets_masker()  # noqa: SLF001
    return None


def known_secrets(shortest: int = 8) -> frozenset[str]:
    """Return the passwords and variables that the task has asked for, and others that were masked.

    :param shortest: characters; a shorter one may be a word of any text.
    """
    try:  # regular expressions, each of one text
        known = frozenset(_ESCAPE.sub(r"\1", str(pattern)) for pattern in getattr(_masker(), "patterns", ()))
    except TypeError:
        return frozenset()
    return frozenset(secret for secret in known if len(secret) >= shortest and not _is_extra(secret))


def _is_extra(secret: str) -> bool:
    """Return whether a text is the whole extra of a connection; the secrets in it are known one by one."""
    with contextlib.suppress(ValueError, RecursionError):
        return secret[0] in "{[" and isinstance(json.loads(secret), dict | list)
    return False


def is_name_of_secret(name: str) -> bool:
    """Return whether Airflow masks the values of fields with this name, such as ``api_key`` or ``access-token``."""
    name_of_check, masker = "should_hide_value_for_key", _masker()
    hides = getattr(masker, name_of_check, None) or getattr(sys.modules[type(masker).__module__], name_of_check, None)
    return bool(hides and hides(name))  # a method from 3.1 on, a function of the masker's module before


def mask_in_logs(secrets: Iterable[str]) -> None:
    """Have Airflow take secrets out of logs: it knows a password, but not what is made of it."""
    from airflow_async_rest.compat.names import mask_secret  # noqa: PLC0415

    for secret in secrets:
        mask_secret(secret)
