"""The outcome of a request to the base URL -> a message: what is wrong, and what to fill in."""

import re
from datetime import UTC, datetime
from urllib.parse import urlsplit

from airflow_async_rest.connections.probe import Finding, Patience
from airflow_async_rest.core.errors import SendError
from airflow_async_rest.core.models import Response
from airflow_async_rest.core.requests.proxies import Proxy
from airflow_async_rest.core.requests.settings import ClientSettings
from airflow_async_rest.core.sending.auth import is_refusal
from airflow_async_rest.core.signing.token import describe_skew, skew_of
from airflow_async_rest.core.transport.redirects import shown_target
from airflow_async_rest.core.transport.tls import describe_certificate

_TRUST = "set the extra field verify to a PEM file with {} (its path on every machine that runs tasks)"
_ADVICE = {
    "name_not_found": "check the spelling in Host",
    "refused": "check Host and Port, and whether the server runs",
    "unreachable": "check Host and Port, whether a firewall is between, and whether the way out needs a proxy "
    "(extra field proxy)",
    "connect_timeout": "check Host and Port; a firewall that drops packets looks like this, "
    "and so does a missing proxy (extra field proxy)",
    "request_timeout": "check Port, or raise the extra field request_timeout_seconds",
    "proxy_credentials": "write user name and password into the proxy's URL: http://user:password@proxy.example.com:3128",
    "certificate_expired": "the server needs a new one",
    "certificate_early": "check the clock of this machine",
    "certificate_name": "write one of the certificate's names into Host",
    "certificate_self_signed": _TRUST.format("this certificate"),
    "certificate_issuer": _TRUST.format("the certificate of its issuer"),
    "certificate": _TRUST.format("the certificates to trust"),
    "client_certificate": "the server seems to ask for a client certificate, or for another: "
    "set the extra field cert to a PEM file, or to two with a comma between: certificate, key",
    "not_tls": "set Schema to http, or Port to the one that speaks TLS",
    "only_tls": "the server seems to speak TLS on this port: set Schema to https",
    "no_http": "what answers there is no HTTP server: check Port",
}
_REFUSED = {
    401: ("the credentials are refused", ""),
    403: ("access is refused", ", or the path in Host: some gateways answer so where they have nothing"),
}
_PROXY_OF_ENVIRONMENT = (
    "this proxy is the environment's (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY): fix it there, set the extra field proxy, "
    "or set trust_env to false for a direct way"
)
_CLOSED = {
    "http": "if the server speaks TLS on this port, set Schema to https",
    "https": "if the server asks for a client certificate, set the extra field cert; "
    "if it speaks no TLS on this port, set Schema to http",
}
# nginx, Apache, Go and Jetty, asked in plain HTTP on a port for TLS, answer 400 with a sentence.
_ONLY_TLS = re.compile(r"plain HTTP|HTTP request (was sent )?to an? HTTPS|SSL-enabled server port", re.IGNORECASE)
_WANTS_CERTIFICATE = re.compile(r"required SSL certificate|SSL certificate error", re.IGNORECASE)  # nginx


def diagnose(
    finding: Finding, settings: ClientSettings, credentials: str, proxy: Proxy | None = None
) -> tuple[bool, str]:
    """Say what a test found.

    :param credentials: what was sent to identify with, and where it comes from, in words without secrets.
    :param proxy: that the request went through.
    :return: whether a task can work with that connection, and a sentence or two for who filled in the form.
    """
    outcome = finding.outcome
    if isinstance(outcome, SendError):
        works, text = False, _about_error(outcome, finding.certificate, settings)
    elif failure := _failure(outcome, settings, credentials):
        works, text = False, f"reached, but it answers {outcome.status}: {failure}"
    else:
        works, text = True, f"reached, answers {outcome.status}{_remark(outcome, settings, credentials)}"
    through = f" The proxy in use is {proxy.place} ({proxy.origin})." if proxy else ""
    return works, settings.redact(f"{settings.place}: {text}.{through}")


def _about_error(error: SendError, certificate: bytes | None, settings: ClientSettings) -> str:
    found = str(error).rstrip(".")
    if error.cause == "request_timeout" and settings.request_timeout_seconds > Patience.request_seconds:
        waits = f"{settings.request_timeout_seconds:g} s (request_timeout_seconds)"
        found = f"no complete answer within {Patience.request_seconds:g} s; a task would wait {waits}"
    if certificate and (about := describe_certificate(certificate)):
        found = f"{found}; {about}"
    advice = _advice(error, settings)
    return f"{found}. What to do: {advice}" if advice else found


def _advice(error: SendError, settings: ClientSettings) -> str | None:
    match error.cause:
        case "proxy":
            return "check the extra field proxy" if settings.proxy else _PROXY_OF_ENVIRONMENT
        case "disconnected":
            return _CLOSED[urlsplit(settings.base_url).scheme]
    return _ADVICE.get(error.cause)


def _failure(response: Response, settings: ClientSettings, credentials: str) -> str | None:
    """Say why a task could not work with such an answer; None when it could."""
    match response.status:
        case status if is_refusal(response):
            refused, hint = _REFUSED.get(status, _REFUSED[401])
            clocks = describe_skew(skew_of(response, datetime.now(UTC)))  # a signature has a time in it
            found = f"{refused}, and {clocks}" if clocks else refused
            return (
                f"{found}. Sent: {credentials}. What to do: check Login, Password and the extra field auth_type{hint}"
            )
        case 407:
            return f"a proxy wants to know who asks. What to do: {_ADVICE['proxy_credentials']}"
        case 400 if settings.base_url.startswith("http:") and _ONLY_TLS.search(response.text):
            return _ADVICE["only_tls"]
        case 400 if _WANTS_CERTIFICATE.search(response.text):
            return _ADVICE["client_certificate"]
        case status if status >= 500 and status != 501:  # noqa: PLR2004  (501: no GET here, which tasks may not need)
            return "the server, or a gateway before it, is not well"
    return None


def _remark(response: Response, settings: ClientSettings, credentials: str) -> str:
    match response.status:
        case 404:
            return " at the base URL, where many APIs have nothing"
        case status if 300 <= status < 400 and "Location" in response.headers:  # noqa: PLR2004
            target = shown_target(response.headers["Location"], settings.redaction)
            return f" and points to {target}. Posts are not redirected: if the API lives there, put that into Host"
    return f". Sent: {credentials}"
