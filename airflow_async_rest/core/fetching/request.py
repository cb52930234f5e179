"""Item and page -> Request: what is asked for. No I/O."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote_plus

from yarl import URL

from airflow_async_rest.core.encoding.json_encoder import stable_bytes
from airflow_async_rest.core.errors import AnswerError, ConfigurationError, EncodeError, ItemError
from airflow_async_rest.core.models import Item, Request
from airflow_async_rest.core.pages.page import BODY, Page
from airflow_async_rest.core.requests.address import Address
from airflow_async_rest.core.requests.bodies import BodyEncoder
from airflow_async_rest.core.requests.builder import EndpointTemplate, Identity, idempotency_key, text_value
from airflow_async_rest.core.requests.templates import Text, parse_text

Row = Mapping[str, Any]
Body = Mapping[str, Any] | list[Any] | str | Callable[[dict[str, Any]], Any] | None


class FetchRequestBuilder:
    """Makes the requests for an item's pages.

    :param base_url: of the connection: links are followed below it only.
    :param query: parameter -> value, with ``{column}`` placeholders; a list makes the parameter come several times,
        None leaves it out.
    :param body: of a POST: JSON, or a text, with placeholders, of which one that stands alone keeps its type; or a
        function: item -> payload.
    :param encode: payload -> JSON.
    :param body_format: and ``headers``: see :class:`~airflow_async_rest.core.requests.bodies.BodyEncoder`.
    :param query_key: see :class:`~airflow_async_rest.core.requests.settings.ClientSettings`.
    :param keep: and ``below``: see :class:`~airflow_async_rest.core.pages.LinkPages`.
    :raises ConfigurationError: when one of them cannot be read.
    :ivar method: of all requests.
    :ivar columns: those that each argument asks of an item.
    :ivar in_braces: what is text in each argument, in braces, and would be a placeholder if an item had it.
    """

    def __init__(
        self,
        *,
        base_url: str,
        endpoint: EndpointTemplate,
        method: str,
        query: Mapping[str, Any] | None,
        body: Body,
        encode: Callable[[Any], bytes],
        identity: Identity,
        body_format: str | None = None,
        headers: Mapping[str, str] | None = None,
        query_key: tuple[str, str] | None = None,
        keep: Sequence[str] = (),
        below: str | None = None,
    ) -> None:
        self._address = Address(base_url, query_key)
        self._endpoint = endpoint
        self.method = method
        self._query = _Query(query)
        self._body = _Body(body, body_format)
        texts = _texts_of(self._query, self._body)
        self.in_braces = {
            name: _unique(brace for text in some for brace in text.in_braces) for name, some in texts.items()
        }
        self.columns = {"endpoint": endpoint.columns, **_columns_in(texts)}
        self._encode = BodyEncoder(encode, body_format, headers).encode
        self._seed = hashlib.blake2b(stable_bytes([*identity.scope, *identity.window, method]), digest_size=16)
        _check_has_body(body, method)
        self._kept, self._below = frozenset(keep), below
        in_endpoint = endpoint.literals.partition("?")[2].split("&")
        if unknown := self._kept - {*self._query.names, *map(_name, in_endpoint)}:
            raise ConfigurationError(
                f"paginate with keep={tuple(keep)!r}: query= has no {min(unknown)!r}; write names of its parameters."
            )

    def build(self, item: Item, page: Page, after: str = "") -> Request:
        """Build the request for a page of an item.

        :param after: path of the request for the page before, from which a relative link leads on.
        :raises ItemError: when the item does not fill it, or the page's link leads away from the API.
        """
        in_query, in_body = ({}, page.parameters) if page.into == BODY else (page.parameters, {})
        if in_body and self.method == "GET":
            raise EncodeError("the page's parameters go into the body, and a GET has none: write method='POST'.")
        if page.link is not None:
            path, query = self._follow(page.link, after)
            query = self._with_own(query, item.row, in_query)
        else:
            path, query = self._endpoint.render(item.row)
            query = _joined(_without(query, in_query), self._query.render(item.row, in_query))
        payload = self._body.render(item.row, in_body)
        about: list[Any]
        body, *about = (None,) if payload is None else self._encode(payload)
        key = idempotency_key(self._seed, path, query, item.identity, body or b"")
        return Request(self.method, path, query, body, key, *about)

    def _follow(self, link: str, path: str) -> tuple[str, str]:
        """Return path and query of a link: on the connection's own host, whatever scheme and port it names."""
        try:
            link.encode()  # what UTF-8 cannot carry would be left out of it
            target = self._address.url(path).join(URL(link.strip()))
        except ValueError as error:
            raise AnswerError(f"the link to the next page cannot be read ({error}): {link!a}") from error
        relative = self._address.relative(target, self._below)
        if relative is None or ".." in target.path.split("/"):  # decoded: a server may take %2F for a slash
            place = "the connection's base URL" if self._below is None else f"below={self._below!r} on its host"
            raise AnswerError(
                f"the link to the next page leads away from {place}: {str(target)!r}{self._way_to(target)}"
            )
        return relative

    def _way_to(self, target: URL) -> str:
        """Say how a link is followed that the connection's credentials may go along with; nothing for another."""
        if self._address.relative(target, "/") is None or ".." in target.path.split("/"):
            return ""
        return f"; paginate with below='/{target.raw_path.split('/')[1]}' follows it"

    def _with_own(self, query: str, row: Row, page: Mapping[str, Any]) -> str:
        """Put into a link's query what goes along: the item's own parameters that are kept, and the page's."""
        if not self._kept and not page:
            return query
        own = _joined(self._endpoint.render(row)[1], self._query.render(row, page))
        pairs = [pair for pair in own.split("&") if _name(pair) in {*self._kept, *page}]
        return _joined(_without(query, map(_name, pairs)), *pairs)


