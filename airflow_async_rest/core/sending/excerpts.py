"""What dead letters say of an answer and of its request, without secrets."""

import json
from dataclasses import replace

from airflow_async_rest.core.models import EXCERPT_CHARACTERS, Request, Response
from airflow_async_rest.core.redaction import MASK
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.transport.redirects import redirect_advice

# Dead letters keep 500 characters, once secrets are taken out, which may be long.
_MOST_BYTES = 64_000


class Excerpts:
    """Writes down answers.

    :param settings: the secrets that are taken out, and where requests go.
    :param hidden: secrets in the endpoint, as requests spell them, one after the other.
    """

    def __init__(self, settings: ClientSettings, hidden: tuple[str, ...] = ()) -> None:
        self._hidden = sorted(set(hidden), key=len, reverse=True)
        self._redaction = settings.redaction
        self._address = settings.address

    def of(self, request: Request | None, response: Response | None, detail: str = "") -> str:
        """Write down how an answer begins.

        :param detail: what is known of it besides.
        """
        return self.text("; ".join(part for part in (detail, *self._parts(request, response)) if part))

    def text(self, text: str) -> str:
        """Write down what is known of a failure."""
        return self._redaction.excerpt(text, EXCERPT_CHARACTERS)

    def request(self, request: Request, *, fetch: bool = False) -> Request:
        """Return a request as it is kept: a replay knows the secrets that are missing in its path and query.

        :param fetch: whether its answer was wanted, so that nobody will send it again.
        """
        path, query = request.path, request.query
        if fetch:
            path, query = self._redaction.redact(path), self._redaction.redact(query)
            return replace(request, path=path, query=query, body=self._body(request.body))
        for secret in self._hidden:
            path, query = path.replace(secret, MASK), query.replace(secret, MASK)
        return request if (path, query) == (request.path, request.query) else replace(request, path=path, query=query)

    def _body(self, body: bytes | None) -> bytes | None:
        if body is None or not self._redaction.find(text := body.decode("utf-8", "replace")):
            return body
        try:
            return json.dumps(self._redaction.redact_all(json.loads(body))).encode()
        except ValueError:
            return self._redaction.redact(text).encode()

    def _parts(self, request: Request | None, response: Response | None) -> list[str]:
        if request is None or response is None:
            return []
        location = response.headers.get("Location") if 300 <= response.status <= 399 else None  # noqa: PLR2004
        about_redirect = ""
        if location:
            asked, is_signed = self._address.url(request.path), response.request is not None
            about_redirect = redirect_advice(asked, location, self._redaction, is_signed=is_signed)
        begins = response.body[:_MOST_BYTES].decode("utf-8", "replace")
        return [about_redirect, str(response.broken or ""), begins]
