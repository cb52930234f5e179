"""JSON Schema: what a payload must be before it is sent."""

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import orjson

from airflow_async_rest.core.encoding.json_encoder import json_encoder
from airflow_async_rest.core.errors import ConfigurationError, EncodeError, SchemaError

_MOST_CHARACTERS = 200  # of a rule, which may be a list of thousands
_TEXTS = (str, bytes, bytearray, memoryview)


class PayloadSchema:
    """Checks payloads by a schema, as the JSON that is sent has them.

    Its draft is what ``$schema`` names, else 2020-12. Schemas that it refers to are in itself: nothing is loaded.

    :param schema: as a JSON object has it.
    :param encode: payload -> JSON.
    :param texts_are_bodies: whether a text, or bytes, is sent as it is: then it is read as JSON.
    :raises ConfigurationError: when it is no valid schema; says where.
    """

    def __init__(
        self, schema: Mapping[str, Any], encode: Callable[[Any], bytes] | None = None, *, texts_are_bodies: bool = True
    ) -> None:
        # It loads here, for those who have a schema.
        from jsonschema import SchemaError as InvalidError  # noqa: PLC0415
        from jsonschema.validators import Draft202012Validator, validator_for  # noqa: PLC0415

        if not isinstance(schema, Mapping):
            raise ConfigurationError(
                f"schema={schema!r}: write a JSON Schema as a dict, such as {{'required': ['id']}}, or the path of a "
                "JSON file."
            )
        self._schema = dict(schema)
        self._encode = encode or json_encoder()
        self._bodies = _TEXTS if texts_are_bodies else ()
        self._class = validator_for(self._schema, default=Draft202012Validator)
        try:
            self._class.check_schema(self._schema)
        except InvalidError as error:
            raise ConfigurationError(
                f"schema is no valid JSON Schema: at {error.json_path}, {error.message}."
            ) from None

    @cached_property
    def _validator(self) -> Any:
        from jsonschema_specifications import REGISTRY  # noqa: PLC0415

        return self._class(self._schema, registry=REGISTRY)

    def check(self, payload: Any) -> None:
        """Check a payload.

        :raises SchemaError: when it breaks the schema; names the place and the rule, and no value.
        :raises ConfigurationError: when the schema refers to what is not in it.
        """
        try:
            instance = self._as_sent(payload)
        except EncodeError:  # it has no JSON form, which is another fault, found where it is sent
            return
        from referencing.exceptions import Unresolvable  # noqa: PLC0415

        try:
            if not self._validator.is_valid(instance):
                raise SchemaError(_described(self._validator, instance))
        except Unresolvable as error:
            raise ConfigurationError(
                f"schema refers to {error.ref!r}, which is not in it: write it into its $defs."
            ) from None
        except RecursionError:
            raise SchemaError("the payload is nested too deep to be checked by the schema.") from None

    def _as_sent(self, payload: Any) -> Any:
        """Return a payload as who reads its JSON has it.

        :raises EncodeError: when it has none.
        :raises SchemaError: when it is a text that is none.
        """
        text: Any = payload.encode() if isinstance(payload, str) else payload
        body = bytes(text) if isinstance(payload, self._bodies) else self._encode(payload)
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:  # it may be JSON all the same: a number beyond a float's
            pass
        try:
            return json.loads(body)
        except ValueError:
            raise SchemaError("the payload breaks the schema: it is a text that is no JSON.") from None


def _described(validator: Any, instance: Any) -> str:
    from jsonschema.exceptions import best_match  # noqa: PLC0415

    error = best_match(validator.iter_errors(instance))
    rule, place = error.validator, error.json_path
    if rule is None:  # "false" where a schema stands
        return f"the payload breaks the schema at {place}: nothing may be there."
    value = error.validator_value
    if rule == "required":
        value = [name for name in value if name not in error.instance]
    written = json.dumps(value, ensure_ascii=False, default=str)
    shown = written if len(written) <= _MOST_CHARACTERS else f"{written[:_MOST_CHARACTERS]}..."
    return f'the payload breaks the schema at {place}: "{rule}": {shown}.'
