"""Authenticate a connection by a client secret, or by a certificate that signs an assertion.

https://github.com/AvePoint/cloud-api/blob/c1b3210/docs/docs/register-app.md shows both token requests. PyJWT
and cryptography are imported only if a certificate is used.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_avepoint.core.auth import Credential
from airflow_provider_avepoint.core.errors import AvePointConfigError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from airflow_provider_avepoint.core.settings import Settings

#: Seconds for which a client assertion is valid; the vendor's samples take 5 to 60 minutes.
ASSERTION_LIFETIME = 300
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# The headers of an encrypted key in the traditional form; the cipher decides the length of the vector.
_ENCRYPTION = re.compile(
    r"\s*Proc-Type:\s*4,ENCRYPTED\s*DEK-Info:\s*(AES[A-Z0-9-]*,[0-9A-F]{32}|DES[A-Z0-9-]*,[0-9A-F]{16})(.*)",
    re.DOTALL,
)
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+?)-----(.*?)-----END \1-----", re.DOTALL)


def build_credential(settings: Settings) -> Credential:
    """Return the credential that *settings* describes; read the certificate, if there is one.

    :param settings: the settings of the connection.
    :raises AvePointConfigError: the certificate, its key or its file cannot be used.
    """
    if settings.pfx_path:
        return _load_pfx(settings.client_id, settings.pfx_path, settings.client_secret)
    if settings.certificate and settings.private_key:
        return _load_pem(
            settings.client_id, settings.certificate, settings.private_key, settings.client_secret
        )
    return ClientSecret(client_id=settings.client_id, secret=settings.client_secret or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSecret:
    """A client id and its secret.

    :param client_id: the id of the app registration.
    :param secret: the client secret; never shown.
    """

    client_id: str
    secret: str = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """The SHA-256 digest of the secret, in hexadecimal digits."""
        return hashlib.sha256(self.secret.encode()).hexdigest()

    def form_fields(self, token_url: str) -> Mapping[str, str]:  # noqa: ARG002  # a secret is the same everywhere
        """Return the id and the secret as fields of the token request.

        :param token_url: the URL of the token request; a secret does not depend on it.
        """
        return {"client_id": self.client_id, "client_secret": self.secret}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """A client id and the certificate that is registered for it.

    :param client_id: the id of the app registration.
    :param private_key: the certificate's RSA private key; never shown.
    :param thumbprint: the SHA-1 digest of the certificate, 20 bytes.
    """

    client_id: str
    private_key: Any = field(repr=False)
    thumbprint: bytes

    @property
    def fingerprint(self) -> str:
        """The certificate's thumbprint, in hexadecimal digits."""
        return self.thumbprint.hex()

    def form_fields(self, token_url: str) -> Mapping[str, str]:
        """Return a newly signed assertion as fields of the token request.

        No two assertions may have the same ``jti``.

        :param token_url: the URL of the token request, which is the assertion's audience.
        """
        import jwt

        now = int(time.time())
        assertion = jwt.encode(
            {
                "iss": self.client_id,
                "sub": self.client_id,
                "aud": token_url,
                "jti": str(uuid.uuid4()),
                "iat": now,
                "nbf": now - 60,  # the identity service's clock may be behind ours
                "exp": now + ASSERTION_LIFETIME,
            },
            self.private_key,
            algorithm="RS256",
            headers={
                "kid": self.thumbprint.hex().upper(),
                "x5t": base64.urlsafe_b64encode(self.thumbprint).rstrip(b"=").decode(),
            },
        )
        return {"client_assertion_type": _ASSERTION_TYPE, "client_assertion": assertion}


def _load_pem(client_id: str, certificate: str, private_key: str, passphrase: str | None) -> Credential:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        public = x509.load_pem_x509_certificate(_restore_pem("certificate", certificate))
    except ValueError:
        raise AvePointConfigError("certificate: this is not an X.509 certificate in PEM form.") from None
    pem = _restore_pem("private_key", private_key)
    is_encrypted = b"ENCRYPTED" in pem
    try:
        key = load_pem_private_key(pem, passphrase.encode() if is_encrypted and passphrase else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        hint = ""
        if is_encrypted:
            hint = "; it is encrypted, so the connection's password must be its passphrase"
        raise AvePointConfigError(f"private_key: this key cannot be read{hint}.") from None
    return _check_pair(client_id, public, key)


def _load_pfx(client_id: str, path: str, passphrase: str | None) -> Credential:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates

    try:
        content = Path(path).read_bytes()
    except OSError as e:
        raise AvePointConfigError(
            f"pfx_path: {path} cannot be read here ({e.strerror}); every worker and triggerer needs it."
        ) from None
    try:
        key, certificate, _ = load_key_and_certificates(content, passphrase.encode() if passphrase else None)
    except (ValueError, UnsupportedAlgorithm):
        raise AvePointConfigError(
            f"pfx_path: {path} cannot be opened; check the file, and that the connection's password is its "
            "passphrase."
        ) from None
    if certificate is None or key is None:
        missing = "private key" if key is None else "certificate"
        raise AvePointConfigError(f"pfx_path: {path} holds no {missing}.")
    return _check_pair(client_id, certificate, key)


def _check_pair(client_id: str, certificate: Certificate, key: Any) -> ClientCertificate:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    if not isinstance(key, RSAPrivateKey):
        raise AvePointConfigError("private_key: RS256 needs an RSA key, and this is another kind.")
    if key.public_key() != certificate.public_key():
        raise AvePointConfigError("private_key: this key does not belong to the certificate.")
    return ClientCertificate(
        client_id=client_id,
        private_key=key,
        # RFC 7515, 4.1.7 defines the header x5t as a SHA-1 digest. The digest only names the certificate.
        thumbprint=certificate.fingerprint(hashes.SHA1()),  # noqa: S303
    )


def _restore_pem(name: str, text: str) -> bytes:
    r"""Return the first PEM block of *text*, with the line breaks that a form may have changed.

    A form may leave a line break as it was, write it as ``\n`` in two characters or as a space, or drop it.
    """
    match = _PEM.search(text.replace("\\r", "").replace("\\n", "\n"))
    if match is None:
        raise AvePointConfigError(f"{name}: no -----BEGIN …----- block is in it; paste the PEM text.")
    label, inner = match.groups()
    headers: list[str] = []
    if (encryption := _ENCRYPTION.match(inner)) is not None:
        cipher, inner = encryption.groups()
        headers = ["Proc-Type: 4,ENCRYPTED", f"DEK-Info: {cipher}", ""]
    body = re.sub(r"\s+", "", inner)
    lines = [body[i : i + 64] for i in range(0, len(body), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *headers, *lines, f"-----END {label}-----", ""]).encode()
