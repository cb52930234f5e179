"""How the operators' templates are rendered."""

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    import jinja2
    from airflow.sdk import Context

_BOM = "\ufeff"


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
        """Render a template, or all in a collection. A mark of byte order, with which files may begin, is left out.

        Airflow keeps what is rendered, without the secrets that it knows: it is told how they are spelled there.
        """
        from airflow_async_rest.hooks.connection_secrets import mask_in_rendered  # noqa: PLC0415

        rendered = self._render_as_text(content, context, jinja_env, seen_oids)
        if isinstance(rendered, str) and rendered != content:
            mask_in_rendered(rendered)
        return rendered

    def _render_as_text(
        self,
        content: Any,
        context: "Context",
        jinja_env: "jinja2.Environment | None" = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
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
