"""Tokens: who gets one, for what, how long, and what they open."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from airflow_provider_avepoint.simulator import Simulator

from .caller import (
    D365_LIST,
    D365_SCOPE,
    JOB_SCOPE,
    LICENSE_SCOPE,
    M365_LICENSE,
    M365_LIST,
    Caller,
    wait_until,
)

CLIENT = "certified-client"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True)
class KeyPair:
    """A private key and a self-signed certificate of it."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def thumbprint(self) -> bytes:
        return self.certificate.fingerprint(hashes.SHA1())


def certify(key: Any) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "app")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )


@cache
def key_pair(_which: str) -> KeyPair:
    key = rsa.generate_private_key(65537, 2048)
    return KeyPair(key, certify(key))


@dataclass
class Assertion:
    """A JWT as the vendor's sample builds it; a None removes a claim or a header."""

    token_url: str
    claims: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, Any] = field(default_factory=dict)
    signer: str = "registered"

    def sign(self) -> str:
        claims = {
            "iss": CLIENT,
            "sub": CLIENT,
            "aud": self.token_url,
            "jti": str(uuid.uuid4()),
            "exp": int(time.time()) + 300,
        }
        claims = {name: value for name, value in (claims | self.claims).items() if value is not None}
        return jwt.encode(claims, key_pair(self.signer).key, algorithm="RS256", headers=self.headers)


def unsigned(claims: dict[str, Any]) -> str:
    parts = ({"alg": "none"}, claims | {"exp": int(time.time()) + 60})
    return ".".join([base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in parts]) + "."


def present_assertion(caller: Caller, assertion: str, **changes: str) -> tuple[int, Any]:
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion,
        "scope": JOB_SCOPE,
    }
    response = caller.grant(**form | changes)
    return response.status_code, response.json()


@pytest.fixture
def certified(avepoint: Simulator) -> Simulator:
    avepoint.set_client(CLIENT, certificate_pem=key_pair("registered").pem)
    return avepoint


def test_secret_is_granted_a_token(avepoint: Simulator, caller: Caller) -> None:
    """The vendor's form is answered with a long token of one hour."""
    answer = caller.grant_by_secret(JOB_SCOPE).json()

    assert {"access_token", "token_type", "expires_in", "ext_expires_in"} == answer.keys()
    assert ("Bearer", 3600) == (answer["token_type"], answer["expires_in"])
    assert len(answer["access_token"]) > 500
    assert {JOB_SCOPE: 1} == avepoint.stats()["tokens"]


def test_token_request_is_refused_as_oauth2_does(caller: Caller) -> None:
    """A refusal is a 400 that holds the error's name and nothing else."""
    refused: list[tuple[dict[str, str], str]] = [
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"scope": f"{JOB_SCOPE} {LICENSE_SCOPE}"}, "invalid_scope"),
        ({"scope": ""}, "invalid_scope"),
        ({"scope": "microsoft365backup.everything"}, "invalid_scope"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"client_assertion": "x", "client_assertion_type": ASSERTION_TYPE}, "invalid_request"),
    ]
    for changes, error in refused:
        response = caller.grant_by_secret(JOB_SCOPE, **changes)

        assert (400, {"error": error}) == (response.status_code, response.json()), changes


def test_incomplete_token_request_is_refused(caller: Caller) -> None:
    """A form that lacks what it needs is told so."""
    refused: list[tuple[dict[str, str], str]] = [
        ({"client_id": "demo-client", "client_secret": "demo-secret", "scope": JOB_SCOPE}, "invalid_request"),
        ({"grant_type": "client_credentials", "scope": JOB_SCOPE}, "invalid_client"),
        (
            {"grant_type": "client_credentials", "scope": JOB_SCOPE, "client_assertion": "x"},
            "invalid_request",
        ),
    ]
    for form, error in refused:
        response = caller.grant(**form)

        assert (400, {"error": error}) == (response.status_code, response.json()), form


def test_json_is_no_token_request(caller: Caller) -> None:
    """The token endpoint takes forms only."""
    response = caller.http.post("/connect/token", json={"grant_type": "client_credentials"})

    assert (400, {"error": "invalid_request"}) == (response.status_code, response.json())


def test_client_gets_only_its_scopes(avepoint: Simulator, caller: Caller) -> None:
    """A scope that the app registration lacks is no valid scope."""
    avepoint.set_client("reader", secret="s", scopes=[LICENSE_SCOPE])
    login = {"client_id": "reader", "client_secret": "s"}

    assert 200 == caller.grant_by_secret(LICENSE_SCOPE, **login).status_code
    assert {"error": "invalid_scope"} == caller.grant_by_secret(JOB_SCOPE, **login).json()


