"""How the operators' templates are rendered."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    import jinja2
    from airflow.sdk import Context

_BOM = "\ufeff"


@dataclass(frozen=True)
class KeptFunction:
    """An author's function in a templated field: by itself, Airflow would call it as it renders the field."""

    function: Callable[..., Any]

    def __str__(self) -> str:
        return getattr(self.function, "__qualname__", "function")


class TextKeepingOperator(BaseOperator):
    """An operator whose texts stay texts, whatever ``render_template_as_native_obj`` is.

    An expression that stands alone gives its object there. But what Airflow would read out of a text, be it a number
    or a list, is what nobody wrote: a header ``"1e5"`` became ``100000.0``.
    """

    def render_template(
        self,
        content: Any,
        context: "Context",
        jinja_env: "jinja2.Environment | None" = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
        """Render a template, or all in a collection. A mark of byte order, with which files may begin, is left out."""
        from jinja2 import Undefined  # noqa: PLC0415
        from jinja2.nativetypes import NativeEnvironment  # noqa: PLC0415

        environment = jinja_env or self.get_template_env()
        if not isinstance(content, str):
            return super().render_template(content, context, environment, seen_oids)
        if not isinstance(environment, NativeEnvironment):
            return super().render_template(content, context, environment, seen_oids).removeprefix(_BOM)
        is_file = content.endswith(tuple(self.template_ext))
        template = environment.get_template(content) if is_file else environment.from_string(content)
        nodes = list(template.generate(context))
        if len(nodes) == 1 and not isinstance(nodes[0], str | Undefined):
            return nodes[0]
        return "".join(map(str, nodes)).removeprefix(_BOM)
