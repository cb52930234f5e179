"""What an answer was, for people: what dead letters say of it, without secrets."""

from airflow_async_rest.core.models import Request, Response
from airflow_async_rest.core.redirects import redirect_advice
from airflow_async_rest.core.settings import ClientSettings

# Dead letters keep 500 characters, once secrets are taken out, which may be long.
_MOST_BYTES = 64_000


class Excerpts:
    """Writes down answers.

    :param settings: the secrets that are taken out, and where requests go.
    """

    def __init__(self, settings: ClientSettings) -> None:
        self.redact = settings.redact
        self._address = settings.address

    def of(self, request: Request, response: Response | None, detail: str = "") -> str:
        """Write down how an answer begins; whoever keeps it cuts it.

        :param detail: what is known of it besides.
        """
        return self.redact("; ".join(part for part in (detail, *self._parts(request, response)) if part))

    def _parts(self, request: Request, response: Response | None) -> list[str]:
        if response is None:
            return []
        location = response.headers.get("Location") if 300 <= response.status <= 399 else None  # noqa: PLR2004
        about_redirect = redirect_advice(self._address.url(request.path), location) if location else ""
        begins = response.body[:_MOST_BYTES].decode("utf-8", "replace")
        return [about_redirect, str(response.broken or ""), begins]
