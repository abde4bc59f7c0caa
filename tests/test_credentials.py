"""Secrets and certificates, with keys made here."""

from __future__ import annotations

import hashlib
import re
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.settings import Settings
from airflow_provider_avepoint.credentials import ASSERTION_LIFETIME, ClientSecret, build_credential

TOKEN_URL = "https://identity.example/connect/token"  # an address
PASSPHRASE = "open-sesame"  # made up
CLIENT = "8a1f7c52-app"


@dataclass(frozen=True)
class Pair:
    """A private key and a certificate for it."""

    key: Any
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def key_pem(
        self,
        form: PrivateFormat = PrivateFormat.PKCS8,
        encryption: KeySerializationEncryption | None = None,
    ) -> str:
        return self.key.private_bytes(Encoding.PEM, form, encryption or NoEncryption()).decode()

    def pfx(self, passphrase: str | None, *, key: bool = True, certificate: bool = True) -> bytes:
        return serialize_key_and_certificates(
            b"app",
            self.key if key else None,
            self.certificate if certificate else None,
            None,
            BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption(),
        )


def make_pair(key: Any) -> Pair:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "avepoint app")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(1),
        not_valid_after=now + timedelta(1),
    )
    return Pair(key, builder.sign(key, hashes.SHA256()))


@pytest.fixture(scope="module")
def pair() -> Pair:
    return make_pair(rsa.generate_private_key(65537, 2048))


@pytest.fixture(scope="module")
def other_pair() -> Pair:
    return make_pair(rsa.generate_private_key(65537, 2048))


@pytest.fixture(scope="module")
def ec_pair() -> Pair:
    return make_pair(ec.generate_private_key(ec.SECP256R1()))


def settings(**fields: Any) -> Settings:
    return Settings(base_url="https://h", identity_endpoint=TOKEN_URL, client_id=CLIENT, **fields)


def sign(**fields: Any) -> str:
    form = build_credential(settings(**fields)).form_fields(TOKEN_URL)
    assert {
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": form["client_assertion"],
    } == form
    return form["client_assertion"]


def verify(assertion: str, pair: Pair) -> dict[str, Any]:
    """Return the claims as a server reads them, signature and times checked."""
    claims: dict[str, Any] = jwt.decode(
        assertion, pair.certificate.public_key(), algorithms=["RS256"], audience=TOKEN_URL, issuer=CLIENT
    )
    return claims


# Secrets


@pytest.mark.parametrize(("secret", "sent"), [("s3cr3t", "s3cr3t"), (None, "")])
def test_a_secret(secret: str | None, sent: str) -> None:
    credential = build_credential(settings(client_secret=secret))
    assert {"client_id": CLIENT, "client_secret": sent} == credential.form_fields(TOKEN_URL)


def test_a_fingerprint_tells_secrets_apart_without_showing_them() -> None:
    one, same, other = (
        ClientSecret(client_id="c", secret=secret) for secret in ("s3cr3t", "s3cr3t", "0ther")
    )
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert hashlib.sha256(b"s3cr3t").hexdigest() == one.fingerprint
    assert "s3cr3t" not in repr(one) + one.fingerprint


# Assertions


def test_the_assertion(pair: Pair) -> None:
    before = int(time.time())
    assertion = sign(certificate=pair.pem, private_key=pair.key_pem())
    claims, header = verify(assertion, pair), jwt.get_unverified_header(assertion)
    assert {"iss", "sub", "aud", "jti", "iat", "nbf", "exp"} == claims.keys()
    assert (CLIENT, CLIENT, TOKEN_URL) == (claims["iss"], claims["sub"], claims["aud"])
    assert before <= claims["iat"] <= time.time()
    assert claims["nbf"] < claims["iat"]
    assert ASSERTION_LIFETIME == claims["exp"] - claims["iat"]
    assert 300 <= ASSERTION_LIFETIME <= 3600
    thumbprint = pair.certificate.fingerprint(hashes.SHA1())  # what x5t is defined over
    assert ("RS256", thumbprint.hex().upper()) == (header["alg"], header["kid"])
    assert "=" not in header["x5t"]
    assert thumbprint == urlsafe_b64decode(header["x5t"] + "=")


