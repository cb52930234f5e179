"""JSON Schema: what a payload must be before it is sent."""

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cached_property
from typing import Any

import orjson

from airflow_async_rest.core.encoding.json_encoder import JsonEncoder
from airflow_async_rest.core.errors import ConfigurationError, EncodeError, SchemaError
from airflow_async_rest.core.reading.exact_numbers import (
    checking_exactly,
    has_decimals,
    may_lose_digits,
    parse_with_decimals,
    with_decimals,
)
from airflow_async_rest.core.reading.schema_references import check_references

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
        self._encode = encode or JsonEncoder()
        self._bodies = _TEXTS if texts_are_bodies else ()
        try:
            draft = validator_for(self._schema, default=Draft202012Validator)
            draft.check_schema(self._schema)
            _check_json(self._schema)
            check_references(self._schema, draft)
            self._class = checking_exactly(draft)
            self._is_exact = has_decimals(self._schema)
        except InvalidError as error:
            raise ConfigurationError(
                f"schema is no valid JSON Schema: at {error.json_path}, {error.message}."
            ) from None
        except ConfigurationError:
            raise
        except Exception as error:  # what the library does not expect: a $schema that is a number, a thousand levels
            raise _unusable(error) from error

    @cached_property
    def _validator(self) -> Any:
        return self._class(self._schema, registry=_registry())

    @cached_property
    def _exact_validator(self) -> Any:
        return self._class(with_decimals(self._schema), registry=_registry())

    def check(self, payload: Any) -> None:
        """Check a payload.

        :raises SchemaError: when it breaks the schema; names the place and the rule, and no value.
        :raises ConfigurationError: when the schema cannot be used after all.
        """
        try:
            instance, validator = self._as_sent(payload)
            fault = "" if validator.is_valid(instance) else _described(validator, instance)
        except EncodeError:  # it has no JSON form, which is another fault, found where it is sent
            return
        except SchemaError:
            raise
        except RecursionError:
            raise SchemaError(_TOO_DEEP) from None
        except ArithmeticError:
            raise SchemaError("the payload has a number that is too large to be checked by the schema.") from None
        except Exception as error:  # a regular expression that is not valid, say
            raise _unusable(error) from error
        if fault:
            raise SchemaError(fault)

    def _as_sent(self, payload: Any) -> tuple[Any, Any]:
        """Return a payload as who reads its JSON has it, and what checks it.

        :raises EncodeError: when it has no JSON form.
        :raises SchemaError: when it is a text that is not JSON.
        """
        try:
            text: Any = payload.encode() if isinstance(payload, str) else payload
        except UnicodeEncodeError as error:
            raise EncodeError(str(error)) from error
        is_body = isinstance(payload, self._bodies)
        body = bytes(text) if is_body else self._encode(payload)
        try:
            if not (self._is_exact or may_lose_digits(body, payload, is_body=is_body)):
                return orjson.loads(body), self._validator
        except orjson.JSONDecodeError:  # it may be JSON all the same: a number beyond a float's
            pass
        try:
            return parse_with_decimals(body), self._exact_validator
        except ValueError:
            raise SchemaError("the payload breaks the schema: it is a text that is no JSON.") from None


def _registry() -> Any:
    from jsonschema_specifications import REGISTRY  # noqa: PLC0415

    return REGISTRY


def _check_json(schema: Any) -> None:
    if not _is_json(schema):
        raise ConfigurationError("schema is no JSON: write dicts with texts as names, lists, texts and numbers.")


def _is_json(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(name, str) and _is_json(each) for name, each in value.items())
    if isinstance(value, list):
        return all(map(_is_json, value))
    if isinstance(value, float | Decimal):
        return Decimal(value).is_finite()
    return value is None or isinstance(value, str | int)


def _unusable(error: Exception) -> ConfigurationError:
    return ConfigurationError(f"schema cannot be used: {type(error).__name__}: {str(error)[:_MOST_CHARACTERS]}.")


def _described(validator: Any, instance: Any) -> str:
    from jsonschema.exceptions import best_match  # noqa: PLC0415

    error = best_match(validator.iter_errors(instance))
    rule, place = error.validator, _shortened(error.json_path)
    if rule is None:  # "false" where a schema stands
        return f"the payload breaks the schema at {place}: nothing may be there."
    value = error.validator_value
    if rule == "required":
        value = [name for name in value if name not in error.instance]
    written = json.dumps(value, ensure_ascii=False, default=_as_json)
    shown = written if len(written) <= _MOST_CHARACTERS else f"{written[:_MOST_CHARACTERS]}..."
    return f'the payload breaks the schema at {place}: "{rule}": {shown}.'


def _shortened(path: str) -> str:
    """Return a path with its two ends, which say most: a dead letter has 500 characters for it and the rule."""
    half = _MOST_CHARACTERS // 2
    return path if len(path) <= _MOST_CHARACTERS else f"{path[:half]}...{path[-half:]}"


def _as_json(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else dict(value)
