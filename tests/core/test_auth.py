"""Tokens, with threads, loops and a fork where they are what it is about."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_provider_avepoint.core import auth
from airflow_provider_avepoint.core.auth import Claim, Token, TokenCache, TokenSource
from airflow_provider_avepoint.core.client import Client
from airflow_provider_avepoint.core.errors import (
    AvePointAuthError,
    AvePointError,
    AvePointPayloadError,
    AvePointPermissionError,
    AvePointRequestError,
    AvePointUnavailable,
)
from airflow_provider_avepoint.core.flow import Join, NoAnswer, Protect, Request, Response, Send
from airflow_provider_avepoint.core.settings import Settings
from airflow_provider_avepoint.transports.aiohttp import AiohttpTransport
from airflow_provider_avepoint.transports.requests import RequestsTransport

from .flows import Driver, answer, token
from .tables import each_row

TOKEN_URL = "https://identity.example/connect/token"  # an address
SECRET = "s3cr3t-0f-the-client"  # made up
SCOPE = "microsoft365backup.jobInfo.read.all"


@dataclass(frozen=True)
class FakeCredential:
    fingerprint: str = "f1"
    calls: list[str] = field(default_factory=list, compare=False)

    def form_fields(self, token_url: str) -> dict[str, str]:
        self.calls.append(token_url)
        return {"client_id": "client", "client_secret": SECRET, "n": str(len(self.calls))}


@pytest.fixture
def cache() -> TokenCache:
    return TokenCache()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the monotonic clock's one value, to be set."""
    now = [1000.0]
    monkeypatch.setattr(auth.time, "monotonic", lambda: now[0])
    return now


def source(cache: TokenCache, **fields: Any) -> TokenSource:
    return TokenSource(
        **{
            "token_url": TOKEN_URL,
            "client_id": "client",
            "credential": FakeCredential(),
            "cache": cache,
            **fields,
        }
    )


def get(tokens: TokenSource, *answers: Response | NoAnswer, scope: str = SCOPE) -> tuple[Driver, Any]:
    driver = Driver(answers)
    return driver, driver.run(tokens.get(scope))


def test_the_request(cache: TokenCache) -> None:
    """A form post of the client credentials, and the token is given to whoever redacts logs."""
    driver, received = get(source(cache), token("abc"))
    expected = Request(
        method="POST",
        url=TOKEN_URL,
        form={
            "grant_type": "client_credentials",
            "scope": SCOPE,
            "client_id": "client",
            "client_secret": SECRET,
            "n": "1",
        },
    )
    assert [expected] == driver.sent
    assert "abc" == received.value
    assert ["abc"] == driver.secrets


def test_one_request_a_scope(cache: TokenCache) -> None:
    tokens = source(cache)
    _, first = get(tokens, token("one"))
    assert first is get(tokens)[1]
    _, other = get(tokens, token("two"), scope="dynamics.readwrite.all")
    assert "two" == other.value
    assert first is get(tokens)[1]


@pytest.mark.parametrize(
    "other",
    [
        {"token_url": "https://identity-gov.example/connect/token"},
        {"client_id": "another"},
        {"credential": FakeCredential(fingerprint="f2")},
    ],
    ids=lambda other: next(iter(other)),
)
def test_tokens_of_other_connections_are_not_shared(cache: TokenCache, other: dict[str, Any]) -> None:
    get(source(cache), token("one"))
    assert "two" == get(source(cache, **other), token("two"))[1].value


def test_tokens_are_shared_by_hooks_of_one_connection(cache: TokenCache) -> None:
    get(source(cache), token("one"))
    assert "one" == get(source(cache))[1].value


@each_row(
    ("expires_in", "renewed_after"),
    [
        (3600, 3300.0),
        ("3600", 3300.0),
        (600, 540.0),
        (60, 54.0),
        (7200, 6900.0),
        (None, 3300.0),
        ("soon", 3300.0),
        (0, 3300.0),
        (-5, 3300.0),
        (10**9, 3300.0),
        (float("nan"), 3300.0),
        ([], 3300.0),
        (10**400, 3300.0),
    ],
)
def test_a_token_is_renewed_before_it_expires(
    cache: TokenCache, clock: list[float], expires_in: object, renewed_after: float
) -> None:
    """Five minutes early, or a tenth of a shorter life; an hour where the answer does not say."""
    cache.clear()
    clock[0] = 1000.0
    tokens = source(cache)
    get(tokens, token("one", expires_in=expires_in))
    clock[0] += renewed_after - 0.001
    assert "one" == get(tokens)[1].value
    clock[0] += 0.001
    assert "two" == get(tokens, token("two"))[1].value


