"""How the operators' templates are rendered."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_async_rest.compat.names import BaseOperator
from airflow_async_rest.core.errors import ConfigurationError

if TYPE_CHECKING:
    import jinja2
    from airflow.sdk import Context

# As Jinja names them in a DAG's jinja_environment_kwargs, and what they are by default.
_MARKS = {"variable_start_string": "{{", "block_start_string": "{%", "comment_start_string": "{#"}
_LINE_MARKS = ("line_statement_prefix", "line_comment_prefix")
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
        return name in self.template_fields and _is_rendered(value, tuple(self.template_ext), self._marks())

    def check_functions(self, name: str, value: Any) -> None:
        """Check the functions in an argument that Airflow would call as it renders it.

        :raises ConfigurationError: when it could not.
        """
        if name in self.template_fields:
            for one in filter(callable, _parts(value)):
                _check_called(name, one)

    def _marks(self) -> tuple[str, ...]:
        """Return what templates begin with in the operator's DAG, as far as it has one by now."""
        dag = self.dag if self.has_dag() else None  # type: ignore[no-untyped-call]
        own = getattr(dag, "jinja_environment_kwargs", None) or {}
        return (
            *(own.get(name, usual) for name, usual in _MARKS.items()),
            *(mark for name in _LINE_MARKS if (mark := own.get(name))),
        )

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


def _is_rendered(value: Any, extensions: tuple[str, ...], marks: tuple[str, ...]) -> bool:
    return any(
        any(begin in one for begin in marks) or one.endswith(extensions) if isinstance(one, str) else _gives_value(one)
        for one in _parts(value)
    )


def _gives_value(value: Any) -> bool:
    """Return whether Airflow asks something for its value: a function, or another task's result. A path does not."""
    return callable(value) or (hasattr(value, "resolve") and hasattr(value, "iter_references"))


def _parts(value: Any, *inside: int) -> Iterator[Any]:
    """Yield what Airflow would render in a value. :param inside: collections around it, which it may be itself."""
    if not isinstance(value, Mapping | list | tuple | set):
        yield value
    elif id(value) not in inside:
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _parts(each, id(value), *inside)


def _check_called(name: str, function: Any) -> None:
    # A task of 2 has no name itself: what it runs has.
    called = getattr(getattr(function, "function", function), "__qualname__", type(function).__name__)
    if getattr(function, "_airflow_is_task_decorator", False) or hasattr(function, "operator_class"):
        raise ConfigurationError(f"{name} has the task {called} itself, and not what it returns: write {called}().")
    try:
        inspect.signature(function).bind(context={}, jinja_env=None)
    except (TypeError, ValueError):
        raise ConfigurationError(
            f"{name} has the function {called}, which Airflow calls with context= and jinja_env= as it renders the "
            f"argument: let it take these two, or write {called}(...) for what it returns."
        ) from None


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