@pytest.mark.usefixtures("certified")
def test_client_without_a_secret_cannot_use_one(caller: Caller) -> None:
    """An app registered with a certificate alone has no secret to guess."""
    response = caller.grant_by_secret(JOB_SCOPE, client_id=CLIENT, client_secret="")

    assert {"error": "invalid_client"} == response.json()


@pytest.mark.parametrize("headers", ["none", "thumbprints"])
def test_certificate_is_granted_a_token(certified: Simulator, caller: Caller, headers: str) -> None:
    """A signed assertion without client_id opens the door, with or without thumbprints in its header."""
    thumbprint = key_pair("registered").thumbprint
    named = {
        "none": {},
        "thumbprints": {
            "kid": thumbprint.hex().upper(),
            "x5t": base64.urlsafe_b64encode(thumbprint).rstrip(b"=").decode(),
        },
    }[headers]
    status, answer = present_assertion(caller, Assertion(certified.token_url, headers=named).sign())

    assert 200 == status
    assert 200 == caller.get(M365_LIST, token=answer["access_token"]).status_code


def test_longest_assertion_lives_an_hour(certified: Simulator, caller: Caller) -> None:
    """An hour is the lifetime that the vendor's sample uses."""
    assertion = Assertion(certified.token_url, claims={"exp": int(time.time()) + 3600})

    assert 200 == present_assertion(caller, assertion.sign())[0]


def test_audience_may_be_a_list(certified: Simulator, caller: Caller) -> None:
    """RFC 7519 allows several audiences."""
    assertion = Assertion(certified.token_url, claims={"aud": ["https://other.example", certified.token_url]})

    assert 200 == present_assertion(caller, assertion.sign())[0]


REFUSED_ASSERTIONS: dict[str, Callable[[str], str]] = {
    "wrong key": lambda url: Assertion(url, signer="other").sign(),
    "wrong audience": lambda url: Assertion(url, claims={"aud": f"{url}/"}).sign(),
    "no audience": lambda url: Assertion(url, claims={"aud": None}).sign(),
    "expired": lambda url: Assertion(url, claims={"exp": int(time.time()) - 1}).sign(),
    "without end": lambda url: Assertion(url, claims={"exp": None}).sign(),
    "too long": lambda url: Assertion(url, claims={"exp": int(time.time()) + 3700}).sign(),
    "not yet": lambda url: Assertion(url, claims={"nbf": int(time.time()) + 60}).sign(),
    "no jti": lambda url: Assertion(url, claims={"jti": None}).sign(),
    "another subject": lambda url: Assertion(url, claims={"sub": "demo-client"}).sign(),
    "unknown issuer": lambda url: Assertion(url, claims={"iss": "nobody", "sub": "nobody"}).sign(),
    "issuer without certificate": lambda url: Assertion(
        url, claims={"iss": "demo-client", "sub": "demo-client"}
    ).sign(),
    "another certificate's kid": lambda url: Assertion(url, headers={"kid": "00" * 20}).sign(),
    "another certificate's x5t": lambda url: Assertion(url, headers={"x5t": "A" * 27}).sign(),
    "signed with a shared secret": lambda url: jwt.encode(
        {"iss": CLIENT, "sub": CLIENT, "aud": url, "jti": "1", "exp": int(time.time()) + 60},
        "s" * 32,
        algorithm="HS256",
    ),
    "unsigned": lambda url: unsigned({"iss": CLIENT, "sub": CLIENT, "aud": url, "jti": "1"}),
    "no JWT": lambda _url: "abc.def",
    "a JWT of lists": lambda _url: ".".join([base64.urlsafe_b64encode(b"[]").decode()] * 3),
}


def test_bad_assertion_is_refused(certified: Simulator, caller: Caller) -> None:
    """An assertion with one thing wrong is no credential."""
    for case, make in REFUSED_ASSERTIONS.items():
        answer = present_assertion(caller, make(certified.token_url))

        assert (case, 400, {"error": "invalid_client"}) == (case, *answer)


def test_assertion_is_good_once(certified: Simulator, caller: Caller) -> None:
    """A replayed jti is refused, and the journal says why."""
    assertion = Assertion(certified.token_url).sign()

    assert 200 == present_assertion(caller, assertion)[0]
    assert (400, {"error": "invalid_client"}) == present_assertion(caller, assertion)
    assert "jti was used before" in certified.requests("/connect/token")[-1]["note"]


