"""Assertions that servers can check: of keys as people paste them."""

import json

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from tables import every_row

from airflow_async_rest.core.errors import ConfigurationError
from airflow_async_rest.core.signing.assertion import Assertion, PrivateKey

KEYS = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
SHORT = rsa.generate_private_key(65537, 1024)  # is read in a fifth of the time
FORMATS = {"PKCS8": serialization.PrivateFormat.PKCS8, "traditional": serialization.PrivateFormat.TraditionalOpenSSL}
CLAIMS = {"iss": "me", "sub": "me", "aud": "https://login.example.com/token"}


def pem_of(key, form="PKCS8", pass_phrase=None):
    secret = serialization.BestAvailableEncryption(pass_phrase) if pass_phrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, FORMATS[form], secret).decode()


@pytest.mark.parametrize("algorithm", KEYS)
def test_the_kind_of_the_key_says_how_it_signs(algorithm):
    key = KEYS[algorithm]
    made = Assertion(key=PrivateKey(pem_of(key)), claims=CLAIMS, key_id="k-1", now=lambda: 2e9).make()
    assert jwt.get_unverified_header(made) == {"alg": algorithm, "kid": "k-1", "typ": "JWT"}
    claims = jwt.decode(
        made, key.public_key(), algorithms=[algorithm], audience=CLAIMS["aud"], options={"verify_iat": False}
    )
    assert claims | {"jti": ""} == {**CLAIMS, "iat": 1_999_999_990, "exp": 2_000_000_300, "jti": ""}


PASTED = {
    "as it is": str,
    "in one line": lambda pem: pem.replace("\n", " "),
    "lines lost": lambda pem: pem.replace("\n", ""),
    "as in JSON": lambda pem: pem.replace("\n", "\\n"),
    "of Windows": lambda pem: pem.replace("\n", "\r\n"),
    "with space around": lambda pem: f"\n  {pem}\n ",
    "of Windows, as in JSON": lambda pem: pem.replace("\n", "\\r\\n"),
    "as openssl ecparam writes it": lambda pem: (
        f"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{pem}"
    ),
    "as openssl pkcs12 writes it": lambda pem: (
        f"Bag Attributes\n    localKeyID: 01\nKey Attributes: <No Attributes>\n{pem}"
    ),
    "as a service account's file": lambda pem: json.dumps({"type": "service_account", "private_key": pem}),
}


@pytest.mark.parametrize("paste", PASTED.values(), ids=PASTED)
@pytest.mark.parametrize(
    ("algorithm", "form"), [("RS256", "PKCS8"), ("RS256", "traditional"), ("ES256", "traditional")]
)
def test_a_key_is_read_as_people_paste_it(paste, algorithm, form):
    key = SHORT if algorithm == "RS256" else KEYS[algorithm]
    assert PrivateKey(paste(pem_of(key, form))).algorithm == algorithm


@every_row(
    "text",
    [
        "",
        "s3cret-password",
        pem_of(KEYS["RS256"])[:300],
        KEYS["RS256"].public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode(),
        pem_of(KEYS["RS256"], pass_phrase=b"x"),
        pem_of(KEYS["RS256"], "traditional", b"x"),
        pem_of(KEYS["RS256"]).replace("M", "%", 1),
        pem_of(ec.generate_private_key(ec.SECP256K1())),
    ],
)  # fmt: skip
def test_what_is_no_key_that_signs_is_told_and_not_shown(text):
    with pytest.raises(ConfigurationError, match="the private key") as raised:
        PrivateKey(text)
    assert not text[40:60] or text[40:60] not in str(raised.value)
    assert "s3cret" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_each_assertion_is_another_one_and_own_claims_come_first():
    own = {"sub": "ann@example.com", "exp": 60, "scope": "api"}
    assertion = Assertion(key=PrivateKey(pem_of(KEYS["ES256"])), claims={**CLAIMS, **own}, now=lambda: 2e9)
    first, second = (jwt.decode(assertion.make(), options={"verify_signature": False}) for _ in range(2))
    assert first["jti"] != second["jti"]
    assert (first["sub"], first["exp"], first["scope"]) == ("ann@example.com", 2_000_000_060, "api")
    assert "kid" not in jwt.get_unverified_header(assertion.make())


@pytest.mark.parametrize(("lifetime", "span"), [(1, 11), (60, 70), (3590, 3600), (3595, 3600), (3600, 3600)])
def test_an_assertion_holds_for_an_hour_at_most_from_when_it_says_to_begin(lifetime, span):
    assertion = Assertion(key=PrivateKey(pem_of(KEYS["ES256"])), claims={**CLAIMS, "exp": lifetime}, now=lambda: 2e9)
    made = jwt.decode(assertion.make(), options={"verify_signature": False})
    assert made["exp"] - made["iat"] == span
