"""Item and page -> Request: what is asked for. No I/O."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

from yarl import URL

from airflow_async_rest.core.address import Address
from airflow_async_rest.core.bodies import BodyEncoder
from airflow_async_rest.core.encoding import stable_bytes
from airflow_async_rest.core.errors import AnswerError, ConfigurationError, EncodeError, ItemError
from airflow_async_rest.core.models import Item, Request
from airflow_async_rest.core.pages import Page
from airflow_async_rest.core.request import EndpointTemplate, Identity, idempotency_key, parse_template, text_value

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
    :param body_format: and ``headers``: see :class:`~airflow_async_rest.core.bodies.BodyEncoder`.
    :param query_key: see :class:`~airflow_async_rest.core.settings.ClientSettings`; it is no part of a request.
    :raises ConfigurationError: when one of them cannot be read.
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
    ) -> None:
        self._address = Address(base_url, query_key)
        self._endpoint = endpoint
        self._method = method
        self._query = _Query(query)
        self._body = _Body(body, takes_text=body_format in ("form", "text"))
        self._encode = BodyEncoder(encode, body_format, headers).encode
        self._seed = hashlib.blake2b(stable_bytes([*identity.scope, *identity.window, method]), digest_size=16)
        if body is not None and method == "GET":
            raise ConfigurationError("body: a GET has none; write method='POST', or use query=.")

    @property
    def method(self) -> str:
        """The method of all requests."""
        return self._method

    @property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """The columns that each argument asks of an item."""
        return {"endpoint": self._endpoint.columns, "query": self._query.columns, "body": self._body.columns}

    def build(self, item: Item, page: Page, after: str = "") -> Request:
        """Build the request for a page of an item.

        :param after: path of the request for the page before, from which a relative link leads on.
        :raises ItemError: when the item does not fill it, or the page's link leads away from the API.
        """
        in_query, in_body = ({}, page.parameters) if page.into == "body" else (page.parameters, {})
        if page.link is not None:
            path, query = self._follow(page.link, after)
        else:
            path, query = self._endpoint.render(item.row)
            query = "&".join(filter(None, (query, self._query.render(item.row, in_query))))
        payload = self._body.render(item.row, in_body)
        if payload is None:
            return Request(
                self._method, path, query, None, idempotency_key(self._seed, path, query, item.identity, b"")
            )
        body, content_type, verbatim = self._encode(payload)
        key = idempotency_key(self._seed, path, query, item.identity, body)
        return Request(self._method, path, query, body, key, content_type, verbatim)

    def _follow(self, link: str, path: str) -> tuple[str, str]:
        """Give path and query of a link: on the connection's own host, whatever scheme and port it names."""
        try:
            target = self._address.url(path).join(URL(link))
        except ValueError as error:
            raise AnswerError(f"the link to the next page cannot be read ({error}): {link!r}") from error
        relative = self._address.relative(target)
        if relative is None or ".." in target.path.split("/"):  # decoded: a server may take %2F for a slash
            raise AnswerError(f"the link to the next page leads away from the connection's base URL: {str(target)!r}")
        return relative


class _Query:
    """Query parameters with placeholders."""

    def __init__(self, query: Any) -> None:
        if query is not None and not isinstance(query, Mapping):
            raise ConfigurationError(f"query={query!r}: write a dict such as {{'id': '{{id}}'}}.")
        self._parameters: list[tuple[str, list[tuple[str, str | None]]]] = []
        for name, value in (query or {}).items():
            if not isinstance(name, str) or not name:
                raise ConfigurationError(f"query: {name!r} is no name of a parameter; write a text.")
            for one in value if isinstance(value, list | tuple) else [value]:
                if one is not None:
                    self._parameters.append((name, parse_template("query", _plain(name, one))))
        self.columns = _names(part for _, parts in self._parameters for part in parts)

    def render(self, row: Row, page: Mapping[str, Any]) -> str:
        """Fill in a row's values, and a page's, which replace parameters of the same name."""
        pairs = [
            (
                name,
                "".join(literal + (text_value(column, row) if column is not None else "") for literal, column in parts),
            )
            for name, parts in self._parameters
            if name not in page
        ]
        pairs += [(name, text_value(name, page)) for name in page]
        return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)


def _plain(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        if not isinstance(value, Mapping | bytes):
            return text_value(name, {name: value}).replace("{", "{{").replace("}", "}}")
    except ItemError:
        pass
    raise ConfigurationError(f"query: {name}={value!r} is no text, number or list of them.")


class _Body:
    """A body with placeholders, or the author's function."""

    def __init__(self, body: Any, *, takes_text: bool) -> None:
        types = (Mapping, list, str) if takes_text else (Mapping, list)
        if body is not None and not callable(body) and not isinstance(body, types):
            raise ConfigurationError(
                f"body={body!r}: write a dict such as {{'ids': ['{{id}}']}}, or a function; or a text, with "
                "body_format='text'."
            )
        self._function = body if callable(body) else None
        self._template = None if body is None or callable(body) else _compile(body)
        self.columns = _names(_parts_in(self._template))

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
        if payload is not None and not isinstance(payload, Mapping):
            raise EncodeError("the page's parameters go into the body, which is no object: use into='query'.")
        return _with_all(payload or {}, page)


def _with_all(body: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Put a page's parameters into a body; ``variables.after`` into the object ``variables``, where it has that."""
    filled = dict(body)
    for name, value in parameters.items():
        outer, _, inner = name.partition(".")
        if inner and name not in body and isinstance(filled.get(outer), Mapping):
            filled[outer] = _with_all(filled[outer], {inner: value})
        else:
            filled[name] = value
    return filled


class _Text(list[tuple[str, str | None]]):
    """A text with placeholders, within a body."""


def _compile(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _compile(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_compile(entry) for entry in value]
    if callable(value):
        raise ConfigurationError(
            f"body: {value!r} within it is a function: write one that makes the whole, body=lambda item: {{...}}."
        )
    return _Text(parse_template("body", value)) if isinstance(value, str) else value


def _fill(value: Any, row: Row) -> Any:
    if isinstance(value, dict):
        return {name: _fill(entry, row) for name, entry in value.items()}
    if not isinstance(value, _Text):
        return [_fill(entry, row) for entry in value] if isinstance(value, list) else value
    if len(value) == 1 and value[0][0] == "" and value[0][1] is not None:
        return row.get(value[0][1])
    return "".join(literal + (text_value(column, row) if column is not None else "") for literal, column in value)


def _parts_in(value: Any) -> Iterable[tuple[str, str | None]]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, _Text):
        yield from value
    elif isinstance(value, list):
        for entry in value:
            yield from _parts_in(entry)


def _names(parts: Iterable[tuple[str, str | None]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for _, name in parts if name is not None))