def test_each_assertion_is_another(pair: Pair) -> None:
    credential = build_credential(settings(certificate=pair.pem, private_key=pair.key_pem()))
    assertions = [credential.form_fields(TOKEN_URL)["client_assertion"] for _ in range(20)]
    assert 20 == len({verify(assertion, pair)["jti"] for assertion in assertions})


def test_a_certificate_goes_before_a_secret(pair: Pair) -> None:
    assertion = sign(certificate=pair.pem, private_key=pair.key_pem(), client_secret="s3cr3t")
    assert CLIENT == verify(assertion, pair)["iss"]


def test_a_certificates_fingerprint_and_repr(pair: Pair, other_pair: Pair) -> None:
    one, other = (
        build_credential(settings(certificate=each.pem, private_key=each.key_pem()))
        for each in (pair, other_pair)
    )
    assert one.fingerprint != other.fingerprint
    assert re.fullmatch(r"[0-9a-f]{40}", one.fingerprint)
    assert "private" not in repr(one)


# What a form does to a PEM text

FORMS: dict[str, Callable[[str], str]] = {
    "as it is": lambda pem: pem,
    "CRLF": lambda pem: pem.replace("\n", "\r\n"),
    "escaped": lambda pem: pem.replace("\n", "\\n"),
    "escaped CRLF": lambda pem: pem.replace("\n", "\\r\\n"),
    "spaces": lambda pem: pem.replace("\n", " "),
    "nothing": lambda pem: pem.replace("\n", ""),
    "text around": lambda pem: f"Bag Attributes\n  friendlyName: app\n{pem}\n-- the end --\n",
    "twice": lambda pem: pem + pem,
}
KEYS: dict[str, tuple[PrivateFormat, bool]] = {
    "PKCS8": (PrivateFormat.PKCS8, False),
    "PKCS1": (PrivateFormat.TraditionalOpenSSL, False),
    "PKCS8, encrypted": (PrivateFormat.PKCS8, True),
    "PKCS1, encrypted": (PrivateFormat.TraditionalOpenSSL, True),
}


@pytest.mark.parametrize("kind", KEYS)
def test_every_form_of_a_pem(pair: Pair, kind: str) -> None:
    private_format, is_encrypted = KEYS[kind]
    encryption = BestAvailableEncryption(PASSPHRASE.encode()) if is_encrypted else None
    certificate, key = pair.pem, pair.key_pem(private_format, encryption)

    for form, written in FORMS.items():
        assertion = sign(
            certificate=written(certificate),
            private_key=written(key),
            client_secret=PASSPHRASE if is_encrypted else None,
        )
        assert CLIENT == verify(assertion, pair)["sub"], form


def test_the_first_certificate_of_a_chain(pair: Pair, other_pair: Pair) -> None:
    assertion = sign(certificate=pair.pem + other_pair.pem, private_key=pair.key_pem())
    assert CLIENT == verify(assertion, pair)["sub"]


def refuse(**fields: Any) -> str:
    with pytest.raises(AvePointConfigError) as caught:
        build_credential(settings(**fields))
    return str(caught.value)


@pytest.mark.parametrize("passphrase", [None, "wrong"])
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key_without_its_passphrase(
    pair: Pair, form: PrivateFormat, passphrase: str | None
) -> None:
    key = pair.key_pem(form, BestAvailableEncryption(PASSPHRASE.encode()))
    message = refuse(certificate=pair.pem, private_key=key, client_secret=passphrase)
    assert "private_key: this key cannot be read; it is encrypted, so the connection's password" in message
    assert "wrong" not in message


def test_a_secret_beside_a_plain_key_is_no_passphrase(pair: Pair) -> None:
    assertion = sign(certificate=pair.pem, private_key=pair.key_pem(), client_secret="left over")
    assert CLIENT == verify(assertion, pair)["sub"]


