"""Drive flows with requests: blocking, for workers."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, TypeVar, assert_never
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

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
from airflow_provider_avepoint.transports.body import loads
from airflow_provider_avepoint.transports.counting import Count, Tally, count_nothing
from airflow_provider_avepoint.transports.environment import find_ca_bundle, find_proxy
from airflow_provider_avepoint.transports.limits import check_size, find_longest
from airflow_provider_avepoint.transports.lookup import explain_lookup

if TYPE_CHECKING:
    from airflow_provider_avepoint.core.settings import Settings

T = TypeVar("T")
_PIECE = 1 << 20


class RequestsTransport:
    """Runs flows in the calling thread, and those of a pipeline in a few threads beside it.

    :param settings: the connection.
    :param open_session: returns a new session; each thread gets its own.
    :param protect: told of every token, to keep it out of logs.
    :param count: told of every request, retry and throttled answer, and what it was about.
    """

    def __init__(
        self,
        settings: Settings,
        open_session: Callable[[], requests.Session],
        protect: Callable[[str], None],
        count: Count = count_nothing,
    ) -> None:
        self._settings = settings
        self._open_session = open_session
        self._protect = protect
        self._count = count
        self._local = threading.local()
        self._sessions: list[requests.Session] = []

    def run(self, flow: Flow[T]) -> T:
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
                    outcome = self._perform(effect)
                except NoAnswer as e:
                    problem = e
                tally.note(effect, outcome)

    def draw(self, pipeline: Pipeline[T]) -> Iterator[T]:
        """Yield what comes of *pipeline*, whose flows run ahead in a few threads.

        :param pipeline: says which flows to run.
        """
        pending: deque[Future[Any]] = deque()
        pool: ThreadPoolExecutor | None = None
        try:
            while True:
                flows = pipeline.begin(len(pending))
                if not pending and not flows:
                    return
                if not pending and len(flows) == 1:  # one flow at a time needs no other thread
                    yield from pipeline.take(self.run(flows[0]))
                    continue
                if pool is None:
                    pool = ThreadPoolExecutor(self._settings.max_concurrency, thread_name_prefix="avepoint")
                pending.extend(pool.submit(self.run, flow) for flow in flows)
                yield from pipeline.take(pending.popleft().result())
        finally:
            if pool is not None:  # whoever leaves early does not wait for pages that nobody will read
                pool.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """Close every session."""
        while self._sessions:
            self._sessions.pop().close()
        self._local = threading.local()

    def _perform(self, effect: Effect) -> Any:
        match effect:
            case Send(request):
                return self._send(request)
            case Pause(seconds):
                time.sleep(seconds)
            case Join(future):
                wait([future])
            case Protect(secret):
                self._protect(secret)
            case _:
                assert_never(effect)
        return None

    def _send(self, request: Request) -> Response:
        proxy = find_proxy(self._settings, request.url)
        deadline = time.monotonic() + find_longest(self._settings)
        try:
            with self._session.request(
                request.method,
                request.url,
                params=list(request.query),
                headers=dict(request.headers),
                data=request.form,
                json=request.json,
                timeout=self._settings.timeout,
                allow_redirects=False,
                proxies={urlsplit(request.url).scheme: proxy} if proxy else None,
                verify=find_ca_bundle(self._settings) or False,
                stream=True,
            ) as answer:
                return Response(
                    status=answer.status_code,
                    headers={name.lower(): value for name, value in answer.headers.items()},
                    body=_read_body(request, answer, deadline),
                    loads=loads,
                )
        except (requests.RequestException, HTTPError, OSError, ValueError) as e:
            if (unknown := explain_lookup(e, proxy or request.url)) is not None:
                raise unknown from None
            # The exception's text may hold the query; its kind says enough.
            raise NoAnswer(_describe(e), was_sent=not _is_unconnected(e)) from None

    @property
    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = self._open_session()
            session.trust_env = False  # what the environment says is decided in .environment
            self._sessions.append(session)
        return session


def _read_body(request: Request, answer: requests.Response, deadline: float) -> bytes:
    """Return the body, piece by piece as it comes: what reads a whole one may wait for it for ever."""
    pieces: list[bytes] = []
    size = 0
    while piece := answer.raw.read1(_PIECE, decode_content=True):
        pieces.append(piece)
        size += len(piece)
        check_size(request, size)
        if time.monotonic() > deadline:
            raise TimeoutError
    return b"".join(pieces)


def _is_unconnected(error: Exception) -> bool:
    """Tell whether *error* says that there was no connection to send anything by."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, (NewConnectionError, ConnectTimeoutError)):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _describe(error: Exception) -> str:
    """Say what kind of failure *error* is, down to its root."""
    root: BaseException = error
    while (inner := root.__cause__ or root.__context__) is not None:
        root = inner
    names = dict.fromkeys([type(error).__name__, type(root).__name__])
    return ": ".join(names)
