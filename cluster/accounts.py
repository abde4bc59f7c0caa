"""Two app registrations full of secrets that must stay where they are, and Airflow's connections to them."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from demo.simulator import SimulatorProcess
from demo.stack import AirflowStack

SECRET = "avepoint_secret"  # noqa: S105  # connection ids
CERTIFICATE = "avepoint_certificate"
# A key begins with its modulus, which the certificate shows to everybody.
_PUBLIC_LINES = 8


class Accounts:
    """A client with a secret, and one with a certificate that goes through a proxy with a password.

    :param address: host and port of what serves as the API and as the proxy.
    """

    conn_ids = (SECRET, CERTIFICATE)

    def __init__(self, address: str) -> None:
        self._url = f"http://{address}"
        self._address = address
        passphrase = f"pp{secrets.token_urlsafe(24)}"
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._certificate = _make_certificate(key)
        #: What must be found nowhere, by its name.
        self.secrets = {
            # With what base64, JSON, URLs and shells each write in their own way.
            "client secret": f'cs"{secrets.token_urlsafe(24)}/+&=\\é%{secrets.token_urlsafe(8)}',
            "passphrase": passphrase,
            "private key": _write_key(key, BestAvailableEncryption(passphrase.encode())),
            "private key, decrypted": _write_key(key, NoEncryption()).split("\n", _PUBLIC_LINES)[-1],
            "proxy password": f"px@{secrets.token_urlsafe(24)}:/",
        }

    def register(self, simulator: SimulatorProcess) -> None:
        """Make the simulator know both clients."""
        simulator.send("PUT", f"clients/{SECRET}", json={"secret": self.secrets["client secret"]})
        simulator.send("PUT", f"clients/{CERTIFICATE}", json={"certificate_pem": self._certificate})

    def connect(self, stack: AirflowStack) -> None:
        """Add the connections as an administrator does, by the REST API: what it audits is looked at too."""
        for conn_id, fields in self.connections().items():
            body = {**fields, "connection_id": conn_id, "extra": json.dumps(fields["extra"])}
            stack.api.request("POST", "/api/v2/connections", json=body)

    def connections(self) -> dict[str, dict[str, Any]]:
        """Return the fields of Airflow's connections, by id."""
        common = {"conn_type": "avepoint", "host": self._url}
        identity = {"identity_endpoint": f"{self._url}/connect/token"}
        password = quote(self.secrets["proxy password"], safe="")
        certificate = {
            "certificate": self._certificate,
            "private_key": self.secrets["private key"],
            "proxies": {"http": f"http://proxyuser:{password}@{self._address}"},
        }
        return {
            SECRET: {
                **common,
                "login": SECRET,
                "password": self.secrets["client secret"],
                "extra": identity,
            },
            CERTIFICATE: {
                **common,
                "login": CERTIFICATE,
                "password": self.secrets["passphrase"],
                "extra": identity | certificate,
            },
        }


def _make_certificate(key: rsa.RSAPrivateKey) -> str:
    """Return a certificate of *key* in PEM form."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, CERTIFICATE)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, SHA256())
    )
    return certificate.public_bytes(Encoding.PEM).decode()


def _write_key(key: rsa.RSAPrivateKey, encryption: KeySerializationEncryption) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()
