"""The argument ``schema``: a dict, or a JSON file beside the DAG file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.letters.lines import parse_to_python
from airflow_async_rest.core.reading.payload_schema import PayloadSchema

_SHOWN_CHARACTERS = 80


def check_schema(schema: Any) -> None:
    """Check the argument, as far as that takes no file.

    :raises ConfigurationError: when it is no schema, nor a path.
    """
    if schema is not None and not (isinstance(schema, str) and schema.strip()):
        PayloadSchema(schema)


def read_schema(schema: Any, task: Any) -> Mapping[str, Any] | None:
    """Return the schema; a file's path is absolute, or found as that of a ``.sql`` file is, but not rendered.

    :param task: whose DAG it is beside; None outside of any.
    :raises ConfigurationError: when the file cannot be read.
    """
    if not isinstance(schema, str):
        return schema  # type: ignore[no-any-return]
    try:
        read = parse_to_python(_text_of(schema, task).encode())
    except ConfigurationError:
        raise
    except ValueError as error:
        raise ConfigurationError(f"schema={schema!r}: the file is not JSON in UTF-8: {error}.") from None
    except RecursionError:
        raise ConfigurationError(f"schema={schema!r}: the file is nested too deep to be read.") from None
    if not isinstance(read, Mapping):
        what = str(read)[:_SHOWN_CHARACTERS]
        raise ConfigurationError(
            f"schema={schema!r}: the file has {what!r} and no JSON object: write a JSON Schema as a dict would be, "
            'such as {"required": ["id"]}.'
        )
    return read


def _text_of(path: str, task: Any) -> str:
    from jinja2 import TemplateNotFound  # noqa: PLC0415

    try:
        if Path(path).is_absolute() or task is None:
            return Path(path).read_text(encoding="utf-8-sig")
        environment = task.get_template_env()
        return str(environment.loader.get_source(environment, path)[0]).removeprefix("\ufeff")
    except (OSError, TemplateNotFound) as error:
        raise ConfigurationError(
            f"schema={path!r}: there is no such file, or it cannot be read ({type(error).__name__}); write an absolute "
            "path, or one below the folder of the DAG file."
        ) from None
