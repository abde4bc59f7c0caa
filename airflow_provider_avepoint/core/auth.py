"""Get access tokens: one token per permission, shared by every client of the process, renewed in time.

AvePoint's OAuth scopes are permissions of the app registration. They are called permissions here, because a
scope is the subject of a verdict.

The client credentials flow of OAuth 2.0, with a secret or a certificate:
https://github.com/AvePoint/cloud-api/blob/c1b3210/docs/docs/Use-AvePoint-Graph-API.md

Each request names one permission, although it could name several: the vendor withdrew a note that
``Dynamics.ReadWrite.All`` does not work beside other scopes, and live tenants refuse long scope strings.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from airflow_provider_avepoint.core.errors import (
    AvePointAuthError,
    AvePointError,
    AvePointPayloadError,
    AvePointPermissionError,
)
from airflow_provider_avepoint.core.flow import Flow, Join, Protect, Request, Response
from airflow_provider_avepoint.core.responses import explain_refusal, send_with_retries

#: A token is renewed this many seconds before its expiry, or a tenth of its lifetime if that is less.
RENEWAL_LEAD = 300.0
_DEFAULT_LIFETIME = 3600.0
_ERROR_CODE = re.compile(r"[\x21-\x7e]{1,40}")
# A token that a header can hold: RFC 6750, 2.1, and other visible ASCII characters.
_TOKEN = re.compile(r"[\x21-\x7e]+")


class Credential(Protocol):
    """Authenticates the client: by a client secret, or by the private key of a certificate."""

    @property
    def fingerprint(self) -> str:
        """A digest that tells credentials apart without revealing them."""

    def form_fields(self, token_url: str) -> Mapping[str, str]:
        """Return the form fields that authenticate the client.

        :param token_url: the URL to which the form is sent.
        """


@dataclass(frozen=True, slots=True)
class Token:
    """An access token.

    :param value: the token, a secret.
    :param renew_at: when to renew the token, in seconds of the monotonic clock.
    """

    value: str = field(repr=False)
    renew_at: float

    @property
    def is_fresh(self) -> bool:
        """Tell whether the time to renew the token has not come."""
        return time.monotonic() < self.renew_at


_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim on a token that is being fetched.

    :param future: gets the token.
    :param is_ours: whether the claimant must fetch the token.
    """

    future: Future[Token]
    is_ours: bool