class _Query:
    """Query parameters with placeholders."""

    def __init__(self, query: Any) -> None:
        if query is not None and not isinstance(query, Mapping):
            raise ConfigurationError(f"query={query!r}: write a dict such as {{'id': '{{id}}'}}.")
        self._parameters: list[tuple[str, Text]] = []
        for name, value in (query or {}).items():
            if not isinstance(name, str) or not name:
                raise ConfigurationError(f"query: {name!r} is no name of a parameter; write a text.")
            for one in value if isinstance(value, list | tuple) else [value]:
                if one is not None:
                    self._parameters.append((name, parse_text("query", _plain(name, one))))
        self.names = frozenset(query or ())
        self.texts = [text for _, text in self._parameters]

    def render(self, row: Row, page: Mapping[str, Any]) -> str:
        """Fill in a row's values, and a page's, which replace parameters of the same name."""
        pairs = [(name, _render(text, row)) for name, text in self._parameters if name not in page]
        pairs += [(name, text_value(name, page)) for name in page]
        return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)


def columns_in(query: Any, body: Any, body_format: str | None) -> dict[str, tuple[str, ...]]:
    """Return the columns that each argument asks of an item. :raises ConfigurationError: when one cannot be read."""
    return _columns_in(_texts_of(_Query(query), _Body(body, body_format)))


def _texts_of(query: _Query, body: "_Body") -> dict[str, list[Text]]:
    return {"query": query.texts, "body": body.texts}


def _columns_in(texts: Mapping[str, Iterable[Text]]) -> dict[str, tuple[str, ...]]:
    return {name: _unique(column for text in some for _, column in text.parts) for name, some in texts.items()}


def check_query(query: Any) -> None:
    """Check the argument ``query``. :raises ConfigurationError: when it cannot be read."""
    _Query(query)


def check_body(body: Any, body_format: str | None, method: str) -> None:
    """Check the argument ``body``. :raises ConfigurationError: when it cannot be read, or sent."""
    _Body(body, body_format)
    _check_has_body(body, method.upper())


def _check_has_body(body: Any, method: str) -> None:
    if body is not None and method == "GET":
        raise ConfigurationError("body: a GET has none; write method='POST', or use query=.")


def _joined(*queries: str) -> str:
    return "&".join(filter(None, queries))


def _name(pair: str) -> str:
    return unquote_plus(pair.partition("=")[0])


def _without(query: str, names: Iterable[str]) -> str:
    """Return a query without the parameters of some names."""
    left_out = set(names)
    return "&".join(pair for pair in query.split("&") if _name(pair) not in left_out) if left_out else query


