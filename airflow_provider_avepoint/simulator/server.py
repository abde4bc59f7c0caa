"""A uvicorn server in a thread: a socket that is bound before it starts, and a stop that waits for nobody."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from .faults import CLOSE_CONNECTION

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_START_SECONDS = 10
_STOP_SECONDS = 5


class _ClosableProtocol(AutoHTTPProtocol):  # type: ignore[misc,valid-type]  # a base picked at import
    """HTTP whose application can close the connection unanswered, which ASGI alone has no words for."""

    app: ASGIApp

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.app = _with_close(self.app, transport)


def _new_loop() -> asyncio.AbstractEventLoop:
    """Return uvloop's event loop where that is installed, as uvicorn prefers."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _with_close(app: ASGIApp, transport: Any) -> ASGIApp:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        scope[CLOSE_CONNECTION] = transport.close
        await app(scope, receive, send)

    return call


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_ready.set()


class ServerThread:
    """Serves *app* at *host* and *port* (0: a free one) from :meth:`start` to :meth:`stop`."""

    def __init__(self, app: ASGIApp, *, host: str, port: int) -> None:
        self._socket = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048
        )
        # asyncio sets it only where a socket names its protocol; without it, an answer in pieces takes 40 ms.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config = uvicorn.Config(
            app,
            http=_ClosableProtocol,
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            date_header=False,  # the simulator's clock is its own
            server_header=False,
            timeout_graceful_shutdown=0,
        )
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._run, name="avepoint-simulator", daemon=True)
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{self._socket.getsockname()[1]}"

    def start(self) -> None:
        """Start, and return when requests are answered.

        :raises RuntimeError: that took more than ten seconds.
        """
        self._thread.start()
        if not self._server.is_ready.wait(_START_SECONDS):
            self.stop()
            raise RuntimeError(f"the simulator did not start within {_START_SECONDS} seconds")

    def stop(self) -> None:
        """Close all connections and return when the port is free; requests in progress are broken off."""
        self._server.should_exit = True
        self._thread.join(_STOP_SECONDS)
        self._socket.close()

    def _run(self) -> None:
        # Not Server.run: until uvicorn 0.36 it changes the loops of the whole process.
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            runner.run(self._server.serve(sockets=[self._socket]))
