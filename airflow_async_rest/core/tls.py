"""TLS of a connection: the context of its settings, and what went wrong, in words. No sockets."""

import ssl

from airflow_async_rest.core.errors import ConfigurationError, TlsError
from airflow_async_rest.core.settings import ClientSettings

# OpenSSL's verification codes (X509_V_ERR_*, openssl-verification-options(1)) -> cause.
_CERTIFICATE_CAUSES = {
    2: "certificate_issuer",
    9: "certificate_early",
    10: "certificate_expired",
    18: "certificate_self_signed",
    19: "certificate_issuer",
    20: "certificate_issuer",
    21: "certificate_issuer",
    62: "certificate_name",
    64: "certificate_name",
}
# What OpenSSL, by its versions, calls an answer that is no TLS.
_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST"})
# Alerts of a server that wants a client certificate, or another; up to TLS 1.2 it may say "handshake failure" only.
_WANTS_CERTIFICATE = (
    "CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "CERTIFICATE_UNKNOWN", "UNKNOWN_CA", "HANDSHAKE_FAILURE",
)  # fmt: skip


def tls_context(settings: ClientSettings) -> ssl.SSLContext | bool:
    """Give the context of a connection; True stands for the defaults.

    :raises ConfigurationError: when its certificate files cannot be read.
    """
    if settings.verify is True and settings.client_certificate is None:
        return True
    try:
        context = ssl.create_default_context(cafile=settings.verify if isinstance(settings.verify, str) else None)
        if settings.verify is False:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if settings.client_certificate is not None:
            # A key with a pass phrase is refused; OpenSSL would ask the terminal for it, and wait.
            context.load_cert_chain(*settings.client_certificate, password=lambda: b"")
    except OSError as error:
        paths = [settings.verify, *(settings.client_certificate or ())]
        raise ConfigurationError(
            f"the connection's certificate files cannot be read ({error}): check the paths in its extra "
            f"fields 'verify' and 'cert': {', '.join(path for path in paths if isinstance(path, str))}."
        ) from error
    return context


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
