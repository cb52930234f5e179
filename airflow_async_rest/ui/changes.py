"""What of a task has changed in its DAG since it ran: sent again, its dead letters go as the task was then."""

from collections.abc import Mapping
from typing import Any

from airflow_async_rest.connections.base_url import build_base_url
from airflow_async_rest.core.errors import ConfigurationError

# The others say how requests are sent, which is no reason to build them again.
_FIELDS = ("sql", "endpoint", "sql_conn_id", "http_conn_id")
# A file's name, where an argument of a mapped task is still to be read from it.
_FILES = (".sql",)
_JINJA = ("{{", "{%", "{#")
# What Airflow puts in the place of a long value, and of a secret.
_NOT_WHOLE = ("Truncated.", "***")


def defined_fields(dag: Mapping[str, Any], task_id: str) -> dict[str, str]:
    """Return the texts that a task has as arguments, templates as they are written, of a serialized DAG.

    Of a mapped task Airflow has the names of files, whose content nobody knows here; of others it has the content.
    """
    for entry in dag.get("dag", {}).get("tasks", ()):
        task = entry.get("__var", entry)
        if task.get("task_id") == task_id:
            found = {**task.get("partial_kwargs", {}), **task}
            files = (*_FILES, *task.get("template_ext", ()))
            texts = {name: found[name] for name in _FIELDS if isinstance(found.get(name), str)}
            return {name: text for name, text in texts.items() if not text.strip().endswith(files)}
    return {}


def changed_fields(defined: Mapping[str, str], rendered: Mapping[str, Any]) -> list[str]:
    """Return the names of arguments whose value now is another than it was; of a template nobody knows that.

    :param rendered: the values with which the task has run.
    """
    return [
        name
        for name, now in defined.items()
        if isinstance(was := rendered.get(name), str)
        and not any(mark in now for mark in _JINJA)
        and not any(mark in text for mark in _NOT_WHOLE for text in (now, was))
        and now.strip() != was.strip()
    ]


def endpoint_of(defined: Mapping[str, str]) -> str | None:
    """Return the endpoint with its placeholders, by which a dead letter of another one is known; None: not known."""
    endpoint = defined.get("endpoint")
    return None if endpoint is None or any(mark in endpoint for mark in _JINJA) else endpoint


def has_moved(api: Any, connection: Any) -> bool:
    """Return whether a connection leads to another place than where the requests went.

    :param api: that place, as the report has it; only what is known whole is compared.
    :param connection: as it is now, with ``host``, ``schema``, ``port`` and ``conn_type``; None: not known.
    """
    if connection is None or not isinstance(api, str) or _NOT_WHOLE[1] in api:
        return False
    scheme = "https" if connection.conn_type == "async_rest" else "http"
    try:
        now = build_base_url(connection.host or "", connection.schema or "", connection.port, scheme)
    except ConfigurationError:  # it is being changed
        return True
    return now.partition("?")[0].rstrip("/") != api.rstrip("/")
