"""AvePoint's identity service, without HTTP: registered apps, token requests, bearer tokens.

https://learn.avepoint.com/docs/Use-AvePoint-Graph-API.html (flows, scopes); RFC 6749 section 5.2 (refusals),
RFC 7523 section 3 (assertions). A token is granted for exactly one scope; scopes are compared without regard
to case, because the vendor prints ``Dynamics.ReadWrite.All`` and ``dynamics.readwrite.all``.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import times
from .control_schema import ClientSpec, Refused, known

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
DEFAULT_LIFETIME = 3600.0
_LONGEST_ASSERTION = 3600


class TokenRefused(Exception):
    """The identity service refuses a token request.

    :param error: OAuth2's error code, such as ``invalid_client``.
    :param reason: the reason, for the request log only.
    """

    def __init__(self, error: str, reason: str) -> None:
        super().__init__(f"{error}: {reason}")
        self.error = error
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Certificate:
    """A registered certificate.

    :param key: the RSA public key.
    :param thumbprint: the SHA-1 digest in upper-case hexadecimal digits, as the header ``kid`` has it.
    :param x5t: the SHA-1 digest in URL-safe base64 without padding, as the header ``x5t`` has it.
    """

    key: RSAPublicKey
    thumbprint: str
    x5t: str

    @classmethod
    def from_pem(cls, pem: str) -> Certificate:
        """Read a certificate.

        :param pem: the certificate in PEM form.
        :raises Refused: the text is no PEM certificate, or its key is not RSA.
        """
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
        from cryptography.hazmat.primitives.hashes import SHA1

        try:
            certificate = x509.load_pem_x509_certificate(pem.encode())
        except ValueError as error:
            raise Refused(f"certificate_pem is not a PEM certificate: {error}") from error
        key = certificate.public_key()
        if not isinstance(key, RSAPublicKey):
            raise Refused("the certificate's key must be RSA: assertions are signed with RS256")
        digest = certificate.fingerprint(SHA1())  # noqa: S303 - kid and x5t are defined by it
        return cls(key, digest.hex().upper(), base64.urlsafe_b64encode(digest).rstrip(b"=").decode())

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Tell whether a signature is valid: RS256, by this certificate's key.

        :param message: the signed bytes.
        :param signature: the signature.
        """
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA256

        try:
            self.key.verify(signature, message, PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return True


@dataclass(slots=True)
class Client:
    """An app registration.

    :param client_id: the client's id.
    :param secret: the client secret; None for none.
    :param certificate: the registered certificate; None for none.
    :param scopes: the scopes that the client may ask for.
    :param used_assertions: the ``jti`` of each assertion that was accepted.
    """

    client_id: str
    secret: str | None
    certificate: Certificate | None
    scopes: frozenset[str]
    used_assertions: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Grant:
    """The rights of a token.

    :param client_id: the client's id.
    :param scope: the one scope.
    :param expires_at: a Unix time, in seconds.
    """

    client_id: str
    scope: str
    expires_at: float


class Identity:
    """The registered clients and the issued tokens.

    :param scopes: every scope that exists.
    :param client_id: the client that is registered from the start, with all scopes.
    :param client_secret: the secret of this client.
    :param clock: the server's clock.
    """

    def __init__(
        self, scopes: Iterable[str], *, client_id: str, client_secret: str, clock: times.Clock
    ) -> None:
        self._clock = clock
        self._scopes = {scope.casefold(): scope for scope in scopes}
        self._clients = {client_id: Client(client_id, client_secret, None, frozenset(self._scopes.values()))}
        self._grants: dict[str, Grant] = {}
        self.lifetime = DEFAULT_LIFETIME

    def set_client(self, client_id: str, spec: ClientSpec) -> dict[str, Any]:
        """Register a client, or change the named fields of one; return the client without its secret.

        :param client_id: the client's id.
        :param spec: the fields; fields that are not named stay.
        :raises Refused: a scope is unknown, or the certificate cannot be used.
        """
        old = self._clients.get(client_id) or Client(client_id, None, None, frozenset(self._scopes.values()))
        given = spec.model_fields_set
        client = Client(
            client_id=client_id,
            secret=spec.secret if "secret" in given else old.secret,
            certificate=_certificate(spec.certificate_pem) if "certificate_pem" in given else old.certificate,
            scopes=self._allowed(spec) if "scopes" in given else old.scopes,
            used_assertions=old.used_assertions,
        )
        self._clients[client_id] = client
        return {
            "client_id": client_id,
            "has_secret": client.secret is not None,
            "thumbprint": client.certificate and client.certificate.thumbprint,
            "scopes": sorted(client.scopes),
        }

    def issue(self, form: Mapping[str, str], *, token_url: str) -> tuple[str, Grant]:
        """Return a new token and its rights.

        :param form: the fields of the token request.
        :param token_url: the URL of the request, which must be an assertion's audience.
        :raises TokenRefused: with the error code that OAuth2 has for the reason.
        """
        if "grant_type" not in form:
            raise TokenRefused("invalid_request", "no grant_type")
        if form["grant_type"] != "client_credentials":
            raise TokenRefused("unsupported_grant_type", form["grant_type"])
        client = self._authenticate(form, token_url)
        grant = Grant(
            client.client_id,
            self._scope(client, form.get("scope", "")),
            self._clock.unix_time() + self.lifetime,
        )
        token = secrets.token_urlsafe(480)
        self._grants[token] = grant
        return token, grant

    def find(self, token: str) -> Grant | None:
        """Return the rights of a token; None if the token is unknown or has expired.

        :param token: the token.
        """
        grant = self._grants.get(token)
        return grant if grant is not None and self._clock.unix_time() < grant.expires_at else None

    def expire(self, token: str) -> None:
        """Make one token invalid.

        :param token: the token.
        """
        self._grants.pop(token, None)

    def expire_all(self) -> int:
        """Make all issued tokens invalid; return their number."""
        count = len(self._grants)
        self._grants.clear()
        return count

    def _allowed(self, spec: ClientSpec) -> frozenset[str]:
        if spec.scopes is None:
            return frozenset(self._scopes.values())
        return frozenset(
            self._scopes[known(scope.casefold(), self._scopes, "scope")] for scope in spec.scopes
        )

    def _scope(self, client: Client, text: str) -> str:
        asked = text.split()
        if len(asked) != 1:
            raise TokenRefused("invalid_scope", f"a token has exactly one scope, {len(asked)} were asked for")
        scope = self._scopes.get(asked[0].casefold())
        if scope is None or scope not in client.scopes:
            raise TokenRefused("invalid_scope", f"{asked[0]!r} is unknown, or not granted to this client")
        return scope

    def _authenticate(self, form: Mapping[str, str], token_url: str) -> Client:
        if "client_assertion" in form or "client_assertion_type" in form:
            if "client_secret" in form:
                raise TokenRefused("invalid_request", "both a secret and an assertion")
            if form.get("client_assertion_type") != ASSERTION_TYPE or "client_assertion" not in form:
                raise TokenRefused("invalid_request", f"an assertion comes with the type {ASSERTION_TYPE}")
            return self._check_assertion(form["client_assertion"], form.get("client_id"), token_url)
        if "client_id" not in form or "client_secret" not in form:
            raise TokenRefused("invalid_client", "neither client_id and client_secret nor an assertion")
        client = self._clients.get(form["client_id"])
        if client is None or client.secret is None:
            raise TokenRefused("invalid_client", "no such client, or it has no secret")
        if not secrets.compare_digest(client.secret.encode(), form["client_secret"].encode()):
            raise TokenRefused("invalid_client", "wrong secret")
        return client

    def _check_assertion(self, assertion: str, client_id: str | None, token_url: str) -> Client:
        header, claims, signed, signature = _decode(assertion)
        issuer = claims.get("iss")
        client = self._clients.get(issuer) if isinstance(issuer, str) else None
        if client is None or client.certificate is None:
            raise TokenRefused("invalid_client", "iss is no client with a certificate")
        certificate = client.certificate
        now = self._clock.unix_time()
        expires_at = _number(claims.get("exp"), default=0)
        audience = claims.get("aud")
        identifier = claims.get("jti")
        checks = {
            "alg must be RS256": header.get("alg") == "RS256",
            "kid is another certificate's": header.get("kid", certificate.thumbprint)
            == certificate.thumbprint,
            "x5t is another certificate's": header.get("x5t", certificate.x5t) == certificate.x5t,
            "the signature is not the registered certificate's": certificate.signed(signed, signature),
            "sub must be iss": claims.get("sub") == issuer,
            "client_id must be iss": client_id in (None, issuer),
            f"aud must be {token_url}": token_url in (audience if isinstance(audience, list) else [audience]),
            "exp has passed or is missing": expires_at > now,
            "exp is more than an hour away": expires_at <= now + _LONGEST_ASSERTION,
            "nbf has not come": _number(claims.get("nbf", 0), default=now + 1) <= now,
            "jti is missing": isinstance(identifier, str) and bool(identifier),
            "jti was used before": str(identifier) not in client.used_assertions,
        }
        for reason, holds in checks.items():
            if not holds:
                raise TokenRefused("invalid_client", f"assertion: {reason}")
        client.used_assertions.add(str(identifier))
        return client


def _certificate(pem: str | None) -> Certificate | None:
    return None if pem is None else Certificate.from_pem(pem)


def _number(value: Any, *, default: float) -> float:
    return value if isinstance(value, int | float) else default


def _decode(assertion: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """Return header, claims, the signed bytes and the signature of a compact JWT."""
    try:
        header, claims, signature = assertion.split(".")
        decoded = [json.loads(_unpad(part)) for part in (header, claims)]
        if not all(isinstance(part, dict) for part in decoded):
            raise ValueError("header and claims are objects")
        return decoded[0], decoded[1], f"{header}.{claims}".encode(), _unpad(signature)
    except (ValueError, binascii.Error) as error:
        raise TokenRefused("invalid_client", f"assertion: not a JWT ({error})") from error


def _unpad(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
