"""How the operators' templates are rendered."""

import ast
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_async_rest.core.errors import ConfigurationError

if TYPE_CHECKING:
    import jinja2
    from airflow.sdk import Context

_BOM = "\ufeff"
# Python needs some hundred bytes for each character of a list that it reads; this is 8,000 long URIs.
_LONGEST_LIST = 1_000_000


def list_in(text: str, argument: str) -> Any:
    """Return the list that a template has made a text of.

    :raises ConfigurationError: when it is none, or too long or nested too deep to be read within bounds.
    """
    if len(text) > _LONGEST_LIST:
        raise ConfigurationError(
            f"{argument} is a text of {len(text)} characters, which a template made of a list; at most {_LONGEST_LIST} "
            "are read. Give the list itself: upstream.output, or render_template_as_native_obj=True of the DAG."
        )
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise ConfigurationError(
            f"{argument}={text!r:.200} begins as a list does, and cannot be read as one."
        ) from None


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
