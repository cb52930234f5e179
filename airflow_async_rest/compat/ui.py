"""What the UIs of older versions ask for in another way than 3.3's does: the connection form, and the tabs.

Before 3.2 the form is drawn from the fields that the provider info has for later versions.
"""

import json
from typing import Any
from urllib.parse import urlsplit

import airflow

from airflow_async_rest.provider_info import CONNECTION_FIELDS, FIELD_BEHAVIOUR

_VERSION = tuple(map(int, airflow.__version__.split(".")[:2]))


def form_widgets() -> dict[str, Any]:
    """Return a WTForms field for each of the connection's own fields.

    All but one are texts, which the connection reads as what they mean: 2.11 cannot show a box that is not ticked, and
    of numbers knows whole ones only.

    :raises ImportError: without Flask-AppBuilder, without which 2 has no form, and 3.0 only the standard fields.
    """
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextFieldWidget  # noqa: PLC0415
    from wtforms import PasswordField, StringField  # noqa: PLC0415
    from wtforms.validators import Optional, any_of  # noqa: PLC0415

    def widget(field: dict[str, Any]) -> Any:
        schema, default = field["schema"], field["schema"].get("default")
        hidden = schema.get("format") == "password"
        choices = ["true", "false"] if "boolean" in schema["type"] else schema.get("enum")
        return (PasswordField if hidden else StringField)(
            field["label"],
            [Optional(), *([any_of([each for each in choices if each is not None])] if choices else [])],
            description=field["description"],
            default=default if default is None or isinstance(default, str) else json.dumps(default),
            widget=(BS3PasswordFieldWidget if hidden else BS3TextFieldWidget)(),
        )

    return {name: widget(field) for name, field in CONNECTION_FIELDS.items()}


def field_behaviour() -> dict[str, Any]:
    """Return the names and examples of the standard fields, as hooks spell it."""
    return {name.replace("-", "_"): value for name, value in FIELD_BEHAVIOUR.items()}


def bundle_url(path: str, version: tuple[int, ...] = _VERSION, base_url: str | None = None) -> str | None:
    """Return the address that a tab's script is registered with; None where no tab can be drawn.

    :param path: of the script, below the address of Airflow's UI.
    :param base_url: of the UI; default: as ``[api] base_url`` has it.
    """
    if version < (3, 1):  # where the UI takes no pages of plugins
        return None
    if version < (3, 3):  # before, a relative address is taken for the name of a module
        from airflow_async_rest.compat.names import conf  # noqa: PLC0415  (every process loads plugins)

        base_url = conf.get("api", "base_url", fallback="") if base_url is None else base_url
        return f"{urlsplit(base_url).path.rstrip('/')}/{path}"
    return path