def _plain(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        if not isinstance(value, Mapping | bytes):
            return text_value(name, {name: value}).replace("{", "{{").replace("}", "}}")
    except ItemError:
        pass
    raise ConfigurationError(
        f"query: {name}={value!r} is no text, number or list of them: write JSON as a text, as '{{\"id\":{{id}}}}'."
    )


class _Body:
    """A body with placeholders, or the author's function."""

    def __init__(self, body: Any, body_format: str | None) -> None:
        self._is_flat = body_format == "form"
        types = (Mapping, list, str) if body_format in {"form", "text"} else (Mapping, list)
        if body is not None and not callable(body) and not isinstance(body, types):
            raise ConfigurationError(
                f"body={body!r}: write a dict such as {{'ids': ['{{id}}']}}, or a function; or a text, with "
                "body_format='text'."
            )
        self._function = body if callable(body) else None
        self._template = None if body is None or callable(body) else _compile(body)
        self.texts = list(_texts_in(self._template))

    def render(self, row: Row, page: Mapping[str, Any]) -> Any:
        """Make the payload; None for none."""
        if self._function is not None:
            try:
                payload = self._function(dict(row))
            except Exception as error:  # the author's code may raise anything
                raise EncodeError(f"the function body raised {type(error).__name__}: {error}") from error
        else:
            payload = None if self._template is None else _fill(self._template, row)
        if not page:
            return payload
        if not self._is_flat:
            return _with_parameters(payload, page)
        if payload is not None and not isinstance(payload, Mapping):
            raise EncodeError("the page's parameters go into the form, which is no dict: use into='query'.")
        return {**(payload or {}), **page}


def _with_parameters(payload: Any, parameters: Mapping[str, Any]) -> Any:
    """Return a copy of a body that has a page's parameters, too; its other keys stay as they are.

    A name with dots, such as ``variables.after``, leads into its objects and lists, but for one that is a key itself.

    :param payload: None for a request without a body.
    :raises EncodeError: when there is no object, or list, where a name leads.
    """
    for name, value in parameters.items():
        payload = _put(payload, name, value, whole=name)
    return payload


def _put(payload: Any, name: str, value: Any, whole: str) -> Any:
    first, _, rest = name.partition(".")
    if isinstance(payload, Mapping | None):
        payload = payload or {}
        if not rest or name in payload:
            return {**payload, name: value}
        return {**payload, first: _put(payload.get(first), rest, value, whole)}
    if isinstance(payload, list) and first.isdecimal() and int(first) < len(payload):
        place = int(first)
        return [*payload[:place], _put(payload[place], rest, value, whole) if rest else value, *payload[place + 1 :]]
    if name == whole:
        raise EncodeError("the page's parameters go into the body, which is not an object: use into='query'.")
    raise EncodeError(f"the page's parameter {whole!r} leads into the body, which has no object before {name!r}.")


def _compile(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _compile(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_compile(entry) for entry in value]
    if callable(value):
        raise ConfigurationError(
            f"body: {value!r} within it is a function: write one that makes the whole, body=lambda item: {{...}}."
        )
    return parse_text("body", value) if isinstance(value, str) else value


def _fill(value: Any, row: Row) -> Any:
    if isinstance(value, dict):
        return {name: _fill(entry, row) for name, entry in value.items()}
    if not isinstance(value, Text):
        return [_fill(entry, row) for entry in value] if isinstance(value, list) else value
    if len(value.parts) == 1 and value.parts[0][0] == "" and value.parts[0][1] is not None:
        return row.get(value.parts[0][1])
    return _render(value, row)


def _render(text: Text, row: Row) -> str:
    parts = zip(text.parts, text.depths, strict=True)
    return "".join(
        literal + (_escaped(text_value(name, row), depth) if name is not None else "")
        for (literal, name), depth in parts
    )


def _escaped(value: str, depth: int) -> str:
    """Return a text as it stands within so many quotes of JSON, or of GraphQL, which has the same escapes."""
    for _ in range(depth):
        value = json.dumps(value, ensure_ascii=False)[1:-1]
    return value


def _texts_in(value: Any) -> Iterable[Text]:
    if isinstance(value, Text):
        yield value
    elif isinstance(value, dict | list):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from _texts_in(entry)


def _unique(names: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name is not None))
