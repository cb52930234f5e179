"""JSON Schema: what a payload must be before it is sent."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import cached_property
from typing import Any

import orjson

from airflow_async_rest.core.encoding.json_encoder import json_encoder
from airflow_async_rest.core.errors import ConfigurationError, EncodeError, SchemaError

_MOST_CHARACTERS = 200  # of a rule, which may be a list of thousands
_TOO_DEEP = "the payload is nested too deep to be checked by the schema."
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
        try:
            self._class = validator_for(self._schema, default=Draft202012Validator)
            self._class.check_schema(self._schema)
        except InvalidError as error:
            raise ConfigurationError(
                f"schema is no valid JSON Schema: at {error.json_path}, {error.message}."
            ) from None
        except Exception as error:  # what the library does not expect: a $schema that is a number, a thousand levels
            raise _unusable(error) from error
        if not _is_json(self._schema):
            raise ConfigurationError("schema is no JSON: write dicts with texts as names, lists, texts and numbers.")

    @cached_property
    def _validator(self) -> Any:
        from jsonschema.validators import extend  # noqa: PLC0415
        from jsonschema_specifications import REGISTRY  # noqa: PLC0415

        return extend(self._class, {"multipleOf": _multiple_of})(self._schema, registry=REGISTRY)

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
            fault = "" if self._validator.is_valid(instance) else _described(self._validator, instance)
        except Unresolvable as error:
            what = f"#{anchor}" if (anchor := getattr(error, "anchor", "")) else error.ref
            raise ConfigurationError(
                f"schema refers to {what!r}, which is not in it: write it into its $defs."
            ) from None
        except RecursionError:
            raise SchemaError(_TOO_DEEP) from None
        except ArithmeticError:
            raise SchemaError("the payload has a number that is too large to be checked by the schema.") from None
        except Exception as error:  # a $ref that leads to what is no schema, an expression that is none
            raise _unusable(error) from error
        if fault:
            raise SchemaError(fault)

    def _as_sent(self, payload: Any) -> Any:
        """Return a payload as who reads its JSON has it.

        :raises EncodeError: when it has none.
        :raises SchemaError: when it is a text that is none.
        """
        try:
            text: Any = payload.encode() if isinstance(payload, str) else payload
        except UnicodeEncodeError as error:
            raise EncodeError(str(error)) from error
        body = bytes(text) if isinstance(payload, self._bodies) else self._encode(payload)
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:  # it may be JSON all the same: a number beyond a float's
            pass
        try:
            return json.loads(body)
        except RecursionError:
            raise SchemaError(_TOO_DEEP) from None
        except ValueError:
            raise SchemaError("the payload breaks the schema: it is a text that is no JSON.") from None


def _is_json(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(name, str) and _is_json(each) for name, each in value.items())
    return (
        all(map(_is_json, value)) if isinstance(value, list) else value is None or isinstance(value, str | int | float)
    )


def _unusable(error: Exception) -> ConfigurationError:
    return ConfigurationError(f"schema cannot be used: {type(error).__name__}: {str(error)[:_MOST_CHARACTERS]}.")


def _multiple_of(validator: Any, step: Any, instance: Any, _: Any) -> Iterator[Exception]:
    """Check by decimal fractions, as they are written: by floats, 19.99 is no multiple of 0.01."""
    from jsonschema import ValidationError  # noqa: PLC0415

    if validator.is_type(instance, "number") and _fraction(instance) % _fraction(step):
        yield ValidationError(f"{instance!r} is not a multiple of {step!r}")


def _fraction(number: float) -> Fraction:
    return Fraction(number) if isinstance(number, int) or not math.isfinite(number) else Fraction(repr(number))


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