NO_PEM = [
    ("hello", "KEY", "certificate: no -----BEGIN …----- block is in it"),
    ("PEM", "hello", "private_key: no -----BEGIN …----- block is in it"),
    ("KEY", "KEY", "certificate: this is not an X.509 certificate in PEM form"),
    ("PEM", "PEM", "private_key: this key cannot be read."),
    (
        "-----BEGIN CERTIFICATE-----AAAA-----END CERTIFICATE-----",
        "KEY",
        "certificate: this is not an X.509",
    ),
    (
        "PEM",
        "-----BEGIN PRIVATE KEY-----AAAA-----END PRIVATE KEY-----",
        "private_key: this key cannot be read.",
    ),
    ("-----BEGIN CERTIFICATE-----", "KEY", "certificate: no -----BEGIN"),
]


def test_what_is_no_pem(pair: Pair) -> None:
    texts = {"PEM": pair.pem, "KEY": pair.key_pem()}
    for certificate, key, text in NO_PEM:
        message = refuse(certificate=texts.get(certificate, certificate), private_key=texts.get(key, key))
        assert text in message
        assert "AAAA" not in message


# A PKCS #8 key of the made-up algorithm 1.2.3.4.
ODD_KEY = "-----BEGIN PRIVATE KEY-----MBICAQAwBwYDKgMEBQAEBAQCAQI=-----END PRIVATE KEY-----"


def test_a_key_of_an_algorithm_that_nobody_knows(pair: Pair) -> None:
    assert "private_key: " in refuse(certificate=pair.pem, private_key=ODD_KEY)


def test_a_key_of_another_certificate(pair: Pair, other_pair: Pair) -> None:
    message = refuse(certificate=pair.pem, private_key=other_pair.key_pem())
    assert "private_key: this key does not belong to the certificate." == message


def test_an_elliptic_key(ec_pair: Pair) -> None:
    message = refuse(certificate=ec_pair.pem, private_key=ec_pair.key_pem())
    assert "private_key: RS256 needs an RSA key, and this is another kind." == message


# PFX files


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
def test_a_pfx(pair: Pair, passphrase: str | None, tmp_path: Path) -> None:
    path = tmp_path / "app.pfx"
    path.write_bytes(pair.pfx(passphrase))
    assertion = sign(pfx_path=str(path), client_secret=passphrase)
    assert CLIENT == verify(assertion, pair)["sub"]


NO_PFX: list[tuple[Callable[[Pair], bytes], str | None, str]] = [
    (
        lambda pair: pair.pfx(PASSPHRASE),
        None,
        "cannot be opened; check the file, and that the connection's",
    ),
    (lambda pair: pair.pfx(PASSPHRASE), "wrong", "cannot be opened"),
    (lambda _: b"hello", None, "cannot be opened"),
    (lambda _: b"", None, "cannot be opened"),
    (lambda pair: pair.pem.encode(), None, "cannot be opened"),
    (lambda pair: pair.pfx(None, key=False), None, "holds no private key"),
    (lambda pair: pair.pfx(None, certificate=False), None, "holds no certificate"),
]


def test_a_pfx_that_cannot_be_used(pair: Pair, tmp_path: Path) -> None:
    path = tmp_path / "app.pfx"
    for content, passphrase, text in NO_PFX:
        path.write_bytes(content(pair))
        message = refuse(pfx_path=str(path), client_secret=passphrase)
        assert message.startswith(f"pfx_path: {path} ")
        assert text in message
        assert "wrong" not in message


def test_a_pfx_that_is_not_there(tmp_path: Path) -> None:
    message = refuse(pfx_path=str(tmp_path / "none.pfx"))
    assert "cannot be read here (No such file or directory); every worker and triggerer needs it." in message
    assert "pfx_path: " in refuse(pfx_path=str(tmp_path))


def test_an_elliptic_key_in_a_pfx(ec_pair: Pair, tmp_path: Path) -> None:
    path = tmp_path / "app.pfx"
    path.write_bytes(ec_pair.pfx(None))
    assert "RS256 needs an RSA key" in refuse(pfx_path=str(path))
