"""TLS of a connection: the context of its settings, and what went wrong, in words. No sockets."""

import asyncio
import os
import re
import ssl
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from airflow_async_rest.core.errors import ConfigurationError, TlsError
from airflow_async_rest.core.requests.settings import ClientSettings

_FIELDS = "the connection's extra fields 'verify' and 'cert'"
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")  # by which OpenSSL finds a certificate in a directory
# OpenSSL's verification codes (X509_V_ERR_*, openssl-verification-options(1)) -> cause.
_CERTIFICATE_CAUSES = {
    **dict.fromkeys((2, 19, 20, 21), "certificate_issuer"),
    9: "certificate_early",
    10: "certificate_expired",
    18: "certificate_self_signed",
    **dict.fromkeys((62, 64), "certificate_name"),
}
# What OpenSSL, by its versions, calls an answer that is no TLS.
_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST"})
# Alerts of a server that wants a client certificate, or another; up to TLS 1.2 it may say "handshake failure" only.
_WANTS_CERTIFICATE = (
    "CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "CERTIFICATE_UNKNOWN", "UNKNOWN_CA", "HANDSHAKE_FAILURE",
)  # fmt: skip


def tls_context(settings: ClientSettings, variables: Mapping[str, str] = os.environ) -> ssl.SSLContext | bool:
    """Return the context of a connection; True stands for the defaults.

    :param variables: of the environment, which may name the certificates to trust.
    :raises ConfigurationError: when certificate files cannot be read; names the fields, or the variable.
    """
    path, origin = _trusted(settings, variables)
    if settings.verify is True and path is None and settings.client_certificate is None:
        return True
    try:
        context = _context_that_trusts(path)
        if settings.verify is False:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if settings.client_certificate is not None:
            origin = _FIELDS
            # Some servers ask for it once they have seen the request: Apache does, for single paths.
            context.post_handshake_auth = True
            # A key with a pass phrase is refused; OpenSSL would ask the terminal for it, and wait.
            context.load_cert_chain(*settings.client_certificate, password=lambda: b"")
    except OSError as error:
        paths = [path] if origin != _FIELDS else [settings.verify, *(settings.client_certificate or ())]
        raise ConfigurationError(
            f"the certificate files cannot be read ({error}): check the paths in {origin}: "
            f"{', '.join(path for path in paths if isinstance(path, str))}."
        ) from error
    return context


@cache
def default_context() -> ssl.SSLContext:
    """Return the context of connections without settings of their own: it takes a while to make, so all share it."""
    return ssl.create_default_context()


def _trusted(settings: ClientSettings, variables: Mapping[str, str]) -> tuple[str | None, str]:
    """Return the path of the certificates to trust, None for the defaults, and where it was found, in words."""
    if isinstance(settings.verify, str):
        return settings.verify, _FIELDS
    if settings.verify is True and settings.trust_env and settings.base_url.startswith("https:"):
        for name in _BUNDLES:
            if variables.get(name):
                return variables[name], f"the environment's {name} (or set the connection's extra field verify)"
    return None, _FIELDS


def _context_that_trusts(path: str | None) -> ssl.SSLContext:
    """Make a context that trusts a file or a directory. :raises OSError: when there are no certificates."""
    if path is None or not Path(path).is_dir():
        return ssl.create_default_context(cafile=path)
    if not any(_HASHED.fullmatch(file.name) for file in Path(path).iterdir()):  # OpenSSL would trust nobody, silently
        raise OSError("no file in the directory has a name such as 5ed36f99.0: run 'openssl rehash' on it")
    return ssl.create_default_context(capath=path)


def tls_error(error: OSError) -> TlsError:
    """Say why a TLS connection failed, with its cause."""
    if isinstance(error, ssl.SSLCertVerificationError):
        cause = _CERTIFICATE_CAUSES.get(error.verify_code, "certificate")
        return TlsError(f"the server's certificate is not trusted: {error.verify_message.rstrip('.')}", cause)
    reason = str(getattr(error, "reason", None) or error)
    if reason in _NOT_TLS:
        return TlsError(f"the server does not speak TLS on this port ({reason})", "not_tls")
    cause = "client_certificate" if reason.endswith(_WANTS_CERTIFICATE) else "tls"
    return TlsError(f"no TLS connection: {reason}", cause)


def describe_certificate(der: bytes) -> str:
    """Say whom a certificate is for, who issued it and how long it holds; empty where that cannot be read."""
    try:
        from cryptography import x509  # noqa: PLC0415  (Airflow brings it along; nothing else here needs it)

        certificate = x509.load_der_x509_certificate(der)
        try:
            extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
            names = ", ".join(str(name.value) for name in extension.value) or "no name"
        except x509.ExtensionNotFound:
            names = "no name"
    except (ImportError, ValueError):
        return ""
    subject, issuer = certificate.subject.rfc4514_string(), certificate.issuer.rfc4514_string()
    return (
        f"it is for {names} (subject {subject or 'empty'}, "
        f"{'signed by itself' if subject == issuer else f'issuer {issuer}'}, valid from "
        f"{certificate.not_valid_before_utc:%Y-%m-%d} to {certificate.not_valid_after_utc:%Y-%m-%d})"
    )


def unfinished_tls(transport: asyncio.BaseTransport | None) -> str:
    """Say that a TLS connection ended without its ``close_notify``, so that anybody may have ended it."""
    tls = transport and transport.get_extra_info("ssl_object")
    try:
        said_goodbye = not tls or not tls.read(1)
    except ssl.SSLZeroReturnError:
        said_goodbye = True
    except ssl.SSLError:
        said_goodbye = False
    return "" if said_goodbye else "TLS ended without close_notify"