def test_a_life_is_counted_from_the_request(cache: TokenCache, clock: list[float]) -> None:
    """An answer that took its time has aged on the way."""

    def slow(_: Request) -> Response:
        clock[0] += 100
        return token("one", expires_in=3600)

    received = Driver(slow).run(source(cache).get(SCOPE))
    assert 1000 + 3300 == received.renew_at


def test_each_try_is_signed_anew(cache: TokenCache) -> None:
    driver, _ = get(source(cache), NoAnswer("ReadTimeout"), answer(status=503), token())
    assert ["1", "2", "3"] == [request.form["n"] for request in driver.sent]


def test_a_token_does_not_show() -> None:
    assert "abc" not in repr(Token("abc", 0.0))


@each_row(
    ("status", "body", "kind", "text"),
    [
        (400, {"error": "invalid_client"}, AvePointAuthError, "(invalid_client)"),
        (401, {"error": "invalid_client"}, AvePointAuthError, "(invalid_client)"),
        (403, {"error": "invalid_client"}, AvePointAuthError, "(invalid_client)"),
        (400, {"error": "invalid_scope"}, AvePointPermissionError, "(invalid_scope)"),
        (400, {"error": "unauthorized_client"}, AvePointPermissionError, "(unauthorized_client)"),
        (401, "no object", AvePointAuthError, "(HTTP 401)"),
        (401, {"error": 5}, AvePointAuthError, "(HTTP 401)"),
        (404, {"message": "Not here."}, AvePointRequestError, "404"),
        (302, {}, AvePointPayloadError, "redirect"),
        (501, {}, AvePointUnavailable, "501"),
        (200, {}, AvePointPayloadError, "access_token"),
        (200, [], AvePointPayloadError, "access_token"),
        (200, {"access_token": ""}, AvePointPayloadError, "access_token"),
        (200, {"access_token": 5}, AvePointPayloadError, "access_token"),
        (200, {"access_token": "a\nb"}, AvePointPayloadError, "access_token"),
        (200, {"access_token": "a b"}, AvePointPayloadError, "access_token"),
        (200, {"access_token": "a\u20ac"}, AvePointPayloadError, "access_token"),
    ],
)
def test_refusals(cache: TokenCache, status: int, body: object, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as caught:
        get(source(cache), answer(body, status=status))
    assert kind is type(caught.value)
    assert text in str(caught.value)


@pytest.mark.parametrize("body", [b"<html>", b"", b"[" * 100_000, b"\xff"])
def test_a_refusal_that_is_not_json(cache: TokenCache, body: bytes) -> None:
    with pytest.raises(AvePointAuthError, match=r"client client \(HTTP 400\)"):
        get(source(cache), answer(status=400, body=body))


def test_the_missing_permission_is_named(cache: TokenCache) -> None:
    with pytest.raises(AvePointPermissionError) as caught:
        get(source(cache), answer({"error": "invalid_scope"}, status=400))
    assert SCOPE == caught.value.permission
    assert SCOPE in str(caught.value)


def test_the_identity_service_is_away(cache: TokenCache) -> None:
    with pytest.raises(
        AvePointUnavailable, match=r"POST https://identity\.example/connect/token answered 503"
    ):
        get(source(cache), *[answer(status=503)] * 5)


@each_row("status", [200, 400, 401, 403, 404, 500, 503])
@each_row("place", ["error", "error_description", "message"])
def test_a_secret_that_the_server_echoes_is_not_shown(cache: TokenCache, place: str, status: int) -> None:
    with pytest.raises(AvePointError) as caught:
        get(source(cache), *[answer({place: SECRET}, status=status)] * 5)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(vars(caught.value))


@pytest.mark.parametrize(
    "code", ["a\nb", "a\r\nERROR all is lost", "a\x1b[2K", "x" * 10_000], ids=["LF", "CRLF", "escape", "long"]
)
def test_a_refusal_is_one_line(cache: TokenCache, code: str) -> None:
    """RFC 6749 allows printable characters only in an error code; a server may send others."""
    with pytest.raises(AvePointError) as caught:
        get(source(cache), answer({"error": code}, status=400))
    assert str(caught.value).isprintable()
    assert 1500 > len(str(caught.value))


# One token for many


def test_others_join_the_one_that_fetches(cache: TokenCache) -> None:
    tokens = source(cache)
    leader, follower = tokens.get(SCOPE), tokens.get(SCOPE)
    assert isinstance(next(leader), Send)
    join = next(follower)
    assert isinstance(join, Join)
    assert isinstance(leader.send(token("one")), Protect)
    with pytest.raises(StopIteration) as led:
        next(leader)
    assert join.future.done()
    with pytest.raises(StopIteration) as followed:
        next(follower)
    assert led.value.value is followed.value.value


def test_another_takes_over_from_one_that_is_abandoned(cache: TokenCache) -> None:
    """A cancelled task closes its flow; who waits for it must not wait for ever."""
    tokens = source(cache)
    leader, second, third = (tokens.get(SCOPE) for _ in range(3))
    next(leader)
    joins = [next(second), next(third)]
    leader.close()
    assert set() == wait([join.future for join in joins], timeout=0).not_done  # as the blocking driver waits
    assert isinstance(next(second), Send)
    rejoined = next(third)
    assert isinstance(rejoined, Join)
    second.send(token("two"))
    with pytest.raises(StopIteration):
        next(second)
    with pytest.raises(StopIteration) as stop:
        next(third)
    assert "two" == stop.value.value.value


def test_all_fail_with_the_one_that_fetches(cache: TokenCache) -> None:
    tokens = source(cache)
    leader, follower = tokens.get(SCOPE), tokens.get(SCOPE)
    next(leader)
    next(follower)
    with pytest.raises(AvePointAuthError):
        leader.send(answer({"error": "invalid_client"}, status=400))
    with pytest.raises(AvePointAuthError):
        next(follower)


def test_a_failure_is_not_kept(cache: TokenCache) -> None:
    tokens = source(cache)
    with pytest.raises(AvePointAuthError):
        get(tokens, answer({"error": "invalid_client"}, status=400))
    assert "two" == get(tokens, token("two"))[1].value


def test_a_credential_that_fails_blocks_nobody(cache: TokenCache) -> None:
    """An error that is none of ours ends its own flow; the next one asks for itself."""

    @dataclass(frozen=True)
    class Broken(FakeCredential):
        def form_fields(self, token_url: str) -> dict[str, str]:
            raise ZeroDivisionError(token_url)

    with pytest.raises(ZeroDivisionError):
        get(source(cache, credential=Broken()))
    assert "one" == get(source(cache), token("one"))[1].value


def test_discard_spares_a_newer_token(cache: TokenCache) -> None:
    """Several pages are refused with one token: only the first of them makes it go."""
    tokens = source(cache)
    _, old = get(tokens, token("old"))
    tokens.discard(SCOPE, old)
    _, new = get(tokens, token("new"))
    tokens.discard(SCOPE, old)
    assert new is get(tokens)[1]


def test_clear(cache: TokenCache) -> None:
    tokens = source(cache)
    get(tokens, token("one"))
    cache.clear()
    assert "two" == get(tokens, token("two"))[1].value


class OneTokenServer:
    """A transport's send for threads and loops: holds the first request until all callers are under way."""

    def __init__(self, callers: int) -> None:
        self.asked: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._all_here = threading.Event()
        self._missing = callers

    def arrive(self) -> None:
        with self._lock:
            self._missing -= 1
            if not self._missing:
                self._all_here.set()

    def send(self, request: Request) -> Response:
        assert self._all_here.wait(20), "not every caller came"
        with self._lock:
            assert request.form is not None
            self.asked[request.form["scope"]] += 1
            return token(f"token-{self.asked.total()}")


def test_one_request_for_threads_and_loops_together(
    cache: TokenCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """8 threads and 3 loops of 8 tasks each want the same token: one request, one token for all."""
    server = OneTokenServer(callers=8 + 3)

    async def send_async(_: AiohttpTransport, request: Request) -> Response:
        return await asyncio.to_thread(server.send, request)

    monkeypatch.setattr(RequestsTransport, "_send", lambda _, request: server.send(request))
    monkeypatch.setattr(AiohttpTransport, "_send", send_async)
    settings = Settings(base_url="https://h", identity_endpoint=TOKEN_URL, client_id="client")
    tokens = source(cache)

    def in_thread() -> list[str]:
        server.arrive()
        transport = RequestsTransport(settings, lambda: None, lambda _: None)
        return [transport.run(tokens.get(SCOPE)).value]

    async def in_loop() -> list[str]:
        async def protect(_: str) -> None:
            pass

        server.arrive()
        transport = AiohttpTransport(settings, protect)
        received = await asyncio.gather(*(transport.run(tokens.get(SCOPE)) for _ in range(8)))
        return [each.value for each in received]

    with ThreadPoolExecutor(11) as pool:
        work = [pool.submit(in_thread) for _ in range(8)]
        work += [pool.submit(lambda: asyncio.run(in_loop())) for _ in range(3)]
        received = [value for each in work for value in each.result(timeout=30)]
    assert ["token-1"] * (8 + 3 * 8) == received
    assert {SCOPE: 1} == server.asked


async def test_a_cancelled_task_hands_the_fetching_over(
    cache: TokenCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = asyncio.Event()
    sent = []

    async def send_async(_: AiohttpTransport, request: Request) -> Response:
        sent.append(request)
        reached.set()
        if len(sent) == 1:
            await asyncio.Event().wait()
        return token("two")

    async def protect(_: str) -> None:
        pass

    monkeypatch.setattr(AiohttpTransport, "_send", send_async)
    settings = Settings(base_url="https://h", identity_endpoint=TOKEN_URL, client_id="client")
    transport, tokens = AiohttpTransport(settings, protect), source(cache)
    leader = asyncio.create_task(transport.run(tokens.get(SCOPE)))
    await reached.wait()
    followers = [asyncio.create_task(transport.run(tokens.get(SCOPE))) for _ in range(3)]
    await asyncio.sleep(0)  # lets them join
    leader.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await leader
    received = await asyncio.wait_for(asyncio.gather(*followers), 20)
    assert ["two"] * 3 == [each.value for each in received]
    assert 2 == len(sent)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_waits_for_nothing_of_its_parent(cache: TokenCache) -> None:
    """Neither for a flow that only the parent runs, nor for a lock that one of its threads holds."""
    key = ("u c", "f", SCOPE)
    kept = Token("kept", float("inf"))
    cache.settle(("u c", "f", "other"), cache.claim(("u c", "f", "other")).future, kept)
    assert cache.claim(key).is_ours
    with cache._lock:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                claim = cache.claim(key)
                is_free = isinstance(claim, Claim) and claim.is_ours
                code = 0 if is_free and cache.claim(("u c", "f", "other")) is kept else 2
            finally:
                os._exit(code)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert not cache.claim(key).is_ours


def test_what_a_fork_forgets(cache: TokenCache) -> None:
    """The parent's own flow, should it go on in the child, settles what nobody waits for any more."""
    key = ("u c", "f", SCOPE)
    old = cache.claim(key)
    cache._forget_pending()
    new = cache.claim(key)
    assert (True, True) == (old.is_ours, new.is_ours)
    cache.settle(key, old.future, None)
    follower = cache.claim(key)
    assert new.future is follower.future
    assert not follower.is_ours


# The API's 401, 403


def client(cache: TokenCache) -> Client:
    settings = Settings(base_url="https://graph.example", identity_endpoint=TOKEN_URL, client_id="client")
    return Client(settings, source(cache))


def call(cache: TokenCache, *answers: Response) -> tuple[Driver, Any]:
    driver = Driver(answers)
    try:
        return driver, driver.run(client(cache).get("/jobs", [("pageSize", "10")], SCOPE)).document
    except AvePointError as e:
        return driver, e


def bearers(driver: Driver) -> list[str]:
    return [request.headers.get("Authorization", "-") for request in driver.sent]


def test_a_call_carries_the_token(cache: TokenCache) -> None:
    driver, document = call(cache, token("one"), answer({"data": []}))
    assert {"data": []} == document
    assert driver.sent[1] == Request(
        method="GET",
        url="https://graph.example/jobs",
        query=(("pageSize", "10"),),
        headers={"Authorization": "Bearer one", "Accept": "application/json"},
    )


@pytest.mark.parametrize("refusal", [answer(status=401), answer({"statusCode": 401, "message": "No."})])
def test_a_401_is_replayed_once_with_a_new_token(cache: TokenCache, refusal: Response) -> None:
    driver, document = call(cache, token("one"), refusal, token("two"), answer({"data": []}))
    assert {"data": []} == document
    assert ["-", "Bearer one", "-", "Bearer two"] == bearers(driver)
    assert driver.sent[1].query == driver.sent[3].query


def test_a_fresh_token_that_is_refused(cache: TokenCache) -> None:
    refusal = answer({"statusCode": 401, "message": "Wrong tenant.", "traceId": "t-1"}, status=401)
    driver, error = call(cache, token("one"), refusal, token("two"), refusal)
    assert type(error) is AvePointAuthError
    assert 4 == len(driver.sent)
    assert "https://graph.example refuses a fresh token" in str(error)
    assert "Wrong tenant." in str(error)


@pytest.mark.parametrize("first", [[], [answer(status=401), token("two")]], ids=["at once", "on replay"])
def test_a_403_names_the_permission(cache: TokenCache, first: list[Response]) -> None:
    driver, error = call(cache, token("one"), *first, answer(status=403))
    assert type(error) is AvePointPermissionError
    assert SCOPE == error.permission
    assert SCOPE in str(error)
    assert 2 + len(first) == len(driver.sent)


@pytest.mark.parametrize("first", [[], [answer(status=401), token("two")]], ids=["at once", "on replay"])
def test_other_refusals_stay_what_they_are(cache: TokenCache, first: list[Response]) -> None:
    _, error = call(cache, token("one"), *first, answer({"message": "No."}, status=400))
    assert type(error) is AvePointRequestError
    assert 400 == error.status


def test_no_token_no_call(cache: TokenCache) -> None:
    driver, error = call(cache, answer({"error": "invalid_client"}, status=400))
    assert type(error) is AvePointAuthError
    assert [TOKEN_URL] == [request.url for request in driver.sent]
