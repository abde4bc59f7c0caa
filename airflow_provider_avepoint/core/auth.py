"""Fetch one token for each permission, share the token in the process, and renew it before it expires.

An OAuth scope of AvePoint is a permission of the app registration. This package says *permission*, because
*scope* is the word for what a verdict judges.

The tokens come from OAuth 2.0's client credentials flow, with a secret or with a certificate:
https://github.com/AvePoint/cloud-api/blob/c1b3210/docs/docs/Use-AvePoint-Graph-API.md

One request could name several permissions, but this module asks for one permission at a time: the vendor
withdrew a note that ``Dynamics.ReadWrite.All`` does not work beside other scopes, and live tenants refuse
long scope texts.
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

#: Renew a token this many seconds before it expires, or a tenth of its lifetime before if that is less.
RENEWAL_LEAD = 300.0
_DEFAULT_LIFETIME = 3600.0
_ERROR_CODE = re.compile(r"[\x21-\x7e]{1,40}")
# A header can hold visible ASCII. RFC 6750, 2.1, allows fewer characters in a token; servers may send others.
_TOKEN = re.compile(r"[\x21-\x7e]+")


class Credential(Protocol):
    """The proof of who we are: a client secret, or the private key of a certificate."""

    @property
    def fingerprint(self) -> str:
        """Digest that tells two credentials apart and reveals neither."""

    def form_fields(self, token_url: str) -> Mapping[str, str]:
        """Return the form fields that prove who we are.

        :param token_url: the URL that receives the form; a client assertion names that URL as its audience.
        """


@dataclass(frozen=True, slots=True)
class Token:
    """An access token.

    :param value: the token's text.
    :param renew_at: the moment from which the token must be renewed, in seconds of the monotonic clock.
    """

    value: str = field(repr=False)
    renew_at: float

    @property
    def is_fresh(self) -> bool:
        """Whether the token need not be renewed yet."""
        return time.monotonic() < self.renew_at


_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Claim:
    """A token that some flow is fetching.

    :param future: the token to come.
    :param is_ours: whether the flow that holds this claim must fetch the token.
    """

    future: Future[Token]
    is_ours: bool


class TokenCache:
    """The tokens of a process. Threads and event loops can use one cache together.

    The first flow that needs a token fetches the token. Other flows, in any thread or loop, wait for the same
    future.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: dict[_Key, Token] = {}
        self._pending: dict[_Key, Future[Token]] = {}
        # A forked child must not wait for a flow or a lock of its parent: neither ends in the child.
        os.register_at_fork(after_in_child=self._forget_pending)

    def _forget_pending(self) -> None:
        self._lock = threading.Lock()
        self._pending = {}

    def claim(self, key: _Key) -> Token | Claim:
        """Return a fresh token, or a claim on a token that is being fetched.

        :param key: the token URL with the client id, the credential's fingerprint, the permission.
        :returns: a claim that is ours where no other flow is fetching this token.
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
        """End a claim: give the outcome to the flows that wait.

        :param key: as in :meth:`claim`.
        :param future: the future of the claim.
        :param outcome: the token, the error, or None where the flow was abandoned before its end.
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
            future.set_running_or_notify_cancel()  # without this call, futures.wait() does not return

    def discard(self, key: _Key, token: Token) -> None:
        """Remove *token* from the cache, unless a newer token has replaced it.

        :param key: as in :meth:`claim`.
        :param token: the token that no longer works.
        """
        with self._lock:
            if self._tokens.get(key) is token:
                del self._tokens[key]

    def clear(self) -> None:
        """Remove every token."""
        with self._lock:
            self._tokens.clear()


#: The tokens of the process.
TOKENS = TokenCache()


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSource:
    """Where the tokens of one connection come from.

    :param token_url: the identity service's endpoint for tokens.
    :param client_id: the app registration.
    :param credential: the proof that goes with *client_id*.
    :param cache: the cache to share; by default, the cache of the process.
    """

    token_url: str
    client_id: str
    credential: Credential
    cache: TokenCache = TOKENS

    def _key(self, permission: str) -> _Key:
        return (f"{self.token_url} {self.client_id}", self.credential.fingerprint, permission)

    def discard(self, permission: str, token: Token) -> None:
        """Remove a token that the API has refused.

        :param permission: the permission that the token was fetched for.
        :param token: the refused token.
        """
        self.cache.discard(self._key(permission), token)

    def get(self, permission: str) -> Flow[Token]:
        """Return a fresh token: from the cache, from a flow that is fetching it, or by fetching it.

        :param permission: the permission to ask for, such as ``dynamics.readwrite.all``.
        :raises AvePointAuthError: the identity service refuses the credentials.
        :raises AvePointPermissionError: the app registration may not ask for *permission*.
        :raises AvePointUnavailable: the identity service does not answer.
        :raises AvePointPayloadError: the identity service answers without a usable token.
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
        def build() -> Request:  # a new request for each try: a client assertion must not be sent twice
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
        """Turn an OAuth 2.0 error answer (RFC 6749, 5.2) into our error.

        Only the error code is read and shown: the answer's text may hold anything.
        """
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