class TokenCache:
    """The tokens of a process, safe for several threads and event loops.

    The first flow that needs a token fetches it. All other flows wait for the same future.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: dict[_Key, Token] = {}
        self._pending: dict[_Key, Future[Token]] = {}
        # A forked child must not wait for a flow that only the parent runs, or for a lock of the parent.
        os.register_at_fork(after_in_child=self._forget_pending)

    def _forget_pending(self) -> None:
        self._lock = threading.Lock()
        self._pending = {}

    def claim(self, key: _Key) -> Token | Claim:
        """Return a fresh token, or a claim on the token to be fetched.

        :param key: the client, the credential and the permission of the token.
        """
        with self._lock:
            token = self._tokens.get(key)
            if token is not None and token.is_fresh:
                return token
            pending = self._pending.get(key)
            if pending is not None:
                return Claim(pending, is_ours=False)
            future: Future[Token] = Future()
            self._pending[key] = future
            return Claim(future, is_ours=True)

    def settle(self, key: _Key, future: Future[Token], outcome: Token | AvePointError | None) -> None:
        """Fulfil the future of a claim.

        :param key: the key of the claim.
        :param future: the future of the claim.
        :param outcome: the token, or the error; None if the flow was abandoned.
        """
        with self._lock:
            if self._pending.get(key) is future:
                del self._pending[key]
            if isinstance(outcome, Token):
                self._tokens[key] = outcome
        if isinstance(outcome, Token):
            future.set_result(outcome)
        elif outcome is not None:
            future.set_exception(outcome)
        else:
            future.cancel()
            future.set_running_or_notify_cancel()  # without this call, a waiting thread is never told

    def discard(self, key: _Key, token: Token) -> None:
        """Forget a token, unless another token has replaced it.

        :param key: the key of the token.
        :param token: the token to forget.
        """
        with self._lock:
            if self._tokens.get(key) is token:
                del self._tokens[key]

    def clear(self) -> None:
        """Forget every token."""
        with self._lock:
            self._tokens.clear()


#: The tokens of the process.
TOKENS = TokenCache()


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSource:
    """The source of the tokens of one connection.

    :param token_url: the URL of the identity service's token endpoint.
    :param client_id: the client id of the app registration.
    :param credential: authenticates the client.
    :param cache: keeps the tokens; by default the cache of the process.
    """

    token_url: str
    client_id: str
    credential: Credential
    cache: TokenCache = TOKENS

    def _key(self, permission: str) -> _Key:
        return (f"{self.token_url} {self.client_id}", self.credential.fingerprint, permission)

    def discard(self, permission: str, token: Token) -> None:
        """Forget a token that the API has refused.

        :param permission: the permission of the token.
        :param token: the token.
        """
        self.cache.discard(self._key(permission), token)

    def get(self, permission: str) -> Flow[Token]:
        """Return a fresh token.

        :param permission: the permission, such as ``dynamics.readwrite.all``.
        :raises AvePointAuthError: the credentials are refused.
        :raises AvePointPermissionError: the app registration may not ask for *permission*.
        """
        key = self._key(permission)
        while True:
            claim = self.cache.claim(key)
            if isinstance(claim, Token):
                return claim
            if claim.is_ours:
                return (yield from self._fetch(key, claim.future, permission))
            yield Join(claim.future)
            if not claim.future.cancelled():
                return claim.future.result()

    def _fetch(self, key: _Key, future: Future[Token], permission: str) -> Flow[Token]:
        outcome: Token | AvePointError | None = None
        try:
            outcome = token = yield from self._request(permission)
        except AvePointError as e:
            outcome = e
            raise
        else:
            return token
        finally:
            self.cache.settle(key, future, outcome)

    def _request(self, permission: str) -> Flow[Token]:
        def build() -> Request:  # a new one for each try: a client assertion must not be replayed
            return Request(
                method="POST",
                url=self.token_url,
                form={
                    "grant_type": "client_credentials",
                    "scope": permission,
                    **self.credential.form_fields(self.token_url),
                },
            )

        asked_at = time.monotonic()
        request, response = yield from send_with_retries(build)
        if response.status in (400, 401, 403):
            raise self._explain(request, response, permission)
        if response.status != 200:
            raise explain_refusal(request, response)
        answer = response.parse_json(request)
        value = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(value, str) or not _TOKEN.fullmatch(value):
            raise AvePointPayloadError(
                f"{request} answered without an access_token that a header can hold; check the connection's "
                "identity_endpoint."
            )
        yield Protect(value)
        lifetime = _parse_lifetime(answer.get("expires_in"))
        return Token(value, asked_at + lifetime - min(RENEWAL_LEAD, lifetime / 10))

    def _explain(self, request: Request, response: Response, permission: str) -> AvePointError:
        """Turn an OAuth 2.0 error answer (RFC 6749, 5.2) into our error by its code; ignore its text."""
        code = request.redact(_parse_oauth_error(response.body) or f"HTTP {response.status}")
        if code in ("invalid_scope", "unauthorized_client"):
            return AvePointPermissionError(
                f"The app registration {self.client_id} may not request the permission {permission} "
                f"({code}); add it in AvePoint Online Services > App registrations.",
                permission=permission,
            )
        return AvePointAuthError(
            f"The identity service {self.token_url} refused the credentials of client {self.client_id} "
            f"({code}); check the connection's login, its password or certificate, and, with a certificate, "
            "this machine's clock."
        )


def _parse_oauth_error(body: bytes) -> str | None:
    try:
        answer: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    code = answer.get("error") if isinstance(answer, dict) else None
    return code if isinstance(code, str) and _ERROR_CODE.fullmatch(code) else None


def _parse_lifetime(value: object) -> float:
    try:
        seconds = float(value)  # type: ignore[arg-type]  # whatever a server sends
    except (TypeError, ValueError, OverflowError):
        return _DEFAULT_LIFETIME
    return seconds if 0 < seconds < 30 * 86400 else _DEFAULT_LIFETIME
