"""How the operators' templates are rendered."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_async_rest.compat.names import BaseOperator
from airflow_async_rest.core.errors import ConfigurationError

if TYPE_CHECKING:
    import jinja2
    from airflow.sdk import Context

_OF_TEMPLATES = ("{{", "{%", "{#")
_BOM = "\ufeff"


@dataclass(frozen=True)
class KeptFunction:
    """An author's function in a templated field: by itself, Airflow would call it as it renders the field."""

    function: Callable[..., Any]

    def __str__(self) -> str:
        return getattr(self.function, "__qualname__", "function")


class TextKeepingOperator(BaseOperator):
    """An operator whose texts stay texts, whatever ``render_template_as_native_obj`` is.

    An expression that stands alone gives its object there. But Airflow would make a number or a list of a text that
    looks like one, which is not what was written: a header ``"1e5"`` became ``100000.0``.
    """

    def is_rendered(self, name: str, value: Any) -> bool:
        """Return whether an argument has a value only when the task runs: from a template, a file or another task."""
        return name in self.template_fields and _is_rendered(value, tuple(self.template_ext))

    def render_template(
        self,
        content: Any,
        context: "Context",
        jinja_env: "jinja2.Environment | None" = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
        """Render a template, or all in a collection. A mark of byte order, with which files may begin, is left out.

        Airflow keeps what is rendered, without the secrets that it knows: it is told how they are spelled there.

        :raises ConfigurationError: when a file is not in UTF-8.
        """
        from airflow_async_rest.connections.secrets import mask_in_rendered  # noqa: PLC0415

        rendered = self._render_as_text(content, context, jinja_env or self.get_template_env(), seen_oids)
        if isinstance(rendered, str) and rendered != content:
            mask_in_rendered(rendered)
        return rendered

    def _render_as_text(
        self, content: Any, context: "Context", environment: "jinja2.Environment", seen_oids: set[int] | None
    ) -> Any:
        from jinja2.nativetypes import NativeEnvironment  # noqa: PLC0415

        if not isinstance(content, str):
            return super().render_template(content, context, environment, seen_oids)
        is_file = content.endswith(tuple(self.template_ext))
        try:
            if not isinstance(environment, NativeEnvironment):
                rendered = super().render_template(content, context, environment, seen_oids)
            elif is_file:
                rendered = _concatenated(environment.get_template(content), context)
            else:
                rendered = _rendered_natively(environment, content, context)
        except UnicodeDecodeError as error:
            raise _not_in_utf_8(content) from error
        if is_file and "\0" in rendered:  # as plain letters are in UTF-16
            raise _not_in_utf_8(content)
        return rendered.lstrip(_BOM) if isinstance(rendered, str) else rendered


def _is_rendered(value: Any, extensions: tuple[str, ...]) -> bool:
    if isinstance(value, str):
        return any(begin in value for begin in _OF_TEMPLATES) or value.endswith(extensions)
    if isinstance(value, Mapping):
        return any(_is_rendered(each, extensions) for each in value.values())
    if isinstance(value, list | tuple | set):
        return any(_is_rendered(each, extensions) for each in value)
    return callable(value) or hasattr(value, "resolve")  # as Airflow tells what another task returns


def _rendered_natively(environment: "jinja2.Environment", text: str, context: "Context") -> Any:
    """Render a text; an expression that stands alone gives its object."""
    from jinja2 import nodes  # noqa: PLC0415

    body = environment.parse(text).body
    if len(body) == 1 and isinstance(body[0], nodes.Output) and len(body[0].nodes) == 1:
        try:
            return body[0].nodes[0].as_const()  # which would be a text when it is rendered
        except nodes.Impossible:
            pass
    return _concatenated(environment.from_string(text), context)


def _concatenated(template: "jinja2.Template", context: "Context") -> Any:
    from jinja2 import Undefined  # noqa: PLC0415

    parts = list(template.generate(context))
    if len(parts) == 1 and not isinstance(parts[0], str | Undefined):
        return parts[0]
    return "".join(map(str, parts))


def _not_in_utf_8(file: str) -> ConfigurationError:
    return ConfigurationError(f"the file {file!r} is not in UTF-8: save it as UTF-8.")
