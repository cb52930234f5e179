"""A client's private key -> assertions (RFC 7523): signed statements of who it is, which a token is given for."""

import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from airflow_async_rest.core.errors import ConfigurationError

_LIFETIME_SECONDS = 300  # of an assertion, which is used once: most servers take up to five minutes, some up to an hour
LONGEST_SECONDS = 3600  # from iat to exp: servers refuse what would hold for longer
# Clocks differ a little, and some servers refuse what is not yet true.
_EARLIER_SECONDS = 10
# Beside it there may be the parameters of its curve, a certificate, and what OpenSSL says of them.
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----(.*?)-----END \1-----", re.DOTALL)
_ALGORITHM_OF_CURVE = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


@dataclass(frozen=True)
class PrivateKey:
    r"""A private key: RSA, of an elliptic curve, or Ed25519.

    :param pem: its text; line breaks may be written ``\n``, or be lost, as in a field of one line.
    :raises ConfigurationError: when it is no private key; says nothing of it.
    """

    pem: str = field(repr=False)

    def __post_init__(self) -> None:
        _ = self.algorithm

    @cached_property
    def _key(self) -> Any:
        from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415  (when it is used)

        found = _PEM.search(self.pem.replace("\\r", "").replace("\\n", "\n"))
        if found is None:
            raise ConfigurationError(
                "the private key is no PEM text: paste it, from -----BEGIN PRIVATE KEY----- to -----END PRIVATE "
                "KEY-----, into password or the extra field private_key."
            )
        lines = "\n".join(re.findall(r".{1,64}", "".join(found[2].split())))
        try:
            return load_pem_private_key(
                f"-----BEGIN {found[1]}-----\n{lines}\n-----END {found[1]}-----\n".encode(), None
            )
        except (TypeError, ValueError, UnsupportedAlgorithm):
            raise ConfigurationError(
                "the private key cannot be read: paste all of its PEM text, of a key without a pass phrase."
            ) from None

    @cached_property
    def algorithm(self) -> str:
        """Return how it signs (RFC 7518, section 3.1; RFC 8037)."""
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415

        key = self._key
        if isinstance(key, rsa.RSAPrivateKey):
            return "RS256"
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return "EdDSA"
        if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _ALGORITHM_OF_CURVE:
            return _ALGORITHM_OF_CURVE[key.curve.name]
        raise ConfigurationError("the private key is of a kind that signs no assertions: use RSA, P-256 or Ed25519.")

    def sign(self, claims: Mapping[str, Any], key_id: str) -> str:
        """Return a JSON Web Token of these claims."""
        import jwt  # noqa: PLC0415  (Airflow brings it along)

        headers = {"kid": key_id} if key_id else None
        return jwt.encode(dict(claims), self._key, algorithm=self.algorithm, headers=headers)


@dataclass(frozen=True, kw_only=True)
class Assertion:
    """What a client says of itself.

    :param claims: ``iss``, ``sub``, ``aud`` and what else the server wants; ``exp`` in them is a number of seconds
        from now on.
    :param key_id: by which the server finds the key; may be empty.
    :param now: seconds since 1970.
    """

    key: PrivateKey
    claims: Mapping[str, Any]
    key_id: str = ""
    now: Callable[[], float] = time.time

    def make(self) -> str:
        """Return a new one."""
        now = int(self.now())
        lifetime = self.claims.get("exp", _LIFETIME_SECONDS)
        begins = now - _EARLIER_SECONDS
        ends = min(now + int(lifetime), begins + LONGEST_SECONDS)
        return self.key.sign({"iat": begins, "jti": str(uuid.uuid4()), **self.claims, "exp": ends}, self.key_id)
