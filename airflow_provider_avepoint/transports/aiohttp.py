"""Drive flows with aiohttp: on an event loop, for the triggerer."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, assert_never

import aiohttp
from aiohttp.http import SERVER_SOFTWARE

from airflow_provider_avepoint.core.flow import (
    Effect,
    Flow,
    Join,
    NoAnswer,
    Pause,
    Pipeline,
    Protect,
    Request,
    Response,
    Send,
)
from airflow_provider_avepoint.transports.agent import name_agent
from airflow_provider_avepoint.transports.body import loads
from airflow_provider_avepoint.transports.counting import Count, Tally, count_nothing
from airflow_provider_avepoint.transports.environment import find_ca_bundle, find_proxy
from airflow_provider_avepoint.transports.limits import check_size, find_longest
from airflow_provider_avepoint.transports.lookup import explain_lookup

if TYPE_CHECKING:
    from airflow_provider_avepoint.core.settings import Settings

T = TypeVar("T")
_AGENT = {"User-Agent": name_agent(SERVER_SOFTWARE)}


class AiohttpTransport:
    """Runs flows on the current event loop, and those of a pipeline as tasks beside each other.

    :param settings: the connection.
    :param protect: told of every token, to keep it out of logs.
    :param count: told of every request, retry and throttled answer, and what it was about.
    """

    def __init__(
        self,
        settings: Settings,
        protect: Callable[[str], Awaitable[None]],
        count: Count = count_nothing,
    ) -> None:
        self._settings = settings
        self._protect = protect
        self._count = count
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def run(self, flow: Flow[T]) -> T:
        """Perform the effects of *flow* until it returns.

        :param flow: the call to run.
        """
        outcome: Any = None
        problem: NoAnswer | None = None
        tally = Tally(self._count)
        with contextlib.closing(flow):
            while True:
                try:
                    effect = flow.send(outcome) if problem is None else flow.throw(problem)
                except StopIteration as stop:
                    result: T = stop.value
                    return result
                outcome, problem = None, None
                try:
                    outcome = await self._perform(effect)
                except NoAnswer as e:
                    problem = e
                tally.note(effect, outcome)

    async def draw(self, pipeline: Pipeline[T]) -> AsyncGenerator[Iterator[T]]:
        """Yield what comes of *pipeline*, flow by flow, while the flows after it run ahead.

        The items of one flow are drawn before the next are asked for.

        :param pipeline: says which flows to run.
        """
        pending: deque[asyncio.Task[Any]] = deque()
        try:
            while True:
                for flow in pipeline.begin(len(pending)):
                    task = asyncio.create_task(self.run(flow))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                    pending.append(task)
                if not pending:
                    return
                outcome = await pending.popleft()
                await asyncio.sleep(0)  # what has arrived meanwhile is taken in before items are made of this
                yield pipeline.take(outcome)
        finally:
            await _cancel(pending)

    async def close(self) -> None:
        """Cancel what is under way, of listings too that somebody left early, and close the session."""
        await _cancel(self._tasks)
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _perform(self, effect: Effect) -> Any:
        match effect:
            case Send(request):
                return await self._send(request)
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case Join(future):
                await _until_done(future)
            case Protect(secret):
                await self._protect(secret)
            case _:
                assert_never(effect)
        return None

    async def _send(self, request: Request) -> Response:
        proxy = find_proxy(self._settings, request.url)
        try:
            session = await self._open_session()
            async with session.request(
                request.method,
                request.url,
                params=list(request.query),
                headers=dict(request.headers),
                data=request.form,
                json=request.json,
                allow_redirects=False,
                proxy=proxy,
                proxy_headers=_AGENT,
            ) as answer:
                return Response(
                    status=answer.status,
                    headers={name.lower(): value for name, value in answer.headers.items()},
                    body=await _read_body(request, answer),
                    loads=loads,
                )
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as e:
            if (unknown := explain_lookup(e, proxy or request.url)) is not None:
                raise unknown from None
            # The exception's text may hold the query; its kind says enough.
            raise NoAnswer(type(e).__name__) from None

    async def _open_session(self) -> aiohttp.ClientSession:
        async with self._opening:  # flows that start together share one
            if self._session is None:
                settings = self._settings
                # Built in a thread: loading the CA bundle would hold up every other trigger.
                context = await asyncio.to_thread(_build_ssl, settings)
                self._session = aiohttp.ClientSession(
                    headers=_AGENT,
                    connector=aiohttp.TCPConnector(ssl=context, limit=settings.max_concurrency),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    timeout=aiohttp.ClientTimeout(
                        total=find_longest(settings),
                        sock_connect=settings.timeout,
                        sock_read=settings.timeout,
                    ),
                )
                # It would repeat a request by itself, which core.retry decides; there is no other switch.
                self._session._retry_connection = False  # noqa: SLF001
            return self._session


async def _read_body(request: Request, answer: aiohttp.ClientResponse) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async for piece in answer.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        check_size(request, size)
    return b"".join(pieces)


def _build_ssl(settings: Settings) -> ssl.SSLContext | bool:
    """Return the context in which requests would check certificates."""
    bundle = find_ca_bundle(settings)
    if bundle is None:
        return False
    is_folder = Path(bundle).is_dir()
    return ssl.create_default_context(
        cafile=None if is_folder else bundle, capath=bundle if is_folder else None
    )


async def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _until_done(future: Future[Any]) -> None:
    """Wait for a future that another thread or loop fulfils, without taking its result or its error."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def wake(_: Future[Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed meanwhile
            loop.call_soon_threadsafe(done.set)

    future.add_done_callback(wake)
    await done.wait()
