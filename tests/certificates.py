"""Certificates made on the fly, each with its key in one PEM file."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True)
class Made:
    path: str
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def server(self, *, client_ca: "Made | None" = None) -> ssl.SSLContext:
        """The context of a server with this certificate; with ``client_ca`` it wants one of its clients."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=client_ca.path if client_ca else None)
        context.load_cert_chain(self.path)
        if client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def make_certificate(
    folder: Path, name: str, *, addresses=("127.0.0.1",), hosts=(), days=(-1, 1), issuer: Made | None = None
):
    """Make a certificate for addresses and hosts; without an issuer it is signed by itself.

    :param days: from now, when it begins and ends to be valid.
    """
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(
        issuer.certificate.subject if issuer else subject,
        subject,
        key.public_key(),
        x509.random_serial_number(),
        now + timedelta(days=days[0]),
        now + timedelta(days=days[1]),
    ).add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    # What Python wants of a certificate from 3.13 on.
    signed_by = (issuer.key if issuer else key).public_key()
    builder = (
        builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signed_by), critical=False)
        .add_extension(_usage(signs=issuer is None), critical=True)
    )
    names = [*(x509.IPAddress(ip_address(address)) for address in addresses), *map(x509.DNSName, hosts)]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    certificate = builder.sign(issuer.key if issuer else key, hashes.SHA256())
    path = folder / f"{name}.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return Made(str(path), certificate, key)
