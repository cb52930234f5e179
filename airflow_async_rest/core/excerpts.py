"""What an answer was, for people: what dead letters say of it, without secrets."""

from airflow_async_rest.core.models import EXCERPT_CHARACTERS, Request, Response
from airflow_async_rest.core.redirects import redirect_advice
from airflow_async_rest.core.settings import ClientSettings


class Excerpts:
    """Writes down answers.

    :param settings: the secrets that are taken out, and where requests go.
    """

    def __init__(self, settings: ClientSettings) -> None:
        self._redaction = settings.redaction
        self._address = settings.address

    def of(self, request: Request, response: Response | None, detail: str = "") -> str:
        """Write down an answer.

        :param detail: what is known of it besides.
        """
        return self.text("; ".join(part for part in (detail, *self._parts(request, response)) if part))

    def text(self, text: str) -> str:
        """Write down what is known of a failure."""
        return self._redaction.excerpt(text, EXCERPT_CHARACTERS)

    def _parts(self, request: Request, response: Response | None) -> list[str]:
        if response is None:
            return []
        location = response.headers.get("Location") if 300 <= response.status <= 399 else None  # noqa: PLR2004
        about_redirect = redirect_advice(self._address.url(request.path), location, self._redaction) if location else ""
        return [about_redirect, str(response.broken or ""), response.text]
