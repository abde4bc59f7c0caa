"""A uvicorn server in a thread: its socket is bound before it starts, and it stops at once."""

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


class _ClosableProtocol(AutoHTTPProtocol):  # type: ignore[misc,valid-type]  # uvicorn picks the base at import
    """HTTP whose application can close the connection without an answer; ASGI has no message for that."""

    app: ASGIApp

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.app = _with_close(self.app, transport)


def _new_loop() -> asyncio.AbstractEventLoop:
    """Return uvloop's event loop if uvloop is installed, as uvicorn prefers it."""
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
    """Serves an application from :meth:`start` to :meth:`stop`.

    :param app: the ASGI application.
    :param host: the address to listen at, IPv4 or IPv6.
    :param port: the port; 0 takes a free one.
    """

    def __init__(self, app: ASGIApp, *, host: str, port: int) -> None:
        self._socket = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048
        )
        # asyncio sets TCP_NODELAY only on a socket that names its protocol. Without it, an answer in pieces
        # takes 40 ms.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config = uvicorn.Config(
            app,
            http=_ClosableProtocol,
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            date_header=False,  # the simulator sets the header by its own clock
            server_header=False,
            timeout_graceful_shutdown=0,
        )
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._run, name="avepoint-simulator", daemon=True)
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{self._socket.getsockname()[1]}"

    def start(self) -> None:
        """Start, and return when the server answers requests.

        :raises RuntimeError: the server did not start within ten seconds.
        """
        self._thread.start()
        if not self._server.is_ready.wait(_START_SECONDS):
            self.stop()
            raise RuntimeError(f"the simulator did not start within {_START_SECONDS} seconds")

    def stop(self) -> None:
        """Close all connections, also those of running requests, and return when the port is free."""
        self._server.should_exit = True
        self._thread.join(_STOP_SECONDS)
        self._socket.close()

    def _run(self) -> None:
        # Server.run is not used: before uvicorn 0.36 it changes the event loop policy of the whole process.
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            runner.run(self._server.serve(sockets=[self._socket]))