def test_refused_assertion_does_not_use_up_its_jti(certified: Simulator, caller: Caller) -> None:
    """Only an assertion that was good is remembered."""
    claims = {"jti": "one"}
    present_assertion(caller, Assertion(certified.token_url, claims=claims, signer="other").sign())

    assert 200 == present_assertion(caller, Assertion(certified.token_url, claims=claims).sign())[0]


def test_assertion_type_is_checked(certified: Simulator, caller: Caller) -> None:
    """The assertion's type is a fixed URN."""
    assertion = Assertion(certified.token_url).sign()

    answer = present_assertion(caller, assertion, client_assertion_type="jwt")
    assert (400, {"error": "invalid_request"}) == answer


def test_certificate_must_be_rsa(avepoint: Simulator) -> None:
    """RS256 cannot be checked with an elliptic curve."""
    pem = certify(ec.generate_private_key(ec.SECP256R1())).public_bytes(serialization.Encoding.PEM)

    with pytest.raises(ValueError, match="RSA"):
        avepoint.set_client(CLIENT, certificate_pem=pem.decode())


def test_page_needs_a_token(caller: Caller) -> None:
    """Without a token that was issued there is no page."""
    for header in (None, "Bearer nonsense", "Basic ZGVtby1jbGllbnQ6ZGVtby1zZWNyZXQ=", "Bearer"):
        response = caller.http.get(M365_LIST, headers={"Authorization": header} if header else {})

        assert (401, 401) == (response.status_code, response.json()["statusCode"]), header
        assert "Bearer" == response.headers["WWW-Authenticate"]


def test_page_needs_its_own_scope(caller: Caller) -> None:
    """A token for another page is forbidden, and the envelope names the permission."""
    for path, scope in ((M365_LIST, LICENSE_SCOPE), (M365_LICENSE, JOB_SCOPE), (D365_LIST, JOB_SCOPE)):
        response = caller.get(path, token=caller.token(scope))

        assert 403 == response.status_code, path
        assert "is required" in response.json()["errors"][0]["message"]


def test_scope_is_taken_in_either_spelling(caller: Caller) -> None:
    """The vendor prints the Dynamics scope in two ways."""
    for scope in (D365_SCOPE, D365_SCOPE.lower()):
        response = caller.get(D365_LIST, token=caller.token(scope))

        assert 400 == response.status_code, scope  # past 401 and 403: the required parameters are missing


def test_token_expires(avepoint: Simulator, caller: Caller) -> None:
    """A token lives as long as it says, whatever the next one's lifetime is."""
    lasting = caller.token(JOB_SCOPE)
    avepoint.set_tokens(expires_in=0.2)
    brief = caller.grant_by_secret(JOB_SCOPE).json()["access_token"]

    wait_until(lambda: caller.get(M365_LIST, token=brief).status_code == 401)
    assert 200 == caller.get(M365_LIST, token=lasting).status_code


def test_token_expires_by_the_server_s_clock(avepoint: Simulator, caller: Caller) -> None:
    """An hour is over when the server says so."""
    token = caller.token(JOB_SCOPE)
    statuses = []
    for ahead in (3500, 3700, -3600):
        avepoint.set_clock(ahead_seconds=ahead)
        statuses.append(caller.get(M365_LIST, token=token).status_code)

    assert [200, 401, 200] == statuses


def test_all_tokens_can_be_ended(avepoint: Simulator, caller: Caller) -> None:
    """Tokens that were issued before are worth nothing after."""
    token = caller.token(JOB_SCOPE)

    assert 1 == avepoint.expire_tokens()
    assert 401 == caller.get(M365_LIST, token=token).status_code
    assert (
        200
        == caller.get(M365_LIST, token=caller.grant_by_secret(JOB_SCOPE).json()["access_token"]).status_code
    )


def test_journal_holds_no_secret(avepoint: Simulator, caller: Caller) -> None:
    """Client, scope and header names are written down; secret and token are not."""
    caller.get(M365_LIST, jobType="1")
    journal = avepoint.requests()
    text = json.dumps(journal)

    assert avepoint.client_secret not in text
    assert caller.token(JOB_SCOPE) not in text
    assert ("demo-client", JOB_SCOPE, 200) == tuple(
        journal[-1][key] for key in ("client_id", "scope", "status")
    )
    assert "authorization" in journal[-1]["header_names"]
    assert {"jobType": "1"} == journal[-1]["query"]
